"""What training rows teach of which parts of a document matter: those that held values of the targets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inhouse.core import Example, Task, Trimming, bm25, render_input
from inhouse.core.json_schema import parse_object, scalar_fields, scalar_values
from inhouse.core.task import FromInput
from inhouse.core.trimming import Part, parts_of, words_of
from inhouse.engine.prompts import instruction_of
from inhouse.scoring.mentions import mentioned
from inhouse.scoring.values import normal_text

# So many rows are learned from, the longest documents first; and so many parts of them at most.
ROWS, PARTS = 300, 60_000
# A word that fewer rows have is a name or a number of theirs; fewer parts with values teach nothing.
LEAST_ROWS, LEAST_PARTS = 3, 20
WEIGHTS = 3000
_STRENGTH = 0.5
# Of a text or a label, words that so many of the targets have say nothing of the one.
COMMON = 0.1
# A label has no value to look for: so many of the words that its rows have oftener than others stand for it.
TYPICAL = 20
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def fit_trimming(task: Task, examples: Sequence[Example], room: int) -> Trimming:
    """How inputs of the task are trimmed.

    Args:
        examples: training rows, whose targets are looked at; what is trimmed later has none that is.
        room: the most tokens of an input.
    """
    rows = _some(examples)
    parts = [parts_of(example.inputs) for example in rows]
    everything = [part for one in parts for part in one]
    plain = Trimming(room=room, query=_query(task, everything), mean_words=_mean_words(everything))
    weights = _weights(plain, rows, parts, _Values.learn(task, examples))
    return plain.model_copy(update={"weights": weights})


def kept_share(task: Task, pairs: Iterable[tuple[Example, Example]]) -> float | None:
    """Of the targets' values that stand in whole inputs, the share that still stands in the trimmed ones.

    Args:
        pairs: examples, whole and trimmed.

    Returns:
        None where targets have no values that could be looked for, as labels have none.
    """
    pairs = list(pairs)
    if task.kind == "classify":
        return None
    values = _Values.learn(task, [whole for whole, _ in pairs])
    there = kept = 0
    for whole, trimmed in pairs:
        sides = _Held(render_input(whole.inputs)), _Held(render_input(trimmed.inputs))
        for value in values.of(whole):
            if sides[0].has(value):
                there += 1
                kept += sides[1].has(value)
    return kept / there if there else None


def _some(examples: Sequence[Example]) -> list[Example]:
    longest = sorted(examples, key=lambda e: -sum(map(len, e.inputs.values())))
    rows, parts = list[Example](), 0
    for example in longest[:ROWS]:
        parts += len(parts_of(example.inputs))
        if rows and parts > PARTS:
            break
        rows.append(example)
    return rows


def task_words(task: Task) -> set[str]:
    """The words of a task's instruction, fields, schema, outline and labels."""
    texts = [instruction_of(task), *task.input.fields, *task.labels, *task.outline.sections]
    for path, about in scalar_fields(task.json_schema).items():
        texts += [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path), str(about.get("description", ""))]
        texts += [str(value) for value in about.get("enum", ())]
    return {word for text in texts for word in words_of(text)}


def _query(task: Task, parts: Sequence[Part]) -> dict[str, float]:
    """The words of the task with their rarity among the parts (of BM25)."""
    words = task_words(task)
    having = Counter(word for part in parts for word in words & set(part.words))
    return {word: bm25.rarity(len(parts), having[word]) for word in sorted(words) if having[word]}


def _mean_words(parts: Sequence[Part]) -> float:
    return max(1.0, sum(len(part.words) for part in parts) / max(1, len(parts)))


