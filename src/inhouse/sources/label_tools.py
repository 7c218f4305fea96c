"""Projects of Label Studio and Argilla as records with what people answered, and back.

Label Studio: a list of tasks, each with `data`, `annotations` (one a person) and `predictions`; their results are
`choices`, `textarea` (one a field of an object) or `labels` (stretches of text). labelstud.io/guide/task_format.
Argilla 2: a list of records, each with `id`, `fields`, `metadata`, `suggestions` and `responses` by question, as
`Dataset.records.to_json` writes and `from_json` reads them (`Record.to_dict` and `from_dict` in argilla/records of
github.com/argilla-io/argilla). A response must have the id of a user of the server there, so answers that are known go
out as suggestions; metadata must be declared in a dataset's settings, so none is written.
Both carry our id, by which a record is known when it comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from inhouse.core import Kind
from inhouse.core.json_schema import compact, types_of
from inhouse.errors import SourceError

ID = "inhouse_id"
PLACE = "inhouse_place"
# What the one question is called of a task that has no fields to ask for.
_QUESTION = {"classify": "label", "generate": "answer"}


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A record as it goes out or comes back.

    `answers` are targets by who gave them, a reviewer's last word alone where there is one; `fault` is what of an
    answer cannot be read. `id` is ours, empty where the record is new; `line` is its place in the file.
    """

    id: str
    inputs: Mapping[str, str]
    answers: tuple[tuple[str, str], ...] = ()
    suggestion: str | None = None
    place: str = ""
    line: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """What of a task the tools need: its kind, input fields, labels and schema."""

    kind: Kind
    fields: Sequence[str]
    labels: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None

    @property
    def questions(self) -> list[str]:
        """What is asked of each record: the fields of an object, else one thing."""
        return list((self.schema or {}).get("properties", {})) if self.kind == "extract" else [_QUESTION[self.kind]]

    def parts(self, target: str) -> dict[str, str]:
        """A target as the texts that stand in the questions; a field that the object lacks has none."""
        if self.kind != "extract":
            return {_QUESTION[self.kind]: target}
        return {name: self._written(name, value) for name, value in json.loads(target).items()}

    def target(self, parts: Mapping[str, str]) -> str:
        """The target that texts in the questions make."""
        if self.kind != "extract":
            return parts.get(_QUESTION[self.kind], "")
        return compact({name: self._value(name, parts[name]) for name in self.questions if name in parts})

    def _written(self, name: str, value: object) -> str:
        """A text as it stands where it is read as itself; all else as JSON."""
        return value if isinstance(value, str) and self._value(name, value) == value else compact(value)

    def _value(self, name: str, text: str) -> object:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        names = types_of((self.schema or {}).get("properties", {}).get(name, {}))
        kinds = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null"}
        kind = kinds.get(type(value), "string")
        return value if kind in names or kind == "string" or (kind == "integer" and "number" in names) else text


def read_project(path: Path, form: Form, tool: str) -> list[Exchanged]:
    """The records of a project file, in their order.

    Args:
        tool: `labelstudio` or `argilla`.

    Raises:
        SourceError: the file cannot be read, or is no such project.
    """
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the file cannot be read as JSON: {error}", "export the project as JSON", file=path
        ) from error
    part = "data" if tool == "labelstudio" else "fields"
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get(part), dict) for one in found
    ):
        raise SourceError(
            f"this is no {tool} project: a list of records is needed, each with {part!r}",
            "export as JSON (of Label Studio, not JSON-MIN)",
            file=path,
        )
    read = _of_labelstudio if tool == "labelstudio" else _of_argilla
    return [read(one, form, line) for line, one in enumerate(found, 1)]


