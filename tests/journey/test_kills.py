"""Killed again and again at moments of chance, a training ends as one that nobody disturbed, to the bit."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from commands import start_training, trainings
from conftest import many_intents, write_csv, write_encoder

import inhouse
from inhouse.store import Workspace, registry

pytestmark = pytest.mark.journey

KILLS = {"causal": 20, "encoder": 10}


def fresh(folder: Path, data: Path, model: str, bases: tuple[Path, Path], models_dir: Path) -> Path:
    """A workspace with a training ahead of it that takes some seconds.

    `bases` are a causal one and an encoder.
    """
    folder.mkdir()
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    workspace = inhouse.open_workspace(folder)
    causal, encoder = map(str, bases)
    task = inhouse.init(workspace, "intents", base_model=causal)
    wish = {
        "model": model,
        **({"epochs": 12, "batch_size": 1} if model == "causal" else {"epochs": 8, "batch_size": 8}),
    }
    changed = {"encoder_model": encoder, "train": task.train.model_copy(update=wish)}
    workspace.save_task(task.model_copy(update=changed))
    inhouse.add(workspace, "intents", [data], inputs=["text"], target="category")
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


@pytest.mark.parametrize("model", KILLS)
def test_kills_change_nothing(model, tmp_path, tiny_gguf, models_dir, environment):
    bases = tiny_gguf, write_encoder(tmp_path / "tiny-bert")
    data = write_csv(tmp_path / "data.csv", many_intents())
    unbroken = fresh(tmp_path / "unbroken", data, model, bases, models_dir)
    context = trainings()
    begun = time.monotonic()
    first = start_training(context, unbroken, environment, tmp_path / "unbroken.txt")
    first.join(300)
    assert first.exitcode == 0
    whole = time.monotonic() - begun
    expected = result(unbroken)

    seed = random.randrange(10**6)
    dice = random.Random(seed)
    kills = number = 0
    while kills < KILLS[model]:
        number += 1
        folder, said = fresh(tmp_path / f"killed {number}", data, model, bases, models_dir), tmp_path / f"{number}.txt"
        while True:
            process = start_training(context, folder, environment, said)
            process.join(dice.uniform(0.1, whole) if kills < KILLS[model] else 300)
            if process.exitcode is None:
                process.kill()
                process.join(30)
                kills += 1
                continue
            assert process.exitcode == 0, (seed, said.read_text())
            break
        assert "Traceback" not in said.read_text(), seed
        assert result(folder) == expected, seed
        assert not any((folder / "runs").iterdir())
        assert [p.name for p in (folder / "blobs").iterdir() if p.name.startswith(".part-")] == []
