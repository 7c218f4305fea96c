"""Files and uploads of the HTTP API, through the official client and past it."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from clients import CLIENTS, run_script
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import start
from sqlalchemy import update

from inhouse import api, pipeline
from inhouse.api import app as app_module
from inhouse.api.routes import files as files_route
from inhouse.errors import NotFound
from inhouse.store import Workspace, audit, files, keys, tables, uploads

ROWS = b"".join(json.dumps({"text": f"héllo {n}"}).encode() + b"\n" for n in range(30))


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "t")
    yield workspace
    workspace.close()


@pytest.fixture
def client(workspace):
    with TestClient(api.make_app(workspace), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory, environment):
    folder = tmp_path_factory.mktemp("files") / "w"
    workspace = Workspace(folder)
    pipeline.init(workspace, "t")
    workspace.close()
    server = start(folder, environment)
    yield server
    server.kill()


def left(workspace):
    """What lies in the folders that files go through."""
    folders = (workspace.paths.blobs, workspace.paths.receiving)
    return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("line", CLIENTS)
def test_files_through_either_line_of_the_official_client(server, tmp_path, line):
    path = tmp_path / "train.jsonl"
    path.write_bytes(ROWS)
    told = run_script("files.py", line, server.url, str(path))
    made = told["made"]
    expected = {"object": "file", "bytes": len(ROWS), "filename": "train.jsonl", "purpose": "fine-tune"}
    assert {key: made[key] for key in expected} == expected
    assert (made["id"][:5], told["status"], told["expires"]) == ("file-", "processed", 3600)
    assert told["pages"][: len(told["kept"])] == told["kept"][::-1]
    assert len(told["pages"]) == len(set(told["pages"]))
    assert told["oldest"] == told["pages"][::-1]
    assert told["of training"] == [made["id"]]
    assert (told["content"], told["binary"]) == (ROWS.decode(), hashlib.sha256(ROWS).hexdigest())
    assert told["upload"] == ["upload_", "upload", "pending", 3600]
    assert told["part"] == ["upload.part", True]
    assert (told["wrong"][0], "MD5" in told["wrong"][3]) == (400, True)
    assert told["done"] == ["completed", "parts.jsonl", True]
    assert (told["again"][0], "completed already" in told["again"][3]) == (400, True)
    assert (told["chunked"], told["cancelled"]) == (["completed", True], "cancelled")
    assert told["deleted"] == {"id": made["id"], "object": "file", "deleted": True}
    assert told["gone"] == [[404, None, None, f"No such File object: {made['id']}"]] * 2
    head = "Expected file to have JSONL format, where every line is a JSON dictionary."
    assert told["refused"] == [
        [400, "invalid_file_format", "file", f'{head} Line 1 is not a dictionary (HINT: line starts with: "[1]").'],
        [400, "invalid_value", "purpose", told["refused"][1][3]],
        [400, "invalid_file_format", "file", "File is empty."],
    ]
    assert "'assistants' is not one of ['fine-tune', 'batch']" in told["refused"][1][3]


def post(client, content=ROWS, name="a.jsonl", purpose="batch", **head):
    return client.post("/v1/files", files={"file": (name, content)}, data={"purpose": purpose}, **head)


def test_the_same_content_is_kept_once_and_goes_with_its_last_file(client, workspace):
    one, other = (post(client, purpose=purpose).json()["id"] for purpose in files.UPLOADED)
    assert left(workspace) == [f"{hashlib.sha256(ROWS).hexdigest()}.jsonl"]
    client.delete(f"/v1/files/{one}")
    assert client.get(f"/v1/files/{other}/content").content == ROWS
    client.delete(f"/v1/files/{other}")
    assert left(workspace) == []
    acts = [(entry.action, entry.subject) for entry in audit.entries(workspace, newest=0)]
    assert acts == [("delete file", one), ("delete file", other)]


def test_an_expired_file_is_gone_with_its_content(client, workspace):
    made = client.post(
        "/v1/files",
        files={"file": ("a", ROWS)},
        data={"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"},
    ).json()
    assert made["expires_at"] == made["created_at"] + 3600
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="microseconds")
    with workspace.database.begin() as connection:
        connection.execute(update(tables.api_files).values(expires_at=past))
    assert client.get(f"/v1/files/{made['id']}").status_code == 404
    assert client.get("/v1/files").json()["data"] == []
    assert left(workspace) == []


def test_what_expires_goes_also_when_nobody_asks(workspace, monkeypatch):
    monkeypatch.setattr(app_module, "EXPIRE_SECONDS", 0.02)
    with TestClient(api.make_app(workspace)) as client:
        post(client)
        part(client, announce(client), ROWS[:10])
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="microseconds")
        with workspace.database.begin() as connection:
            for table in (tables.api_files, tables.uploads):
                connection.execute(update(table).values(expires_at=past))
        deadline = time.monotonic() + 10
        while left(workspace) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left(workspace) == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "purpose"),
        ({"purpose": "vision"}, "purpose"),
        ({"purpose": "batch", "expires_after[anchor]": "now"}, "expires_after.anchor"),
        ({"purpose": "batch", "expires_after[seconds]": "5000"}, "expires_after.anchor"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}, "expires_after.seconds"),
        ({"purpose": "batch", "colour": "red"}, "colour"),
        ({"purpose": "b" * 5000}, "purpose"),
    ],
)  # fmt: skip
def test_wrong_forms_are_refused_by_field_and_leave_nothing(client, workspace, fields, param):
    answer = client.post("/v1/files", files={"file": ("a", ROWS)}, data=fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert left(workspace) == []


def test_what_is_no_form_is_refused(client):
    for body, kind in (
        (b"{}", "application/json"),
        (b"", "multipart/form-data"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"x", f"multipart/form-data; boundary={'x' * 5000}"),
        (b"", ""),
    ):
        answer = client.post("/v1/files", content=body, headers={"content-type": kind})
        assert answer.status_code == 400, kind
    answer = client.post("/v1/files", files={"other": ("a", ROWS)}, data={"purpose": "batch"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "other")
    answer = client.post("/v1/files", files={"purpose": (None, "batch")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_a_large_file_is_never_held_in_memory(server):
    row = json.dumps({"text": "x" * 10_000}).encode() + b"\n"
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
    tail = b'\r\n--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    process = psutil.Process(server.process.pid)

    def upload(megabytes):
        content = row * (megabytes * 2**20 // len(row))
        status, _, made = server.raw("POST", "/v1/files", head + content + tail, kind)
        assert (status, made["bytes"]) == (200, len(content))
        status, _, _ = server.raw("DELETE", f"/v1/files/{made['id']}")
        return process.memory_info().rss

    before = upload(8)  # what the first one loads
    assert upload(200) - before < 50 * 2**20


def test_what_is_too_large_is_refused(client, workspace, monkeypatch):
    monkeypatch.setattr(files_route, "MOST_FILE_BYTES", 100)
    assert post(client).status_code == 413
    monkeypatch.setattr(app_module, "MOST_FILE_BYTES", 100)
    monkeypatch.setattr(app_module, "_AROUND", 0)
    assert post(client).status_code == 413
    assert client.post("/v1/chat/completions", content=b"x" * 5 * 2**20).status_code == 413
    assert left(workspace) == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_broken_form_breaks_the_server(client, workspace, data):
    names = st.one_of(st.sampled_from(["file", "purpose", "expires_after[seconds]"]), st.text(max_size=20))
    values = st.one_of(st.sampled_from([b"batch", ROWS[:200], b"{}"]), st.binary(max_size=200))
    parts = data.draw(st.lists(st.tuples(names, st.none() | st.text(max_size=400), values), max_size=5))
    boundary = data.draw(st.sampled_from(["x", "----b" * 10, "é", 'a"b']))
    body = b""
    for name, filename, value in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode("utf-8", "replace") + value + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    at = data.draw(st.integers(0, len(body)))
    harm = data.draw(st.sampled_from(["none", "cut", "flip", "more"]))
    body = {"none": body, "cut": body[:at], "flip": body[:at] + b"\xff" + body[at + 1 :], "more": body + body}[harm]
    path = data.draw(st.sampled_from(["/v1/files", "/v1/uploads/upload_x/parts"]))
    kind = f"multipart/form-data; boundary={boundary}".encode("latin-1")
    answer = client.post(path, content=body, headers={"content-type": kind})
    assert answer.status_code in ((200, 400) if path == "/v1/files" else (404,)), answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]
    assert not list(workspace.paths.receiving.glob("*"))


# ---------------------------------------------------------------------- uploads


def announce(client, **wish):
    body = {"filename": "a.jsonl", "purpose": "batch", "bytes": len(ROWS), "mime_type": "text/jsonl", **wish}
    return client.post("/v1/uploads", json=body).json()["id"]


@pytest.mark.parametrize("name", ["a\0b.jsonl", "a\nb", "\x7f", "\x85"])
def test_a_name_that_no_disk_takes_is_refused(client, name):
    body = {"filename": name, "purpose": "batch", "bytes": 3, "mime_type": "text/jsonl"}
    error = client.post("/v1/uploads", json=body).json()["error"]
    assert (error["param"], error["code"]) == ("filename", "invalid_value")
    form = f'--x\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n{{}}\r\n'
    form += '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
    answer = client.post("/v1/files", content=form, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400, answer.text
    assert client.get("/v1/files").json()["data"] == []


def part(client, upload, content):
    return client.post(f"/v1/uploads/{upload}/parts", files={"data": ("blob", content)})


def test_parts_that_do_not_make_the_file_are_refused(client, workspace):
    upload = announce(client)
    first, second = (part(client, upload, one).json()["id"] for one in (ROWS[:100], ROWS[100:]))
    for ids, told in (
        ([first], "100 bytes together"),
        ([first, first, second], "named twice"),
        ([first, "part_x"], "No such Part"),
    ):
        answer = client.post(f"/v1/uploads/{upload}/complete", json={"part_ids": ids})
        assert (answer.status_code, told in answer.json()["error"]["message"]) == (400, True), answer.text
    assert "over the" in part(client, upload, b"x").json()["error"]["message"]
    other = announce(client, bytes=3)
    one = part(client, other, b"[1]").json()["id"]
    answer = client.post(f"/v1/uploads/{other}/complete", json={"part_ids": [one]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_file_format")
    client.post(f"/v1/uploads/{other}/cancel")
    assert client.post(f"/v1/uploads/{other}/cancel").status_code == 400
    done = client.post(f"/v1/uploads/{upload}/complete", json={"part_ids": [first, second]}).json()
    assert left(workspace) == [f"{hashlib.sha256(ROWS).hexdigest()}.jsonl"]
    assert (done["status"], done["file"]["bytes"]) == ("completed", len(ROWS))


def test_an_upload_that_nobody_ends_is_over_after_an_hour(client, workspace):
    upload = announce(client)
    made = part(client, upload, ROWS).json()["id"]
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="microseconds")
    with workspace.database.begin() as connection:
        connection.execute(update(tables.uploads).values(expires_at=past))
    answer = client.post(f"/v1/uploads/{upload}/complete", json={"part_ids": [made]})
    assert (answer.status_code, "expired already" in answer.json()["error"]["message"]) == (400, True)
    assert left(workspace) == []


def test_what_a_killed_server_was_receiving_goes(client, workspace, monkeypatch):
    folder = workspace.paths.receiving / ".part-x"
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(ROWS)
    client.get("/v1/files")
    assert folder.is_dir()  # it may be coming just now
    monkeypatch.setattr(files, "STALE_SECONDS", -1)
    client.get("/v1/files")
    assert not folder.exists()


# ---------------------------------------------------------------------- who sees what


def test_a_key_sees_the_files_of_its_work_and_bound_to_tasks_its_own(client, workspace):
    def key(name, *scopes, **bound):
        return {"headers": {"Authorization": f"Bearer {keys.create(workspace, name, scopes=scopes, **bound)[1]}"}}

    train, infer, both = key("a", "train"), key("b", "infer"), key("c", "train", "infer")
    bound, other = key("d", "infer", tasks=["t"]), key("e", "infer", tasks=["t"])
    assert post(client, purpose="fine-tune", **infer).json()["error"]["code"] == "missing_scope"
    assert post(client, **train).status_code == 403
    training = post(client, purpose="fine-tune", **train).json()["id"]
    batch = post(client, **bound).json()["id"]

    def seen(who):
        return {one["id"] for one in client.get("/v1/files", **who).json()["data"]}

    assert [seen(who) for who in (train, infer, both, bound, other)] == [
        {training}, {batch}, {training, batch}, {batch}, set(),
    ]  # fmt: skip
    for who, file in ((infer, training), (train, batch), (other, batch)):
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            assert client.request(method, f"/v1/files/{file}{path}", **who).status_code == 404
    body = {"filename": "a", "purpose": "batch", "bytes": 5, "mime_type": "x"}
    assert client.post("/v1/uploads", json=body, **train).status_code == 403
    upload = client.post("/v1/uploads", json=body, **bound).json()["id"]
    assert client.post(f"/v1/uploads/{upload}/cancel", **other).status_code == 404
    assert client.post(f"/v1/uploads/{upload}/cancel", **bound).status_code == 200


def test_a_file_that_is_made_here_is_found_by_its_id(workspace):
    made = files.add_file(workspace, b"step,loss\n1,2\n", "results.csv", "fine-tune-results", key="key_1")
    assert files.open_file(workspace, made.id).read_bytes() == b"step,loss\n1,2\n"
    assert files.find_file(workspace, made.id) == made
    with pytest.raises(NotFound, match="No such File object: file-x"):
        files.find_file(workspace, "file-x")
    assert uploads.end_all(workspace) == 0
