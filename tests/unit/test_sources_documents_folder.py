"""Folders of documents: their targets, what is left out and told, and parsers that crash or never end."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from reportlab.pdfgen.canvas import Canvas

from inhouse.errors import SourceError
from inhouse.sources import (
    document_files,
    find_files,
    infer_mapping,
    read_document_folder,
    read_documents,
    remedy_of,
    to_examples,
)


def pdf(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = Canvas(str(path))
    canvas.drawString(72, 720, text)
    canvas.save()


def rows(source):
    return [(r.values["file"], r.values["document"], r.values["target"]) for r in source.records]


def test_targets_stand_in_files_beside_the_documents(tmp_path):
    pdf(tmp_path / "in" / "a.pdf", "one")
    (tmp_path / "in" / "a.JSON").write_text('{"total": 1.50, "items": ["x"]}')
    pdf(tmp_path / "b.pdf", "two")
    (tmp_path / "b.pdf.json").write_text('{"total": 2}')
    (tmp_path / "c.html").write_text("<p>three")
    (tmp_path / "c.json").write_text('{"total": }')
    pdf(tmp_path / "d.pdf", "four")
    (tmp_path / "prices.zip").write_bytes(b"PK")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    source = read_document_folder(tmp_path)
    assert rows(source) == [("b.pdf", "two", '{"total":2}'), ("in/a.pdf", "one", '{"total":1.5,"items":["x"]}')]
    assert source.columns == ("document", "target", "file")
    assert source.nested == {"target"}
    assert {str(r.provenance).partition("/")[0] for r in source.records} == {tmp_path.name}
    assert [(str(r.provenance).removeprefix(f"{tmp_path.name}/"), r.reason) for r in source.rejections] == [
        (
            "c.html",
            "the target of 'c.html', c.json, cannot be read: not valid JSON: Expecting value at character 11",
        ),
        ("d.pdf", "the file 'd.pdf' has no target: there is no d.json or d.txt beside it"),
    ]
    assert "b.pdf.json is of b.pdf: 3 of 4 have one" in source.notes[0]
    assert source.notes[1] == "files that are no documents were left out: prices.zip"
    mapping = infer_mapping(source, kind="extract")
    assert (mapping.fields, mapping.targets) == (("document",), ("target",))
    assert [e.provenance.sha256 for e in to_examples(source, mapping)[0]] == [
        f.sha256() for f in document_files(tmp_path).files if f.name in ("b.pdf", "in/a.pdf")
    ]


def test_texts_beside_documents_are_their_targets_and_texts_alone_are_documents(tmp_path):
    for name in ("a", "b"):
        pdf(tmp_path / f"{name}.pdf", f"document {name}")
        (tmp_path / f"{name}.txt").write_text(f"summary {name}\n")
    source = read_document_folder(tmp_path)
    assert rows(source) == [("a.pdf", "document a", "summary a"), ("b.pdf", "document b", "summary b")]
    (tmp_path / "c.txt").write_text("a document")
    (tmp_path / "c.json").write_text('"its summary"')
    assert rows(read_document_folder(tmp_path))[2] == ("c.txt", "a document", "its summary")


@pytest.mark.parametrize("above", ["", "mails/2026"])
def test_targets_are_the_names_of_the_folders(tmp_path, above):
    for label, count in (("invoice", 3), ("order", 2)):
        for i in range(count):
            (tmp_path / above / label / "deeper").mkdir(parents=True, exist_ok=True)
            (tmp_path / above / label / "deeper" / f"{i}.txt").write_text(f"{label} number {i}")
    source = read_document_folder(tmp_path)
    assert [r.values["target"] for r in source.records] == ["invoice"] * 3 + ["order"] * 2
    assert source.notes == ("the target of a document is the name of its folder: invoice (3), order (2)",)
    mapping = infer_mapping(source, kind="classify")
    assert (mapping.fields, mapping.targets) == (("document",), ("target",))
    assert source.notes[0] in mapping.why


def test_without_targets_the_three_ways_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="have no targets") as caught:
        read_document_folder(tmp_path)
    assert "invoice1.json" in caught.value.remedy
    source = read_document_folder(tmp_path, targets=False)
    assert (source.columns, source.records[0].values) == (("document", "file"), {"document": "x", "file": "a.txt"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no document"):
        document_files(tmp_path / "empty")


def test_each_message_of_a_mailbox_is_a_row_with_its_id(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "in.mbox").write_text(
            "".join(
                f"From x Mon Nov  2 10:00:00 2026\nMessage-ID: <{i}@x>\nSubject: {label}{i}\n\nhello\n\n"
                for i in (1, 2)
            )
        )
    source = read_document_folder(tmp_path)
    assert [str(r.provenance) for r in source.records] == [
        f"{tmp_path.name}/{n}/in.mbox!{i}@x" for n in "ab" for i in (1, 2)
    ]
    assert source.records[3].values["document"] == "Subject: b2\n\nhello"


def test_the_hash_of_a_folder_changes_with_a_document_or_a_target(tmp_path):
    pdf(tmp_path / "a.pdf", "one")
    (tmp_path / "a.json").write_text('{"x": 1}')
    first = read_document_folder(tmp_path).sha256
    assert read_document_folder(tmp_path).sha256 == first
    (tmp_path / "a.json").write_text('{"x": 2}')
    second = read_document_folder(tmp_path).sha256
    pdf(tmp_path / "a.pdf", "two")
    assert len({first, second, read_document_folder(tmp_path).sha256}) == 3


def test_nothing_outside_the_folder_is_read_and_links_are_told(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.txt").write_text("good")
    (data / "bad.txt").symlink_to(tmp_path / "secret.txt")
    (data / "circle.txt").symlink_to(data / "circle.txt")
    (data / "up").symlink_to(tmp_path)
    os.mkfifo(data / "pipe.txt")
    source = read_document_folder(data, targets=False)
    assert [r.values["document"] for r in source.records] == ["good"]
    assert {r.provenance.file.removeprefix("data/"): r.reason for r in source.rejections} == {
        "bad.txt": "is a link to a file outside the folder; copy the file there",
        "circle.txt": "is a link to nothing",
        "pipe.txt": "is no ordinary file",
        "up": "is a link to a folder; copy the folder there",
    }


def test_a_document_that_never_ends_costs_itself_alone(tmp_path):
    """A pipe that nobody writes to is as good as a parser in an endless loop."""
    os.mkfifo(tmp_path / "endless.pdf")
    names = ["a.html", "endless.pdf", "b.html"]
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text(f"<p>{name}")
    found = [parts[0] for _, parts in read_documents([tmp_path / name for name in names], silence_limit_s=5)]
    assert [part.text for part in found] == ["a.html", "", "b.html"]
    assert "kept its reader busy for more than 5 seconds" in found[1].fault


def test_a_reader_that_crashes_costs_its_document_alone(tmp_path):
    os.mkfifo(tmp_path / "crash.pdf")
    paths = [tmp_path / "crash.pdf", *(tmp_path / f"{i}.html" for i in range(20))]
    for path in paths[1:]:
        path.write_text(f"<p>{path.stem}")
    known = {child.pid for child in psutil.Process().children()}

    def kill():
        """Ends the process that opened the pipe, as a fault in native code would."""
        descriptor = os.open(tmp_path / "crash.pdf", os.O_WRONLY)  # waits until it is opened for reading
        for child in psutil.Process().children():
            if child.pid not in known and "crash.pdf" in opened(child):
                child.kill()
        os.close(descriptor)

    killer = threading.Thread(target=kill)
    killer.start()
    found = [parts[0] for _, parts in read_documents(paths)]
    killer.join()
    assert "made its reader crash" in found[0].fault
    assert [part.text for part in found[1:]] == [str(i) for i in range(20)]


def opened(process):
    found = set()
    with suppress(OSError):  # another reader may end meanwhile, or close what it read
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            found.add(link.readlink().name)
    return found


def test_readers_end_with_whoever_stops_listening(tmp_path):
    for i in range(50):
        (tmp_path / f"{i}.html").write_text("<p>x")
    known = {child.pid for child in psutil.Process().children()}
    reading = read_documents(sorted(tmp_path.iterdir()))
    next(reading)
    assert {child.pid for child in psutil.Process().children()} > known
    reading.close()
    deadline = time.monotonic() + 30
    while {child.pid for child in psutil.Process().children()} - known:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_thousands_of_files(tmp_path):
    for i in range(3000):
        (tmp_path / f"{i:05}.txt").write_text(f"text {i}")
        (tmp_path / f"{i:05}.json").write_text(json.dumps({"n": i}))
    source = read_document_folder(tmp_path)
    assert len(source.records) == 3000
    assert source.records[2999].values == {"document": "text 2999", "target": '{"n":2999}', "file": "02999.txt"}


def test_names_that_are_no_text_are_read_and_kept_apart(tmp_path):
    for byte in (b"\xe9", b"\xe8"):
        document = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf" + byte + b".html"))
        document.write_text("<p>menu")
        document.with_suffix(".json").write_text(json.dumps({"byte": byte.hex()}))
    source = read_document_folder(tmp_path)
    assert rows(source) == [
        ("caf\\xe8.html", "menu", '{"byte":"e8"}'),
        ("caf\\xe9.html", "menu", '{"byte":"e9"}'),
    ]
    assert all(str(record.provenance).encode() for record in source.records)


def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    source = read_document_folder(tmp_path, targets=False)
    assert [r.values["document"] for r in source.records] == ["good"]
    (closed,) = source.rejections
    assert closed.provenance.file == f"{tmp_path.name}/closed"
    assert closed.reason == "is a folder that cannot be read: Permission denied"
    assert "right to read it" in remedy_of(closed.reason)
    assert find_files([tmp_path]).passed_over["in folders that cannot be read (Permission denied)"] == 1
