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
import torch
from conftest import many_intents, write_csv

from inhouse.core import Silent
from inhouse.store import Workspace
from inhouse.train import memory_needed
from inhouse.train.processes import Processes, started_processes

# Trains the tiny base of the folder once for each OUT:METHOD:OBJECTIVE:STOP_AT, one after the other; every process writes
# what it found last to OUT.RANK. At STOP_AT steps it ends (0: never); below 0 the processes see no common folder.
SCRIPT = """
import json, sys
from pathlib import Path
import torch
from inhouse.core import Dataset, Example, Provenance, Silent, Task
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import attach
from inhouse.engine.torch_model import TorchEngine, load_model
from inhouse.train import encode, loop, make_recipe
from inhouse.train.epochs import kept_states
from inhouse.train.processes import started_processes
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

folder = Path(sys.argv[1])
torch.set_num_threads(1)
processes = started_processes()
template = ChatTemplate(folder)
words = {"card_arrival": "where is my card", "change_pin": "how do I change my pin", "refund": "refund please now"}
read = []
original = AutoModelForCausalLM.from_pretrained
AutoModelForCausalLM.from_pretrained = lambda *a, **k: read.append(1) or original(*a, **k)

def train(out, method, objective, stop_at):
    read.clear()
    wrong = "again" if objective == "dpo" else ""
    examples = tuple(
        Example({"text": f"{text} {n}"}, label, f"{label}{n}", Provenance("f.csv", n + 2), rejected=wrong)
        for n in range(9) for label, text in words.items()
    )
    splits = tuple("validation" if i % 6 == 5 else "train" for i in range(len(examples)))
    dataset = Dataset("t", 1, examples, splits)
    wish = {"epochs": 3, "method": method, "batch_size": 5, "learning_rate": 0.003}
    task = Task.model_validate({"name": "t", "kind": "generate", "train": wish})
    sides = [encode(dataset.of(s), template, system="", max_tokens=1024, pairs=True) for s in ("train", "validation")]
    recipe = make_recipe(task, dataset, sides[0], base_model="tiny", base_sha256="0", precision="float32")
    if processes.sharded:
        trunk, adapters = loop.split_trunk(folder, "float32", recipe, processes)
    else:
        model = load_model(folder, "float32")
        adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed, recipe.method)
        trunk = loop.trunk_of(model, recipe.max_tokens)
    asked = []
    def scores(places):
        asked.extend(places)
        engine = TorchEngine.around(trunk.model, template.answer_ids)
        given = engine.generate([sides[1][i].prompt for i in places], max_new_tokens=4)
        return [sum(a == b for a, b in zip(g.ids, sides[1][i].answer)) / 4 for i, g in zip(places, given)]
    judge = None if processes.sharded or method == "full" else loop.Judge("share", scores)
    place = Path(out + (f".{processes.rank}" if stop_at < 0 else "")) / "checkpoint"
    if stop_at >= 0 or processes.main:
        place.parent.mkdir(exist_ok=True)
    step, steps = iter(range(10**6)), {}
    result = loop.run_loop(
        trunk, adapters, *sides, recipe, place, Silent(), processes=processes, judge=judge,
        asked_to_stop=lambda: stop_at > 0 and processes.main and next(step) >= stop_at, keep_epochs=2,
        watch=lambda step, measured: steps.setdefault(step, {}).update(measured),
    )
    kept = {step: sum(t.double().abs().sum().item() for t in load_file(file).values())
            for step, file in kept_states(place.parent).items()}
    sums = {name: tensor.double().sum().item() for name, tensor in result.state.items()}
    found = {"count": processes.count, "sharded": processes.sharded, "history": result.position.history, "sums": sums,
             "resumed": result.resumed, "trunk": type(trunk).__name__, "read": len(read), "asked": asked,
             "kept": kept, "steps": steps}
    Path(f"{out}.{processes.rank}").write_text(json.dumps(found))

for wanted in sys.argv[2:]:
    *words_of_it, stop_at = wanted.rsplit(":", 3)
    train(*words_of_it, int(stop_at))
"""
ALONE = [sys.executable]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
FSDP = [*LAUNCH[:3], "--use_fsdp", "--fsdp_version", "2", "--num_processes", "2"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def trained(command, folder: Path, *wanted: tuple[Path, str, str, int]) -> list[dict]:
    """What the processes found in the last of some trainings, each with its method, objective and where it stops."""
    out = wanted[-1][0]
    script = out.with_suffix(".py")
    script.write_text(SCRIPT)
    port = ["--main_process_port", str(free_port())] if command is not ALONE else []
    done = subprocess.run(
        [*command, *port, str(script), str(folder), *(":".join(map(str, one)) for one in wanted)],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return found_in(out)


def found_in(out: Path) -> list[dict]:
    """What each process found in a training."""
    return [json.loads(file.read_text()) for file in sorted(out.parent.glob(f"{out.name}.[01]"))]


def assert_same(one: dict, other: dict) -> None:
    assert len(one["history"]) == len(other["history"]) >= 2
    for ours, theirs in zip(one["history"], other["history"], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert value == pytest.approx(theirs[name], abs=1e-3), name
    assert one["history"][-1]["validation_loss"] < 0.9 * one["history"][0]["validation_loss"]
    assert {"epoch", "full_validation_token_accuracy"} <= one["steps"][list(one["kept"])[-1]].keys()
    for step, measured in one["steps"].items():  # of a training that went on: of what was left
        for name in measured.keys() - {"tokens_per_second"}:
            assert measured[name] == pytest.approx(other["steps"][step][name], rel=1e-3, abs=1e-3), (step, name)
    assert len(one["kept"]) == 2
    assert one["kept"] == pytest.approx(other["kept"], rel=1e-3)
    assert one["sums"].keys() == other["sums"].keys()
    for name, value in one["sums"].items():
        assert value == pytest.approx(other["sums"][name], abs=0.05), name


@pytest.fixture(scope="module")
def alone(tiny_base, tmp_path_factory):
    """What one process finds, by method and objective."""
    root = tmp_path_factory.mktemp("alone")
    cases = [("lora", "dpo"), ("dora", "dpo"), ("full", "sft")]
    trained(ALONE, tiny_base.folder, *((root / method, method, objective, 0) for method, objective in cases))
    return {case: found_in(root / case[0])[0] for case in cases}


@pytest.mark.parametrize(
    ("command", "method", "objective"),
    [(LAUNCH, "lora", "dpo"), (FSDP, "dora", "dpo"), (FSDP, "full", "sft")],
    ids=["copied, with pairs", "split, with pairs", "split, all weights"],
)
def test_two_processes_find_what_one_does_and_go_on_as_one(command, method, objective, alone, tiny_base, tmp_path):
    alone = alone[method, objective]
    stops = ((tmp_path / "two", method, objective, stop_at) for stop_at in (4, 0))
    one, other = trained(command, tiny_base.folder, *stops)
    assert one["history"] == other["history"]
    if one["asked"]:  # each wrote its share of a look's answers, and none is written twice
        looks = len(one["asked"]) // len(set(one["asked"]))
        shares = [set(found["asked"]) for found in (one, other)]
        assert shares[0] | shares[1] == set(alone["asked"])
        assert not shares[0] & shares[1]
        assert [len(found["asked"]) for found in (one, other)] == [looks * len(share) for share in shares]
    assert other["sums"] == {}  # what was learned is kept by the main process alone
    # Where weights are split nobody else has a whole model, not for a moment.
    assert (one["read"], other["read"]) == (1, 0 if command is FSDP else 1)
    assert (one["count"], one["sharded"], one["resumed"]) == (2, command is FSDP, True)
    assert one["trunk"].endswith("ShardedTrunk" if command is FSDP else "FusedTrunk")  # torch puts FSDP before it
    assert_same(one, alone)


# The command, on a machine that computes in float32.
IN_FLOAT32 = """
from inhouse.engine import torch_model
torch_model.best_precision = lambda: "float32"
from inhouse.cli import main
main()
"""


@pytest.mark.parametrize("command", [LAUNCH, FSDP], ids=["copied", "split"])
def test_the_command_trains_together_and_one_process_keeps_the_books(
    command, tmp_path, tiny_gguf, cli, environment, monkeypatch
):
    from inhouse.engine import torch_model

    # Sums of two processes are in another order, which bfloat16 rounds in the third digit.
    monkeypatch.setattr(torch_model, "best_precision", lambda: "float32")
    script = tmp_path / "in_float32.py"
    script.write_text(IN_FLOAT32)
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
            [*command, "--main_process_port", str(free_port()), str(script), *arguments, "--workspace", str(place)],
            capture_output=True, text=True, check=False, timeout=400, env={**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    done = launched("train", "intents", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    together = json.loads(done.stdout)
    assert together["model_version"] == "intents@1"
    assert together["steps"] == alone["steps"]
    assert together["trained_tokens"] == alone["trained_tokens"]
    assert together["validation_loss"] == pytest.approx(alone["validation_loss"], abs=1e-3)
    assert together["recipe"]["decided_by"] == "metric"  # of a label the tokens tell all
    if command is FSDP:  # what follows is of any launch
        return
    again = launched("train", "intents", "--json")  # done before: all are told so
    assert json.loads(again.stdout) == together
    refused = launched("clean", "intents", "--json")
    assert refused.returncode != 0
    assert "only a training is for several" in refused.stderr
    assert json.loads(refused.stdout)["error"]["type"] == "UsageError"  # once


def test_split_weights_that_write_no_answers_are_told_and_make_another_recipe(tmp_path, tiny_gguf, cli, environment):
    place = tmp_path / "workspace"
    rows = [{"text": f"{row['text']} {n}", "fields": json.dumps({"n": n})} for n, row in enumerate(many_intents(4))]
    file = write_csv(tmp_path / "objects.csv", rows)
    assert cli(place, "init", "objects", "--kind", "extract", "--base", tiny_gguf).code == 0
    assert cli(place, "add", "objects", file, "--input", "text", "--target", "fields").code == 0
    toml = place / "tasks" / "objects" / "task.toml"
    toml.write_text(toml.read_text().replace("[train]\n", "[train]\nmax_steps = 1\n"))
    done = subprocess.run(
        [*FSDP, "--main_process_port", str(free_port()), "-m", "inhouse", "train", "objects", "--json", "--workspace",
         str(place)],
        capture_output=True, text=True, check=False, timeout=400, env={**environment, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    split = json.loads(done.stdout)
    assert (split["recipe"]["decided_by"], split["validation_metric"]) == ("answer_tokens", "answer_tokens")
    assert done.stderr.count("split weights write no answers") == 1
    alone = cli(place, "train", "objects", "--json").json
    assert alone["recipe"]["decided_by"] == "metric"
    assert (alone["model_version"], split["model_version"]) == ("objects@2", "objects@1")  # not taken for the same


def test_processes_that_do_not_see_one_folder_are_told_before_any_work(tiny_base, tmp_path):
    with pytest.raises(AssertionError, match="not all of the 2 processes see the checkpoint"):
        trained(LAUNCH, tiny_base.folder, (tmp_path / "two", "lora", "dpo", -1))
    assert not list(tmp_path.rglob("*.json"))  # no reference was computed


@pytest.mark.parametrize("arguments", [["serve"], ["status"], ["train", "t", "--dry-run"]])
def test_what_is_not_for_several_processes_is_refused(cli, tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = cli(tmp_path, *arguments)
    assert done.code == 2
    assert "2 processes were started" in done.err


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", "two"), ("WORLD_SIZE", "0"), ("RANK", "-1")])
def test_a_launchers_number_that_is_none_is_told_with_its_remedy(cli, tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    done = cli(tmp_path, "status")
    assert done.code == 3
    assert f"{name} is {value!r}" in done.err
    assert f"env -u {name}" in done.err


def test_an_empty_number_is_none(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert started_processes().count == 1


def test_weights_that_are_split_take_their_share_and_are_never_packed_into_four_bits(
    tmp_path, tiny_gguf, cli, monkeypatch
):
    from inhouse.engine import torch_model
    from inhouse.pipeline.preparation import prepare_training

    place = tmp_path / "workspace"
    messages = write_csv(tmp_path / "intents.csv", many_intents(4))
    assert cli(place, "init", "intents", "--base", tiny_gguf).code == 0
    assert cli(place, "add", "intents", messages, "--input", "text", "--target", "category").code == 0
    workspace = Workspace(place)
    task = workspace.load_task("intents")
    monkeypatch.setattr(torch_model, "free_memory", lambda: 0.0)
    monkeypatch.setattr(torch_model, "can_have_four_bits", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch_model, "best_precision", lambda: "float32")
    alone, split = (prepare_training(workspace, task, Silent(), split_over=n) for n in (1, 8))
    assert (alone.recipe.four_bit, split.recipe.four_bit) == (True, False)
    assert alone.checkpointed
    assert split.checkpointed
    workspace.close()


def test_split_weights_need_less_memory_in_each_process():
    class Shape:
        parameters, layers, hidden, heads, vocabulary = 8_030_261_248, 32, 4096, 32, 128_256

    at = {"rank": 16, "precision": "bfloat16", "longest": 1024, "at_once": 1024, "answers": 256, "checkpointed": True}
    whole, split = (memory_needed(Shape(), split_over=n, **at) for n in (1, 8))
    assert whole > 16e9
    assert split < whole / 2


def test_shares_hold_everything_once():
    shares = [Processes(3, rank).share(range(10)) for rank in range(3)]
    assert sorted(i for share in shares for i in share) == list(range(10))
    assert shares[1] == [1, 4, 7]
