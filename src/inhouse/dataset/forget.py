"""Which rows are to be forgotten, and how what is left of them is recognised in other texts."""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from inhouse.core import Dataset, Example, folded, render_input

# Shorter values of a forgotten row ("yes", "42") stand in many others that have nothing to do with it.
LEAST = 16
# What a file of rejected rows has behind the name of their source.
_REJECTED = re.compile(r"\.[0-9a-f]{0,8}\.rejected\.csv$")
# Excerpts begin where the text begins, and have so many characters at least, if the text has.
BEGINNING = 48


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be forgotten: rows that hold a text (case, white space and Unicode forms aside), or those of a source.

    Attributes:
        text: folded; empty where a source is meant.
        source: its name, as rows have it, or a path that ends in that; of a folder, the name that theirs begin with.
        sha256: its checksum, where the file is there to be read.
        folder: its path from the root on, where it is a folder: so rows have it when two folders have one name.
    """

    text: str = ""
    source: str = ""
    sha256: str = ""
    folder: str = ""

    def is_of(self, example: Example) -> bool:
        """Whether a row is to be forgotten."""
        where = example.provenance
        if self.text:
            texts = (*example.inputs.values(), example.target, example.rejected)
            parts = (*texts, example.group, example.key, where.file, where.part)
            whole = "\0".join(parts)  # folded at once
            return self.text in folded(whole) or ("\\" in whole and any(map(self.holds, texts)))
        return self.is_source(where.file, where.sha256) or bool(where.part and where.part == self.source)

    def is_source(self, file: str, sha256: str = "") -> bool:
        """Whether a source is to be forgotten, by what a row or the list of sources has of it."""
        if not self.source or not file:
            return False
        if self._names(file) or (bool(sha256) and sha256 == self.sha256):
            return True
        original = _REJECTED.sub("", file)
        return original != file and self._names(original)

    def _names(self, file: str) -> bool:
        """Whether the source is this file, by as much of their paths as both have, or the folder that it lies in."""
        mine, its = f"/{self.source}", f"/{file}"
        return its.endswith(mine) or mine.endswith(its) or its.startswith((f"{mine}/", f"{self.folder or mine}/"))

    def holds(self, text: str) -> bool:
        """Whether a text holds the one that is to be forgotten, also as JSON or HTML would write it."""
        return bool(self.text) and any(self.text in folded(form) for form in _forms(text))


def _forms(text: str) -> Iterator[str]:
    yield text
    if "\\" in text:  # of JSON: the strings in it
        try:
            yield " ".join(_strings(json.loads(text)))
        except ValueError:
            yield text.replace("\\n", " ").replace('\\"', '"')


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield str(name)
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


@dataclass(slots=True)
class Remains:
    """What other places may have of forgotten rows: ids, input keys, rendered inputs, places, traces, and texts.

    Args:
        wanted: what is to be forgotten.
    """

    wanted: Wanted
    ids: set[str] = field(default_factory=set)
    input_keys: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    questions: set[str] = field(default_factory=set)
    traces: set[str] = field(default_factory=set)
    _texts: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _beginnings: set[str] = field(default_factory=set)
    _groups: dict[str, str] = field(default_factory=dict)

    def take(self, example: Example, *, labelled: bool) -> None:
        """Note a row that is to be forgotten.

        Args:
            labelled: its target is one of the task's labels, which say nothing of the row.
        """
        if example.id in self.ids and str(example.provenance) in self.places:
            return
        self.ids.add(example.id)
        self.input_keys.add(example.input_key)
        self.places.add(str(example.provenance))
        self.questions.add(render_input(example.inputs))
        self.traces.add(example.provenance.file.rpartition("/")[2])
        for text in (*example.inputs.values(), example.rejected, *(() if labelled else (example.target,))):
            for form in _forms(text):
                if len(one := folded(form)) >= LEAST:
                    self._texts[one[:LEAST]].add(one)

    def keep(self, examples: Iterable[Example]) -> None:
        """Let go of what rows hold that stay: it is no sign of what is forgotten."""
        for example in examples:
            if example.id in self.ids:
                self.ids.discard(example.id)
                self.input_keys.discard(example.input_key)
                self.questions.discard(render_input(example.inputs))
            for text in (*example.inputs.values(), example.rejected, example.target):
                one = folded(text)
                if one[:LEAST] in self._texts:
                    self._texts[one[:LEAST]].discard(one)
                    self._beginnings.add(one[:BEGINNING])

    def is_text(self, text: str) -> bool:
        """Whether a text holds the one that is to be forgotten, or is one of a forgotten row."""
        whole = folded(text)
        return self.wanted.holds(text) or whole in self._texts.get(whole[:LEAST], ())

    def in_text(self, text: str, *, cut: bool) -> bool:
        """Whether a text holds something of forgotten rows.

        Args:
            cut: it may hold excerpts: the beginning of a long text counts, unless a row that stays begins so too.
        """
        if self.wanted.holds(text):
            return True
        if not self._texts:
            return False
        whole = folded(text)
        for start in range(len(whole) - LEAST + 1):
            for one in self._texts.get(whole[start : start + LEAST], ()):
                begun = one[:BEGINNING]
                if whole.startswith(begun if cut and begun not in self._beginnings else one, start):
                    return True
        return False

    def without(self, dataset: Dataset) -> Dataset:
        """A version without the rows that are to be forgotten; its number and fingerprint stay."""
        rows = zip(dataset.examples, dataset.splits, strict=True)
        kept = [(self._regrouped(e), s) for e, s in rows if not self.wanted.is_of(e)]
        return replace(dataset, examples=tuple(e for e, _ in kept), splits=tuple(s for _, s in kept))

    def regrouped(self, dataset: Dataset) -> Dataset | None:
        """A version in which no group that stays is the hash of a forgotten input; None where none is.

        A corrected row keeps the group of its older form; it gets one whose name tells nothing.
        """
        examples = tuple(e if self.wanted.is_of(e) else self._regrouped(e) for e in dataset.examples)
        return replace(dataset, examples=examples) if examples != dataset.examples else None

    def _regrouped(self, example: Example) -> Example:
        if example.group not in self.input_keys or example.group == example.input_key:
            return example
        return replace(example, group=self._groups.setdefault(example.group, f"group-{secrets.token_hex(8)}"))
