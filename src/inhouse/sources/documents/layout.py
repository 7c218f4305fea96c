"""Words with their places on a page become its text: columns one after the other, a table's rows line by line.

The page is cut along its white space, as recursive X-Y cut does (Nagy and Seth, 1984), with one question added at each
vertical gutter: does it part columns of text, which are read one after the other, or cells, which are read row by row?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from statistics import median
from typing import NamedTuple, TypeVar

CELL_GAP = " | "

# Beyond it a page is no page that anybody reads; its lines are taken as they are.
_MOST_WORDS = 20_000

# Of a line's height. Words are parted by about a quarter of it, justified text by up to twice that; a gap inside one
# sentence that holds a blank of the font may be wider than one that only the places of two texts make.
_WORD_GAP, _LOOSE_GAP, _TIGHT_GAP = 0.12, 1.0, 0.5
_SAME_LINE = 0.5

# A gutter counts with this many lines on both its sides.
_LEAST_LINES = 3
_MOST_GUTTERS = 60

# A side is running text when its lines fill its width and hold several words.
_PROSE_WORDS, _PROSE_FILL = 4, 0.55
_ALIGNED_ROWS, _ALIGNED_TEXT = 0.5, 0.8


# Of a line's height: distances that differ by more are of two kinds, inside a cell and between rows.
_OTHER_DISTANCE = 0.2

_T = TypeVar("_T")


class Word(NamedTuple):
    """A word and the box around it; `top` is smaller than `bottom`. `blank`: a blank of the text stands before it."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    blank: bool = True


class Rule(NamedTuple):
    """A horizontal line that is drawn on the page."""

    left: float
    right: float
    y: float


