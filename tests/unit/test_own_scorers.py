"""Scorers of the user's own: run for the task that names them alone, shown like the built-in ones, and refused with
file and line where they are wrong."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import inhouse
from inhouse.core import Example, Prediction, Provenance, Task
from inhouse.errors import ConfigError, InputError, UsageError
from inhouse.scoring import Judging, load_scorers
from inhouse.store import Workspace

POLITE = """
import inhouse
from dataclasses import dataclass


@dataclass
class House:
    greeting: str = "Dear"


@inhouse.scorer("polite", kinds=("generate",))
def polite(answer, expected, inputs):
    return answer.startswith(House().greeting) and inputs["text"] != expected


@inhouse.scorer("short", kinds="classify")
def short(answer, expected, inputs):
    return len(answer) < 3
"""
ASKED = [Example({"text": "late"}, "Dear you", f"g{i}", Provenance("mails.csv", i + 2)) for i in range(3)]


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def scorer_of(folder: Path, body: str):
    write(folder, f'import inhouse\n\n@inhouse.scorer("mine")\ndef mine(answer, expected, inputs):\n    {body}\n')
    (one,) = load_scorers(folder, ["mine.py"], "generate")
    return one


def test_a_scorer_is_a_metric_of_its_kind_of_task(tmp_path: Path) -> None:
    write(tmp_path, POLITE)
    own = load_scorers(tmp_path, ["mine.py"], "generate")
    assert [one.name for one in own] == ["polite"]
    task = Task.model_validate({"name": "t", "kind": "generate", "metrics": {"scorers": ["mine.py"]}})
    said = [Prediction(target=text) for text in ("Dear me", "Hey", None)]
    judged = Judging(task, own=own)(ASKED, said)
    np.testing.assert_array_equal(judged.scores["polite"], [1.0, 0.0, 0.0])
    assert "chrf" in judged.scores
    assert [one.name for one in load_scorers(tmp_path, ["mine.py"], "classify")] == ["short"]
    assert not list(tmp_path.glob("__pycache__"))
    assert not [name for name in sys.modules if name.startswith("inhouse_scorers")]


def test_the_decorator_alone_registers_nothing() -> None:
    def polite(answer: str, expected: str, inputs: dict[str, str]) -> float:
        return 1.0

    assert inhouse.scorer("polite")(polite) is polite
    for name in ("chrf", "Polite", "a b", "field:x", ""):
        with pytest.raises(UsageError, match="scorer"):
            inhouse.scorer(name)
    with pytest.raises(UsageError, match="no kind of task"):
        inhouse.scorer("polite", kinds=("letters",))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("import inhouse\n\nx = 1 / 0\n", 3, "ZeroDivisionError"),
        ("import inhouse\n\ndef f(:\n", 3, "SyntaxError"),
        ("import nothing_like_it\n", 1, "nothing_like_it"),
        ("import inhouse\n", None, "registers no scorer"),
        ('import inhouse\n@inhouse.scorer("x")\ndef f(answer):\n    return 1\n', 2, "does not take an answer"),
        ('import inhouse\n@inhouse.scorer("chrf")\ndef f(a, e, i):\n    return 1\n', 2, "built-in metric"),
        ('import inhouse\n@inhouse.scorer("x", kinds=["y"])\ndef f(a, e, i):\n    return 1\n', 2, "no kind of task"),
        ('import inhouse\ninhouse.scorer("x")(len)\n', 2, "is no function"),
        (POLITE + POLITE, 29, "there twice"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, text: str, line: int | None, words: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as told:
        load_scorers(tmp_path, ["mine.py"], "generate")
    assert words in told.value.what
    assert told.value.file == str(file)
    assert told.value.line == line
    assert told.value.remedy


def test_files_are_taken_from_the_folder_of_the_task_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tasks" / "t"
    folder.mkdir(parents=True)
    write(tmp_path, POLITE)
    (folder / "link.py").symlink_to(tmp_path / "mine.py")
    (folder / "mine.txt").write_text(POLITE)
    for name in ("../../mine.py", str(tmp_path / "mine.py"), "link.py", "mine.txt"):
        with pytest.raises(ConfigError, match="no Python file below"):
            load_scorers(folder, [name], "generate")
    with pytest.raises(ConfigError, match="is not there"):
        load_scorers(folder, ["absent.py"], "generate")
    (folder / "more").mkdir()
    write(folder / "more", POLITE)
    assert load_scorers(folder, ["more/mine.py"], "generate")


@pytest.mark.parametrize("given", ["1.01", "-0.1", "float('nan')", "None", "'0.5'", "[1]"])
def test_a_score_that_is_none_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(InputError, match=r"for the answer to mails\.csv:2") as told:
        scorer_of(tmp_path, f"return {given}").score(ASKED[0], "x")
    assert (told.value.file, told.value.line) == (str(tmp_path / "mine.py"), 3)
    assert "from 0 to 1" in told.value.remedy


@pytest.mark.parametrize("given", ["1", "0.5", "True", "__import__('numpy').float32(1)"])
def test_a_score_may_be_any_number(tmp_path: Path, given: str) -> None:
    assert 0 < scorer_of(tmp_path, f"return {given}").score(ASKED[0], "x") <= 1


def test_a_scorer_that_fails_is_told_with_the_line_and_the_example(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mails\.csv:2: KeyError: 'title'") as told:
        scorer_of(tmp_path, "\n    return inputs['title']").score(ASKED[0], "x")
    assert told.value.line == 6


def a_task(folder: Path, **metrics: object) -> Workspace:
    workspace = inhouse.open_workspace(folder)
    task = inhouse.init(workspace, "letters", kind="generate")
    workspace.save_task(task)
    file = workspace.paths.task_file("letters")
    text = file.read_text("utf-8")
    for key, value in metrics.items():
        lines = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
        lines.insert(lines.index("[metrics]") + 1, f"{key} = {value}")
        text = "\n".join(lines) + "\n"
    file.write_text(text, "utf-8")
    return workspace


def test_a_primary_metric_of_ones_own_must_be_registered(tmp_path: Path) -> None:
    from inhouse.pipeline.own_scorers import own_scorers

    workspace = a_task(tmp_path, scorers='["mine.py"]', primary='"politeness"')
    write(tmp_path / "tasks" / "letters", POLITE)
    task = workspace.load_task("letters")
    with pytest.raises(ConfigError, match="politeness") as told:
        own_scorers(workspace, task)
    assert "did you mean `polite`?" in told.value.remedy
    assert told.value.file == str(workspace.paths.task_file("letters"))
    named = task.model_copy(update={"metrics": task.metrics.model_copy(update={"primary": "polite"})})
    assert [one.name for one in own_scorers(workspace, named)] == ["polite"]
    with pytest.raises(ConfigError, match="no metric of kind generate"):
        a_task(tmp_path / "other", primary='"polite"').load_task("letters")


def test_a_task_that_names_no_file_runs_none(tmp_path: Path) -> None:
    from inhouse.pipeline.own_scorers import own_scorers

    workspace = a_task(tmp_path)
    write(tmp_path / "tasks" / "letters", "raise RuntimeError\n")
    assert own_scorers(workspace, workspace.load_task("letters")) == ()


def test_the_decorator_is_there_without_a_model_library() -> None:
    code = (
        "import sys, inhouse; inhouse.scorer; print([m for m in ('torch', 'openvino', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert found.stdout.strip() == "[]"
    assert "Register a function" in (inspect.getdoc(inhouse.scorer) or "")
