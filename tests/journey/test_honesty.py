"""Where the answer is no, or not yet, or something else, the tool says so: through the whole of it, on a tiny base.

The base is random and the encoder too, so nothing can be right by what it knew before: what is seen is the verdict.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import write_csv, write_encoder

import inhouse
from inhouse.core import Evaluation, Silent
from inhouse.core.task import Task
from inhouse.store import Workspace

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("one_thread")]

STEPS = 4
SUBJECTS = ("card", "pin", "transfer", "refund", "rate", "account")
VERBS = ("lost", "late", "blocked", "wrong", "missing", "broken", "stuck", "refused", "changed", "new")
PLACES = ("at the bank", "in spain", "on my phone", "this week", "since monday", "at home", "abroad", "again")
Rows = Sequence[dict[str, Any]]


class Dice:
    """Numbers that are the same on every machine."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, number: int) -> int:
        """A whole number from 0 to one less than the given one."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 33) % number


def messages(count: int) -> list[str]:
    """Different short messages, each about one of six subjects in turn."""
    found = []
    for number in range(count):
        subject = SUBJECTS[number % len(SUBJECTS)]
        verb, place = VERBS[number // 6 % 10], PLACES[number // 60 % 8]
        found.append(f"my {subject} is {verb} {place}" + (f" case {number // 480}" if number >= 480 else ""))
    return found


def in_another_order(text: str) -> str:
    """The message with its last words first."""
    words = text.split()
    return " ".join([*words[4:], *words[:4]])


def labelled(texts: Sequence[str]) -> list[dict[str, str]]:
    """The messages with their subjects as labels: one word decides."""
    return [{"text": text, "label": f"about_{text.split()[1]}"} for text in texts]


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="module")
def open_task(tiny_gguf: Path, tiny_encoder: Path, models_dir: Path):
    """Opens a workspace with a task on the tiny models and few steps."""

    @contextmanager
    def opened(folder: Path, kind: str = "classify") -> Iterator[Workspace]:
        folder.mkdir()
        (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
        workspace = inhouse.open_workspace(folder)
        try:
            task: Task = inhouse.init(workspace, "task", kind=kind, base_model=str(tiny_gguf))
            quick = task.train.model_copy(update={"max_steps": STEPS, "model": "causal"})
            workspace.save_task(task.model_copy(update={"encoder_model": str(tiny_encoder), "train": quick}))
            yield workspace
        finally:
            workspace.close()

    return opened


def judged(workspace: Workspace, file: Path, test: Path | None = None, *, clean: bool = True) -> Evaluation:
    """What an evaluation says after the data was added, cleaned of what is nearly in the test, and trained on."""
    inhouse.add(workspace, "task", [file], test=test, inputs=["text"], target="label")
    if clean:
        inhouse.clean(workspace, "task", apply=["leakage"])
    inhouse.train(workspace, "task")
    return inhouse.evaluate(workspace, "task")


@pytest.fixture(scope="module")
def linear(open_task, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Evaluation]]:
    """A task in which one word decides, evaluated."""
    folder = tmp_path_factory.mktemp("linear")
    file = write_csv(folder / "rows.csv", labelled(messages(360)))
    with open_task(folder / "w") as workspace:
        yield workspace, judged(workspace, file)


def test_a_task_that_a_linear_model_solves_needs_no_fine_tuning(linear: tuple[Workspace, Evaluation]) -> None:
    workspace, found = linear
    verdict = found.verdict
    assert verdict.decision == "not_needed", verdict.reason
    assert verdict.winner == "tfidf-linear"
    accuracy = next(c for c in found.contenders if c.name == "tfidf-linear").metrics["accuracy"]
    assert accuracy.low > 0.9
    assert inhouse.advise(workspace, "task").choice == "classical"


def test_a_linear_model_that_won_is_promoted_without_force_and_answers(
    linear: tuple[Workspace, Evaluation], tmp_path: Path
) -> None:
    workspace, _ = linear
    promoted = inhouse.promote(workspace, "task")
    assert promoted.as_dict()["champion"], promoted
    new = write_csv(tmp_path / "new.csv", labelled([f"my {subject} is late in town" for subject in SUBJECTS]))
    inhouse.predict(workspace, "task", new, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prediction"] for row in rows] == [row["label"] for row in rows]


def test_random_labels_are_rejected_as_labels_that_do_not_follow(open_task, tmp_path: Path) -> None:
    dice = Dice(7)
    rows = [{"text": text, "label": f"kind_{dice.below(3)}"} for text in messages(600)]
    with open_task(tmp_path / "w") as workspace:
        verdict = judged(workspace, write_csv(tmp_path / "rows.csv", rows)).verdict
        assert verdict.decision == "reject", verdict.reason
        assert "the labels do not follow from the inputs" in verdict.reason
        assert inhouse.advise(workspace, "task").choice == "leave_it"


def test_facts_that_neither_input_nor_other_answers_hold_are_to_be_looked_up(open_task, tmp_path: Path) -> None:
    dice = Dice(11)
    names = [f"{first}{second}" for first in ("Hal", "Dre", "Pim", "Tar", "Lof") for second in SUBJECTS + VERBS]
    prices = {name: f"EUR {100 + dice.below(9_000)}.{10 + dice.below(90)}" for name in names}
    assert len(set(prices.values())) == len(prices)
    rows = [
        {
            "text": f"What does the {name} cost?",
            "letter": f"Dear customer,\n\nThe {name} costs {price}.\n\nKind regards",
        }
        for name, price in prices.items()
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with open_task(tmp_path / "w", "generate") as workspace:
        inhouse.add(workspace, "task", [file], inputs=["text"], target="letter")
        advice = inhouse.advise(workspace, "task")
        assert advice.choice == "retrieval", advice.reason
        assert "looked up" in advice.reason


def test_twenty_examples_are_too_few_to_tell(open_task, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "rows.csv", labelled(messages(20)))
    with open_task(tmp_path / "w") as workspace:
        inhouse.add(workspace, "task", [file], inputs=["text"], target="label")
        assert inhouse.advise(workspace, "task").choice == "collect_more"
        inhouse.train(workspace, "task")
        verdict = inhouse.evaluate(workspace, "task").verdict
        assert verdict.decision == "collect_more", verdict.reason
        assert verdict.more_examples is not None
        assert verdict.more_examples >= 20


def test_run_drops_what_is_nearly_in_the_test_and_says_how_many(open_task, tmp_path: Path) -> None:
    texts = messages(300)
    nearly = [{**row, "text": in_another_order(row["text"])} for row in labelled(texts[:40])]
    train = write_csv(tmp_path / "rows.csv", [*labelled(texts[60:]), *nearly])
    test = write_csv(tmp_path / "test.csv", labelled(texts[:60]))
    heard = Silent()
    with open_task(tmp_path / "w") as workspace:
        ran = inhouse.run(workspace, "task", [train], heard, test=test, inputs=["text"], target="label")
        dropped = next(m for m in heard.said if "of the train side dropped" in m)
        assert int(dropped.split()[0]) >= 40
        assert "nearly test examples" in dropped
        assert ran.evaluation.test_examples == 60
        assert ran.evaluation.verdict.decision != "reject", ran.evaluation.verdict.reason
        assert "in the training data" not in ran.evaluation.verdict.reason


def test_twins_of_test_examples_are_to_be_dropped_before_anything_is_judged(open_task, tmp_path: Path) -> None:
    texts = messages(300)
    tests = texts[:60]
    twins = [f"{text} !" for text in tests]
    train = write_csv(tmp_path / "rows.csv", labelled([*texts[60:], *twins]))
    test = write_csv(tmp_path / "test.csv", labelled(tests))
    with open_task(tmp_path / "w") as workspace:
        verdict = judged(workspace, train, test, clean=False).verdict
        assert verdict.decision == "reject", verdict.reason
        assert "60 test examples stand in the training data too, or nearly so" in verdict.reason
        assert "`inhouse clean task --apply leakage`" in verdict.reason
        heard = Silent()
        inhouse.plan_training(workspace, "task", heard)
        assert any("60 test examples stand nearly in the training data" in told for told in heard.warned)
        inhouse.clean(workspace, "task", apply=["leakage"])
        again = Silent()
        inhouse.train(workspace, "task", again)
        assert not any("nearly" in told for told in again.warned)
        clean = inhouse.evaluate(workspace, "task")
        assert clean.test_examples == 60
        assert "stand in the training data" not in clean.verdict.reason
        assert clean.verdict.decision == "not_needed", clean.verdict.reason
