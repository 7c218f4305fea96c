"""The files that a path means: itself, all below a folder, or those that a pattern names; the rest is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from inhouse.errors import SourceError
from inhouse.sources.below import below, name_of, readable
from inhouse.sources.documents import READERS as DOCUMENTS
from inhouse.sources.registry import READERS

# What is passed over, as it is counted for the user.
_PASSED_OVER = {
    "hidden": "hidden",
    "link": "links, which are not followed: name where they lead",
    "other": "no files (pipes, devices)",
}
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read: where it is, what it is called in messages and provenance, and the pattern of its likes.

    The name begins with what was added: `exports/2024/mails.csv` of the folder `exports`.
    """

    path: Path
    name: str
    pattern: str


@dataclass
class Walk:
    """The files that paths mean, and how many were passed over, by the reason.

    `documents` are those that are read only where a cell of a table names them.
    """

    files: list[Found] = field(default_factory=list)
    documents: list[Found] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def find_files(paths: Sequence[Path | str], own: Collection[Path] = ()) -> Walk:
    """The files that the paths mean, in their order; in a folder sorted by name, each file once.

    Links in a folder are not followed, so nothing outside it is read and no circle of links is walked. A file that is
    named is taken as it is, of whatever kind.

    Args:
        own: folders that are passed over: inhouse keeps its own files there.

    Raises:
        SourceError: a pattern that matches nothing. A file that is not there is told when it is read.
    """
    walk, seen = Walk(), set[str]()
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found = _below(path, walk, own)
        elif _WILD.search(str(given)) and not path.exists():
            found = _matching(str(given), walk, own)
        else:
            found = iter([_named(path)])
        for one in found:
            if (key := str(one.path.absolute())) not in seen:
                seen.add(key)
                _sort_in(walk, one, named=one.path == path)
    walk.files = _told_apart(walk.files)
    return walk


def _sort_in(walk: Walk, one: Found, *, named: bool) -> None:
    ending = one.path.suffix.lower()
    if named or ending.removeprefix(".") in READERS:
        walk.files.append(one)
    elif ending in DOCUMENTS:
        walk.documents.append(one)
    else:
        walk.passed_over[f"of a kind that is not known ({ending or 'no ending'})"] += 1


def _named(path: Path) -> Found:
    name = readable(path.name if path.is_absolute() or ".." in path.parts else path.as_posix())
    return Found(path, name, name)


def _matching(pattern: str, walk: Walk, own: Collection[Path]) -> Iterator[Found]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if _WILD.search(part))
    base = Path(*parts[:fixed]) if fixed else Path()
    wanted = _regular(parts[fixed:])
    count = 0
    for one in _below(base, walk, own) if base.is_dir() else ():
        if wanted.fullmatch(one.path.relative_to(base).as_posix()):
            count += 1
            yield one
    if not count:
        raise SourceError("no file matches this pattern", "check the spelling and the folder you are in", file=pattern)


def _regular(parts: Sequence[str]) -> re.Pattern[str]:
    """A pattern with `**`, `*`, `?` and `[...]` as a regular expression for paths with `/`."""
    pieces = []
    for part in parts:
        if part == "**":
            pieces.append("(?:[^/]+/)*")
            continue
        for token in re.findall(r"\[!?\]?[^\]]*\]|.", part):
            pieces.append({"*": "[^/]*", "?": "[^/]"}.get(token) or _one_of(token))
        pieces.append("/")
    return re.compile("".join(pieces).removesuffix("/") if parts[-1] != "**" else "".join(pieces) + "[^/]+")


def _one_of(token: str) -> str:
    if len(token) == 1:
        return re.escape(token)
    inside = token[1:-1].replace("\\", r"\\")
    return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"


def _below(folder: Path, walk: Walk, own: Collection[Path]) -> Iterator[Found]:
    """The files in and below a folder; what else is there is counted."""
    called = name_of(folder)
    for one in below(folder, own):
        if one.kind == "file":
            name = PurePosixPath(called, one.name)
            yield Found(one.path, str(name), str(name.with_name(f"*{name.suffix}")))
        else:
            walk.passed_over[_PASSED_OVER.get(one.kind) or f"in folders that cannot be read ({one.why})"] += 1


def _told_apart(files: list[Found]) -> list[Found]:
    """Longer names for those that several files share."""
    shared = Counter(one.name for one in files)
    if all(count == 1 for count in shared.values()):
        return files
    return [one if shared[one.name] == 1 else _longer(one) for one in files]


def _longer(one: Found) -> Found:
    name = readable(one.path.absolute().as_posix().removeprefix("/"))
    return Found(one.path, name, name)
