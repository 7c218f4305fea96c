"""Forms with a file in them, which goes to the disk as it comes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from inhouse.api.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_FIELD_BYTES = 4096
# What is written at once: the event loop is left for no less.
_WRITTEN = 2**20


@dataclass
class Form:
    """What a form held: its fields, and the file with the name that it was sent under."""

    file: Path
    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(request: Request, folder: Path, file: str, fields: Collection[str] = ()) -> Form:
    """Read a form of `multipart/form-data`.

    Args:
        folder: where its file goes.
        file: the field that holds the file, which must be there.
        fields: those that may be there beside it.

    Raises:
        ApiError: it is no such form, or is cut off, or holds a field twice or another one.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        told = "send a form: the content type must be multipart/form-data with a boundary"
        raise ApiError(400, told, code="invalid_content_type")
    form = Form(folder / "content")
    with form.file.open("wb") as to:
        reading = _Reading(form, file, fields, to)
        try:
            parser = MultipartParser(boundary, reading.callbacks)
            async for chunk in request.stream():
                parser.write(chunk)
                if len(reading.waiting) >= _WRITTEN:
                    await run_in_threadpool(reading.write)
        except (FormParserError, ClientDisconnect) as error:
            raise _broken(str(error)) from error
        await run_in_threadpool(reading.write)
    if not reading.ended:
        raise _broken("it is cut off")
    if file not in reading.seen:
        raise ApiError(400, f"'{file}' is a required property", code="missing", param=file)
    return form


class _Reading:
    """What is known of a form that is being read."""

    def __init__(self, form: Form, file: str, fields: Collection[str], to: IO[bytes]) -> None:
        self.form, self.seen, self.ended, self.waiting = form, set[str](), False, bytearray()
        self._file, self._known, self._to = file, {*fields, file}, to
        self._name, self._header, self._content = "", [bytearray(), bytearray()], bytearray()
        self._disposition = b""
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._head,
            "on_headers_finished": self._headed,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._whole,
        }

    def write(self) -> None:
        """Write what was read of the file."""
        self._to.write(self.waiting)
        self.waiting.clear()

    def _begin(self) -> None:
        self._disposition, self._content = b"", bytearray()

    def _head(self) -> None:
        name, value = map(bytes, self._header)
        self._header = [bytearray(), bytearray()]
        if name.lower() == b"content-disposition":
            self._disposition = value

    def _headed(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""))
        if self._name in self.seen or self._name not in self._known:
            told = "twice" if self._name in self.seen else "not known here"
            raise ApiError(
                400, f"the field '{self._name[:100]}' is {told}", code="invalid_value", param=self._name[:100]
            )
        if self._name == self._file:
            self.form.filename = _text(options.get(b"filename", b""))
        self.seen.add(self._name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file:
            self.waiting += data[start:end]
            return
        self._content += data[start:end]
        if len(self._content) > MOST_FIELD_BYTES:
            raise ApiError(400, f"the field '{self._name}' is too long", code="invalid_value", param=self._name)

    def _end(self) -> None:
        if self._name != self._file:
            self.form.fields[self._name] = _text(self._content)

    def _whole(self) -> None:
        self.ended = True


def _text(value: bytes | bytearray) -> str:
    """A text of a form; what is no UTF-8 in it is marked."""
    return bytes(value).decode("utf-8", "replace")


def _broken(why: str) -> ApiError:
    return ApiError(400, f"the form cannot be read: {why}", code="invalid_form")
