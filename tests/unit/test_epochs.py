"""What a fine-tuning job needs of a training: token accuracy, what each last epoch had learned, rows of its results."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import many_intents, write_csv
from safetensors import safe_open
from safetensors.torch import load_file

import inhouse
from inhouse.core import Dataset, Example, Provenance, Silent, Task, read_recipe
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import attach
from inhouse.engine.torch_model import load_model, use_threads
from inhouse.errors import NotFound
from inhouse.pipeline import epochs, training
from inhouse.pipeline.epochs import epoch_versions, results_csv, step_metrics
from inhouse.pipeline.watching import watching
from inhouse.store import Workspace, records, registry
from inhouse.train import encode, loop, make_recipe, trainer
from inhouse.train.epochs import kept_states

WORDS = {
    "card_arrival": "where is my card",
    "change_pin": "how do I change my pin",
    "failed_transfer": "transfer failed",
}
# ---------------------------------------------------------------------- the loop


@pytest.fixture(scope="module")
def learning(tiny_base):
    """A recipe of five epochs of ten steps, and training and validation examples."""
    task = Task.model_validate(
        {"name": "t", "labels": tuple(WORDS), "train": {"epochs": 5, "rank": 4, "batch_size": 3}}
    )
    examples = tuple(
        Example({"text": f"{words} {n}"}, label, f"{label}{n}", Provenance("f.csv", n + 2))
        for n in range(12)
        for label, words in WORDS.items()
    )
    dataset = Dataset("t", 1, examples, tuple("validation" if i % 6 == 5 else "train" for i in range(len(examples))))
    template = ChatTemplate(tiny_base.folder)
    sides = [encode(dataset.of(s), template, system="", max_tokens=1024) for s in ("train", "validation")]
    recipe = make_recipe(task, dataset, sides[0], base_model="tiny", base_sha256="0", precision="float32")
    return recipe.model_copy(update={"patience": 50}), sides


def _trunk(tiny_base, recipe):
    use_threads(1)
    model = load_model(tiny_base.folder, "float32")
    return loop.trunk_of(model, recipe.max_tokens), attach(model, recipe.rank, recipe.alpha, recipe.seed)


def _run(tiny_base, learning, folder: Path, **options):
    recipe, sides = learning
    folder.mkdir(exist_ok=True)
    ready = _trunk(tiny_base, recipe)
    return loop.run_loop(*ready, *sides, recipe, folder / "checkpoint.safetensors", Silent(), **options)


def _states(folder: Path) -> dict[int, bytes]:
    return {step: file.read_bytes() for step, file in kept_states(folder).items()}


def test_token_accuracy_is_the_share_of_answer_tokens_that_are_the_likeliest(tiny_base, learning, monkeypatch):
    recipe, examples = learning[0], list(learning[1][0])
    fused, adapters = _trunk(tiny_base, recipe)
    for layer in adapters.values():
        torch.nn.init.normal_(layer.up, std=0.05, generator=torch.Generator().manual_seed(1))
    padded = loop.PlainTrunk(fused.model)
    for place, e in enumerate(examples[::2]):  # of every other example it knows the first token
        with torch.no_grad():
            first = fused.model(input_ids=torch.tensor([e.prompt])).logits[0, -1].argmax().item()
        examples[2 * place] = replace(e, answer=[first, *e.answer[1:]])
    hits = []
    for e in examples:  # one by one, by transformers
        with torch.no_grad():
            logits = fused.model(input_ids=torch.tensor([[*e.prompt, *e.answer]])).logits[0]
        hits += [logits[place - 1].argmax().item() == token for place, token in zip(*e.learned, strict=True)]
    expected = sum(hits) / len(hits)
    assert 0 < expected < 1
    monkeypatch.setattr(loop, "TOKENS_AT_ONCE", 200)  # in parts
    for trunk in (fused, padded):
        assert loop._learn(trunk, examples)[1]["token_accuracy"] == pytest.approx(expected)
        seen = loop._validate(trunk, examples, loop.LIKELIHOOD)
        assert seen.measured["token_accuracy"] == pytest.approx(expected)


def test_the_last_epochs_are_kept_as_they_were_and_change_nothing_in_what_is_learned(tiny_base, learning, tmp_path):
    plain = _run(tiny_base, learning, tmp_path / "plain")
    assert not kept_states(tmp_path / "plain")
    steps = dict[int, dict[str, float]]()
    kept = _run(
        tiny_base, learning, tmp_path / "kept", keep_epochs=3, watch=lambda n, m: steps.setdefault(n, {}).update(m)
    )
    assert kept.position.history == plain.position.history
    assert all(torch.equal(kept.state[name], tensor) for name, tensor in plain.state.items())
    assert list(kept_states(tmp_path / "kept")) == [30, 40, 50]
    asked = iter([False] * 40 + [True])
    _run(tiny_base, learning, tmp_path / "stopped", asked_to_stop=lambda: next(asked))
    with safe_open(tmp_path / "stopped" / "checkpoint.safetensors", framework="pt") as saved:
        for name, tensor in load_file(kept_states(tmp_path / "kept")[40]).items():
            assert torch.equal(tensor, saved.get_tensor(f"now.{name}"))
    assert [steps[n]["epoch"] for n in (10, 20, 30, 40, 50)] == [1, 2, 3, 4, 5]
    assert all({"loss", "token_accuracy"} <= row.keys() for row in steps.values())
    (last,) = (row for row in kept.position.history if row["step"] == 50)
    if kept.position.best_step == 50 and len(learning[1][1]) <= 10:  # the look saw all of them too
        assert steps[50]["full_validation_loss"] == pytest.approx(last["validation_loss"])
    assert steps[50]["full_validation_loss"] < steps[10]["full_validation_loss"]
    assert steps[50]["full_validation_token_accuracy"] == pytest.approx(last["validation_token_accuracy"], abs=0.2)


class _Killed(Exception):
    """Stands for SIGKILL: nothing after it runs."""


@pytest.mark.parametrize(("what", "at"), [("state", 2), ("state", 4), ("checkpoint", 2), ("drop", 3)])
def test_killed_while_it_writes_it_ends_with_the_same_epochs(tiny_base, learning, tmp_path, monkeypatch, what, at):
    unbroken = _run(tiny_base, learning, tmp_path / "unbroken", keep_epochs=2)
    place, name = {
        "state": (loop, "keep_state"),
        "checkpoint": (trainer, "write_checkpoint"),
        "drop": (loop, "drop_states"),
    }[what]
    real, calls = getattr(place, name), []

    def then_die(*arguments, **options):
        real(*arguments, **options)
        calls.append(1)
        if len(calls) == at:
            raise _Killed

    clock = iter(range(10**9))
    monkeypatch.setattr(trainer.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 60.0)  # every dozen steps by this clock, out of step with epochs
    monkeypatch.setattr(trainer, "SAVE_SHARE", math.inf)
    monkeypatch.setattr(place, name, then_die)
    with pytest.raises(_Killed):
        _run(tiny_base, learning, tmp_path / "broken", keep_epochs=2)
    monkeypatch.setattr(place, name, real)
    resumed = _run(tiny_base, learning, tmp_path / "broken", keep_epochs=2)
    assert resumed.resumed or (what, at) == ("state", 2)
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in unbroken.state.items())
    assert _states(tmp_path / "broken") == _states(tmp_path / "unbroken")
    assert list(_states(tmp_path / "broken")) == [40, 50]


def test_what_a_diverged_training_went_through_is_no_epoch_of_it(tiny_base, learning, tmp_path, monkeypatch):
    real, seen = loop._learn, []

    def learn(*arguments):
        loss, measured = real(*arguments)
        seen.append(loss)
        return (float("nan") if len(seen) == 12 else loss), measured

    monkeypatch.setattr(loop, "_learn", learn)
    monkeypatch.setattr(loop, "look_every", lambda *_: 7)
    asked = iter([False] * 12 + [True])
    stopped = _run(tiny_base, learning, tmp_path / "c", keep_epochs=2, asked_to_stop=lambda: next(asked))
    assert stopped.position.step == 7  # it went back before the end of the epoch
    assert not kept_states(tmp_path / "c")
    result = _run(tiny_base, learning, tmp_path / "c", keep_epochs=2)
    assert result.position.diverged_at == 12
    assert list(kept_states(tmp_path / "c")) == [40, 50]


# ---------------------------------------------------------------------- the whole product


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_gguf, models_dir) -> Iterator[Workspace]:
    """With a task `intents` of data that is learned in five epochs of eight steps."""
    folder = tmp_path_factory.mktemp("epochs") / "workspace"
    folder.mkdir()
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    opened = inhouse.open_workspace(folder)
    task = inhouse.init(opened, "intents", base_model=str(tiny_gguf))
    wish = {"epochs": 5, "learning_rate": 0.01, "batch_size": 8}
    opened.save_task(task.model_copy(update={"train": task.train.model_copy(update=wish)}))
    messages = write_csv(folder.parent / "intents.csv", many_intents())
    inhouse.add(opened, "intents", [messages], inputs=["text"], target="category")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def made(workspace):
    """The training of that task, and what it told when the disk was short: it was killed after one of its epochs had
    become a version, and again where there was no room for the others, and gone on with."""
    usage = type(epochs.shutil.disk_usage("/"))
    short = Silent()

    def killed(patch, place, told, *, after):
        real = place.register

        def die(*arguments):
            if after:
                real(*arguments)
            raise _Killed

        patch.setattr(place, "register", die)
        with pytest.raises(_Killed):
            inhouse.train(workspace, "intents", told, keep_epochs=3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        with patch.context() as once:
            killed(once, epochs, Silent(), after=True)
        with pytest.raises(NotFound):  # an epoch's is not what the training is for
            registry.find_version(workspace, "intents", "latest")
        with patch.context() as once:
            once.setattr(epochs.shutil, "disk_usage", lambda _: usage(10**6, 10**6, 0))
            killed(once, training, short, after=False)
        return inhouse.train(workspace, "intents", keep_epochs=3), short


def test_each_of_the_last_epochs_is_a_version_before_the_runs_own(workspace, made):
    result, short = made
    found = epoch_versions(workspace, result.run)
    per_epoch = result.steps // 5
    wanted = [n * per_epoch for n in (3, 4, 5) if n * per_epoch != result.best_step]
    assert [one.step for one in found] == wanted
    assert [one.version.epoch for one in found] == [step // per_epoch for step in wanted]
    told = [line for line in short.warned if "no version of epoch" in line]
    assert len(told) == len(found) - 1 >= 1
    assert all(f"epoch {one.version.epoch} is made" in line for line, one in zip(told, found[1:], strict=True))
    assert [v.number for v in registry.versions(workspace, "intents")] == [*range(1, len(found) + 2)]
    own = registry.find_version(workspace, "intents", "latest")
    assert own.name == result.model_version == f"intents@{len(found) + 1}"
    assert (own.epoch, own.lineage["steps"]) == (None, result.steps)
    assert not workspace.paths.run(result.run).exists()
    adapters = {one.version.adapter_sha256 for one in found} | {own.adapter_sha256}
    assert len(adapters) == len(found) + 1
    assert all(one.version.parity.tokens for one in found)


def test_an_epochs_version_answers_by_its_number(workspace, made, tmp_path):
    (first, *_) = epoch_versions(workspace, made[0].run)
    asked = write_csv(tmp_path / "asked.csv", [{"text": "where is my card now"}])
    done = inhouse.predict(workspace, "intents", asked, tmp_path / "out.csv", which=str(first.version.number))
    assert done.model_version == first.version.name
    assert inhouse.status(workspace)["tasks"][0]["next"] == "inhouse evaluate intents"


def test_the_metrics_of_an_epoch_are_those_of_its_step(workspace, made):
    result, _ = made
    rows = {row["step"]: row for row in step_metrics(workspace, result.run)}
    assert sorted(rows) == [*range(1, result.steps + 1)]
    for one in epoch_versions(workspace, result.run):
        assert one.metrics == rows[one.step]
        for name in ("train_loss", "train_mean_token_accuracy", "full_valid_loss", "full_valid_mean_token_accuracy"):
            assert math.isfinite(one.metrics[name]), name
    last = rows[result.steps]
    assert 0 < last["train_mean_token_accuracy"] <= 1
    assert last["full_valid_loss"] < rows[result.steps // 5]["full_valid_loss"]


def test_the_file_of_results_has_a_row_for_each_step_and_blank_cells(workspace, made):
    result, _ = made
    rows = list(csv.DictReader(io.StringIO(results_csv(workspace, result.run, result.steps))))
    assert list(rows[0]) == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert [int(row["step"]) for row in rows] == [*range(1, result.steps + 1)]
    looks = {int(row["step"]): row for row in result.history}
    assert len(looks) < len(rows)
    for row in rows:
        look = looks.get(int(row["step"]))
        assert row["valid_loss"] == (str(look["validation_loss"]) if look else "")
        assert row["valid_mean_token_accuracy"] == (str(look["validation_token_accuracy"]) if look else "")
        assert 0 <= float(row["train_accuracy"]) <= 1
    assert len(results_csv(workspace, result.run, 3).splitlines()) == 4


def test_what_a_step_measured_is_kept_whole_however_it_comes(workspace):
    recipe = read_recipe(registry.versions(workspace, "intents")[0].lineage["recipe"])
    run = "run-of-this-test"
    with watching(workspace, "intents", run, recipe, Silent()) as watch:
        watch(1, {"loss": 3.0})
        watch(2, {"loss": 2.0})
        watch(2, {"epoch": 1.0})
        watch(2, {"validation_loss": 2.5})
        assert records.metrics_of(workspace, run)[-1] == {"step": 2, "loss": 2.0, "epoch": 1.0, "validation_loss": 2.5}
        watch(3, {"loss": 9.0})
        watch(2, {"loss": 1.0})  # it went back
    assert [row["step"] for row in records.metrics_of(workspace, run)] == [1, 2]
    assert records.metrics_of(workspace, run)[1]["loss"] == 1.0
