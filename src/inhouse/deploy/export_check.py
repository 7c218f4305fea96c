"""The check that goes with an exported folder: some inputs of the task, and how inhouse answers them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from inhouse.core import ModelVersion, render_input
from inhouse.deploy import check
from inhouse.deploy.served import ServedModel
from inhouse.deploy.served_classifier import ServedClassifier
from inhouse.engine.classifier import ENGINE
from inhouse.engine.openvino_engine import properties
from inhouse.engine.prompts import trained_messages
from inhouse.engine.signal_stack import usual_signal_stack
from inhouse.errors import InputError, Refused
from inhouse.store import Workspace, records

CHECK = "check.py"
CHECK_NOTE = (
    f"Does it answer here as there? `python {CHECK}` asks the inputs of `{check.CASES}`, and counts the answers that\n"
    f"are those of inhouse. `{check.CASES}` holds **inputs of the task in clear**: delete it before the folder goes\n"
    "to who may not read them."
)
MOST_INPUTS = 20


def write_check(workspace: Workspace, version: ModelVersion, to: str, folder: Path) -> int:
    """Add the check to an exported folder; how many inputs it holds.

    Raises:
        NotFound: the version's data or file are gone.
        ModelUnavailable: its base model is.
    """
    inputs = _inputs(workspace, version)
    if version.engine == ENGINE:
        with closing(ServedClassifier(workspace, version)) as classifier:
            told = _labels(classifier, inputs)
    else:
        with closing(ServedModel(workspace, version)) as model:
            told = _texts(model, inputs)
    told = {"model": version.task, "version": version.name, "to": to, **told}
    (folder / check.CASES).write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")
    shutil.copyfile(Path(check.__file__), folder / CHECK)
    return len(told["cases"])


def require_same(folder: Path, name: str) -> None:
    """Ask the written files the inputs of the check.

    Raises:
        Refused: fewer answers are the same than `check.py` lets pass, or they cannot be read.
    """
    told = json.loads((folder / check.CASES).read_text("utf-8"))
    try:
        with usual_signal_stack():
            other = check.compare(told, check.local(folder, told))
        same = f"{len(told['cases']) - len(other)} of {len(told['cases'])} answers are the same"
    except check.CannotAsk as error:
        other, same = told["cases"], str(error)
    if len(other) > (1 - check.ENOUGH) * len(told["cases"]):
        raise Refused(f"OpenVINO's own files of {name} do not answer as the served one: {same}", "export --to gguf")


def _inputs(workspace: Workspace, version: ModelVersion) -> list[Mapping[str, str]]:
    """Inputs that the version did not learn, spread over the data: of the validation, as the test stays here."""
    dataset = records.load_dataset(workspace, version.task, version.lineage["dataset"])
    examples = dataset.of("validation") or dataset.of("train")
    step = max(1, len(examples) // MOST_INPUTS)
    return [example.inputs for example in examples[::step][:MOST_INPUTS]]


def _labels(served: ServedClassifier, inputs: list[Mapping[str, str]]) -> dict[str, Any]:
    answers = served.answer(inputs)
    cases = [
        {"text": render_input(one), "answer": answered.prediction.target}
        for one, answered in zip(inputs, answers, strict=True)
    ]
    return {"labels": list(served.version.labels), "cases": cases}


def _texts(served: ServedModel, inputs: list[Mapping[str, str]]) -> dict[str, Any]:
    """What the served file answers under no grammar, which other programs have none of."""
    version, recipe, most = served.version, served.version.lineage["recipe"], served.form.max_tokens
    asked = []
    for one in inputs:
        try:
            question = served.question(one)
        except InputError:  # longer than the model reads
            continue
        if not question.trimmed:
            asked.append((trained_messages(recipe["system"], one, chat=version.chat), question.prompt))
    given = served.engine.generate([prompt for _, prompt in asked], max_new_tokens=most)
    cases = [
        {
            "messages": [{"role": m["role"], "content": m["content"]} for m in messages],
            "answer": served.template.decode(generation.ids),
        }
        for (messages, _), generation in zip(asked, given, strict=True)
    ]
    return {
        "most": most,
        "end": served.template.end_of_turn,
        "context": recipe["max_tokens"] + most,
        "properties": properties(0, exact=version.exact),
        "cases": cases,
    }
