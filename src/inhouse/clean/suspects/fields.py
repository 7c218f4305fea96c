"""Extract: values that do not stand in their input, sums that do not add up, and forms that the field does not have.

Whether a field's values stand in the input, which of them add up, and which form they have is learned from the
examples: what nearly all of them keep, one that does not is told.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import combinations, permutations
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.clean.findings import cut
from inhouse.clean.registry import Subject
from inhouse.clean.suspects.told import Fault
from inhouse.core import render_input
from inhouse.core.json_schema import compact, parse_object, scalar_values, validate
from inhouse.core.passages import Passages
from inhouse.core.task import FromInput
from inhouse.scoring.formats import CHECKED, check_digits_of, form_of, shape_of
from inhouse.scoring.mentions import mentioned
from inhouse.scoring.ocr import likeness
from inhouse.scoring.values import amount_of, bare_day, date_of, normal_text

# Fewer examples than these make no habit.
LEAST = 20
# A field is taken from the input where this share of its values stands there; where nearly all do, one that does not is
# broken and no oddity.
USUALLY_THERE = 0.8
NEARLY_ALWAYS_THERE = 0.97
# A text of which less stands in the input than this is not the one that was meant (1 is all, slips of text recognition
# aside).
UNLIKE = 0.75
# Of the values of a field that has one form; of the examples in which a sum is right.
ONE_FORM = 0.97
ADDS_UP = 0.9
# Amounts are rounded, each to a hundredth.
ROUNDING = 0.02
# A length so many times the usual spread away, and so many times the usual length, is an outlier.
SPREADS, TIMES = 6.0, 3.0
_MOST_QUANTITIES = 12
_MOST_SHAPES = 3
# A shorter text stands within other words by chance.
_LONG = 6


def field_faults(subject: Subject) -> Iterator[Fault]:
    """What is wrong with the targets, by their inputs, the schema, and each other."""
    read: list[_Read] = []
    for position, example in enumerate(subject.dataset.examples):
        if (one := parse_object(example.target)) is None:
            yield Fault(position, "the target is no JSON object", 1.0, broken=True)
        else:
            read.append(_Read(position, one, _Input(render_input(example.inputs))))
    yield from _against_schema(read, subject.schema)
    yield from _not_in_input(read)
    yield from _sums(read)
    yield from _products(read)
    yield from _forms(read)


def _values(text: str, form: FromInput) -> Sequence[str | int | float]:
    found = mentioned(text, form)
    return () if isinstance(found, Passages) else found


@dataclass(frozen=True)
class _Input:
    """What an input mentions, read when first asked for."""

    text: str

    @cached_property
    def numbers(self) -> frozenset[Decimal]:
        return frozenset(abs(Decimal(str(value))) for value in _values(self.text, "number"))

    @cached_property
    def days(self) -> frozenset[str]:
        return frozenset(map(str, _values(self.text, "iso-date")))

    @cached_property
    def plain(self) -> str:
        return normal_text(self.text)

    def _has(self, normal: str) -> bool:
        """Whether a text stands there, a short one as whole words."""
        if len(normal) >= _LONG or normal not in self.plain:
            return normal in self.plain
        return re.search(rf"(?<!\w){re.escape(normal)}(?!\w)", self.plain) is not None

    def holds(self, value: Any) -> float:  # noqa: ANN401 - any JSON value
        """How much of a value stands there, from 0 to 1; of a number or a day all or nothing."""
        if isinstance(value, int | float):
            return float(abs(Decimal(str(value))) in self.numbers)
        if self._has(normal_text(value)):
            return 1.0
        day = date_of(value) or bare_day(value)
        if day is not None and day.isoformat() in self.days:
            return 1.0
        amount = amount_of(value)
        if amount is not None and not amount.spelling:
            return float(abs(amount.number) in self.numbers)
        return 0.0 if day is not None else likeness(value, self.text)


@dataclass(frozen=True)
class _Read:
    """One example's object beside its input."""

    position: int
    object: dict[str, Any]
    input: _Input

    @cached_property
    def values(self) -> list[tuple[str, Any]]:
        return list(scalar_values(self.object))


def _against_schema(read: Sequence[_Read], schema: Mapping[str, Any]) -> Iterator[Fault]:
    if not schema:
        return
    for one in read:
        if why := validate(schema, one.object):
            yield Fault(one.position, f"the target does not meet the schema: {why}", 1.0, broken=True)


# --- values that do not stand in the input


