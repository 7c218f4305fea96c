"""Every exported folder holds a check, which its real consumer passes, and which fails where answers are others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Done

import inhouse
from inhouse.core import Silent
from inhouse.deploy import check
from inhouse.errors import Refused, UsageError
from inhouse.store import Workspace

HERE = ["gguf", "openvino", "adapter", "merged"]


@pytest.fixture(scope="module")
def workspace(trained, tmp_path_factory) -> Iterator[Workspace]:
    """Of a model that has learned its messages, so that its answers are no ties."""
    workspace = Workspace(Path(shutil.copytree(trained, tmp_path_factory.mktemp("checked") / "workspace")))
    yield workspace
    workspace.close()


@pytest.fixture(scope="module")
def folders(workspace, tmp_path_factory) -> dict[str, Path]:
    """A folder of each kind."""
    place = tmp_path_factory.mktemp("folders")
    kinds = [*HERE, "ollama", "vllm"]
    return {to: Path(inhouse.export(workspace, "intents", to=to, out=place / to).out) for to in kinds}


def run_check(folder: Path, *arguments: str, **variables: str) -> Done:
    """`python check.py`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **variables}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, str(folder / "check.py"), *arguments],
        capture_output=True, text=True, env=environment, check=False, timeout=300, cwd=folder,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "check.json").read_text("utf-8"))


# ---------------------------------------------------------------------- in the program of each folder


@pytest.mark.parametrize("to", HERE)
def test_the_program_of_a_folder_answers_as_inhouse_did(to, folders):
    done = run_check(folders[to])
    assert (done.code, done.out.splitlines()[-1:]) == (0, ["9 of 9 answers are the same as in inhouse"]), done.err
    # The model has learned something: it does not say the same to all.
    assert len({case["answer"] for case in told(folders[to])["cases"]}) > 1


def test_the_check_asks_validation_inputs_and_keeps_inhouse_s_answers(folders, workspace):
    from inhouse.deploy import ServedModel
    from inhouse.store import records, registry

    cases = told(folders["gguf"])["cases"]
    inputs = [e.inputs for e in records.load_dataset(workspace, "intents").of("validation")]
    assert [case["messages"] for case in cases] == [
        [{"role": "system", "content": ""}, {"role": "user", "content": one["text"]}] for one in inputs
    ]
    model = ServedModel(workspace, registry.find_version(workspace, "intents", "champion"))
    assert [case["answer"] for case in cases] == [a.prediction.target for a in model.answer(inputs)]
    model.close()


def test_a_folder_of_other_weights_fails(folders, tiny_gguf, tmp_path):
    other = Path(shutil.copytree(folders["gguf"], tmp_path / "other"))
    shutil.copyfile(tiny_gguf, other / "model.gguf")  # the base, which has learned nothing
    done = run_check(other)
    assert done.code == 1
    assert "0 of 9 answers are the same" in done.out
    assert f"in inhouse {told(other)['cases'][0]['answer']!r}" in done.out


def test_one_in_ten_may_differ_and_the_share_can_be_set(folders, tmp_path):
    facts = told(folders["gguf"])
    facts["cases"] = [dict(case) for case in facts["cases"] * 2][:10]
    other = Path(shutil.copytree(folders["gguf"], tmp_path / "other"))
    for wrong, code in ((1, 0), (2, 1)):
        for case in facts["cases"][:wrong]:
            case["answer"] = "another"
        (other / "check.json").write_text(json.dumps(facts))
        assert run_check(other).code == code
    assert run_check(other, "--at-least", "0.8").code == 0
    (other / "check.json").write_text(json.dumps({**facts, "cases": []}))
    assert run_check(other).code == 2


# ---------------------------------------------------------------------- behind a server


@contextmanager
def llama_server(gguf: Path) -> Iterator[str]:
    """llama.cpp's own server."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(gguf), 512, 1
    params.verbosity, params.ui = -1, False
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@contextmanager
def recording(reply: Any, status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers everything alike, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, self.headers["authorization"], body))
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    server.server_close()


def test_a_server_in_openai_s_shape_is_asked_by_url(folders):
    """What Ollama and vLLM are asked, answered by llama.cpp's server with the same file."""
    with llama_server(folders["ollama"] / "model.gguf") as url:
        for to in ("ollama", "vllm", "gguf"):
            done = run_check(folders[to], "--url", url)
            assert (done.code, "9 of 9" in done.out) == (0, True), done.err


