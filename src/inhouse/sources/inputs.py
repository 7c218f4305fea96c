"""The input of a row: its columns, paths into JSON, the documents that it names, or a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inhouse.core import Record
from inhouse.sources.chat import MESSAGES, question_of
from inhouse.sources.documents import Folder, names_document
from inhouse.sources.places import Place, require_place, text_at
from inhouse.sources.registry import Source

# A row's inputs, or why it has none that can be used.
InputReader = Callable[[Record], tuple[dict[str, str], str]]


def input_reader(source: Source, fields: Sequence[str], *, chat: bool = False) -> InputReader:
    """What reads the inputs of this source's rows, without outer white space; for rows without a target, too.

    A cell that names a document below the source's folder (`cv.pdf`) stands for its text. Where a column holds such
    a name once, every value of it with such an ending must be one. With `chat` a last assistant message is left out:
    it is the answer that is asked for.

    Raises:
        SourceError: a field is missing.
    """
    places = [require_place(source, name) for name in fields]
    if chat:
        return _read_question
    folder = Folder(source.path.parent)
    documents = {p.name for p in places if folder.has_any(text_at(r, p) or "" for r in source.records)}

    def read(record: Record) -> tuple[dict[str, str], str]:
        inputs: dict[str, str] = {}
        for place in places:
            text = text_at(record, place)
            if text is None:
                return {}, no_value(place)
            if place.name in documents and names_document(text):
                text, fault = folder.text(text)
                if fault:
                    return {}, fault
            inputs[place.name] = text.strip()
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
