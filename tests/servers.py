"""A real `inhouse serve`, in a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from inhouse.store import Workspace


@dataclass
class Server:
    """A running `inhouse serve`; `process` is None where it runs in this one."""

    process: subprocess.Popen[str] | None
    folder: Path
    url: str

    def raw(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        """One request without a client's help: status, headers, parsed body."""
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)) as connection:
            connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
        shape = json.loads(text) if "json" in (answer.getheader("content-type") or "") else text.decode()
        return answer.status, answer.headers, shape

    def post(self, path: str, **body: Any) -> Any:
        """One JSON request."""
        return self.raw("POST", path, json.dumps(body).encode())

    def kill(self) -> None:
        """End it, with no time to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=30)


@contextmanager
def served_copy(
    trained: Path, folder: Path, environment: dict[str, str], change: Callable[[Workspace], None] | None = None
) -> Iterator[Server]:
    """A server over a copy of a workspace in a folder, changed before it starts where `change` is given."""
    copy = Path(shutil.copytree(trained, folder / "workspace"))
    if change is not None:
        workspace = Workspace(copy)
        change(workspace)
        workspace.close()
    server = start(copy, environment)
    yield server
    server.kill()


def start(folder: Path, environment: dict[str, str], *arguments: str) -> Server:
    """Serve a workspace on a free port; what it says goes to `serve.log` beside the folder."""
    log = folder.parent / "serve.log"  # a pipe that nobody reads would stop the server once it is full
    command = [str(Path(sys.executable).with_name("inhouse")), "serve", "--port", "0", "--workspace", str(folder)]
    with log.open("w") as stderr:
        process = subprocess.Popen([*command, *arguments], stderr=stderr, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not (line := log.read_text()).endswith("\n") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert re.match("serving on https?://127.0.0.", line), line
    return Server(process, folder, line.split()[2])


def until(done: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def listening(app: FastAPI) -> Iterator[tuple[str, int]]:
    """The application in a thread of this process, behind a real socket: its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(20)


def post_by_hand(address: tuple[str, int], path: str, **body: Any) -> socket.socket:
    """A connection on which a request was sent, and nothing read."""
    connection, text = socket.create_connection(address), json.dumps(body)
    head = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
    connection.sendall(f"POST /v1/{path} HTTP/1.1\r\n{head}\r\n{text}".encode())
    return connection
