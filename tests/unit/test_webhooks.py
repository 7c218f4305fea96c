"""Webhooks: messages that the official client accepts, sent until they arrive, and to nowhere they may not go."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi.testclient import TestClient
from openai import InvalidWebhookSignatureError, OpenAI
from servers import start
from sqlalchemy import update

from inhouse import api, pipeline
from inhouse.api import deliveries
from inhouse.errors import InputError, OutboundForbidden
from inhouse.store import Workspace, audit, jobs, keys, tables, webhooks
from inhouse.store.jobs import Job


class Listener:
    """A server of somebody's that keeps what it is sent, and answers as told."""

    def __init__(self) -> None:
        self.got, self.answers = [], []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                listener.got.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(listener.answers.pop(0) if listener.answers else 200)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?of=inhouse"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        deadline = time.monotonic() + 20
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.got) == count


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(deliveries, "POLL_SECONDS", 0.05)
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "t")
    yield workspace
    workspace.close()


@pytest.fixture
def client(workspace):
    with TestClient(api.make_app(workspace)) as client:
        yield client


def create(client, url, *types, head=None):
    body = {"name": "mine", "url": url, "event_types": types or ["batch.completed"]}
    return client.post("/v1/webhook_endpoints", json=body, headers=head)


def end_a_job(workspace, kind="batch", status="completed"):
    job, _ = jobs.add(workspace, Job(jobs.new_id("batch_"), kind, "queued", {}))
    assert jobs.finish(workspace, job.id, status) is not None
    return job.id


def unwrapped(message, secret):
    client = OpenAI(api_key="none", webhook_secret=secret)
    try:
        return client.webhooks.unwrap(message[2], message[1])
    finally:
        client.close()


def test_the_official_client_manages_endpoints_and_takes_messages(listener, tmp_path, environment):
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "t")
    server = start(workspace.paths.root, {**environment, "XDG_CONFIG_HOME": str(tmp_path / "config")})
    client = OpenAI(base_url=server.url, api_key="none", max_retries=0)
    try:
        assert client.webhooks.event_types.list().data == list(webhooks.EVENT_TYPES)
        made = client.webhooks.create(name="mine", url=listener.url, event_types=["batch.completed", "batch.failed"])
        assert (made.id[:3], made.signing_secret[:6], made.object) == ("we_", "whsec_", "webhook_endpoint")
        tried = client.webhooks.test(made.id, event_type="fine_tuning.job.failed")
        assert (tried.status_code, tried.success, tried.event_type) == (200, True, "fine_tuning.job.failed")
        job = end_a_job(workspace)
        end_a_job(workspace, status="cancelled")  # which it was not to be told of
        listener.wait(2)
        sample, told = (unwrapped(one, made.signing_secret) for one in listener.got)
        assert (sample.type, sample.object) == ("fine_tuning.job.failed", "event")
        assert (told.type, told.data.id, listener.got[1][0]) == ("batch.completed", job, "/hook?of=inhouse")
        assert abs(told.created_at - time.time()) < 60
        changed = client.webhooks.update(made.id, name="other", event_types=["batch.cancelled"])
        assert (changed.name, changed.event_types, changed.url) == ("other", ["batch.cancelled"], listener.url)
        assert [one.id for one in client.webhooks.list(limit=1)] == [made.id]
        assert client.webhooks.delete(made.id).deleted
        end_a_job(workspace, status="cancelled")
        assert list(client.webhooks.list()) == []
        time.sleep(1.5)
        assert len(listener.got) == 2
        acts = [entry.action for entry in audit.entries(workspace, made.id, newest=0)]
        assert acts == ["webhook create", "webhook update", "webhook delete"]
    finally:
        client.close()
        server.kill()
        workspace.close()
    assert made.signing_secret.encode() not in (tmp_path / "w" / "inhouse.db").read_bytes()


