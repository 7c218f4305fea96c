"""What lies in and below a folder: the one walk for tables and for documents."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

# What systems and programs put beside a company's files.
_LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX", "~$*", ".*")

Kind = Literal["file", "hidden", "link", "unreadable", "other"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something below a folder: its path, its name from the folder on, and what it is.

    `unreadable` is a folder, of which `why` says what the system says; `other` is a pipe, a device or the like.
    """

    path: Path
    name: str
    kind: Kind
    why: str = ""


def below(folder: Path, own: Collection[Path] = ()) -> Iterator[Entry]:
    """All that lies in and below a folder, sorted by name, a folder's own files before those of the folders in it.

    Links are told and never followed, so that nothing outside is reached and no circle walked. There is no recursion:
    folders may lie deeper than Python's stack.

    Args:
        own: folders that are passed over: inhouse keeps its own files there.
    """
    avoided = {str(path.resolve()) for path in own}
    left = [(folder, "")]
    while left:
        here, called = left.pop()
        try:
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Entry(here, called, "unreadable", error.strerror or str(error))
            continue
        deeper = []
        for entry in inside:
            path, name, kind = here / entry.name, f"{called}/{readable(entry.name)}".lstrip("/"), _kind(entry)
            if kind != "folder":
                yield Entry(path, name, kind)
            elif os.path.realpath(entry.path) not in avoided:
                deeper.append((path, name))
        left += reversed(deeper)


def _kind(entry: os.DirEntry[str]) -> Kind | Literal["folder"]:
    if any(fnmatchcase(entry.name, litter) for litter in _LITTER):
        return "hidden"
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def name_of(folder: Path) -> str:
    """What a folder is called in messages and in the places of examples."""
    return readable(folder.resolve().name or "folder")


def readable(name: str) -> str:
    r"""A name that every file and database can hold: a byte of it that is no text is written as `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
