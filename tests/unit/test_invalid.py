"""What is told of a body that does not fit, of a prompt that is too long, and of endpoints that there are none of."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from inhouse.api import make_app
from inhouse.store import Workspace


@pytest.fixture(scope="module")
def client(trained, tmp_path_factory):
    workspace = Workspace(Path(shutil.copytree(trained, tmp_path_factory.mktemp("invalid") / "workspace")))
    with TestClient(make_app(workspace)) as client:
        yield client


USER = {"role": "user", "content": "where is my card"}
CHAT = {"model": "intents", "messages": [USER]}


@pytest.mark.parametrize(
    ("change", "param", "code", "message"),
    [
        ({"n": 0}, "n", "integer_below_min_value", "integer below minimum value. Expected a value >= 1, but got 0"),
        ({"n": 1.5}, "n", "invalid_type", "expected an integer, but got a decimal number"),
        ({"n": "many"}, "n", "invalid_type", "expected an integer, but got a string"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value", "Expected a value <= 2, but got 3"),
        ({"stream": {}}, "stream", "invalid_type", "expected a boolean, but got an object"),
        ({"stop": 5}, "stop", "invalid_type", "expected a string or an array, but got an integer"),
        ({"stop": ["a", ""]}, "stop[1]", "empty_string", "Expected a string with minimum length 1"),
        ({"messages": []}, "messages", "empty_array", "empty array. Expected an array with minimum length 1"),
        ({"messages": None}, "messages", "invalid_type", "expected an array, but got null"),
        ({"messages": [7]}, "messages[0]", "invalid_type", "expected an object, but got an integer"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter", "'messages[0].role'"),
        ({"messages": [{"role": "king"}]}, "messages[0].role", "invalid_value", "'king'. Supported values are: 'system'"),
        ({"messages": [{**USER, "content": 7}]}, "messages[0].content", "invalid_type", "a string or an array"),
        (
            {"messages": [USER, {**USER, "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]}]},
            "messages[1].content[1].type", "invalid_value", "'image_url'. Supported values are: 'text'",
        ),
        ({"messages": [{**USER, "content": [{"type": "text"}]}]}, "messages[0].content[0].text", "missing_required_parameter", "text"),
        ({"messages": [{**USER, "content": ["x"]}]}, "messages[0].content[0]", "invalid_type", "expected an object"),
        ({"top_logprobs": 1}, "top_logprobs", "invalid_value", "only allowed when 'logprobs' is enabled."),
    ],
)  # fmt: skip
def test_the_field_is_named_by_its_place_and_what_came_is_told(client, change, param, code, message):
    answer = client.post("/v1/chat/completions", json={**CHAT, **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)
    assert message in error["message"]
    assert not any(word in error["message"] for word in ("list[", "TextPart", "constrained", "Input should"))


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("/v1/chat/completions", {"model": "intents"}, "messages", "missing_required_parameter"),
        ("/v1/completions", {"model": "intents", "prompt": {}}, "prompt", "invalid_type"),
        ("/v1/completions", {"model": "intents", "prompt": ["x"] * 129}, "prompt", "array_above_max_length"),
        ("/v1/embeddings", {"model": "x", "input": "y", "encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ("/v1/embeddings", {"model": "x", "input": "y", "odd": 1}, "odd", "unknown_parameter"),
        ("/v1/feedback", {}, "id", "missing_required_parameter"),
    ],
)
def test_so_of_every_endpoint(client, path, body, param, code):
    error = client.post(path, json=body).json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_a_body_that_is_none(client):
    for body in (b"{", b"[]", b"3", b""):
        answer = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, None)
        assert answer.json()["error"]["message"]


def test_a_body_that_is_not_sent_as_json(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = client.post("/v1/chat/completions", content=json.dumps(CHAT), headers={"content-type": kind})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_content_type", None)
        assert "content-type: application/json" in error["message"]


LONG = "card " * 2000


@pytest.mark.parametrize(
    ("path", "model", "body", "param"),
    [
        ("/v1/chat/completions", "intents", {"messages": [{"role": "user", "content": LONG}]}, "messages"),
        ("/v1/chat/completions", "tiny", {"messages": [{"role": "user", "content": LONG}]}, "messages"),
        ("/v1/completions", "intents", {"prompt": LONG}, "prompt"),
        ("/v1/completions", "tiny", {"prompt": LONG}, "prompt"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_says_how_long_and_what_there_is_room_for(client, path, model, body, param, stream):
    answer = client.post(path, json={"model": model, **body, "stream": stream})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == ("context_length_exceeded", param)
    length, room = map(int, re.findall(r"\d+", error["message"])[:2])
    assert length > room == 1024


def test_usage_tells_of_the_cache_never_more_than_was_in_it(client):
    for path, body in (("chat/completions", CHAT), ("completions", {"model": "intents", "prompt": "where is my card"})):
        for _ in range(2):
            usage = client.post(f"/v1/{path}", json=body).json()["usage"]
            assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    [
        ("POST", "/v1/responses", "/v1/chat/completions"),
        ("GET", "/v1/responses/resp_1", "/v1/chat/completions"),
        ("POST", "/v1/evals", "inhouse evaluate"),
        ("POST", "/v1/evals/eval_1/runs", "inhouse evaluate"),
        ("POST", "/v1/fine_tuning/alpha/graders/run", "inhouse evaluate"),
        ("GET", "/v1/fine_tuning/checkpoints/ft:a:b:c:d:ckpt-step-8/permissions", "access keys"),
        ("POST", "/v1/images/generations", "text alone"),
        ("POST", "/v1/audio/transcriptions", "text alone"),
        ("POST", "/v1/moderations", "classify task"),
    ],
)
def test_what_makes_no_sense_here_is_refused_with_what_there_is_instead(client, method, path, instead):
    answer = client.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (404, "unsupported_endpoint", "invalid_request_error")
    assert f"{method} {path} is not supported" in error["message"]
    assert instead in error["message"]


def test_a_path_that_openai_has_none_of_is_unknown(client):
    for path in ("/v1/responsesx", "/v1/imagine", "/images"):
        assert client.get(path).json()["error"]["code"] == "unknown_url"


def test_every_refused_endpoint_is_documented():
    from inhouse.api.refused import REFUSED

    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
    assert [path for path in REFUSED if f"`{path}`" not in page] == []


def test_a_model_has_openai_s_fields(client):
    for model in client.get("/v1/models").json()["data"]:
        assert set(model) == {"id", "object", "created", "owned_by", "shutdown_date", "root"}
        assert client.get(f"/v1/models/{model['id']}").json() == model
