"""What the generators of the examples share: chance, and the key of the faults that they plant."""

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Dice:
    """Chance that is the same on every Python version: built on ``Random.random`` alone."""

    def __init__(self, seed: int) -> None:
        """Start from a seed."""
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._random() < probability

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, all equally likely."""
        return choices[int(self._random() * len(choices))]

    def some(self, choices: Sequence[T], count: int) -> tuple[T, ...]:
        """Different choices, in chance order."""
        left = list(choices)
        return tuple(left.pop(self.number(0, len(left) - 1)) for _ in range(count))

    def weighted(self, weights: Sequence[tuple[T, int]]) -> T:
        """One of the choices, in proportion to its weight."""
        point = self._random() * sum(weight for _, weight in weights)
        for choice, weight in weights:
            point -= weight
            if point < 0:
                return choice
        return weights[-1][0]

    def skewed(self, low: int, high: int) -> float:
        """A number from low to high, more often near low."""
        share = self._random()
        return low + (high - low) * share * share

    def digits(self, form: str) -> str:
        """A form with a digit for each #."""
        return "".join(str(self.number(0, 9)) if sign == "#" else sign for sign in form)


def misspell(dice: Dice, text: str, kept: Sequence[str] = ()) -> str:
    """One typing error in a word of five letters or more: letters swapped, one missing or one doubled.

    `kept`: stretches of the text whose words stay as they are. The text comes back as it is where no word is left.
    """
    words = text.split(" ")
    safe = {word for stretch in kept for word in stretch.split()}
    long_words = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha() and word not in safe]
    if not long_words:
        return text
    number = dice.pick(long_words)
    word, at = words[number], dice.number(1, len(words[number]) - 2)
    words[number] = dice.pick(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
    return " ".join(words)


@dataclass
class Fault(Generic[T]):
    """A planted fault: the rows it is in, what it is, and what the truth is; `tested`: the twin in the test file."""

    rows: list[T]
    fault: str
    detail: dict[str, Any] = field(default_factory=dict)
    tested: T | None = None


def key_text(
    head: Mapping[str, str], faults: Sequence[Fault[Any]], row_of: Mapping[int, int], second: Mapping[str, str]
) -> str:
    """The key of the faults as JSON, one fault per line, in order of kind and row.

    `head`: what is said of the file; `row_of`: where a row stands in its file, by its id; `second`: by kind of fault,
    the name under which the second row of the fault is told.
    """
    entries = []
    for fault in faults:
        detail = dict(fault.detail)
        if fault.fault in second:
            detail[second[fault.fault]] = row_of[id(fault.rows[1])]
        if fault.tested:
            detail["test_row"] = row_of[id(fault.tested)]
        rows = sorted(row_of[id(row)] for row in fault.rows)
        entries.append({"rows": rows, "fault": fault.fault, "detail": detail})
    entries.sort(key=lambda entry: (str(entry["fault"]), entry["rows"]))
    body = ",\n".join("    " + json.dumps(entry, ensure_ascii=False) for entry in entries)
    said = "".join(f'  "{key}": {json.dumps(value, ensure_ascii=False)},\n' for key, value in head.items())
    return f'{{\n{said}  "faults": [\n{body}\n  ]\n}}\n'


def places(*files: Sequence[Any], first: int = 1) -> dict[int, int]:
    """The line of each row in its file, by its id; the first row stands in line `first`."""
    return {id(row): number for rows in files for number, row in enumerate(rows, start=first)}


def write(told: str | None, seed: int, folder: Path, make: Callable[[int, Path], Mapping[str, str]]) -> None:
    """The command line of a generator: write the files that `make` gives for a seed, by their names.

    `told`: what help says; `seed`, `folder`: where none are given; `make` may write other files to the folder.
    """
    parser = argparse.ArgumentParser(description=told)
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--out", type=Path, default=folder, help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in make(arguments.seed, arguments.out).items():
        (arguments.out / name).write_text(text, encoding="utf-8", newline="\n")