def test_a_server_is_asked_for_the_model_greedily_and_past_any_proxy(folders):
    reply = {"choices": [{"message": {"content": "another"}}]}
    with recording(reply) as (url, asked):
        proxies = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        assert run_check(folders["vllm"], "--url", url, OPENAI_API_KEY="secret", **proxies).code == 1
        run_check(folders["vllm"], "--url", url, "--model", "mine")
    path, key, body = asked[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"]) == ("intents", 0)
    assert body["max_tokens"] == told(folders["vllm"])["most"]
    assert asked[-1][2]["model"] == "mine"


@pytest.mark.parametrize(("reply", "status"), [({"error": "no"}, 404), ({}, 200), ([], 200), ("x", 200)])
def test_what_cannot_be_asked_is_no_pass(reply, status, folders):
    with recording(reply, status) as (url, _):
        done = run_check(folders["vllm"], "--url", url)
    assert done.code == 2
    assert done.err.startswith("could not ask: ")
    assert "Traceback" not in done.err
    assert run_check(folders["ollama"], "--url", "http://127.0.0.1:9/v1").code == 2


# ---------------------------------------------------------------------- what is written


def test_openvino_s_own_files_are_a_whole_model(folders, workspace):
    files = {file.name for file in folders["openvino"].iterdir()}
    assert files == {
        "MODEL_CARD.md", "README.md", "chat_template.jinja", "check.json", "check.py", "generation_config.json",
        "openvino_detokenizer.bin", "openvino_detokenizer.xml", "openvino_model.bin", "openvino_model.xml",
        "openvino_tokenizer.bin", "openvino_tokenizer.xml",
    }  # fmt: skip


def test_openvino_files_that_answer_otherwise_are_not_handed_out(workspace, tiny_gguf, tmp_path, monkeypatch):
    from inhouse.engine import openvino_engine

    right = openvino_engine.save_model
    monkeypatch.setattr(openvino_engine, "save_model", lambda _, folder: right(tiny_gguf, folder))
    with pytest.raises(Refused, match="0 of 9 answers are the same"):
        inhouse.export(workspace, "intents", to="openvino", out=tmp_path / "out")
    monkeypatch.setattr(openvino_engine, "save_model", lambda *_: None)
    with pytest.raises(Refused, match="the program cannot read the folder"):
        inhouse.export(workspace, "intents", to="openvino", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_openvino_files_are_made_only_of_what_was_compared_there(workspace, tmp_path):
    from inhouse.deploy.export import export_version
    from inhouse.store import registry

    other = registry.find_version(workspace, "intents", "champion").model_copy(update={"engine": "xllamacpp"})
    with pytest.raises(UsageError, match="served by xllamacpp"):
        export_version(workspace, other, "openvino", tmp_path / "out", "")


def test_the_launch_line_serves_one_base_with_many_adapters(workspace, folders, tmp_path, monkeypatch):
    from unit.test_export import Published

    from inhouse.deploy import export as module
    from inhouse.engine import get_base

    text = (folders["vllm"] / "launch.sh").read_text()  # this base is on no hub: the merged weights
    assert 'vllm serve "$PWD"' in text
    assert "--served-model-name intents" in text
    assert (folders["vllm"] / "model.safetensors").is_file()

    def published(*arguments: Any, **wishes: Any) -> Published:
        base = get_base(*arguments, **wishes)
        return Published(base.spec, base.folder)

    monkeypatch.setattr(module, "get_base", published)
    out = Path(inhouse.export(workspace, "intents", to="vllm", out=tmp_path / "out").out)
    assert {"adapter_model.safetensors", "adapter_config.json", "chat_template.jinja"} <= {
        f.name for f in out.iterdir()
    }
    assert not (out / "model.safetensors").exists()
    assert shell_words(out) == [
        "serve", "org/name", "--enable-lora", "--max-lora-rank", "16", "--lora-modules", f"intents={out}",
        "--chat-template", "chat_template.jinja", "--generation-config", "vllm",
        "--override-generation-config", '{"temperature": 0}', "--port", "9000",
    ]  # fmt: skip


def shell_words(folder: Path) -> list[str]:
    """What `vllm` is called with by a folder's launch line."""
    tools = folder.parent / "tools"
    tools.mkdir()
    (tools / "vllm").write_text('#!/bin/sh\nfor one in "$@"; do printf "%s\\n" "$one"; done\n')
    (tools / "vllm").chmod(0o755)
    done = subprocess.run(
        [str(folder / "launch.sh"), "--port", "9000"],
        capture_output=True, text=True, check=True, env={"PATH": f"{tools}:{os.environ['PATH']}"}, cwd="/",
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("to", [*HERE, "ollama", "vllm"])
def test_every_folder_says_what_it_holds_in_clear(to, folders):
    text = (folders[to] / "README.md").read_text("utf-8")
    assert "python check.py" in text
    assert "in clear" in text
    assert (folders[to] / "MODEL_CARD.md").read_text("utf-8").startswith("# intents@1: model card")


class Told(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


def test_the_owner_is_told_and_the_card_of_the_evaluation_goes_along(copy_of_trained, tmp_path):
    workspace = Workspace(copy_of_trained)
    card = workspace.paths.beside_report("intents", 1)["card_markdown"]
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text("# the card")
    reporter = Told()
    out = Path(inhouse.export(workspace, "intents", reporter, to="gguf", out=tmp_path / "out").out)
    workspace.close()
    assert (out / "MODEL_CARD.md").read_text() == "# the card"
    assert any("9 inputs of the task intents in clear" in one for one in reporter.said)


def test_the_check_itself_needs_nothing_but_python():
    imported = re.findall(r"^(?:from|import) (\w+)", Path(check.__file__).read_text("utf-8"), flags=re.M)
    assert set(imported) <= set(sys.stdlib_module_names)