def test_a_rotated_secret_and_the_one_before_it(client, listener):
    made = create(client, listener.url).json()
    url = f"/v1/webhook_endpoints/{made['id']}"
    try_it = {"event_type": "batch.completed"}
    kept = client.post(f"{url}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True}).json()
    client.post(f"{url}/test", json=try_it)
    for secret in (made["signing_secret"], kept["signing_secret"]):
        assert unwrapped(listener.got[0], secret).type == "batch.completed"
    last = client.post(f"{url}/rotate_secret").json()  # with no body, as the client sends it
    client.post(f"{url}/test", json=try_it)
    assert unwrapped(listener.got[1], last["signing_secret"]).type == "batch.completed"
    for secret in (made["signing_secret"], kept["signing_secret"]):
        with pytest.raises(InvalidWebhookSignatureError):
            unwrapped(listener.got[1], secret)
    assert "signing_secret" not in client.get(url).json()


def test_a_message_is_sent_again_with_its_own_id_until_it_arrives(client, workspace, listener, monkeypatch):
    monkeypatch.setattr(deliveries, "DELAYS", (0, 0, 0))
    listener.answers = [500, 302, 204]
    made = create(client, listener.url).json()
    end_a_job(workspace)
    listener.wait(3)  # the redirection was not followed
    assert {path for path, _, _ in listener.got} == {"/hook?of=inhouse"}
    assert len({head["webhook-id"] for _, head, _ in listener.got}) == 1
    assert len({body for _, _, body in listener.got}) == 1
    assert unwrapped(listener.got[2], made["signing_secret"]).id == listener.got[0][1]["webhook-id"]


@pytest.mark.parametrize(("answers", "sent"), [([500] * 9, 4), ([410], 1)])
def test_a_message_that_never_arrives_is_given_up(client, workspace, listener, monkeypatch, answers, sent):
    monkeypatch.setattr(deliveries, "DELAYS", (0, 0, 0))
    listener.answers = [*answers]
    create(client, listener.url)
    end_a_job(workspace)
    deadline = time.monotonic() + 20
    while jobs.any_open(workspace, ["webhook"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    (job,) = jobs.newest(workspace, "webhook").rows
    assert (job.status, job.error["message"]) == ("failed", f"the answer was {answers[0]}")
    assert len(listener.got) == sent


def test_messages_wait_for_a_server_that_is_there(workspace, listener):
    with TestClient(api.make_app(workspace)) as client:
        create(client, listener.url)
    end_a_job(workspace, "batch", "failed")
    end_a_job(workspace)
    time.sleep(0.3)
    assert listener.got == []
    with TestClient(api.make_app(workspace)):
        listener.wait(1)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x", "x", "", "https://", "https://user:word@host/", "http://[", "https://host/a b", "https://hóst/",
        "http://example.com/x", "http://10.0.0.1/x", "https://host:99999/",
    ],
)  # fmt: skip
def test_no_message_goes_where_others_read_along(client, url):
    answer = create(client, url)
    assert answer.status_code == 400, answer.text


def test_offline_only_this_machine_is_told(workspace, monkeypatch):
    offline = workspace.settings.model_copy(update={"offline": True})
    monkeypatch.setattr(workspace, "settings", offline)
    with pytest.raises(OutboundForbidden):
        deliveries.check_url(workspace, "https://example.com/x")
    deliveries.check_url(workspace, "http://localhost:3000/x")
    deliveries.check_url(workspace, "https://127.0.0.1/x")


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "fe80::1"]
)
def test_a_name_does_not_lead_to_this_machine_or_a_clouds_metadata(monkeypatch, address):
    monkeypatch.setattr(deliveries.socket, "getaddrinfo", lambda *a, **k: [(2, 1, 6, "", (address, 443))])
    monkeypatch.setattr(deliveries.socket, "create_connection", lambda *a, **k: pytest.fail("connected"))
    with pytest.raises(InputError, match="at no address that a message may go to"):
        deliveries._Connection("innocent.example", None, secure=True).connect()


