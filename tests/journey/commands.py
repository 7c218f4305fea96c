"""The installed command, run as a user runs it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

HOUSE = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("inhouse"))


def command(workspace: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `inhouse ...` in a workspace; insist on its exit code."""
    done = subprocess.run(
        [COMMAND, *words, "--workspace", str(workspace)], capture_output=True, text=True, check=False, timeout=3600
    )
    assert done.returncode == code, f"inhouse {' '.join(words)} -> {done.returncode}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    return done


def trainings() -> ForkServerContext:
    """Starts processes that have the libraries of a training loaded already: loading them takes longer than it does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["commands", "preloaded"])
    first = context.Process(target=int)  # what it waits for is the loading, which no training is to be timed with
    first.start()
    first.join()
    return context


def start_training(
    context: ForkServerContext, folder: Path, environment: dict[str, str], said: Path
) -> ForkServerProcess:
    """`inhouse train intents` in a process of its own, with what it says added to a file."""
    process = context.Process(target=_train, args=(folder, environment, said))
    process.start()
    return process


def _train(folder: Path, environment: dict[str, str], said: Path) -> None:
    """The installed command, but a checkpoint every twentieth of a second: many kills fall into the writing of one."""
    from inhouse.cli import main
    from inhouse.train import trainer

    os.environ.update(environment)
    with said.open("ab") as file, Path(os.devnull).open("wb") as nowhere:
        os.dup2(file.fileno(), 2)
        os.dup2(nowhere.fileno(), 1)
    trainer.CHECKPOINT_SECONDS = 0.05
    main(["train", "intents", "--json", "--workspace", str(folder)])
