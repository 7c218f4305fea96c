"""A file that is read otherwise than before (another encoding, separator or header): its rows replace what it gave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from inhouse.core import Example, Split

_Row = tuple[Example, Split | None]

# By checksum and part of a file, the lines in which another reading of it finds examples.
OtherLines = Mapping[tuple[str, str], Collection[int]]
# Whether a row of a version must not be replaced by what another reading finds in its place.
Protected = Callable[[Example, Example], bool]


@dataclass(slots=True)
class ReadAnew:
    """The rows of a version with what another reading of their files says, and the examples that are of no such row.

    `replaced` has pairs of what stood there and what does now; `dropped` are rows that the other reading does not have,
    `stuck` those of them that stay all the same, as test examples do. `protected` are rows that stay as they are.
    """

    rows: list[_Row] = field(default_factory=list)
    new: list[Example] = field(default_factory=list)
    replaced: list[tuple[Example, Example]] = field(default_factory=list)
    dropped: list[Example] = field(default_factory=list)
    stuck: list[Example] = field(default_factory=list)
    protected: list[Example] = field(default_factory=list)


def read_anew(
    rows: Sequence[_Row], new: Sequence[Example], lines: OtherLines, protected: Protected = lambda old, new: False
) -> ReadAnew:
    """Put examples in the place of the rows of their line; split, group and key stay, on the test side too.

    A line that is among `lines` and has no example here is no news (`clean` mended it, say): its row stays.
    """
    if not lines:
        return ReadAnew(list(rows), list(new))
    found = ReadAnew()
    of_place = {whence(e): e for e in new if whence(e)[:2] in lines}
    for example, split in rows:
        place = whence(example)
        if place[:2] not in lines:
            found.rows.append((example, split))
        elif place[2] not in lines[place[:2]]:
            (found.stuck if split == "test" else found.dropped).append(example)
            if split == "test":
                found.rows.append((example, split))
        else:
            now = of_place.pop(place, None)
            if now is not None and now.id != example.id and protected(example, now):
                found.protected.append(example)
            elif now is not None and now.id != example.id:
                now = replace(now, group=example.group, key=now.key or example.key)
                found.replaced.append((example, now))
                example = now
            found.rows.append((example, split))
    found.new = [e for e in new if whence(e)[:2] not in lines or whence(e) in of_place]
    return found


def whence(example: Example) -> tuple[str, str, int, str]:
    """Where an example comes from; no file's checksum says nothing of its content, which then counts too."""
    where = example.provenance
    return where.sha256 or where.file, where.part, where.line, "" if where.sha256 else example.id
