"""Training files as OpenAI's service checks them: line by line, before a job starts, with the sentences users know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from inhouse.core import Provenance, Record
from inhouse.core.json_schema import parse_object
from inhouse.sources import Source
from inhouse.sources.chat import BESIDE, MESSAGES, OF_TOOLS, example_of
from inhouse.sources.chat_forms import with_conversations
from inhouse.sources.json_rows import DECODER, nested_in, plain_reason, record_of
from inhouse.sources.preferences import OPENAI, OPENAI_BEFORE

Method = Literal["supervised", "dpo"]

LEAST_EXAMPLES = 10
MOST_FAULTS = 100
# No request may be longer, so no line needs to be; and no line is held that is.
MOST_LINE_BYTES = 4 * 2**20
_HINT_CHARS = 40
_BOM = b"\xef\xbb\xbf"
# What OpenAI's tokenizers write for no text. A model here would take them as text; there they are refused.
_TOKENS = (
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|endofprompt|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|im_sep|>",
)
_PROMPTED = ("prompt", "completion")
_SUPERVISED = (MESSAGES, *OF_TOOLS[:2], *BESIDE)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file, with OpenAI's code and sentence.

    Attributes:
        param: `training_file` or `validation_file`.
        line: the 1-based line; None: it is the whole file.
    """

    code: str
    message: str
    param: str
    line: int | None = None


class Line(NamedTuple):
    """A line of a file that is not blank: its number, where in the file it begins, and its bytes."""

    number: int
    start: int
    content: bytes


def check_lines(path: Path) -> str:
    """Why a file is none with one JSON object per line, in OpenAI's words; empty where it is one.

    A byte-order mark at its beginning is passed over, and so are blank lines.
    """
    count = 0
    for line in lines_of(path):
        count += 1
        if fault := _line_fault(line.content):
            head = "Expected file to have JSONL format, where every line is a JSON dictionary."
            return f"{head} Line {line.number} {fault}"
    return "" if count else "File is empty."


def check_file(path: Path, method: Method = "supervised", *, validation: bool = False) -> list[Fault]:
    """What is wrong with a training file, the first `MOST_FAULTS` of it in the order of its lines; empty: nothing.

    A row that passes is one that `inhouse add` reads as a conversation (or a prompt) with an answer, and of `dpo` with
    a worse one.

    Args:
        validation: it is the validation file, which one example is enough for.
    """
    name, param = ("validation", "validation_file") if validation else ("training", "training_file")
    head = f"The job failed due to a file format error in the {name} file. Invalid file format."
    faults, count = list[Fault](), 0
    for line in lines_of(path):
        count += 1
        if len(faults) < MOST_FAULTS and (fault := _example_fault(line, method)):
            faults.append(Fault("invalid_file_format", f"{head} Example {count} {fault}.", param, line.number))
    least = 1 if validation else LEAST_EXAMPLES
    if count < least:
        told = f"{name.capitalize()} file has {count} example(s), but must have at least {least} examples"
        faults.append(Fault("invalid_n_examples", told, param))
    return faults


def lines_of(path: Path) -> Iterator[Line]:
    """Every line that is not blank, without the byte-order mark of the file; of one that is too long its beginning."""
    with path.open("rb") as file:
        number = 0
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        while True:
            start, content = file.tell(), file.readline(MOST_LINE_BYTES + 1)
            if not content:
                return
            number, end = number + 1, content
            while len(end) > MOST_LINE_BYTES and not end.endswith(b"\n"):
                end = file.readline(MOST_LINE_BYTES + 1)
            if content.strip():
                yield Line(number, start, content)


def _line_fault(line: bytes) -> str:
    """Why a line is no object; empty where it is one."""
    if len(line) > MOST_LINE_BYTES:
        return f"is longer than {MOST_LINE_BYTES // 2**20} MiB."
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError:
        return "is not UTF-8."
    if parse_object(text) is not None:
        return ""
    start = text[:_HINT_CHARS] + ("..." if len(text) > _HINT_CHARS else "")
    return f'is not a dictionary (HINT: line starts with: "{start}").'


def _example_fault(line: Line, method: Method) -> str:
    """Why a line is no example, as the end of a sentence."""
    if fault := _line_fault(line.content):
        return fault.rstrip(".")
    text = line.content.decode("utf-8").strip()
    row = parse_object(text) or {}
    prompted = method == "supervised" and MESSAGES not in row and _PROMPTED[0] in row
    fault = _key_fault(row, method, prompted=prompted) or _token_fault(row)
    if fault or prompted:
        return fault or _prompt_fault(row)
    try:
        record = record_of(DECODER.decode(text), Provenance("", line.number))
        return _conversation_fault(record, method)
    except (ValueError, RecursionError) as error:
        return f"cannot be used: {plain_reason(error)}"


def _key_fault(row: Mapping[str, Any], method: Method, *, prompted: bool) -> str:
    """A key that is missing, or one too many."""
    wanted: tuple[str, ...] = _PROMPTED if prompted else (MESSAGES,)
    if method == "dpo":
        wanted = OPENAI_BEFORE if OPENAI_BEFORE[1] in row else OPENAI
    allowed = _SUPERVISED if wanted == (MESSAGES,) else wanted
    extra = next((key for key in row if key not in allowed), None)
    if extra is not None:
        return f'contains an extra "{extra[:_HINT_CHARS]}"'
    missing = next((key for key in wanted if key not in row), None)
    return "" if missing is None else f'is missing "{missing}"'


def _token_fault(row: Mapping[str, Any]) -> str:
    found = next((token for text in _strings(row) for token in _TOKENS if token in text), None)
    return "" if found is None else f"message contains an invalid token: {found}"


def _prompt_fault(row: Mapping[str, Any]) -> str:
    empty = next((key for key in _PROMPTED if not (isinstance(row[key], str) and row[key].strip())), None)
    return "" if empty is None else f'has no text as its "{empty}"'


def _conversation_fault(record: Record, method: Method) -> str:
    """Why a row is none that can be learned, as reading it for training would say.

    Raises:
        ValueError: likewise.
    """
    nested = frozenset(nested_in(record))
    read = with_conversations(Source(Path(), "", tuple(record.values), [record], [], nested))
    if read.rejections:
        return f"cannot be used: {read.rejections[0].reason}"
    if method == "dpo" and MESSAGES not in read.records[0].values:
        return "is no conversation with two answers"
    example_of(read.records[0])
    return ""


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
