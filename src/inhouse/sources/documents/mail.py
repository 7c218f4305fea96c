"""Mails and mailboxes: the head that matters, the text, and the attachments by their own readers."""

from __future__ import annotations

import mailbox
import mimetypes
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from pathlib import Path, PurePath

from inhouse.sources.bounds import MAX_FILE_BYTES, Unreadable
from inhouse.sources.documents.html import read_html
from inhouse.sources.encodings import decoded

_HEAD = ("From", "To", "Cc", "Date", "Subject")
_MAX_HEADER_CHARS = 2_000

# A mail in a mail in a mail: beyond this it is told and not read.
_MAX_DEPTH = 5
_MAX_ATTACHMENTS = 100
_MAX_PARTS = 1_000

# Reads an attachment by the ending of its name; raises Unreadable.
ReadPart = Callable[[str, bytes], str]


def read_mail(data: bytes, read_part: ReadPart) -> str:
    """A mail as text: its head, its text (plain before HTML), and each attachment under its name.

    An attachment that cannot be read is named with the reason; nothing is left out in silence.

    Raises:
        Unreadable: it holds neither a head nor a text, or more than `_MAX_PARTS` parts.
    """
    message = message_from_bytes(data, policy=policy.default)
    text = mail_text(message, read_part)
    if not text or not any(_header(message, name) for name in _HEAD):
        raise Unreadable("is no mail: it has no From, To, Date or Subject")
    return text


def read_mailbox(path: Path, read_part: ReadPart) -> Iterator[tuple[str, str, str]]:
    """Of each message its id (or its number), its text, and why it has none."""
    box = mailbox.mbox(path, create=False)
    try:
        keys = box.keys()
        if not keys:
            raise Unreadable("is no mailbox: no line begins with 'From '")
        seen: set[str] = set()
        for number, key in enumerate(keys, 1):
            data = box.get_bytes(key)
            if len(data) > MAX_FILE_BYTES:
                yield f"message {number}", "", f"has a message of {len(data) / 2**20:,.0f} MiB, which is not read"
                continue
            message = message_from_bytes(data, policy=policy.default)
            name = _header(message, "Message-ID").strip("<> ") or f"message {number}"
            if name in seen:
                name = f"{name} ({number})"
            seen.add(name)
            try:
                yield name, mail_text(message, read_part), ""
            except Unreadable as error:
                yield name, "", f"has a message that {error}"
            except Exception as error:  # noqa: BLE001 - one message that no parser understands costs itself alone
                yield name, "", f"has a message that is damaged ({type(error).__name__}: {str(error)[:80]})"
    finally:
        box.close()


def mail_text(message: Message, read_part: ReadPart, depth: int = 0) -> str:
    """The text of one message with its attachments."""
    head = [f"{name}: {value}" for name in _HEAD if (value := _header(message, name))]
    parts = list(_leaves(message))
    body, attached = _body(parts)
    pieces = ["\n".join(head), body]
    for part in attached[:_MAX_ATTACHMENTS]:
        name, text = _attachment(part, read_part, depth)
        pieces.append(f"Attachment {name}:\n{text}")
    if len(attached) > _MAX_ATTACHMENTS:
        pieces.append(f"[{len(attached) - _MAX_ATTACHMENTS} more attachments were not read]")
    return "\n\n".join(piece for piece in pieces if piece.strip())


def _header(message: Message, name: str) -> str:
    try:
        value = str(message[name] or "")
    except Exception:  # noqa: BLE001 - the standard library fails in many ways on headers that nobody should write
        value = next((str(v) for k, v in message.raw_items() if k.lower() == name.lower()), "")
    value = value.encode("utf-8", "replace").decode("utf-8")
    return " ".join(value.split())[:_MAX_HEADER_CHARS]


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something, in their order; a forwarded mail is one. Raises `Unreadable` for too many."""
    waiting = [message]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            waiting.extend(p for p in reversed(inner) if isinstance(p, Message))
        else:
            yield part
    if waiting:
        raise Unreadable(f"has more than {_MAX_PARTS:,} parts")


def _body(parts: list[Message]) -> tuple[str, list[Message]]:
    """The text of a mail, plain before HTML, and the attachments."""
    inline = [p for p in parts if p.get_content_disposition() != "attachment" and not p.get_filename()]
    plain = [p for p in inline if p.get_content_type() == "text/plain"]
    html = [p for p in inline if p.get_content_type() == "text/html"]
    texts = [text for p in plain if (text := _plain(p).strip())] or [text for p in html if (text := _html(p))]
    rest = [p for p in parts if p not in plain and p not in html]
    return "\n\n".join(texts), [p for p in rest if _is_attached(p)]


def _is_attached(part: Message) -> bool:
    """Whether it was sent along. A picture without a name stands inside the HTML: a logo, a line, a counter."""
    if part.get_filename() or part.get_content_type() == "message/rfc822":
        return True
    inside = part.get_content_maintype() in ("image", "multipart") and part.get_content_disposition() != "attachment"
    return not inside and bool(_bytes(part).strip())


def _plain(part: Message) -> str:
    return decoded(_bytes(part), part.get_content_charset("")).replace("\r\n", "\n").replace("\0", "")


def _html(part: Message) -> str:
    return read_html(_bytes(part), part.get_content_charset(""))


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _attachment(part: Message, read_part: ReadPart, depth: int) -> tuple[str, str]:
    """Its name without any folder, and its text or why there is none."""
    name = PurePath((part.get_filename() or "").replace("\\", "/")).name or _usual_name(part)
    name = name.encode("utf-8", "replace").decode("utf-8")
    try:
        inner = part.get_payload()
        if part.get_content_type() == "message/rfc822" and isinstance(inner, list) and inner:
            return name, _nested(inner[0], read_part, depth)
        if name.lower().endswith(".eml"):
            return name, _nested(message_from_bytes(_bytes(part), policy=policy.default), read_part, depth)
        return name, read_part(name, _bytes(part))
    except Unreadable as error:
        return name, f"[not read: it {error}]"


def _usual_name(part: Message) -> str:
    kind = part.get_content_type()
    return "message" if kind == "message/rfc822" else f"attachment{mimetypes.guess_extension(kind) or ''}"


def _nested(message: object, read_part: ReadPart, depth: int) -> str:
    if depth + 1 >= _MAX_DEPTH or not isinstance(message, EmailMessage | Message):
        raise Unreadable("is a mail inside more than four others")
    return mail_text(message, read_part, depth + 1)
