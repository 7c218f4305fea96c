"""Real input: banking77 through `run`, with its given test file, and a training that is killed and goes on."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import COMMAND

from inhouse.store import Workspace, records

pytestmark = pytest.mark.journey


def _prepare(folder: Path, cli, train: Path, tests: Path, labels: int) -> None:
    cli(folder, "init", "bank")
    file = folder / "tasks" / "bank" / "task.toml"
    file.write_text(file.read_text().replace("[train]\n", "[train]\nmax_steps = 8\n"))
    added = cli(folder, "add", "bank", str(train), "--test", str(tests), "--input", "text", "--target", "category")
    assert len(added["labels"]) == labels


def _whole_rows(file: Path) -> list[str]:
    """The header, and the rows that are whole in one line."""
    rows = file.read_text("utf-8").splitlines()
    return [rows[0], *(r for r in rows[1:] if r.count('"') % 2 == 0 and "," in r)]


@pytest.fixture
def few_tests(banking, tmp_path) -> Path:
    """Every twentieth row of the test file, read in place."""
    header, *rows = _whole_rows(banking / "test.csv")
    path = tmp_path / "few.csv"
    path.write_text("\n".join([header, *rows[::20]]) + "\n", "utf-8")
    return path


def _of_labels(file: Path, labels: set[str], to: Path) -> Path:
    header, *rows = _whole_rows(file)
    to.write_text("\n".join([header, *(r for r in rows if r.rsplit(",", 1)[1] in labels)]) + "\n", "utf-8")
    return to


def test_a_training_killed_three_times_ends_as_an_unbroken_one(banking, few_tests, tmp_path, cli):
    labels = {row.rsplit(",", 1)[1] for row in _whole_rows(few_tests)[1:]}
    some = set(sorted(labels)[::4])
    train = _of_labels(banking / "train_10_per_class.csv", some, tmp_path / "train.csv")
    tests = _of_labels(few_tests, some, tmp_path / "tests.csv")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        _prepare(folder, cli, train, tests, len(some))
    unbroken = cli(whole, "train", "bank")
    rng = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(
            [COMMAND, "train", "bank", "--workspace", str(broken)], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(("plan:", "  - stops")):
                break
        time.sleep(rng.uniform(3, 12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    resumed = cli(broken, "train", "bank")
    assert resumed["history"] == unbroken["history"]
    assert resumed["trained_tokens"] == unbroken["trained_tokens"]
    assert _adapter(broken) == _adapter(whole)
    assert not list((broken / "runs").iterdir())


def _adapter(folder: Path) -> str:
    from inhouse.store import registry

    return registry.find_version(Workspace(folder), "bank", "latest").adapter_sha256


def test_a_given_test_file_is_the_test_set_unedited(banking, few_tests, tmp_path, cli):
    folder = tmp_path / "w"
    _prepare(folder, cli, banking / "train_10_per_class.csv", few_tests, 77)
    dataset = records.load_dataset(Workspace(folder), "bank")
    texts = [line.rsplit(",", 1)[0].strip('"') for line in few_tests.read_text("utf-8").splitlines()[1:]]
    assert [e.inputs["text"] for e in dataset.of("test")] == [t.strip() for t in texts]
    trained = {e.input_key for s in ("train", "validation") for e in dataset.of(s)}
    assert not trained & {e.input_key for e in dataset.of("test")}


def test_every_answer_of_the_untrained_base_is_a_label(banking, tmp_path):
    """The engine's grammar library mixes labels that share an ending, when it is given a plain alternation."""
    import csv

    from inhouse.engine import get_base
    from inhouse.engine.answers import Question, answer_all, answer_form
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.openvino_engine import OpenVinoEngine
    from inhouse.engine.prompts import trained_messages
    from inhouse.store import load_settings

    with (banking / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({r["category"] for r in rows})
    base = get_base("smollm2-135m-instruct", load_settings(tmp_path / "none.toml"))
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    engine = OpenVinoEngine(base.gguf, template.end_of_turn)
    prompts = [template.prompt_ids(trained_messages("Classify the message", {"text": r["text"]})) for r in rows[::30]]
    answers = answer_all(
        engine, [Question(p, "") for p in prompts], answer_form("classify", labels=labels), template.decode
    )
    engine.close()
    assert [a.error for a in answers if a.error] == []
    assert len({a.target for a in answers}) > 10


def test_the_report_is_kept_and_json_is_one_object(banking, few_tests, tmp_path):
    folder = tmp_path / "w"
    done = subprocess.run(
        [
            COMMAND,
            "run",
            "bank",
            str(banking / "train.csv"),
            "--test",
            str(few_tests),
            "--workspace",
            str(folder),
            "--json",
            "--input",
            "nothing",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["message"]
    assert "text" in done.stderr  # the columns that are there
    assert not folder.exists()
