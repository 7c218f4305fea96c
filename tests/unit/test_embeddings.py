"""Embeddings over HTTP: the encoder's own vectors, whole, in both encodings."""

from __future__ import annotations

import base64
import shutil
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from clients import CLIENTS, run_script
from conftest import write_encoder
from servers import Server, listening, post_by_hand, served_copy, until

from inhouse.api import make_app
from inhouse.deploy import runtime
from inhouse.deploy.embedding import Embedded, Embedder
from inhouse.engine import get_base
from inhouse.engine.encoder import SentenceEncoder
from inhouse.store import Settings, Workspace

TEXTS = ["where is my card", "new pin please"]


@pytest.fixture(scope="module")
def base(tmp_path_factory, tiny_base):
    """A tiny encoder, in a folder of models of its own beside the tiny base."""
    models = tmp_path_factory.mktemp("models")
    (models / tiny_base.folder.name).symlink_to(tiny_base.folder)
    folder = write_encoder(tmp_path_factory.mktemp("made") / "small-encoder")
    return get_base(str(folder), Settings(models_dir=models))


@pytest.fixture(scope="module")
def server(tmp_path_factory, trained, environment, base):
    there = {**environment, "INHOUSE_MODELS_DIR": str(base.folder.parent)}
    with served_copy(trained, tmp_path_factory.mktemp("embeddings"), there) as server:
        yield server


@pytest.mark.parametrize("line", CLIENTS)
def test_embeddings_through_either_line_of_the_official_client(server, base, line):
    name = base.spec.name
    told = run_script("embeddings.py", line, server.url, name, "tiny")
    encoder = SentenceEncoder(base.folder)
    expected = encoder.embed(TEXTS)
    assert told["listed"] == ["tiny", name, "intents", "intents@1"]
    assert told["retrieved"] == name
    assert (told["object"], told["indices"]) == (["list", "embedding", name], [0, 1])
    np.testing.assert_allclose(told["vectors"], expected, atol=1e-6)
    np.testing.assert_allclose(told["floats"], expected[0], atol=1e-6)
    assert told["usage"] == [sum(encoder.counts(TEXTS))] * 2
    assert told["same width"] == base.shape.width == 32
    said = [
        (400, "unsupported_value", "dimensions", "vectors have 32"),
        (400, "unsupported_value", "input", "send texts"),
        (400, "unsupported_value", "input", "send texts"),
        (400, "invalid_value", "input", "empty"),
        (400, "invalid_value", "input", "empty"),
        (400, None, None, ""),
        (
            400,
            "context_length_exceeded",
            "input",
            f"input 1 takes 602 tokens, and the encoder reads {encoder.longest} at most",
        ),
        (404, "model_not_found", None, f"Sentence encoders here: {name}"),
        (404, "model_not_found", None, f"Sentence encoders here: {name}"),
        (400, "unknown_parameter", "truncate", "Unrecognized request argument: truncate"),
    ]
    for (status, code, param, message), (its_status, its_code, its_param, part) in zip(
        told["refused"], said, strict=True
    ):
        assert status == its_status
        assert its_code in (None, code)
        assert its_param in (None, param)
        assert part in message


def test_base64_is_little_endian_float32(server, base):
    body = {"model": base.spec.name, "input": TEXTS[0]}
    _, _, floats = server.post("/v1/embeddings", **body)
    _, _, packed = server.post("/v1/embeddings", **body, encoding_format="base64")
    found = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4")
    assert found.tolist() == pytest.approx(floats["data"][0]["embedding"], abs=1e-7)


def test_an_encoder_answers_no_messages(server, base):
    messages = [{"role": "user", "content": "x"}]
    status, _, told = server.post("/v1/chat/completions", model=base.spec.name, messages=messages)
    assert (status, told["error"]["code"]) == (404, "model_not_found")


# ---------------------------------------------------------------------- limits


@contextmanager
def held(trained, folder, base, monkeypatch, **settings):
    """A server whose encoder waits to be let go before each part: its application, itself, the parts, what lets go."""
    parts, go = [], threading.Event()

    def embed(self, folder, texts, first):
        parts.append(first)
        assert go.wait(60)
        return Embedded(np.zeros((len(texts), 32), np.float32), len(texts))

    monkeypatch.setattr(Embedder, "_embed", embed)
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(base.folder.parent))
    for name, value in settings.items():
        monkeypatch.setenv(f"INHOUSE_SERVE__{name.upper()}", str(value))
    app = make_app(Workspace(shutil.copytree(trained, folder / "workspace")))
    with listening(app) as address:
        try:
            yield app, address, parts, go
        finally:
            go.set()


def test_a_long_request_gives_way_and_is_bounded_as_answers_are(trained, tmp_path, base, monkeypatch):
    monkeypatch.setattr(runtime, "AT_ONCE", 1)
    with held(trained, tmp_path, base, monkeypatch, queue=0) as (app, (host, port), parts, go):
        server, name = Server(None, tmp_path, f"http://{host}:{port}/v1"), base.spec.name
        with post_by_hand((host, port), "embeddings", model=name, input=["x"] * 200):
            until(lambda: parts == [0])
            status, headers, told = server.post("/v1/embeddings", model=name, input="x")
            assert (status, "retry-after" in headers, told["error"]["code"]) == (429, True, "rate_limit_exceeded")
        until(lambda: app.state.runtime.load() == (0, 0))  # the client has left
        go.set()
        status, _, told = server.post("/v1/embeddings", model=name, input=["x"] * 65)
        assert (status, len(told["data"]), parts) == (200, 65, [0, 0, 64])  # of who left no further part


def test_vectors_that_take_too_long_are_told_so(trained, tmp_path, base, monkeypatch):
    with held(trained, tmp_path, base, monkeypatch, timeout=0.2) as (_, (host, port), _, _):
        server = Server(None, tmp_path, f"http://{host}:{port}/v1")
        status, _, told = server.post("/v1/embeddings", model=base.spec.name, input="x")
        assert (status, told["error"]["code"]) == (504, "timeout")
