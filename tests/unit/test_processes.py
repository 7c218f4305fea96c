"""Two processes that `accelerate launch` starts train as one does: weights copied to both, or split over them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import many_intents, write_csv

from inhouse.train.processes import Processes

# Trains the tiny base of the folder; every process writes what it found to OUT.RANK.
SCRIPT = """
import json, sys
from pathlib import Path
import torch
from inhouse.core import Dataset, Example, Provenance, Silent, Task
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import attach
from inhouse.engine.torch_model import load_model
from inhouse.train import encode, loop, make_recipe
from inhouse.train.processes import started_processes

folder, out, method, objective, stop_at = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
torch.set_num_threads(1)
processes = started_processes()
template = ChatTemplate(folder)
words = {"card_arrival": "where is my card", "change_pin": "how do I change my pin", "refund": "refund please now"}
wrong = "again" if objective == "dpo" else ""
examples = tuple(
    Example({"text": f"{text} {n}"}, label, f"{label}{n}", Provenance("f.csv", n + 2), rejected=wrong)
    for n in range(9) for label, text in words.items()
)
splits = tuple("validation" if i % 6 == 5 else "train" for i in range(len(examples)))
dataset = Dataset("t", 1, examples, splits)
train = {"epochs": 3, "method": method, "batch_size": 5, "learning_rate": 0.003}
task = Task.model_validate({"name": "t", "kind": "generate", "train": train})
sides = [encode(dataset.of(s), template, system="", max_tokens=1024, pairs=True) for s in ("train", "validation")]
recipe = make_recipe(task, dataset, sides[0], base_model="tiny", base_sha256="0", precision="float32")
model = load_model(folder, "float32")
adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed, recipe.method)
trunk = loop.trunk_of(model, recipe.max_tokens, sharded=processes.sharded)
step = iter(range(10**6))
result = loop.run_loop(
    trunk, adapters, *sides, recipe, Path(out + ".checkpoint"), Silent(), processes=processes,
    asked_to_stop=lambda: bool(stop_at) and processes.main and next(step) >= stop_at,
)
sums = {name: tensor.double().sum().item() for name, tensor in result.state.items()}
found = {"count": processes.count, "sharded": processes.sharded, "history": result.position.history, "sums": sums,
         "resumed": result.resumed, "trunk": type(trunk).__name__}
Path(f"{out}.{processes.rank}").write_text(json.dumps(found))
"""
ALONE = [sys.executable]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
FSDP = [*LAUNCH[:3], "--use_fsdp", "--fsdp_version", "2", "--num_processes", "2"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def trained(command, folder: Path, out: Path, method: str, objective: str, stop_at: int = 0) -> list[dict]:
    """What the processes of a training found."""
    script = out.with_suffix(".py")
    script.write_text(SCRIPT)
    port = ["--main_process_port", str(free_port())] if command is not ALONE else []
    done = subprocess.run(
        [*command, *port, str(script), str(folder), str(out), method, objective, str(stop_at)],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(file.read_text()) for file in sorted(out.parent.glob(f"{out.name}.[01]"))]


def assert_same(one: dict, other: dict) -> None:
    assert len(one["history"]) == len(other["history"]) >= 2
    for ours, theirs in zip(one["history"], other["history"], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert value == pytest.approx(theirs[name], abs=1e-3), name
    assert one["history"][-1]["validation_loss"] < 0.9 * one["history"][0]["validation_loss"]
    assert one["sums"].keys() == other["sums"].keys()


@pytest.mark.parametrize(
    ("command", "method", "objective"),
    [(LAUNCH, "lora", "sft"), (FSDP, "lora", "dpo"), (FSDP, "full", "sft")],
    ids=["copied", "split, with pairs", "split, all weights"],
)
def test_two_processes_find_what_one_does_and_go_on_as_one(command, method, objective, tiny_base, tmp_path):
    (alone,) = trained(ALONE, tiny_base.folder, tmp_path / "alone", method, objective)
    trained(command, tiny_base.folder, tmp_path / "two", method, objective, stop_at=4)
    one, other = trained(command, tiny_base.folder, tmp_path / "two", method, objective)
    assert one == other
    assert (one["count"], one["sharded"], one["resumed"]) == (2, command is FSDP, True)
    assert one["trunk"].endswith("ShardedTrunk" if command is FSDP else "FusedTrunk")  # torch puts FSDP before it
    assert_same(one, alone)


def test_the_command_trains_together_and_one_process_keeps_the_books(tmp_path, tiny_gguf, cli, environment):
    place = tmp_path / "workspace"
    messages = write_csv(tmp_path / "intents.csv", many_intents(4))
    assert cli(place, "init", "intents", "--base", tiny_gguf).code == 0
    assert cli(place, "add", "intents", messages, "--input", "text", "--target", "category").code == 0
    file = place / "tasks" / "intents" / "task.toml"
    file.write_text(file.read_text().replace("[train]\n", "[train]\nepochs = 3\nlearning_rate = 0.005\n"))
    other = Path(shutil.copytree(place, tmp_path / "other"))
    alone = cli(other, "train", "intents", "--json").json

    def launched(*arguments):
        return subprocess.run(
            [*LAUNCH, "--main_process_port", str(free_port()), "-m", "inhouse", *arguments, "--workspace", str(place)],
            capture_output=True, text=True, check=False, timeout=400, env={**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    done = launched("train", "intents", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    together = json.loads(done.stdout)
    assert together["model_version"] == "intents@1"
    assert together["steps"] == alone["steps"]
    assert together["trained_tokens"] == alone["trained_tokens"]
    assert together["validation_loss"] == pytest.approx(alone["validation_loss"], abs=1e-3)
    again = launched("train", "intents", "--json")  # done before: all are told so
    assert json.loads(again.stdout) == together
    refused = launched("clean", "intents")
    assert refused.returncode != 0
    assert "only a training is for several" in refused.stderr


def test_shares_hold_everything_once():
    shares = [Processes(3, rank).share(range(10)) for rank in range(3)]
    assert sorted(i for share in shares for i in share) == list(range(10))
    assert shares[1] == [1, 4, 7]
