"""The input of a row: its columns, paths into JSON, the documents that it names, or a conversation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from inhouse.core import Record, canonical_hash
from inhouse.errors import SourceError
from inhouse.sources.chat import MESSAGES, question_of
from inhouse.sources.documents import Folder, names_document
from inhouse.sources.places import Place, require_place, text_at
from inhouse.sources.registry import Source

# A row's inputs, or why it has none that can be used.
InputReader = Callable[[Record], tuple[dict[str, str], str]]


def document_columns(source: Source, fields: Sequence[str]) -> tuple[str, ...]:
    """The input columns in which a cell names a document below the source's folder (`cv.pdf`).

    Raises:
        SourceError: a field is missing; or a column holds hardly anything but such names and not one of them is there:
            a model that learned from the names would learn nothing.
    """
    folder = Folder(source.path.parent)
    found = []
    for place in (require_place(source, name) for name in fields):
        cells = [text for r in source.records if (text := (text_at(r, place) or "").strip())]
        named = [text for text in cells if names_document(text)]
        if folder.has_any(named):
            found.append(place.name)
        elif named and 2 * len(named) > len(cells):
            raise SourceError(
                f"column {place.name!r} names documents, such as {named[0]!r}, and none of them is in the folder of "
                "the data",
                f"copy them below {source.path.parent.resolve()}, or name another column with --input NAME",
                file=source.path,
            )
    return tuple(found)


def with_documents(source: Source, documents: Sequence[str]) -> Source:
    """The source with a checksum that is also of the documents which these columns name: a mended one is news."""
    if not documents:
        return source
    folder = Folder(source.path.parent)
    cells = [text_at(r, require_place(source, name)) or "" for name in documents for r in source.records]
    sha256 = canonical_hash([source.sha256, folder.checksums(cells)], length=64)
    records = [replace(r, provenance=replace(r.provenance, sha256=sha256)) for r in source.records]
    return replace(source, sha256=sha256, records=records)


def input_reader(
    source: Source,
    fields: Sequence[str],
    documents: Collection[str] = (),
    *,
    chat: bool = False,
    records: Sequence[Record] | None = None,
    names: Sequence[str] = (),
) -> InputReader:
    """What reads the inputs of this source's rows, without outer white space; for rows without a target, too.

    Args:
        documents: fields in which a cell that looks like a document's name stands for that document's text; it must
            be there and readable.
        names: what the inputs are called, where that is not what the source calls the fields.
        chat: a last assistant message is left out, as it is the answer that is asked for.
        records: the rows that will be asked for, in this order; all of the source unless it says less. Their documents
            are read ahead, several at a time.

    Raises:
        SourceError: a field is missing.
    """
    places = [require_place(source, name) for name in fields]
    if chat:
        return _read_question
    folder = Folder(source.path.parent)
    named = [place for place in places if place.name in documents]
    if named:
        rows = source.records if records is None else records
        folder.expect(text_at(record, place) or "" for record in rows for place in named)
    called = list(zip(names or fields, places, strict=True))

    def read(record: Record) -> tuple[dict[str, str], str]:
        inputs: dict[str, str] = {}
        for name, place in called:
            text = text_at(record, place)
            if text is None:
                return {}, no_value(place)
            if place.name in documents and names_document(text):
                text, fault = folder.text(text)
                if fault:
                    return {}, fault
            inputs[name] = text.strip()
        if not any(inputs.values()):
            return {}, f"the input is empty ({', '.join(inputs)})"
        return inputs, ""

    return read


def no_value(place: Place) -> str:
    """What is said of a row that lacks a value."""
    return f"no value for column {place.name!r}"


def _read_question(record: Record) -> tuple[dict[str, str], str]:
    try:
        return {MESSAGES: question_of(record)}, ""
    except ValueError as error:
        return {}, str(error)
