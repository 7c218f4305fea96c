"""Ctrl-C after OpenVINO models were opened and closed in any order."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import signal, sys
from pathlib import Path
from inhouse.engine.choice import open_engine

first, second = (open_engine("openvino-genai", Path(sys.argv[1]), 2, threads=1, exact=False) for _ in range(2))
first.close()
second.close()
signal.signal(signal.SIGINT, lambda *given: print("it goes on"))
signal.raise_signal(signal.SIGINT)
"""


def test_ctrl_c_after_openvino_models_were_closed_ends_nothing(tiny_gguf):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_gguf)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "it goes on")
