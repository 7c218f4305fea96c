"""What the generators of the examples share: chance, and the key of the faults that they plant."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

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


def key_text(head: Mapping[str, str], entries: Sequence[Mapping[str, Any]]) -> str:
    """The key of the faults as JSON, one fault per line, in order of kind and row.

    `head`: what is said of the file; `entries`: each with `rows`, `fault` and `detail`.
    """
    in_order = sorted(entries, key=lambda entry: (str(entry["fault"]), entry["rows"]))
    body = ",\n".join("    " + json.dumps(entry, ensure_ascii=False) for entry in in_order)
    said = "".join(f'  "{key}": {json.dumps(value, ensure_ascii=False)},\n' for key, value in head.items())
    return f'{{\n{said}  "faults": [\n{body}\n  ]\n}}\n'