@dataclass(slots=True)
class _Segment:
    """Words of one line that belong together."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    words: int = 1


@dataclass(slots=True)
class _Row:
    """What stands on one line."""

    segments: list[_Segment] = field(default_factory=list)

    @property
    def top(self) -> float:
        return min(s.top for s in self.segments)

    @property
    def bottom(self) -> float:
        return max(s.bottom for s in self.segments)


class _Line(NamedTuple):
    """A line of the text, with its place: a wide gap to the one before it parts paragraphs."""

    text: str
    top: float
    bottom: float


class _Gutter(NamedTuple):
    """White space at `x` through rows `first` to `last` (the latter not included)."""

    x: float
    first: int
    last: int


def page_text(words: Sequence[Word], rules: Sequence[Rule] = ()) -> str:
    """The text of a page in reading order; cells of a row are parted by ` | `, paragraphs by an empty line."""
    rows = _rows(_segments(words))
    lines = list(_plain(rows)) if len(words) > _MOST_WORDS else list(_arranged(rows, rules))
    return "\n".join(_with_paragraphs(lines))


def _segments(words: Sequence[Word]) -> list[_Segment]:
    """Neighbours in the text that stand beside each other with a small gap."""
    spaced = sum(w.blank for w in words) * 2 > len(words)  # some programs write no blanks, only places
    found: list[_Segment] = []
    for word in words:
        last = found[-1] if found else None
        if last is None or not _goes_on(last, word, spaced):
            found.append(_Segment(*word[:5]))
            continue
        gap = word.left - last.right
        height = min(last.bottom - last.top, word.bottom - word.top)
        joint = " " if word.blank or gap > _WORD_GAP * height else ""
        last.text += joint + word.text
        last.words += bool(joint)
        last.right, last.top = max(last.right, word.right), min(last.top, word.top)
        last.bottom = max(last.bottom, word.bottom)
    return found


def _goes_on(last: _Segment, word: Word, spaced: bool) -> bool:
    height = min(last.bottom - last.top, word.bottom - word.top)
    if abs((word.top + word.bottom) - (last.top + last.bottom)) > 2 * _SAME_LINE * height:
        return False
    gap = word.left - last.right
    limit = _LOOSE_GAP if word.blank or not spaced else _TIGHT_GAP
    return -_LOOSE_GAP * height < gap <= limit * height


def _rows(segments: list[_Segment]) -> list[_Row]:
    """Segments whose middles are on one line, from left to right; the rows from top to bottom."""
    rows: list[_Row] = []
    middle = 0.0
    for one in sorted(segments, key=lambda s: s.top + s.bottom):
        height = one.bottom - one.top
        if not rows or (one.top + one.bottom) / 2 - middle > _SAME_LINE * height:
            rows.append(_Row())
            middle = (one.top + one.bottom) / 2
        rows[-1].segments.append(one)
    for row in rows:
        row.segments.sort(key=lambda s: s.left)
    return rows


def _arranged(rows: list[_Row], rules: Sequence[Rule]) -> Iterator[_Line]:
    gutter = _widest_gutter(rows)
    if gutter is None:
        yield from _plain(rows)
        return
    inside = rows[gutter.first : gutter.last]
    yield from _arranged(rows[: gutter.first], rules)
    left = _side(inside, lambda s: s.left < gutter.x)
    right = _side(inside, lambda s: s.left >= gutter.x)
    if _is_columns(inside, left, right, gutter.x, rules):
        yield from _arranged(left, rules)
        yield from _arranged(right, rules)
        yield from _arranged(rows[gutter.last :], rules)
        return
    end = gutter.first + _table_end(inside, gutter.x)
    yield from _table(rows[gutter.first : end], rules)
    yield from _arranged(rows[end:], rules)


def _table_end(inside: list[_Row], x: float) -> int:
    """After the last row with cells and the lines that go on below its later columns."""
    last = max(i for i, row in enumerate(inside) if row.segments[0].left < x <= row.segments[-1].left)
    edges = _column_edges(inside[: last + 1])
    second = edges[0] if edges else x
    below = takewhile(lambda row: row.segments[0].left >= second, inside[last + 1 :])
    return last + 1 + sum(1 for _ in below)


def _side(rows: list[_Row], belongs: Callable[[_Segment], bool]) -> list[_Row]:
    sides = (_Row([s for s in row.segments if belongs(s)]) for row in rows)
    return [row for row in sides if row.segments]


def _widest_gutter(rows: list[_Row]) -> _Gutter | None:
    """The gutter with most rows on both its sides; None where no gutter has enough of them."""
    middles = {round((a.right + b.left) / 2) for row in rows for a, b in pairwise(row.segments) if b.left > a.right}
    step = max(1, len(middles) // _MOST_GUTTERS)
    best, most = None, (_LEAST_LINES - 1, 0)
    for x in sorted(middles)[::step]:
        for gutter, parted in _stretches(rows, x):
            if (parted, gutter.last - gutter.first) > most:
                best, most = gutter, (parted, gutter.last - gutter.first)
    return best


def _stretches(rows: list[_Row], x: float) -> Iterator[tuple[_Gutter, int]]:
    """Runs of rows that nothing crosses at `x`, each from and to a row that it parts, and how many it parts."""
    first, last, both, lefts, rights = -1, -1, 0, 0, 0
    for i, row in enumerate([*rows, None]):
        crossed = row is None or any(s.left < x < s.right for s in row.segments)
        if crossed or row is None:
            if first >= 0:
                yield _Gutter(x, first, last + 1), max(both, min(lefts, rights))
            first, last, both, lefts, rights = -1, -1, 0, 0, 0
            continue
        left, right = row.segments[0].left < x, row.segments[-1].left >= x
        if left and right and first < 0:
            first = i
        if first >= 0:
            both, lefts, rights = both + (left and right), lefts + left, rights + right
            last = i


def _is_columns(inside: list[_Row], left: list[_Row], right: list[_Row], x: float, rules: Sequence[Rule]) -> bool:
    top, bottom = inside[0].top, inside[-1].bottom
    crossing = {round(r.y) for r in rules if r.left < x < r.right and top < r.y < bottom}
    if len(crossing) >= 2 and len(inside) <= 8 * len(crossing):
        return False
    prose = (_is_prose(left), _is_prose(right))
    if all(prose):
        return True
    parted = sum(r.segments[0].left < x <= r.segments[-1].left for r in inside)
    aligned = parted / min(len(left), len(right))
    return aligned < (_ALIGNED_TEXT if any(prose) else _ALIGNED_ROWS)


def _is_prose(rows: list[_Row]) -> bool:
    if len(rows) < _LEAST_LINES:
        return False
    width = max(r.segments[-1].right for r in rows) - min(r.segments[0].left for r in rows)
    fills = [sum(s.right - s.left for s in r.segments) / max(width, 1) for r in rows]
    words = [sum(s.words for s in r.segments) / len(r.segments) for r in rows]
    return median(fills) >= _PROSE_FILL and median(words) >= _PROSE_WORDS


def _plain(rows: list[_Row]) -> Iterator[_Line]:
    for row in rows:
        yield _Line(CELL_GAP.join(s.text for s in row.segments), row.top, row.bottom)


def _table(rows: list[_Row], rules: Sequence[Rule]) -> Iterator[_Line]:
    """A line for each row of the table; a cell's lines are joined where rules or the rows' distances show them."""
    edges = _column_edges(rows)
    for together in _table_rows(rows, rules, edges[0] if edges else 0.0):
        if len(together) == 1:
            yield from _plain(together)
            continue
        cells: dict[int, list[str]] = {}
        for row in together:
            for one in row.segments:
                cells.setdefault(sum(one.left >= edge for edge in edges), []).append(one.text)
        text = CELL_GAP.join(" ".join(cells[i]) for i in sorted(cells))
        yield _Line(text, together[0].top, together[-1].bottom)


def _column_edges(rows: list[_Row]) -> list[float]:
    """Where the second and each later column begins: the right ends of the white space between columns."""
    edges: list[float] = []
    reach = None
    for left, right in sorted((s.left, s.right) for row in rows for s in row.segments):
        if reach is not None and left > reach:
            edges.append(left)
        reach = right if reach is None else max(reach, right)
    return edges


def _table_rows(rows: list[_Row], rules: Sequence[Rule], second: float) -> Iterator[list[_Row]]:
    """Lines grouped to rows of the table: by the rules between them, else by their distance."""
    right = max(r.segments[-1].right for r in rows)
    ys = sorted(r.y for r in rules if r.left < second < r.right and rows[0].top < r.y < rows[-1].bottom)
    # Rules under the header alone, or above the sum alone, do not part the rows.
    if len(ys) >= 2 and len(rows) <= 3 * (len(ys) + 1) and second < right:
        middles = [(row.top + row.bottom) / 2 for row in rows]
        return _cut(rows, [any(a < y < b for y in ys) for a, b in pairwise(middles)])
    return _cut_by_distance(rows, second)


def _cut_by_distance(rows: list[_Row], second: float) -> Iterator[list[_Row]]:
    """Cut where two lines are further apart than the lines of one cell: no row may begin twice in its first column."""
    distances = [b.top - a.bottom for a, b in pairwise(rows)]
    height = median(row.bottom - row.top for row in rows)
    ordered = sorted(distances)
    limits = [(a + b) / 2 for a, b in pairwise(ordered) if b - a > _OTHER_DISTANCE * height]
    begins = [row.segments[0].left < second for row in rows]
    for limit in reversed(limits):
        cuts = [distance > limit for distance in distances]
        if all(sum(group) <= 1 for group in _cut(begins, cuts)):
            return _cut(rows, cuts)
    return _cut(rows, [True] * len(distances))


def _cut(items: list[_T], cuts: list[bool]) -> Iterator[list[_T]]:
    """Groups of neighbours; `cuts` says of each but the first whether it begins a group."""
    group = items[:1]
    for item, begins in zip(items[1:], cuts, strict=True):
        if begins:
            yield group
            group = []
        group.append(item)
    yield group


def _with_paragraphs(lines: list[_Line]) -> Iterator[str]:
    gaps = [b.top - a.bottom for a, b in pairwise(lines) if b.top > a.top]
    usual = max(median(gaps), 0.0) if gaps else 0.0
    for i, line in enumerate(lines):
        height = line.bottom - line.top
        gap = line.top - lines[i - 1].bottom if i else 0.0
        if gap < -height or gap > max(0.6 * height, 1.8 * usual):  # up again is another column
            yield ""
        yield line.text
