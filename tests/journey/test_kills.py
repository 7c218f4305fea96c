"""Twenty times killed at moments of chance, a training ends as one that nobody disturbed, to the bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import many_intents, write_csv

import inhouse
from inhouse.store import Workspace, registry

pytestmark = pytest.mark.journey

KILLS = 20
# The installed command, but a checkpoint every twentieth of a second: many kills fall into the writing of one.
TRAIN = """
import sys
from inhouse.cli import main
from inhouse.train import loop
loop.CHECKPOINT_SECONDS = 0.05
main(["train", "intents", "--json", "--workspace", sys.argv[1]])
"""


def start(folder: Path, environment: dict[str, str], said: Path) -> subprocess.Popen[bytes]:
    with said.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(folder)], stdout=subprocess.DEVNULL, stderr=file, env=environment
        )


def fresh(folder: Path, data: Path, tiny_gguf: Path, models_dir: Path) -> Path:
    """A workspace with a training ahead of it that takes some seconds."""
    folder.mkdir()
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    workspace = inhouse.open_workspace(folder)
    inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
    file = folder / "tasks" / "intents" / "task.toml"
    file.write_text(file.read_text().replace("[train]\n", "[train]\nepochs = 40\nbatch_size = 1\n"))
    inhouse.add(workspace, "intents", [data], inputs=["text"], target="category")
    inhouse.clean(workspace, "intents", accept=["automatic"])
    workspace.close()
    return folder


def result(folder: Path) -> dict[str, object]:
    workspace = Workspace(folder)
    version = registry.find_version(workspace, "intents", 1)
    workspace.close()
    return {
        "adapter": version.adapter_sha256,
        "file": version.file_sha256,
        "threshold": version.threshold,
        "steps": version.lineage["steps"],
        "parity": version.parity,
    }


def test_twenty_kills_change_nothing(tmp_path, tiny_gguf, models_dir, environment):
    data = write_csv(tmp_path / "data.csv", many_intents())
    begun = time.monotonic()
    unbroken = fresh(tmp_path / "unbroken", data, tiny_gguf, models_dir)
    assert start(unbroken, environment, tmp_path / "unbroken.txt").wait(timeout=300) == 0
    whole = time.monotonic() - begun
    expected = result(unbroken)

    seed = random.randrange(10**6)
    dice = random.Random(seed)
    kills = number = 0
    while kills < KILLS:
        number += 1
        folder, said = fresh(tmp_path / f"killed {number}", data, tiny_gguf, models_dir), tmp_path / f"{number}.txt"
        while True:
            process = start(folder, environment, said)
            try:
                code = process.wait(timeout=dice.uniform(0.1, whole) if kills < KILLS else 300)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(timeout=30)
                kills += 1
                continue
            assert code == 0, (seed, said.read_text())
            break
        assert "Traceback" not in said.read_text(), seed
        assert result(folder) == expected, seed
        assert not any((folder / "runs").iterdir())
        assert [p.name for p in (folder / "blobs").iterdir() if p.name.startswith(".part-")] == []
