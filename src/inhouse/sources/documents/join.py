"""A folder of documents as a source: which files are documents, and what the target of each is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from inhouse.core import Provenance, Record, Rejection, canonical_hash
from inhouse.core.json_schema import compact
from inhouse.errors import SourceError
from inhouse.sources.below import Entry, below, name_of, readable
from inhouse.sources.bounds import Unreadable, load
from inhouse.sources.documents.pool import read_documents
from inhouse.sources.documents.reading import ENDINGS
from inhouse.sources.encodings import read_plain
from inhouse.sources.json_rows import decode
from inhouse.sources.registry import Source

DOCUMENT, TARGET, FILE = "document", "target", "file"

SIDECARS = (".json", ".txt")

_NAMED = 5

Join = Literal["sidecar", "folder", ""]


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A document in a folder: its path, its name from the folder on, and where its target stands, if anywhere."""

    path: Path
    name: str
    sidecar: Path | None = None
    label: str = ""

    def sha256(self) -> str:
        """Of the file's bytes; empty where it cannot be read, as reading it tells why."""
        return _sha256(self.path)


@dataclass(frozen=True, slots=True)
class DocumentFolder:
    """The documents of a folder in the order of their names, how they get their targets, and what else is there.

    `why` and `left_out` say the latter two in a sentence each.
    """

    path: Path
    files: tuple[DocumentFile, ...]
    join: Join
    why: str = ""
    left_out: str = ""
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What it is called in messages and in the places of examples."""
        return name_of(self.path)


def document_files(path: Path | str, own: Collection[Path] = ()) -> DocumentFolder:
    """List the documents at and below a folder, or the one document that `path` is; nothing is read.

    Links that lead out of the folder are never followed: such files stand in `refused` with the reason.

    Args:
        own: folders that are passed over: inhouse keeps its own files there.

    Raises:
        SourceError: no such folder, or no document in it.
    """
    path = Path(path)
    if path.is_file():
        return DocumentFolder(path, (DocumentFile(path, readable(path.name)),), "")
    if not path.is_dir():
        raise SourceError("there is no such folder", "check the spelling and the folder you are in", file=path)
    root = path.resolve()
    paths: dict[str, Path] = {}
    others: list[str] = []
    refused: list[tuple[str, str]] = []
    for one in below(root, own):
        if one.kind == "hidden":
            continue
        if fault := _fault(one, root):
            refused.append((one.name or path.name, fault))
        elif one.path.suffix.lower() in (*ENDINGS, *SIDECARS):
            paths[one.name] = one.path
        else:
            others.append(one.name)
    files, join = _joined(paths, _sidecars([*paths]))
    if not files and not refused:
        raise SourceError(
            f"the folder holds no document ({', '.join(others[:_NAMED]) or 'it is empty'})",
            f"documents end in {', '.join(ENDINGS)}",
            file=path,
        )
    taken = {file.path for file in files} | {file.sidecar for file in files}
    others += [name for name, its in paths.items() if its not in taken]
    return DocumentFolder(path, tuple(files), join, _why(files, join), _left_out(sorted(others)), tuple(refused))


def read_document_folder(path: Path | str | DocumentFolder, *, targets: bool = True) -> Source:
    """A folder of documents as a source of the columns `document` (the text), `target` and `file`.

    The target of `invoice1.pdf` is the content of `invoice1.json`, `invoice1.txt`, `invoice1.pdf.json` or
    `invoice1.pdf.txt` beside it; where most documents have none, the name of the folder that it lies in. `notes` tells
    which of the two it is. A row is called by the path from the folder's own name on; a message of a mailbox is a row,
    its id the `part` of its provenance. What cannot be read or has no target is a rejection with the reason.

    Args:
        path: the folder, or what `document_files` found in it.
        targets: the documents need a target; without it there is no such column.

    Raises:
        SourceError: no such folder, no document in it, or no target for most of them.
    """
    folder = path if isinstance(path, DocumentFolder) else document_files(path)
    if targets and not folder.join:
        raise SourceError(
            f"the {len(folder.files):,} documents of the folder have no targets",
            "put invoice1.json or invoice1.txt with the target beside invoice1.pdf, or sort the documents into "
            "folders that are named as their labels, or write a table with a column of file names",
            file=folder.path,
        )
    records: list[Record] = []
    called = f"{folder.name}/" if folder.path.is_dir() else ""
    rejections = [Rejection(Provenance(called + name, 0), fault, name) for name, fault in folder.refused]
    nested = set()
    hashes: list[tuple[str, ...]] = []
    for file, (_, parts) in zip(folder.files, read_documents(f.path for f in folder.files), strict=True):
        sha256 = file.sha256()
        target, is_json, fault = _target(file) if targets else ("", False, "")
        hashes.append((file.name, sha256, target))
        nested |= {TARGET} if is_json else set()
        for part in parts:
            place = Provenance(called + file.name, 0, sha256, part.name)
            reason = (f"the file {file.name!r} {part.fault}" if part.fault else "") or fault
            if reason:
                rejections.append(Rejection(place, reason, file.name))
                continue
            values = {DOCUMENT: part.text, **({TARGET: target} if targets else {}), FILE: file.name}
            records.append(Record(values, place, frozenset({TARGET} if is_json else ())))
    return Source(
        path=folder.path,
        sha256=canonical_hash(sorted(hashes), length=64),
        columns=(DOCUMENT, TARGET, FILE) if targets else (DOCUMENT, FILE),
        records=records,
        rejections=rejections,
        nested=frozenset(nested),
        notes=tuple(filter(None, [folder.why if targets else "", folder.left_out])),
        fields=(DOCUMENT,),
    )


def _fault(one: Entry, root: Path) -> str:
    """Why what lies in the folder is not taken; a link to another file of the folder is that file."""
    match one.kind:
        case "unreadable":
            return f"is a folder that cannot be read: {one.why}"
        case "other":
            return "is no ordinary file"
        case "link":
            return _leads_out(one.path, root)
    return ""


def _leads_out(link: Path, root: Path) -> str:
    try:
        end = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return "is a link to nothing"
    if end.is_dir():
        return "is a link to a folder; copy the folder there"
    if not end.is_file():
        return "is no ordinary file"
    return "" if end.is_relative_to(root) else "is a link to a file outside the folder; copy the file there"


def _sidecars(names: list[str]) -> dict[str, str]:
    """Of each document that has one, the file with its target, its ending in any case; JSON before text."""
    known = {name.removesuffix(end := PurePosixPath(name).suffix) + end.lower(): name for name in names}
    found = {}
    for name in names:
        path = PurePosixPath(name)
        if path.suffix.lower() not in ENDINGS:
            continue
        stems = [str(path.with_suffix("")), name]
        endings = SIDECARS[:1] if path.suffix.lower() in SIDECARS else SIDECARS
        sidecar = next((its for e in endings for s in stems if (its := known.get(s + e, name)) != name), None)
        if sidecar:
            found[name] = sidecar
    return found


def _joined(paths: Mapping[str, Path], sidecars: Mapping[str, str]) -> tuple[list[DocumentFile], Join]:
    targets = set(sidecars.values())
    names = [name for name, path in paths.items() if path.suffix.lower() in ENDINGS]
    documents = [name for name in names if name not in targets]
    if sidecars and 2 * len(sidecars) >= len(documents):
        files = [DocumentFile(paths[n], n, paths[sidecars[n]] if n in sidecars else None) for n in documents]
        return files, "sidecar"
    labels = _labels(names)
    return [DocumentFile(paths[n], n, label=labels.get(n, "")) for n in names], "folder" if labels else ""


def _labels(names: list[str]) -> dict[str, str]:
    """The first folder in which the documents differ; nothing where most lie in no folder or all in one."""
    parts = {name: PurePosixPath(name).parts[:-1] for name in names}
    shared = 0
    while parts and len({folders[shared : shared + 1] for folders in parts.values()}) == 1:
        if any(len(folders) <= shared for folders in parts.values()):
            return {}
        shared += 1
    labels = {name: folders[shared] for name, folders in parts.items() if len(folders) > shared}
    return labels if len(set(labels.values())) > 1 and 2 * len(labels) > len(names) else {}


def _why(files: list[DocumentFile], join: Join) -> str:
    if join == "sidecar":
        pairs = [(f.sidecar.name, f.path.name) for f in files if f.sidecar]
        return (
            f"the target of a document is the file beside it with the same name, as {pairs[0][0]} is of "
            f"{pairs[0][1]}: {len(pairs):,} of {len(files):,} have one"
        )
    if join == "folder":
        counts = Counter(f.label for f in files if f.label)
        named = ", ".join(f"{label} ({n:,})" for label, n in counts.most_common(_NAMED))
        rest = f" and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
        return f"the target of a document is the name of its folder: {named}{rest}"
    return ""


def _left_out(others: list[str]) -> str:
    if not others:
        return ""
    more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
    return f"files that are no documents were left out: {', '.join(others[:_NAMED])}{more}"


def _target(file: DocumentFile) -> tuple[str, bool, str]:
    """The target of a document, whether it is JSON, and why there is none."""
    if file.sidecar is None:
        stem = PurePosixPath(file.name).stem
        missing = f"there is no {stem}.json or {stem}.txt beside it" if not file.label else ""
        return file.label, False, f"the file {file.name!r} has no target: {missing}" if missing else ""
    try:
        text = read_plain(load(file.sidecar)).strip()
        if file.sidecar.suffix.lower() != SIDECARS[0]:
            return text, False, ""
        value = decode(text)
    except (Unreadable, ValueError) as error:
        return "", False, f"the target of {file.name!r}, {file.sidecar.name}, cannot be read: {error}"
    if value is None or isinstance(value, str):
        return value or "", False, ""
    return compact(value), True, ""


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
