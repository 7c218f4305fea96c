"""Files of requests that are answered when there is time: what is asked, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args

from inhouse.core.json_schema import parse_object
from inhouse.pipeline.jobs.validate import MOST_FAULTS, Fault, Line, lines_of

Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

MOST_REQUESTS = 50_000
MOST_ID = 512
_PARAM = "input_file_id"
_KEYS = ("custom_id", "method", "url", "body")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a batch, and where in the file it stands."""

    custom_id: str
    model: str
    start: int


def check_batch(path: Path, endpoint: str) -> tuple[list[Fault], int]:
    """What is wrong with a file of requests, the first `MOST_FAULTS` of it, and how many requests it holds."""
    faults, count, seen = list[Fault](), 0, set[str]()
    for line in lines_of(path):
        count += 1
        if len(faults) < MOST_FAULTS and (fault := _fault(line, endpoint, seen)):
            faults.append(fault)
    if count == 0:
        told = "The batch input file is empty. Please ensure that the batch contains at least one request."
        faults.append(Fault("empty_file", told, _PARAM))
    if count > MOST_REQUESTS:
        told = f"The batch input file holds {count:,} requests; {MOST_REQUESTS:,} are the most."
        faults.append(Fault("too_many_tasks", told, _PARAM))
    return faults, count


def _fault(line: Line, endpoint: str, seen: set[str]) -> Fault | None:
    row = _row(line.content)
    if row is None:
        return Fault("invalid_json_line", "This line is not parseable as valid JSON.", "", line.number)
    for key in _KEYS:
        if row.get(key) is None:
            told = f"Missing required parameter: '{key}'."
            return Fault("missing_required_parameter", told, key, line.number)
    extra = next((key for key in row if key not in _KEYS), None)
    name = row["custom_id"]
    if extra is not None:
        return Fault("unknown_parameter", f"Unknown parameter: '{extra[:40]}'.", extra[:40], line.number)
    if not isinstance(name, str) or not 0 < len(name) <= MOST_ID:
        told = f"Invalid 'custom_id': it must be a text of 1 to {MOST_ID} letters."
        return Fault("invalid_custom_id", told, "custom_id", line.number)
    if name in seen:
        told = f"The custom_id '{name}' for this request is a duplicate of another request. "
        told += "The custom_id parameter must be unique for each request in a batch."
        return Fault("duplicate_custom_id", told, "custom_id", line.number)
    seen.add(name)
    if row["method"] != "POST":
        return Fault("invalid_method", "Only the method 'POST' is done in a batch.", "method", line.number)
    if row["url"] != endpoint:
        told = f"The URL provided for this request does not match the batch endpoint, {endpoint}."
        return Fault("invalid_url", told, "url", line.number)
    if not isinstance(row["body"], dict):
        return Fault("invalid_body", "Invalid 'body': it must be an object.", "body", line.number)
    return None


def _row(content: bytes) -> dict[str, Any] | None:
    try:
        return parse_object(content.decode("utf-8").strip())
    except UnicodeDecodeError:
        return None


def requests_of(path: Path, done: set[str]) -> list[Asked]:
    """The requests of a good file that are not done, those to one model together."""
    found = []
    for line in lines_of(path):
        row = _row(line.content) or {}
        if row["custom_id"] not in done:
            found.append(Asked(row["custom_id"], str(row["body"].get("model", "")), line.start))
    return sorted(found, key=lambda one: (one.model, one.start))


def body_of(file: IO[bytes], asked: Asked) -> dict[str, Any]:
    """The body of a request."""
    file.seek(asked.start)
    body: dict[str, Any] = (_row(file.readline()) or {})["body"]
    return body


def names_of(path: Path) -> Iterator[str]:
    """The `custom_id` of each request of a good file, in their order."""
    for line in lines_of(path):
        yield (_row(line.content) or {})["custom_id"]
