"""Records, Examples and the Datasets that they make; content hashes are their ids."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Literal

from inhouse.core.task import Kind

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_SPACE = re.compile(r"\s+")
# One for all: `json.dumps` makes a new one at each call, which takes as long as the encoding.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical_hash(value: object, length: int = 16) -> str:
    """First `length` hex digits of the SHA-256 of `value` as sorted, compact JSON."""
    return _hashed(_CANONICAL.encode(value), length)


def _hashed(text: str, length: int = 16) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def folded(text: str) -> str:
    """Text with Unicode compatibility forms, white space and case folded: what makes two inputs twins."""
    if text.isascii():  # the same, in a third of the time; and in a tenth where there is no white space to fold
        return (text.strip() if text.isprintable() and "  " not in text else " ".join(text.split())).lower()
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


def input_key(inputs: Mapping[str, str]) -> str:
    """A hash that two inputs share when they differ in case and white space alone."""
    return _hashed(_as_json({name: folded(value) for name, value in inputs.items()}))


def _as_json(inputs: Mapping[str, str]) -> str:
    """What `_CANONICAL` makes of them, in a third of the time."""
    if len(inputs) == 1:
        return inputs_json(inputs)
    return inputs_json({name: inputs[name] for name in sorted(inputs)})


def inputs_json(inputs: Mapping[str, str]) -> str:
    """Inputs as compact JSON, in their own order."""
    return f"{{{','.join([f'{_key(name)}{_quoted(value)}' for name, value in inputs.items()])}}}"


@lru_cache(1024)
def _key(name: str) -> str:
    return f"{_quoted(name)}:"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an example comes from: file name, 1-based line of the row's start, SHA-256 of the file.

    Line 0 is all of it, as of a document. `part`: the sheet, page or message of it, where it has such.
    """

    file: str
    line: int
    sha256: str = ""
    part: str = ""

    def __str__(self) -> str:
        place = f"{self.file}!{self.part}" if self.part else self.file
        return f"{place}:{self.line}" if self.line else place


@dataclass(frozen=True, slots=True)
class Record:
    """One raw item from a source, untouched: column name to text, with its place.

    `json` names the values that are JSON text (a number, true or false, a list, an object); the others are strings.
    """

    values: Mapping[str, str]
    provenance: Provenance
    json: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that could not be used: place, reason, the row as text, and its cells by column, if they were read."""

    provenance: Provenance
    reason: str
    row: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """One input with its target. Immutable; `id` is a hash of the content, so equal content has equal id.

    `group` is what belongs on one side of a split; where none is given, the `input_key`.
    `rejected` is an answer that is worse than the target, where one is known: the two are a preference pair. `key` is
    what the row is called in its source (`--key`): a row of the same key replaces it.
    """

    inputs: Mapping[str, str]
    target: str
    group: str
    provenance: Provenance
    id: str = field(default="")
    rejected: str = ""
    key: str = ""
    _input_key: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.id:
            texts = [self.target, self.rejected] if self.rejected else [self.target]
            content = ",".join([_as_json(self.inputs), *map(_quoted, texts)])
            object.__setattr__(self, "id", _hashed(f"[{content}]"))
        if not self.group:
            object.__setattr__(self, "group", self.input_key)

    @property
    def input_key(self) -> str:
        """See `input_key`: shared by twins; made once."""
        if not self._input_key:
            object.__setattr__(self, "_input_key", input_key(self.inputs))
        return self._input_key


@dataclass(frozen=True, slots=True)
class Dataset:
    """An immutable list of Examples with the Split of each, numbered per task.

    `examples` and `splits` have equal length. `fingerprint`, made where none is given, is a hash of their content
    alone: SHA-256 (16 hex digits) over the sorted pairs of example id and split. What is learned from a version, and
    what is left of it once something was erased, keeps the version's. `test_given`: whether a file was given as the
    test, so that no later example joins it; None in versions that were stored before this was kept.
    """

    task: str
    number: int
    examples: tuple[Example, ...]
    splits: tuple[Split, ...]
    reason: str = ""
    parent: int | None = None
    fingerprint: str = ""
    test_given: bool | None = None

    def __post_init__(self) -> None:
        if not self.fingerprint:
            pairs = sorted(f"{e.id}:{s}" for e, s in zip(self.examples, self.splits, strict=True))
            object.__setattr__(self, "fingerprint", canonical_hash(pairs))

    def of(self, split: Split) -> list[Example]:
        """The examples of one split, in order."""
        return [e for e, s in zip(self.examples, self.splits, strict=True) if s == split]

    @property
    def learned(self) -> list[Example]:
        """The examples that a model learns from: those of the train split, then those of validation."""
        return [*self.of("train"), *self.of("validation")]

    def counts(self) -> dict[str, int]:
        """Number of examples by split."""
        by_split = Counter(self.splits)
        return {s: by_split.get(s, 0) for s in SPLITS}


def target_key(target: str, kind: Kind) -> str:
    """What two targets share that say the same: of an extract task, equal objects whatever the order of their keys."""
    if kind != "extract":
        return target
    try:
        value = json.loads(target, parse_float=_whole_or_float)
    except ValueError:  # a correction may be any text; it then equals itself alone
        return target
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _whole_or_float(written: str) -> int | float:
    value = float(written)
    return int(value) if value.is_integer() else value


def labels_of(examples: Iterable[Example]) -> tuple[str, ...]:
    """The distinct targets, sorted."""
    return tuple(sorted({e.target for e in examples}))


def render_input(inputs: Mapping[str, str]) -> str:
    """The text a model reads: the bare value of a single field, else one `name: value` line per field."""
    if len(inputs) == 1:
        return next(iter(inputs.values()))
    return "\n".join(f"{name}: {value}" for name, value in inputs.items())
