"""64 clients for some minutes: no error, memory that does not grow, and a Trace of every answer.

    python benchmarks/serve_soak.py --minutes 10

Ends with exit code 1 where one of these is not so. The first fifth is warm-up: caches fill. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from common import machine
from serve_models import HOME, texts, with_intents

from inhouse.store import Workspace, traffic

CLIENTS = 64
MOST_GROWTH = 0.05
WARM_UP = 0.2
SAMPLE_SECONDS = 5.0


@dataclass
class Running:
    """An `inhouse serve`: its address, and its process."""

    address: str
    process: psutil.Process

    def ask(self, model: str, text: str, connection: HTTPConnection) -> dict[str, Any]:
        """One answer.

        Raises:
            RuntimeError: it was refused, or failed.
        """
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {told}")
        return told

    def memory(self) -> float:
        """MiB in memory, of the server and the processes of its engines."""
        found = 0
        for one in (self.process, *self.process.children(recursive=True)):
            try:
                found += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return found / 2**20


@contextmanager
def copied() -> Iterator[Workspace]:
    """A copy of the benchmark's workspace."""
    with_intents().close()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(shutil.copytree(HOME, Path(folder) / "workspace"))
        yield workspace
        workspace.close()


@contextmanager
def serving(workspace: Workspace, **environment: str) -> Iterator[Running]:
    """A server over a workspace."""
    command = [sys.executable, "-m", "inhouse", "serve", "--port", "0", "--workspace", str(workspace.paths.root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Running(urlsplit(line.split()[2]).netloc, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(60)


def soak(minutes: float) -> dict[str, Any]:
    """The figures of one run."""
    questions, answers, errors, memory = texts(), list[str](), list[str](), list[tuple[float, float]]()
    with copied() as workspace, serving(workspace) as server:
        begun = time.monotonic()
        end = begun + 60 * minutes

        def client(number: int) -> None:
            rng = random.Random(number)
            with closing(HTTPConnection(server.address, timeout=600)) as connection:
                while time.monotonic() < end:
                    try:
                        answers.append(server.ask("intents", rng.choice(questions), connection)["id"])
                    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
                        errors.append(f"{type(error).__name__}: {error}")
                        connection.close()

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(client, number) for number in range(CLIENTS)]
            while time.monotonic() < end:
                time.sleep(min(SAMPLE_SECONDS, max(0.0, end - time.monotonic())))
                memory.append((time.monotonic() - begun, server.memory()))
            for one in clients:
                one.result()
        kept = {trace.id for trace in traffic.traces(workspace, "intents")}
    after = [used for at, used in memory if at >= WARM_UP * 60 * minutes]
    part = max(1, len(after) // 5)
    first, last = statistics.median(after[:part]), statistics.median(after[-part:])
    return {
        "minutes": minutes,
        "answers": len(answers),
        "answers_per_second": round(len(answers) / (60 * minutes), 1),
        "errors": len(errors),
        "first_errors": errors[:3],
        "traces_missing": len(set(answers) - kept),
        "memory_mib": {"after_warm_up": round(first), "at_the_end": round(last)},
        "memory_growth": round(last / first - 1, 4),
        "machine": machine(),
    }


def main() -> int:
    """Run it; 1 where something was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    found = soak(parser.parse_args().minutes)
    print(json.dumps(found, indent=1))
    return int(bool(found["errors"] or found["traces_missing"] or found["memory_growth"] > MOST_GROWTH))


if __name__ == "__main__":
    sys.exit(main())