def _not_in_input(read: Sequence[_Read]) -> Iterator[Fault]:
    there: defaultdict[str, list[tuple[int, Any, float]]] = defaultdict(list)
    for one in read:
        for path, value in one.values:
            if _says_something(value):
                there[path].append((one.position, value, one.input.holds(value)))
    for path, found in there.items():
        share = sum(held >= UNLIKE for _, _, held in found) / len(found)
        if len(found) < LEAST or share < USUALLY_THERE:
            continue
        # Where nearly all stand there to the letter, a code with one other digit is another code, and no other writing.
        to_the_letter = sum(held >= 1.0 for _, _, held in found) >= NEARLY_ALWAYS_THERE * len(found)
        for position, value, held in found:
            if held < UNLIKE or (held < 1.0 and to_the_letter and any(map(str.isdigit, str(value)))):
                says = f"{path} is {cut(str(value))}, which does not stand in the input ({share:.1%} of its values do)"
                yield Fault(position, says, share * (1 - held), broken=share >= NEARLY_ALWAYS_THERE)


def _says_something(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Not null, true, 0 or an empty text, which may say that there is none."""
    return not isinstance(value, bool) and value is not None and value not in ("", 0)


# --- sums


def _sums(read: Sequence[_Read]) -> Iterator[Fault]:
    """Totals that are not the sum that nearly all examples show them to be."""
    by_example = [dict(_quantities(one.object)) for one in read]
    counts = Counter(name for quantities in by_example for name in quantities)
    names = [name for name, times in counts.most_common(_MOST_QUANTITIES) if times >= LEAST]
    table = {name: np.array([quantities.get(name, math.nan) for quantities in by_example]) for name in names}
    for total in names:
        if (rule := _rule(total, table)) is not None:
            yield from _broken_sums(read, table, total, *rule)


def _quantities(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """An object's numbers by path, and the sums of its lists' columns."""
    for key, part in value.items():
        path = f"{above}{key}"
        if isinstance(part, Mapping):
            yield from _quantities(part, f"{path}.")
        elif isinstance(part, list):
            yield from _column_sums(path, part)
        elif (number := _number(part)) is not None:
            yield path, number


def _column_sums(path: str, items: Sequence[Any]) -> Iterator[tuple[str, float]]:
    rows = [item if isinstance(item, Mapping) else {"": item} for item in items]
    for key in dict.fromkeys(key for row in rows for key in row):
        numbers = [_number(row.get(key)) for row in rows]
        if None not in numbers:
            yield f"the sum of {path}.{key}" if key else f"the sum of {path}", sum(n for n in numbers if n is not None)


def _number(value: Any) -> float | None:  # noqa: ANN401 - any JSON value
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    amount = amount_of(value) if isinstance(value, str) else None
    return float(amount.number) if amount is not None and not amount.spelling else None


def _rule(total: str, table: Mapping[str, NDArray[np.float64]]) -> tuple[tuple[str, ...], float] | None:
    """The parts that a total is the sum of in nearly all examples, the fewest first, and in what share of them."""
    best: tuple[float, int, tuple[str, ...]] | None = None
    others = [name for name in table if name != total]
    for size in (1, 2, 3):
        for parts in combinations(others, size):
            if size == 1 and not parts[0].startswith("the sum of"):
                continue  # two fields of one value are no sum
            here, right = _adds_up(table, total, parts)
            if here.sum() < LEAST:
                continue
            share = float(right[here].mean())
            if share >= ADDS_UP and (best is None or (share, -size) > best[:2]):
                best = share, -size, parts
    return (best[2], best[0]) if best else None


def _adds_up(
    table: Mapping[str, NDArray[np.float64]], total: str, parts: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """In which examples all parts are there and say something, and in which they make the total."""
    columns = np.array([table[name] for name in parts])
    here = ~np.isnan(table[total]) & ~np.isnan(columns).any(0) & (columns != 0).all(0)
    return here, np.abs(table[total] - columns.sum(0)) <= ROUNDING


def _broken_sums(
    read: Sequence[_Read],
    table: Mapping[str, NDArray[np.float64]],
    total: str,
    parts: tuple[str, ...],
    share: float,
) -> Iterator[Fault]:
    here, right = _adds_up(table, total, parts)
    for place in np.flatnonzero(here & ~right).tolist():
        wanted = round(float(sum(table[name][place] for name in parts)), 2)
        given = float(table[total][place])
        says = f"{total} is {given:g}, and {' + '.join(parts)} makes {wanted:g} (in {share:.1%} of examples it is that)"
        yield Fault(read[place].position, says, share, broken=True, mended=_mended(read[place], total, given, wanted))


def _mended(one: _Read, total: str, given: float, wanted: float) -> str:
    """The target with the sum for the total, where the input has the sum and not the total that is given."""
    if not isinstance(one.object.get(total), int | float) or one.input.holds(given) or not one.input.holds(wanted):
        return ""
    value = int(wanted) if isinstance(one.object[total], int) and wanted.is_integer() else wanted
    return compact({**one.object, total: value})


def _products(read: Sequence[_Read]) -> Iterator[Fault]:
    """Lines of a list whose amount is not the product (quantity times price) that it is in nearly all lines."""
    lines: defaultdict[str, list[tuple[int, dict[str, float]]]] = defaultdict(list)
    for one in read:
        for path, items in one.object.items():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, Mapping):
                    numbers = {key: _number(value) for key, value in item.items()}
                    lines[path].append((one.position, {k: n for k, n in numbers.items() if n is not None}))
    for path, rows in lines.items():
        keys = [key for key, n in Counter(key for _, row in rows for key in row).most_common(6) if n >= LEAST]
        for product, one_factor, other in permutations(keys, 3):
            if one_factor < other:
                yield from _broken_products(path, rows, product, (one_factor, other))


def _broken_products(
    path: str, rows: Sequence[tuple[int, Mapping[str, float]]], product: str, factors: tuple[str, str]
) -> Iterator[Fault]:
    one, other = factors
    full = [(position, row) for position, row in rows if {product, one, other} <= row.keys()]
    # A line of quantity 1 shows nothing, as there the amount is the price.
    telling = [(position, row) for position, row in full if row[one] not in (0, 1) and row[other] not in (0, 1)]
    wrong = [(p, row) for p, row in telling if abs(row[product] - row[one] * row[other]) > _rounded(row, factors)]
    share = 1 - len(wrong) / max(1, len(telling))
    if len(telling) < LEAST or share < ADDS_UP:
        return
    for position, row in wrong:
        says = (
            f"in {path}, {product} is {row[product]:g}, and {one} {row[one]:g} times {other} {row[other]:g} makes "
            f"{row[one] * row[other]:g} (in {share:.1%} of lines it is that)"
        )
        yield Fault(position, says, share, broken=True)


def _rounded(row: Mapping[str, float], factors: tuple[str, str]) -> float:
    """How far a product may be off where its factors are rounded to hundredths."""
    return ROUNDING + 0.005 * max(abs(row[factor]) for factor in factors)


# --- forms


def _forms(read: Sequence[_Read]) -> Iterator[Fault]:
    """Values that have another form, shape or length than nearly all of their field, or wrong check digits."""
    values: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
    for one in read:
        for path, value in one.values:
            values[path].append((one.position, value))
    for path, found in values.items():
        texts = [(position, value) for position, value in found if isinstance(value, str) and value.strip()]
        yield from _other_form(path, found)
        yield from _wrong_digits(path, texts)
        yield from _other_shape(path, texts)
        yield from _outlying(path, texts)


def _other_form(path: str, found: Sequence[tuple[int, Any]]) -> Iterator[Fault]:
    found = [(position, value) for position, value in found if form_of(value) != "none"]
    forms = [form_of(value) for _, value in found]
    usual, times = Counter(forms).most_common(1)[0] if forms else ("", 0)
    share = times / max(1, len(forms))
    if len(forms) < LEAST or share < ONE_FORM or usual == "words":
        return
    for (position, value), form in zip(found, forms, strict=True):
        if form != usual:
            says = f"{path} is {cut(str(value))} ({form}), and {share:.1%} of its values are of the form {usual}"
            yield Fault(position, says, share, broken=False)


def _wrong_digits(path: str, texts: Sequence[tuple[int, str]]) -> Iterator[Fault]:
    name = check_digits_of([text for _, text in texts])
    for position, text in texts if name else ():
        if not CHECKED[name](text):
            yield Fault(position, f"{path} is {cut(text)}, which is no {name}: check digits", 1.0, broken=True)


def _other_shape(path: str, texts: Sequence[tuple[int, str]]) -> Iterator[Fault]:
    """Codes of another shape than the few that all others have."""
    coded = [(position, text) for position, text in texts if form_of(text) in ("code", "digits")]
    if len(coded) < 2 * LEAST or len(coded) < ONE_FORM * len(texts):
        return
    shapes = Counter(shape_of(text) for _, text in coded)
    usual = [shape for shape, times in shapes.most_common(_MOST_SHAPES) if times > (1 - ONE_FORM) * len(coded)]
    share = sum(shapes[shape] for shape in usual) / len(coded)
    if share < ONE_FORM:
        return
    for position, text in coded:
        if shape_of(text) not in usual:
            says = f"{path} is {cut(text)}, and {share:.1%} of its values look like {' or '.join(usual)}"
            yield Fault(position, says, share, broken=False)


def _outlying(path: str, texts: Sequence[tuple[int, str]]) -> Iterator[Fault]:
    """Texts much longer than the field's usually are (median and spread of the logarithm of their lengths)."""
    if len(texts) < LEAST:
        return
    lengths = [math.log(len(text)) for _, text in texts]
    middle = median(lengths)
    spread = max(1.4826 * median(abs(length - middle) for length in lengths), 0.1)
    for (position, text), length in zip(texts, lengths, strict=True):
        far = (length - middle) / spread
        if far > SPREADS and length - middle > math.log(TIMES):
            says = f"{path} has {len(text)} characters, and half of its values no more than {round(math.exp(middle))}"
            yield Fault(position, says, 1 - SPREADS / (2 * far), broken=False)