def _of_labelstudio(task: Mapping[str, Any], form: Form, line: int) -> Exchanged:
    data = task["data"]
    given = [one for one in task.get("annotations") or () if not one.get("was_cancelled") and one.get("result")]
    given = [one for one in given if one.get("ground_truth")] or given
    answers, fault = [], ""
    for one in given:
        parts: dict[str, str] = {}
        for result in one["result"]:
            value, name = result.get("value", {}), result.get("from_name", "")
            if result.get("type") == "choices":
                parts[_QUESTION["classify"]], more = _one_of(value.get("choices", ()))
                fault = fault or more
            elif result.get("type") == "textarea":
                text = value.get("text", "")
                name = name if form.kind == "extract" else _QUESTION["generate"]
                parts[name] = text if isinstance(text, str) else "\n".join(text)
            elif result.get("type") == "labels":
                source = str(data.get(form.fields[0], ""))
                stretch = value.get("text") or source[value.get("start", 0) : value.get("end", 0)]
                parts.update(dict.fromkeys(value.get("labels", ()), stretch))
        answers.append((_person(one.get("completed_by")), form.target(parts)))
    inputs = {name: str(data.get(name, "")).strip() for name in form.fields}
    return Exchanged(str(data.get(ID, "")), inputs, tuple(answers), line=line, fault=fault)


def _person(who: object) -> str:
    return str(who.get("email") or who.get("id")) if isinstance(who, Mapping) else "" if who is None else str(who)


def _one_of(chosen: Sequence[str]) -> tuple[str, str]:
    """The one label that was chosen, or what is wrong."""
    if len(chosen) == 1:
        return chosen[0], ""
    return "", f"{len(chosen)} labels are chosen, and one is needed"


def _of_argilla(record: Mapping[str, Any], form: Form, line: int) -> Exchanged:
    people: dict[str, dict[str, str]] = {}
    fault = ""
    for question, responses in (record.get("responses") or {}).items():
        for one in responses:
            if one.get("status") not in ("draft", "discarded") and one.get("value") is not None:
                value, more = _one_of(one["value"]) if isinstance(one["value"], list) else (one["value"], "")
                fault = fault or more
                people.setdefault(str(one.get("user_id") or ""), {})[question] = str(value)
    inputs = {name: str(record["fields"].get(name, "")).strip() for name in form.fields}
    answers = tuple((who, form.target(parts)) for who, parts in people.items())
    return Exchanged(str(record.get("id") or ""), inputs, answers, line=line, fault=fault)


def write_project(records: Sequence[Exchanged], form: Form, tool: str) -> str:
    """Records as a project file of a tool."""
    write = _to_labelstudio if tool == "labelstudio" else _to_argilla
    return json.dumps([write(one, form) for one in records], ensure_ascii=False, indent=1)


def _to_labelstudio(one: Exchanged, form: Form) -> dict[str, Any]:
    def results(target: str) -> list[dict[str, Any]]:
        kind = "choices" if form.kind == "classify" else "textarea"
        part = "choices" if kind == "choices" else "text"
        return [
            {"from_name": name, "to_name": form.fields[0], "type": kind, "value": {part: [text]}}
            for name, text in form.parts(target).items()
        ]

    suggested = [] if one.suggestion is None else [{"model_version": "inhouse", "result": results(one.suggestion)}]
    return {
        "data": {**one.inputs, ID: one.id, PLACE: one.place},
        "annotations": [{"result": results(target)} for _, target in one.answers],
        "predictions": suggested,
    }


def _to_argilla(one: Exchanged, form: Form) -> dict[str, Any]:
    told = [(target, who) for who, target in one.answers]
    if not told and one.suggestion is not None:
        told = [(one.suggestion, "inhouse")]
    suggested = {
        name: {"value": text, "score": None, "agent": agent}
        for target, agent in told
        for name, text in form.parts(target).items()
    }
    return {
        "id": one.id,
        "fields": dict(one.inputs),
        "metadata": {},
        "suggestions": suggested,
        "responses": {},
        "vectors": {},
        "_server_id": None,
    }


def labelstudio_config(form: Form) -> str:
    """The labelling interface of a Label Studio project, as its XML."""
    shown = [f"  <Text name={quoteattr(name)} value={quoteattr('$' + name)}/>" for name in form.fields]
    to = quoteattr(form.fields[0])
    if form.kind == "classify":
        choices = [f"    <Choice value={quoteattr(label)}/>" for label in form.labels]
        asked = [f'  <Choices name="label" toName={to} choice="single" required="true">', *choices, "  </Choices>"]
    else:
        asked = [
            f'  <Header value={quoteattr(name)}/>\n  <TextArea name={quoteattr(name)} toName={to} maxSubmissions="1"/>'
            for name in form.questions
        ]
    return "\n".join(["<View>", *shown, *asked, "</View>", ""])
