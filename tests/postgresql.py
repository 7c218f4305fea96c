"""A PostgreSQL server of our own, with its data in a folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SECRET = "s3cret-word"


@dataclass
class Server:
    """A running PostgreSQL with its own data."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """With the password."""
        return f"postgresql://reader:{SECRET}@127.0.0.1:{self.port}/postgres"

    @property
    def shown(self) -> str:
        """As it may be written anywhere."""
        return f"postgresql://reader@127.0.0.1:{self.port}/postgres"


def binaries() -> Path:
    """The folder with PostgreSQL's programs; skips where there are none, which CI never does."""
    found = shutil.which("initdb")
    known = [Path(found).resolve().parent] if found else []
    known += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in known:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    if os.environ.get("CI"):
        pytest.fail("PostgreSQL is not installed: .ci/run installs it")
    pytest.skip("PostgreSQL is not installed")


def as_nobody() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def cluster_in(folder: Path) -> Iterator[Path]:
    """A database cluster that no server has open, in a new folder, which is taken away at the end."""
    programs = binaries()
    folder.mkdir(mode=0o755)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        (folder / "password").write_text(SECRET)
        (folder / "password").chmod(0o644)
        run = {**as_nobody(), "cwd": folder, "check": True, "capture_output": True}
        initdb = [programs / "initdb", "-D", folder / "data", "-U", "reader", "-A", "scram-sha-256", "-E", "UTF8", "-N"]
        subprocess.run([*initdb, "--locale=C", f"--pwfile={folder / 'password'}"], **run)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(cluster: Path) -> Iterator[Server]:
    """A server on a cluster, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binaries() / "postgres", "-D", cluster / "data", "-p", str(port), "-k", cluster, "-h", "127.0.0.1"]
    with (cluster / "log").open("ab") as log:
        process = subprocess.Popen([*command, "-F"], stdout=log, stderr=log, cwd=cluster, **as_nobody())
        server = Server(cluster, port, process)
        try:
            _wait_for(server)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def _wait_for(server: Server) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(server.url).close()
            return
        except psycopg.OperationalError:
            assert server.process.poll() is None, (server.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
