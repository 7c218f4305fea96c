"""A base model asked by its own name: the whole conversation, answers in JSON, and no task's answer in its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from clients import CLIENTS, run_script
from conftest import write_encoder
from servers import served_copy

from inhouse.core import Trace
from inhouse.core.json_schema import parse_object, validate
from inhouse.deploy import Dispatcher
from inhouse.engine import get_base
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import open_engine
from inhouse.errors import ModelNotFound
from inhouse.store import Settings, Workspace, erase, registry, traffic

HUB = "Tiny-Org/Tiny-0.1M-Instruct"
TASKS = ["intents", "intents@1"]
TURNS = [
    {"role": "system", "content": "You help at a bank. "},
    {"role": "user", "content": "where is my card"},
    {"role": "assistant", "content": "On its way."},
    {"role": "user", "content": "since monday<|im_end|>\n"},
]


@pytest.fixture(scope="module")
def own_models(tmp_path_factory, tiny_base):
    """A folder with the tiny base, the same once more as a model of the hub, and an encoder of the tiny base's name."""
    folder = tmp_path_factory.mktemp("models")
    (folder / tiny_base.folder.name).symlink_to(tiny_base.folder)
    hub = Path(shutil.copytree(tiny_base.folder, folder / f"{HUB.replace('/', '--')}-{'e' * 12}"))
    facts = json.loads((hub / "complete.json").read_text())
    (hub / "complete.json").write_text(json.dumps({**facts, "name": HUB, "hub": HUB, "sha256": "e" * 64}))
    get_base(str(write_encoder(tmp_path_factory.mktemp("made") / "tiny")), Settings(models_dir=folder))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, trained, environment, own_models):
    there = {**environment, "INHOUSE_MODELS_DIR": str(own_models)}
    with served_copy(trained, tmp_path_factory.mktemp("bases"), there) as server:
        yield server


@pytest.fixture(scope="module")
def expected(tiny_base):
    """What the base says of itself: the tokens of the conversation, and its answer."""
    template = ChatTemplate(tiny_base.folder)
    prompt = template.prompt_ids(TURNS)
    engine = open_engine("openvino-genai", tiny_base.gguf, template.end_of_turn, threads=1, exact=False)
    (answer,) = engine.generate([prompt], max_new_tokens=20)
    engine.close()
    return len(prompt), template.decode(answer.ids)


@pytest.mark.parametrize(("line", "name"), [*((line, "tiny") for line in CLIENTS), ("3", HUB)])
def test_a_base_through_either_line_of_the_official_client(server, expected, line, name):
    told = run_script("bases.py", line, server.url, name)
    assert told["models"] == [HUB, "tiny", *TASKS]  # the bases first
    assert told["retrieved"] == name
    assert (told["tokens"], told["answer"]) == expected
    assert told["streamed"] == told["text"] == told["answer"]
    assert told["ours"]["model_version"] == name
    workspace = Workspace(server.folder)
    trace = traffic.find_trace(workspace, told["id"])
    workspace.close()
    assert (trace.task, trace.model_version, trace.route, trace.output) == ("", name, "base", told["answer"])
    assert json.loads(trace.inputs["messages"]) == TURNS
    for text in told["held"]:
        assert validate(told["schema"], parse_object(text)) == ""
    whole = [text for text, finish in told["object"] if finish == "stop"]
    assert whole
    assert all(parse_object(text) is not None for text in whole)
    assert all(text.startswith("{") for text, _ in told["object"])
    said = [
        "schema.type is 'array'",
        "schema.properties.a has no type",
        "schema.properties.a has no type",
        "schema.properties.a.maxItems is 1000000000: 200 at most",
        "schema.properties.a.minLength is 1000000000: 1000 at most",
        "nested deeper than 16 levels",
        "`json_schema.schema` is missing",
        "`type` is 'xml'",
    ]
    for (status, param, message), part in zip(told["refused"], said, strict=True):
        assert (status, param) == (400, "response_format")
        assert part in message


def test_nobody_judges_a_base(server):
    body = {"model": "tiny", "messages": TURNS, "max_tokens": 3}
    _, _, answer = server.post("/v1/chat/completions", **body)
    status, _, told = server.post("/v1/feedback", id=answer["id"], accepted=True)
    assert (status, "answer of a base model" in told["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "Invalid 'messages': empty array"),
        (TURNS[:3], "the last message must be the user's"),
        ([{"role": "tool", "content": "x"}], "role 'tool'"),
        ([{"role": "user", "content": "card " * 1100}], "prompt and answer have 1024 together"),
    ],
)
def test_what_a_base_cannot_read(server, messages, said):
    status, _, told = server.post("/v1/chat/completions", model="tiny", messages=messages)
    assert (status, said in told["error"]["message"]) == (400, True)


def test_a_base_stops_at_the_end_of_its_context(server):
    turns = [{"role": "user", "content": "card " * 480}]
    _, _, answer = server.post("/v1/chat/completions", model="tiny", messages=turns, max_tokens=5000)
    assert answer["usage"]["total_tokens"] <= 1024
    assert answer["choices"][0]["finish_reason"] in ("stop", "length")


def test_a_task_goes_before_a_base_of_its_name(copy_of_trained, own_models, monkeypatch):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(own_models))
    workspace = Workspace(copy_of_trained)
    dispatcher = Dispatcher(workspace)
    assert dispatcher.choose("tiny").route == "base"
    workspace.save_task(workspace.load_task("intents").model_copy(update={"name": "tiny"}))
    with pytest.raises(ModelNotFound):  # it has no version yet: that is no reason to answer with another model
        dispatcher.choose("tiny")
    version = registry.find_version(workspace, "intents", 1)
    registry.add_version(workspace, version.model_copy(update={"task": "tiny"}))
    registry.move_alias(workspace, "tiny", registry.CHAMPION, 1, action="promote")
    assert dispatcher.choose("tiny").version.name == "tiny@1"
    assert [name for name, _ in dispatcher.models()][:2] == [HUB, "intents"]
    workspace.close()


@pytest.mark.parametrize("name", ["Tiny", "tiny@1", "tiny@", "Tiny-Org/Tiny", "../tiny", "", "e" * 64])
def test_a_name_that_is_nearly_a_base(copy_of_trained, own_models, monkeypatch, name):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(own_models))
    workspace = Workspace(copy_of_trained)
    with pytest.raises(ModelNotFound, match="does not exist"):
        Dispatcher(workspace).choose(name)
    workspace.close()


def test_what_a_base_was_asked_is_forgotten_with_the_rows_of_any_task(copy_of_trained):
    workspace = Workspace(copy_of_trained)
    plain = {"model_version": "tiny", "output": "b", "confidence": 0.5, "needs_review": False, "latency_ms": 1.0}
    plain |= {"prompt_tokens": 3, "answer_tokens": 2, "created_at": "now"}
    for name, task, text in (("c-1", "", "of Ann"), ("c-2", "", "of Bob"), ("c-3", "other", "of Ann")):
        traffic.add_trace(workspace, Trace(id=name, task=task, inputs={"messages": text}, **plain))
    assert erase.remove_traces(workspace, "intents", lambda *_: False, lambda text: "Ann" in text) == 1
    assert [t.id for t in traffic.traces(workspace, "")] == ["c-2"]
    workspace.close()
