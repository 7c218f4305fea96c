"""Nothing leaves the machine unless it was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Every look-up and connection of the process, libraries' threads included, is written down.
WATCH = """
import socket, sys
seen = []
def hook(event, arguments):
    if event == "socket.getaddrinfo":
        seen.append(str(arguments[0]))
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        seen.append(str(arguments[1][0]))
sys.addaudithook(hook)
"""


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    # Libraries keep their telemetry still in continuous integration: here they must not know of it.
    plain = {k: v for k, v in os.environ.items() if k not in ("CI", "HF_HUB_OFFLINE", "DO_NOT_TRACK")}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**plain, **environment}
    )


def test_loading_every_engine_calls_nobody(tiny_base):
    code = f"""{WATCH}
import time
from pathlib import Path
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.torch_model import load_model
engine = OpenVinoEngine(Path({str(tiny_base.gguf)!r}), 2)
load_model(Path({str(tiny_base.folder)!r}), "float32")
engine.close()
time.sleep(1)
assert "openvino_telemetry.main" not in sys.modules
assert "openvino.tools.ovc.telemetry_stub" in sys.modules  # openvino did look for it
print("seen", seen)
"""
    done = _python(code)
    assert "seen []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        ("socket.create_connection(('192.0.2.1', 9), 0.2)", False),
        ("socket.getaddrinfo('inhouse.invalid', 80)", False),
        ("socket.getaddrinfo('localhost', 80)", True),
    ],
)
def test_offline_forbids_every_outbound_connection(tmp_path: Path, call: str, *, allowed: bool):
    code = f"import socket; from inhouse.store import Workspace; Workspace(__import__('pathlib').Path({str(tmp_path)!r})); {call}"
    done = _python(code, INHOUSE_OFFLINE="1")
    assert ("OutboundForbidden" in done.stderr) is not allowed