def test_a_name_with_several_addresses_is_reached_at_the_one_that_answers(client, workspace, listener, monkeypatch):
    made = create(client, listener.url.replace("127.0.0.1", "localhost")).json()
    asked, looked_up = socket.create_connection, socket.getaddrinfo

    def connect(address, timeout):
        if address[0] == "::1":  # a network that drops what is sent there
            assert timeout == pytest.approx(deliveries.TIMEOUT_SECONDS / 2, rel=0.1)
            raise TimeoutError("timed out")
        return asked(address, timeout)

    found = [(10, 1, 6, "", ("::1", 80, 0, 0)), (2, 1, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(
        deliveries.socket,
        "getaddrinfo",
        lambda host, *a, **k: found if host == "localhost" else looked_up(host, *a, **k),
    )
    monkeypatch.setattr(deliveries.socket, "create_connection", connect)
    assert deliveries.send(workspace, webhooks.find(workspace, made["id"]), {"id": "evt_1"}) == 200
    assert len(listener.got) == 1


@contextmanager
def dripping(scheme):
    """An address that takes a connection and then sends a byte from time to time, for a minute: its URL."""
    server, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def drip():
        with suppress(OSError):
            taken, _ = server.accept()
            with taken:
                if scheme == "http":
                    taken.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                for _ in range(600):
                    taken.sendall(b"a" if scheme == "http" else b"\x16\x03\x01\x3f\xff")  # TLS: a handshake's record
                    if over.wait(0.1):
                        return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        over.set()
        thread.join()
        server.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_drips_is_not_waited_for(client, workspace, monkeypatch, scheme):
    monkeypatch.setattr(deliveries, "TIMEOUT_SECONDS", 0.5)
    with dripping(scheme) as url:
        made = create(client, url, "batch.failed").json()
        begun = time.monotonic()
        with pytest.raises(OSError, match=r"no answer within 0\.5 s"):
            deliveries.send(workspace, webhooks.find(workspace, made["id"]), {"id": "evt_1"})
        assert time.monotonic() - begun < 30


def test_a_server_that_ends_does_not_wait_for_a_slow_address(workspace, monkeypatch):
    monkeypatch.setattr(deliveries, "CLOSE_SECONDS", 0.1)
    sending, go = threading.Event(), threading.Event()

    def send(*_):
        sending.set()
        assert go.wait(60)
        return 200

    monkeypatch.setattr(deliveries, "send", send)
    webhooks.create(workspace, "mine", "http://127.0.0.1:9/", ["batch.completed"])
    end_a_job(workspace)
    deliverer = deliveries.Deliverer(workspace)
    assert sending.wait(60)
    deliverer.close()  # while it is being sent
    assert deliverer._thread.is_alive()
    go.set()
    deliverer._thread.join(60)
    assert not deliverer._thread.is_alive()


def test_what_does_not_answer_is_told_by_the_test(client, listener):
    made = create(client, listener.url).json()
    listener.server.server_close()
    answer = client.post(f"/v1/webhook_endpoints/{made['id']}/test", json={"event_type": "batch.failed"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "webhook_not_reached")
    assert client.post("/v1/webhook_endpoints/we_x/test", json={"event_type": "batch.failed"}).status_code == 404


def test_only_an_admin_of_all_tasks_makes_endpoints(client, workspace, listener):
    def head(name, **wish):
        return {"Authorization": f"Bearer {keys.create(workspace, name, **wish)[1]}"}

    lesser = head("a", scopes=["infer", "train", "review"])
    bound, admin = head("b", scopes=["admin"], tasks=["t"]), head("c", scopes=["admin"])
    assert [create(client, listener.url, head=one).status_code for one in (lesser, bound, admin)] == [403, 403, 200]


def test_without_the_key_that_it_was_kept_with_no_message_is_signed(client, workspace, listener, monkeypatch):
    made = create(client, listener.url).json()
    monkeypatch.setenv("INHOUSE_MASK_KEY", "another one")
    answer = client.post(f"/v1/webhook_endpoints/{made['id']}/test", json={"event_type": "batch.failed"})
    assert (answer.status_code, "cannot be read with the key" in answer.json()["error"]["message"]) == (400, True)
    with workspace.database.begin() as connection:
        connection.execute(update(tables.webhook_endpoints).values(secret=b"damaged"))
    monkeypatch.delenv("INHOUSE_MASK_KEY")
    with pytest.raises(InputError):
        webhooks.secrets_of(workspace, made["id"])
    assert json.dumps(listener.got) == "[]"
