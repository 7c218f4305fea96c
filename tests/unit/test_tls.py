"""TLS by files, and the headers of every answer."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from servers import start

from inhouse.api.exchange import Exchange
from inhouse.api.shapes.chat import Head
from inhouse.api.tls import tls_files
from inhouse.core import Prediction
from inhouse.deploy import Answered, Chosen
from inhouse.deploy.bases import BaseVersion
from inhouse.errors import InputError, UsageError
from inhouse.store import Workspace


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """A certificate of 127.0.0.1 and its key."""
    folder, made = tmp_path_factory.mktemp("tls"), authority.issue_cert("127.0.0.1")
    for blob in made.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    made.private_key_pem.write_to_path(folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    yield workspace
    workspace.close()


@pytest.mark.parametrize("how", ["options", "settings"])
def test_a_server_over_tls(how, workspace, files, authority, environment):
    options = ["--tls-cert", str(files[0]), "--tls-key", str(files[1])]
    if how == "settings":
        options = []
        for file in files:
            shutil.copy(file, workspace.paths.root)
        told = workspace.paths.config.read_text()
        workspace.paths.config.write_text(f'{told}tls_cert = "cert.pem"\ntls_key = "key.pem"\n')
    server = start(workspace.paths.root, environment, *options)
    try:
        assert server.url.startswith("https://127.0.0.1:")
        port = int(server.url.rsplit(":", 1)[1].removesuffix("/v1"))
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        with closing(http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=30)) as connection:
            connection.request("GET", "/v1/models")
            assert connection.getresponse().status == 200
        with (
            closing(http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context())) as stranger,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            stranger.request("GET", "/v1/models")
    finally:
        server.kill()


def test_no_files_no_tls(workspace):
    assert tls_files(workspace, None, None) is None


@pytest.mark.parametrize("which", [0, 1])
def test_one_file_without_the_other(workspace, files, which):
    given = [None, None]
    given[which] = files[which]
    with pytest.raises(UsageError, match=r"without its (key|certificate)"):
        tls_files(workspace, *given)


def test_files_that_cannot_be_used_are_told_before_the_server_starts(workspace, files, authority, tmp_path, command):
    certificate, key = files
    other = tmp_path / "other.pem"
    authority.issue_cert("localhost").private_key_pem.write_to_path(other)
    with pytest.raises(InputError, match="is not that of this certificate"):
        tls_files(workspace, certificate, other)
    (no_pem := tmp_path / "no.pem").write_text("hello")
    with pytest.raises(InputError, match="no certificate and key as PEM"):
        tls_files(workspace, no_pem, key)
    done = command(workspace.paths.root, "serve", "--port", 0, "--tls-cert", tmp_path / "gone", "--tls-key", key)
    assert done.code == 3
    assert f"{tmp_path / 'gone'}: the file cannot be read: No such file or directory" in done.err


def test_a_key_with_a_passphrase_is_refused_rather_than_asked_for(workspace, files, tmp_path):
    from cryptography.hazmat.primitives import serialization as s

    plain = s.load_pem_private_key(files[1].read_bytes(), None)
    locked = tmp_path / "locked.pem"
    how = s.BestAvailableEncryption(b"secret")
    locked.write_bytes(plain.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, how))
    with pytest.raises(InputError, match="has a passphrase") as error:
        tls_files(workspace, files[0], locked)
    assert error.value.file == str(locked)


# ---------------------------------------------------------------------- headers


@pytest.fixture(scope="module")
def server(trained, environment, tmp_path_factory):
    server = start(Path(shutil.copytree(trained, tmp_path_factory.mktemp("headers") / "w")), environment)
    yield server
    server.kill()


def test_headers_say_which_version_answered_and_how_sure_it_was(server):
    question = {"messages": [{"role": "user", "content": "where is my card now"}]}
    for model, route in (("intents", "champion"), ("intents@1", "version")):
        for path, body in (("chat/completions", question), ("completions", {"prompt": "where is my card now"})):
            status, headers, answer = server.post(f"/v1/{path}", model=model, **body)
            assert status == 200
            assert (headers["x-inhouse-model"], headers["x-inhouse-route"]) == ("intents@1", route)
            assert float(headers["x-inhouse-confidence"]) == pytest.approx(answer["inhouse"]["confidence"], abs=1e-4)
            assert json.loads(headers["x-inhouse-needs-review"]) is answer["inhouse"]["needs_review"]
            _, streamed, _ = server.post(f"/v1/{path}", model=model, stream=True, **body)
            assert (streamed["x-inhouse-model"], streamed["x-inhouse-route"]) == ("intents@1", route)
            assert streamed["x-inhouse-confidence"] is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health", 200), ("GET", "/v1/models", 200), ("GET", "/nothing", 404), ("POST", "/v1/feedback", 400)],
)
def test_no_answer_is_kept_by_caches_or_shown_as_a_page(server, method, path, status):
    answer = server.raw(method, path)
    assert answer[0] == status
    assert answer[1]["cache-control"] == "no-store"
    assert answer[1]["x-content-type-options"] == "nosniff"
    assert answer[1]["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer[1]["access-control-allow-origin"] is None


def test_a_name_that_no_header_may_hold_is_encoded():
    version = BaseVersion.model_construct(task="", number=0)
    chosen = Chosen(version, "base")
    exchange = Exchange(Head("m", version, id="1"), chosen, {}, [])
    exchange.answered = Answered(Prediction(target="x", confidence=0.123456), needs_review=True)
    for name, told in (("modèle ü.gguf", "mod%C3%A8le%20%C3%BC.gguf"), ("a\r\nb: c", "a%0D%0Ab:%20c")):
        version.__dict__["base"] = name
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseVersion, "name", property(lambda self: self.__dict__["base"]))
            assert exchange.headers["x-inhouse-model"] == told
    assert (exchange.headers["x-inhouse-confidence"], exchange.headers["x-inhouse-needs-review"]) == ("0.1235", "true")
