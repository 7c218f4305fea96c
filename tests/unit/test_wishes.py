"""Texts as the caller wants them: sampled, several, cut at strings; through both lines of the official client."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clients import CLIENTS, run_script
from servers import start

from inhouse.core import Task
from inhouse.store import Workspace, registry, traffic

TEXT = "where is my card now"


def add_letters(workspace):
    """A task whose texts are written by the file that `intents` learned to answer with labels."""
    version = registry.find_version(workspace, "intents", 1)
    task = workspace.load_task("intents")
    workspace.save_task(Task(name="letters", kind="generate", input=task.input, base_model=task.base_model))
    free = {"task": "letters", "kind": "generate", "labels": (), "answer_tokens": 40, "calibrator": None}
    free |= {"exact": True}  # else what else is in the batch, or in the cache, tips the scales every now and then
    registry.add_version(workspace, version.model_copy(update=free))
    registry.move_alias(workspace, "letters", registry.CHAMPION, 1, action="promote")


@pytest.fixture(scope="module")
def server(tmp_path_factory, trained, environment):
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("letters") / "workspace"))
    workspace = Workspace(folder)
    add_letters(workspace)
    workspace.close()
    server = start(folder, environment)
    yield server
    server.kill()


def traces(folder):
    workspace = Workspace(folder)
    kept = traffic.traces(workspace, "letters")
    workspace.close()
    return kept


@pytest.mark.parametrize("line", CLIENTS)
def test_texts_through_either_line_of_the_official_client(server, line):
    told = run_script("texts.py", line, server.url, "letters", TEXT)
    whole, stop = told["whole"], told["stop"]
    assert told["again"] == whole
    before = whole[: whole.index(stop)]
    assert told["cut"] == [before, "stop", True]
    assert told["cut streamed"] == [{"text": before, "finish": ["stop"], "roles": 1}]
    assert told["cut at once"] == ""
    sampled = told["sampled"]
    assert (told["indices"], len(set(sampled))) == ([0, 1, 2], 3)
    assert len(set(told["prompt tokens"])) == 1  # read once for all
    for again in (told["sampled again"], [one["text"] for one in told["sampled streamed"]]):
        assert sum(a == b for a, b in zip(again, sampled, strict=True)) >= 2  # see docs/design/sampling.md
    assert all((len(one["finish"]), one["roles"]) == (1, 1) for one in told["sampled streamed"])
    assert not set(told["other seed"]) & set(sampled)
    assert len(set(told["no seed"])) == 2
    assert "n = 2 answers were written alike: each is the likeliest" in told["alike"]
    assert "top_p had no effect: without a temperature the text is the likeliest" in told["unused"]
    for (status, code, param, said), name in zip(
        told["refused"], ("presence_penalty", "frequency_penalty", "logit_bias"), strict=True
    ):
        assert (status, code, param) == (400, "unsupported_value", name)
        assert f"`{name}` is not supported as asked" in said


def test_the_trace_keeps_what_was_wished(server):
    wishes = {"temperature": 1.5, "top_p": 0.9, "seed": -1, "n": 2, "stop": ["x y z"], "max_tokens": 9}
    messages = [{"role": "user", "content": TEXT}]
    status, _, answer = server.post("/v1/chat/completions", model="letters", messages=messages, **wishes)
    assert status == 200
    (trace,) = [one for one in traces(server.folder) if one.id == answer["id"]]
    sampling = {"temperature": 1.5, "top_p": 0.9, "seed": 2**63 - 1}
    assert trace.asked == {"most": 9, "stop": ["x y z"], "sampling": sampling, "n": 2}
    assert trace.output == answer["choices"][0]["message"]["content"]
    assert all("confidence" in choice["inhouse"] for choice in answer["choices"])


@pytest.mark.parametrize("stream", [False, True])
def test_labels_stay_the_likeliest_and_say_so(server, stream):
    wishes = {"temperature": 2, "presence_penalty": 1, "logit_bias": {"1": 5}, "stop": "card", "n": 2}
    messages = [{"role": "user", "content": TEXT}]
    status, _, answer = server.post("/v1/chat/completions", model="intents", messages=messages, stream=stream, **wishes)
    assert status == 200
    said = "temperature, presence_penalty, logit_bias and stop had no effect: a label is always the likeliest"
    if stream:
        assert answer.count(said) == 2  # with the last piece of each
        return
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["card_arrival"] * 2
    assert answer["inhouse"]["warnings"] == [said, "n = 2 answers were written alike: each is the likeliest"]