def _weights(
    plain: Trimming, rows: Sequence[Example], parts: Sequence[list[Part]], values: _Values
) -> dict[str, float]:
    """Of a logistic model of which parts hold a value of their row's target; none where too few do."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    by_row = [[plain.features(part) for part in one] for one in parts]
    holds = [held for row, one in zip(rows, parts, strict=True) for held in _holding(one, values.of(row))]
    if sum(holds) < LEAST_PARTS or all(holds):
        return {}
    having = Counter(name for features in by_row for name in set().union(*features))
    known = [
        {name: value for name, value in one.items() if having[name] >= LEAST_ROWS}
        for features in by_row
        for one in features
    ]
    names = DictVectorizer()
    # Balanced: how many parts hold a value says nothing about which do.
    model: Any = LogisticRegression(C=_STRENGTH, max_iter=300, class_weight="balanced")
    model.fit(names.fit_transform(known), holds)
    found = zip(names.get_feature_names_out(), model.coef_[0], strict=True)
    strongest = sorted(found, key=lambda pair: -abs(pair[1]))[:WEIGHTS]
    return {str(name): round(float(weight), 4) for name, weight in sorted(strongest)}


def _holding(parts: Sequence[Part], values: Sequence[str]) -> Iterator[bool]:
    for part in parts:
        held = _Held(part.text)
        yield any(held.has(value) for value in values)


@dataclass(frozen=True)
class _Values:
    """What of a row's target can be looked for in its input: an object's values, the rarer words of a text.

    `common`: words that many of the targets have. `typical`: of each label, words of its rows.
    """

    kind: str
    common: frozenset[str] = frozenset()
    typical: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def learn(cls, task: Task, examples: Sequence[Example]) -> _Values:
        if task.kind == "extract":
            return cls(task.kind)
        if task.kind == "classify":
            return cls(task.kind, typical=_typical(examples))
        times = Counter(word for example in examples for word in set(normal_text(example.target).split()))
        most = max(1.0, COMMON * len(examples))
        return cls(task.kind, frozenset(word for word, n in times.items() if n > most))

    def of(self, example: Example) -> list[str]:
        if self.kind == "extract":
            values = [value for _, value in scalar_values(parse_object(example.target))]
            texts = {str(value) for value in values if value is not None and not isinstance(value, bool)}
            return sorted(text for text in texts if len(text.strip()) > 1)
        if self.kind == "classify":
            return self.typical.get(example.target, [])
        words = set(normal_text(example.target).split()) - self.common
        return sorted(w for word in words if len(w := word.strip(".,;:!?()\"'")) > 3 or w.isdigit())


def _typical(examples: Sequence[Example]) -> dict[str, list[str]]:
    """The words that rows of a label have oftener than all rows, by the logarithm of both shares."""
    texts = [set(_spaced(render_input(example.inputs)).split()) for example in examples]
    times = Counter(word for words in texts for word in words)
    of_label: dict[str, Counter[str]] = {}
    for example, words in zip(examples, texts, strict=True):
        of_label.setdefault(example.target, Counter()).update(words)
    rows = Counter(example.target for example in examples)
    found = {}
    for label, own in of_label.items():
        lead = {
            word: math.log((n + 1) / (rows[label] + 2)) - math.log((times[word] + 1) / (len(examples) + 2))
            for word, n in own.items()
            if n >= LEAST_ROWS
        }
        least = math.log(len(examples) / rows[label]) / 2  # half of the lead that a word of this label alone has
        found[label] = sorted((w for w in lead if lead[w] > max(least, 0.1)), key=lambda w: (-lead[w], w))[:TYPICAL]
    return found


class _Held:
    """A text that values are looked for in: word for word, or as the same day or number in another writing."""

    def __init__(self, text: str) -> None:
        self._raw = text
        self._text = f" {_spaced(text)} "
        self._mentioned: dict[str, frozenset[str]] = {}

    def has(self, value: str) -> bool:
        if (plain := _spaced(value)) and f" {plain} " in self._text:
            return True
        if _DAY.fullmatch(value):
            return value in self._all("iso-date")
        return bool(_NUMBER.fullmatch(value)) and _number(value) in self._all("number")

    def _all(self, form: FromInput) -> frozenset[str]:
        if form not in self._mentioned:
            found = mentioned(self._raw, form)
            values = found if isinstance(found, tuple) else ()
            self._mentioned[form] = frozenset(_number(v) if form == "number" else str(v) for v in values)
        return self._mentioned[form]


def _number(value: object) -> str:
    return f"{float(str(value)):.6g}" if len(str(value)) < 16 else str(value)


def _spaced(text: str) -> str:
    """Words and digits with one space between, so that a value is found at the edges of words alone."""
    return " ".join("".join(sign if sign.isalnum() else " " for sign in normal_text(text)).split())
