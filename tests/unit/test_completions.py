"""Plain completions: a base goes on with a text, and a task takes it as its input."""

from __future__ import annotations

import pytest
from clients import CLIENTS, run_script
from letters import add_letters
from servers import served_copy

from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import open_engine
from inhouse.store import Workspace, traffic

TEXT = "where is my card now"


@pytest.fixture(scope="module")
def server(tmp_path_factory, trained, environment):
    with served_copy(trained, tmp_path_factory.mktemp("completions"), environment, add_letters) as server:
        yield server


@pytest.mark.parametrize("line", CLIENTS)
def test_completions_through_either_line_of_the_official_client(server, tiny_base, line):
    told = run_script("completions.py", line, server.url, "tiny", "letters", "intents", TEXT)
    template = ChatTemplate(tiny_base.folder)
    prompt = template.plain_ids(TEXT)
    engine = open_engine("openvino-genai", tiny_base.gguf, template.end_of_turn, threads=1, exact=False)
    (answer,) = engine.generate([prompt], max_new_tokens=16)
    engine.close()
    assert (told["object"], told["id"][:5]) == ("text_completion", "cmpl-")
    assert told["text"] == template.decode(answer.ids)
    assert told["usage"] == [len(prompt), len(answer.ids)]  # 16, as at OpenAI, where no bound is named
    assert told["finish"] == ("stop" if answer.finished else "length")
    assert told["streamed"]["choices"] == [{"text": told["text"], "finish": [told["finish"]]}]
    assert told["streamed"]["usage"] == told["total"]
    assert (told["indices"], len(set(told["several"]))) == ([0, 1, 2, 3], 4)
    assert [one["text"] for one in told["several streamed"]["choices"]] == told["two"]
    assert told["special"] == len(template.text_ids("<|im_end|>")) > 1  # it stays text
    tokens, logprobs, top, offsets = told["chances"]
    assert len(tokens) == len(logprobs) == len(offsets) > 1
    assert top == [{token: logprob} for token, logprob in zip(tokens, logprobs, strict=True)]
    assert told["letters"] == told["chat letters"]
    assert told["cut"] == told["letters"][: told["letters"].index("_a")]
    assert told["label"] == "card_arrival"
    names = ["prompt", "prompt", "echo", "suffix", "best_of", "logprobs", "presence_penalty"]
    assert told["refused"] == [[400, name] for name in names]
    assert [status for status, _ in told["empty"]] == [400] * 3
    workspace = Workspace(server.folder)
    kept = {one.id: one for one in traffic.traces(workspace, "")}
    workspace.close()
    assert (kept[told["id"]].inputs, kept[told["id"]].output) == ({"prompt": TEXT}, told["text"])
    ids = [told["several id"], f"{told['several id']}-1"]
    assert [kept[one].inputs["prompt"] for one in ids] == [TEXT, "new pin"]
    assert [kept[one].output for one in ids] == [told["several"][0], told["several"][2]]


def test_where_one_prompt_fails_none_is_answered_and_all_are_traced(server):
    prompts = ["hello", "card " * 1100]
    status, _, told = server.post("/v1/completions", model="tiny", prompt=prompts, max_tokens=900)
    assert (status, "prompt and answer have 1024 together" in told["error"]["message"]) == (400, True)
    workspace = Workspace(server.folder)
    kept = [one for one in traffic.traces(workspace, "") if one.inputs.get("prompt") in prompts]
    workspace.close()
    assert {one.inputs["prompt"] for one in kept} == set(prompts)
    assert all(one.output is None for one in kept)
