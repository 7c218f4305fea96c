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
from inhouse.sources.json_rows import decode

ID = "inhouse_id"
PLACE = "inhouse_place"
# What the one question is called of a task that has no fields to ask for.
_QUESTION = {"classify": "label", "generate": "answer"}
# Where a record has its input.
_INPUT = {"labelstudio": "data", "argilla": "fields"}
# Characters of a value that a fault shows.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A record as it goes out or comes back.

    `answers` are targets by who gave them, a reviewer's last word alone where there is one; none where one of them
    cannot be read, which `fault` tells. `id` is ours, empty where the record is new; `line` is its place in the file.
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
            value = decode(text)
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
        found = decode(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the file cannot be read as JSON: {error}", "export the project as JSON", file=path
        ) from error
    part = _INPUT[tool]
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get(part), dict) for one in found
    ):
        raise SourceError(
            f"this is no {tool} project: a list of records is needed, each with {part!r}",
            "export as JSON (of Label Studio, not JSON-MIN)",
            file=path,
        )
    return [_read(one, form, line, tool) for line, one in enumerate(found, 1)]


def _read(record: Mapping[str, Any], form: Form, line: int, tool: str) -> Exchanged:
    """One record: its input, and its answers or what is wrong with them."""
    values = record[_INPUT[tool]]
    inputs = {name: _as_text(values.get(name)).strip() for name in form.fields}
    own = _as_text(values.get(ID) if tool == "labelstudio" else record.get("id"))
    answers_of = _of_labelstudio if tool == "labelstudio" else _of_argilla
    try:
        return Exchanged(own, inputs, answers_of(record, form), line=line)
    except ValueError as error:
        return Exchanged(own, inputs, line=line, fault=str(error))


def _of_labelstudio(task: Mapping[str, Any], form: Form) -> tuple[tuple[str, str], ...]:
    """Answers by who gave them; raises ValueError for what no annotation looks like."""
    made = _objects(task.get("annotations"), "annotations")
    given = [one for one in made if not one.get("was_cancelled") and one.get("result")]
    given = [one for one in given if one.get("ground_truth")] or given
    source = _as_text(task["data"].get(form.fields[0]))
    return tuple((_person(one.get("completed_by")), form.target(_parts(one, form, source))) for one in given)


def _parts(annotation: Mapping[str, Any], form: Form, source: str) -> dict[str, str]:
    """What an annotation puts into the questions."""
    parts: dict[str, str] = {}
    for result in _objects(annotation["result"], "result"):
        kind = result.get("type")
        if kind not in ("choices", "textarea", "labels"):
            continue
        value = _object(result.get("value"), "value")
        if kind == "choices":
            parts[_QUESTION["classify"]] = _one_of(value.get("choices"))
        elif kind == "textarea":
            name = _text(result.get("from_name"), "from_name") if form.kind == "extract" else _QUESTION["generate"]
            parts[name] = "\n".join(_texts(value.get("text"), "text"))
        else:
            parts.update(dict.fromkeys(_texts(value.get("labels"), "labels"), _stretch(value, source)))
    return parts


def _stretch(value: Mapping[str, Any], source: str) -> str:
    """The text that a label marks: as it was exported, else between its two places."""
    if value.get("text"):
        return _text(value["text"], "text")
    start, end = value.get("start"), value.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        raise ValueError("a marked stretch has neither 'text' nor the numbers 'start' and 'end'")  # noqa: TRY004
    return source[start:end]


def _person(who: object) -> str:
    return str(who.get("email") or who.get("id")) if isinstance(who, Mapping) else "" if who is None else str(who)


def _of_argilla(record: Mapping[str, Any], form: Form) -> tuple[tuple[str, str], ...]:
    """Answers by who gave them; raises ValueError for what no response looks like."""
    people: dict[str, dict[str, str]] = {}
    for question, responses in _object(record.get("responses") or {}, "responses").items():
        for one in _objects(responses, f"responses.{question}"):
            if one.get("status") not in ("draft", "discarded") and (value := one.get("value")) is not None:
                said = _one_of(value) if isinstance(value, list) else _as_text(value)
                people.setdefault(_as_text(one.get("user_id")), {})[question] = said
    return tuple((who, form.target(parts)) for who, parts in people.items())


# --- shapes: each raises ValueError that says what stands there instead


def _one_of(chosen: object) -> str:
    """The one label that was chosen."""
    labels = _texts(chosen, "what is chosen")
    if len(labels) != 1:
        raise ValueError(f"{len(labels)} labels are chosen, and one is needed")
    return labels[0]


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _other(value, what, "an object")
    return value


def _objects(value: object, what: str) -> list[Mapping[str, Any]]:
    """A list of objects; nothing reads as an empty one."""
    if value is not None and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        raise _other(value, what, "a list of objects")
    return value or []


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _other(value, what, "text")
    return value


def _texts(value: object, what: str) -> list[str]:
    """A list of texts; one text reads as a list of it."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise _other(value, what, "a list of texts")
    return texts


def _other(value: object, what: str, needed: str) -> ValueError:
    written = compact(value)
    return ValueError(f"{what!r} is {written if len(written) <= _SHOWN else f'{written[:_SHOWN]}...'}, not {needed}")


def _as_text(value: object) -> str:
    """A value as text; nothing is empty, and what is neither text nor nothing is JSON."""
    return "" if value is None else value if isinstance(value, str) else compact(value)


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
