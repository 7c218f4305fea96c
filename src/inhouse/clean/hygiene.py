"""Label hygiene: names that may be one label, labels with few examples, labels that models cannot tell apart."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import median

import numpy as np
from numpy.typing import NDArray

from inhouse.clean.findings import TEST_STAYS, count, cut, finding
from inhouse.clean.suspects.cross_validation import CrossValidated
from inhouse.core import Dataset, Finding, counted, folded

# Two names of so many letters or more, of which one letter in so many differs, may be a slip of the pen; where the
# names have digits, these must be the same.
SLIP_LETTERS = 6
SLIP_SHARE = 0.88
# A label of fewer examples on the train side can hardly be learned.
RARE = 5
# Two labels are not told apart where of the examples of each, on average, this share is taken for the other one.
CONFUSED = 0.35
_CONFUSED_LEAST = 10
_NO_LETTER = re.compile(r"[\W_]+")
_SHOWN = 3
# Labels that one finding names.
LISTED = 100


def merged_names(dataset: Dataset) -> dict[str, str]:
    """Names of labels that are another one in another writing (case, plural, typo), with the more frequent one."""
    times = Counter(e.target for e in dataset.examples)
    by_frequency = sorted(times, key=lambda label: (-times[label], label))
    kept: list[str] = []
    renamed: dict[str, str] = {}
    for label in by_frequency:
        same = next((other for other in kept if one_name(label, other)), None)
        if same is None:
            kept.append(label)
        else:
            renamed[label] = same
    return renamed


def one_name(one: str, other: str) -> bool:
    """Whether two names differ in case, space, punctuation, a plural or a slip of the pen alone."""
    a, b = _bare(one), _bare(other)
    if re.findall(r"\d+", one) != re.findall(r"\d+", other) or not a or not b:
        return False
    return a == b or _plural(a, b) or _slip(a, b)


@lru_cache(maxsize=10_000)
def _bare(name: str) -> str:
    """Letters and digits, accents and case aside."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", folded(name)) if not unicodedata.combining(c))
    return _NO_LETTER.sub("", plain)


def _plural(one: str, other: str) -> bool:
    """Whether one name is the other's plural."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 3:
        return False
    return longer in (f"{shorter}s", f"{shorter}es") or (shorter[-1] == "y" and longer == f"{shorter[:-1]}ies")


def _slip(one: str, other: str) -> bool:
    """A letter in ten left out, added, changed or swapped in a long name, never the first one or the last.

    A prefix that turns the meaning round (in-, un-) begins the word, and so is no slip.
    """
    from rapidfuzz.distance import OSA

    if min(len(one), len(other)) < SLIP_LETTERS or one[0] != other[0] or one[-1] != other[-1]:
        return False
    return bool(OSA.normalized_similarity(one, other) >= SLIP_SHARE)


def alike_names(dataset: Dataset, renamed: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each name that is another one in another writing."""
    for rarer, usual in renamed.items():
        positions = [i for i, e in enumerate(dataset.examples) if e.target == rarer]
        mine = [i for i in positions if dataset.splits[i] != "test"]
        tests = len(positions) - len(mine)
        others = sum(e.target == usual for e in dataset.examples)
        keep = "keeps" if tests == 1 else "keep"
        test_told = f"; {count(tests, 'test example')} {keep} that name, as it is never edited" if tests else ""
        yield finding(
            dataset,
            "label_hygiene",
            "warning",
            positions,
            f"the label {cut(rarer)} ({counted(len(positions), 'example')}) looks like {cut(usual)} ({others}) in "
            "another writing",
            f"merge: give {count(len(mine), 'train-side example')} the label {cut(usual)}{test_told}"
            if mine
            else TEST_STAYS,
            about=f"merge:{rarer}",
            cost=f"a model must guess between two names of one thing; {len(positions)} of "
            f"{len(positions) + others} answers are at stake",
            relabel=dict.fromkeys(mine, usual),
        )


def rare_labels(dataset: Dataset, renamed: Mapping[str, str]) -> Iterator[Finding]:
    """One finding on the labels of too few examples on the train side, the rarest first."""
    places: dict[str, list[int]] = {}
    for i, example in enumerate(dataset.examples):
        if dataset.splits[i] != "test":
            places.setdefault(renamed.get(example.target, example.target), []).append(i)
    if not places or median(map(len, places.values())) < RARE:
        return  # there is little of all of them, and `add` says that
    rare = {label: positions for label, positions in places.items() if len(positions) < RARE}
    if not rare:
        return
    fewest = sorted(rare, key=lambda label: (len(rare[label]), label))
    listed = ", ".join(f"{cut(label)} ({len(rare[label])})" for label in fewest[:LISTED])
    wanted = ", ".join(f"{RARE - len(rare[label])} of {cut(label)}" for label in fewest[:LISTED])
    more = f" and {len(fewest) - LISTED} more" if len(fewest) > LISTED else ""
    yield finding(
        dataset,
        "label_hygiene",
        "info",
        [i for label in fewest for i in rare[label]],
        f"{len(rare)} of {len(places)} labels {'has' if len(rare) == 1 else 'have'} fewer than {RARE} examples to "
        f"learn from: {listed}{more}",
        f"gather at least {wanted}{more}, or give them a label that they can share",
        about="rare",
        cost="their examples are hardly ever answered right, and nothing measured of them is certain",
    )


def confused_labels(dataset: Dataset, models: CrossValidated) -> Iterator[Finding]:
    """Pairs of labels that models which have not seen the examples take for each other as often as not."""
    picked, given = models.chances.argmax(1), models.given
    size = len(models.labels)
    table = np.zeros((size, size))
    np.add.at(table, (given[given >= 0], picked[given >= 0]), 1)
    times = table.sum(1)
    for one in range(size):
        for other in range(one + 1, size):
            if min(times[one], times[other]) < _CONFUSED_LEAST:
                continue
            crossed = (table[one, other] / times[one] + table[other, one] / times[other]) / 2
            if crossed >= CONFUSED:
                yield _confused(dataset, models, [one, other], table, float(crossed))


def _confused(
    dataset: Dataset, models: CrossValidated, pair: Sequence[int], table: NDArray[np.float64], share: float
) -> Finding:
    one, other = (models.labels[i] for i in pair)
    wrong = int(table[pair[0], pair[1]] + table[pair[1], pair[0]])
    picked = models.chances.argmax(1)
    crossed = [
        int(i) for a, b in (pair, pair[::-1]) for i in np.flatnonzero((models.given == a) & (picked == b))[:_SHOWN]
    ]
    return finding(
        dataset,
        "label_hygiene",
        "warning",
        crossed,
        f"{cut(one)} and {cut(other)} are hardly told apart: models that have not seen them take {share:.0%} of one "
        f"for the other, {wrong} examples (judged by {models.by} of {len(models.given)} examples)",
        "write down what tells them apart and look through the examples, or make one label of the two",
        about=f"apart:{one}:{other}",
        score=round(share, 4),
        cost=f"up to {wrong} of {int(table.sum())} answers are wrong by this pair alone, whatever is trained",
    )
