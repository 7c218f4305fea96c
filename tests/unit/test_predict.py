"""`predict` on tables and on folders of documents: each row keeps its place, and a kill costs a few answers."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter

import docx
import pytest
from conftest import INTENTS, many_intents, write_csv, write_encoder
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

import inhouse
from inhouse.cli import show
from inhouse.core import Silent
from inhouse.errors import InputError, SourceError, UsageError
from inhouse.pipeline.use import write_table
from inhouse.sources import escaped

TEXTS = [row["text"] for row in many_intents()]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_gguf, models_dir):
    """A task `intents` with a tiny encoder as its champion."""
    folder = tmp_path_factory.mktemp("predict")
    encoder = write_encoder(tmp_path_factory.mktemp("encoders") / "tiny-bert")
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        opened = inhouse.open_workspace(folder)
        task = inhouse.init(opened, "intents", base_model=str(tiny_gguf))
        wish = {"model": "encoder", "learning_rate": 1e-3, "max_steps": 12}
        changed = {"encoder_model": str(encoder), "train": task.train.model_copy(update=wish)}
        opened.save_task(task.model_copy(update=changed))
        inhouse.add(opened, "intents", [write_csv(folder / "intents.csv", many_intents())])
        inhouse.train(opened, "intents")
        inhouse.promote(opened, "intents", force=True, reason="for the test")
        yield opened
        opened.close()


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mail(number, text):
    return f"From x Mon Nov  2 10:00:00 2026\nMessage-ID: <{number}@x>\nSubject: {text}\n\n{text}\n\n"


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "in"
    (folder / "mails").mkdir(parents=True)
    canvas = Canvas(str(folder / "a.pdf"))
    canvas.drawString(72, 720, TEXTS[0])
    canvas.save()
    document = docx.Document()
    document.add_paragraph(TEXTS[1])
    document.save(str(folder / "b.docx"))
    (folder / "c.pdf").write_bytes(b"%PDF-1.4 broken")
    Canvas(str(folder / "d.pdf"), encrypt="word").save()
    (folder / "mails" / "e.eml").write_text(f"Subject: {TEXTS[2]}\n\n{TEXTS[2]}")
    (folder / "mails" / "f.mbox").write_text(mail(1, TEXTS[3]) + mail(2, TEXTS[4]))
    (folder / "notes.xyz").write_text("no document")
    return folder


def test_a_folder_becomes_a_table_with_a_row_for_each_document_and_mail(workspace, documents, tmp_path):
    reporter = Silent()
    done = inhouse.predict(workspace, "intents", documents, tmp_path / "out.csv", reporter)
    rows = table(tmp_path / "out.csv")
    assert list(rows[0]) == ["file", "part", "prediction", "confidence", "needs_review", "error"]
    assert [(row["file"], row["part"]) for row in rows] == [
        ("a.pdf", ""),
        ("b.docx", ""),
        ("c.pdf", ""),
        ("d.pdf", ""),
        ("mails/e.eml", ""),
        ("mails/f.mbox", "1@x"),
        ("mails/f.mbox", "2@x"),
    ]
    assert [row["prediction"] in INTENTS for row in rows] == [True, True, False, False, True, True, True]
    assert rows[2]["error"].startswith("c.pdf: is no PDF that can be read")
    assert (done.rows, done.errors, done.resumed) == (7, 2, 0)
    assert done.unreadable == (rows[2]["error"], rows[3]["error"])
    assert "password" in done.unreadable[1]
    assert "could not be read:" in show.predicted(done)
    assert all(name in show.predicted(done) for name in ("c.pdf", "d.pdf"))
    assert reporter.warned == ["files that are no documents were left out: notes.xyz"]
    assert not (tmp_path / "out.csv.part").exists()


def test_one_document_and_the_same_text_in_a_table_get_the_same_answer(workspace, documents, tmp_path):
    inhouse.predict(workspace, "intents", documents / "a.pdf", tmp_path / "one.csv")
    write_csv(tmp_path / "t.csv", [{"text": TEXTS[0]}])
    inhouse.predict(workspace, "intents", tmp_path / "t.csv", tmp_path / "two.csv")
    [one], [two] = table(tmp_path / "one.csv"), table(tmp_path / "two.csv")
    assert one["file"] == "a.pdf"
    assert {k: one[k] for k in ("prediction", "confidence")} == {k: two[k] for k in ("prediction", "confidence")}


def test_folders_patterns_and_databases_are_read_as_add_reads_them(workspace, documents, tmp_path):
    exports = documents / "exports"
    exports.mkdir()
    write_csv(exports / "1.csv", [{"text": TEXTS[0], "id": "1"}, {"text": "", "id": "2"}])
    (exports / "2.tsv").write_text(f"id\ttext\n3\t{TEXTS[1]}\n")
    write_csv(exports / "targets.csv", [{"document": "a.pdf", "label": "x"}])
    with sqlite3.connect(tmp_path / "crm.db") as database:
        database.execute("CREATE TABLE mails (id INTEGER, text TEXT)")
        database.executemany("INSERT INTO mails VALUES (?, ?)", [(7, TEXTS[2]), (8, TEXTS[3])])
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    out, reporter = documents / "out.csv", Silent()
    done = inhouse.predict(workspace, "intents", [documents, url], out, reporter, query="SELECT * FROM mails")
    rows = table(out)
    assert list(rows[0])[:4] == ["file", "part", "text", "id"]
    by_file = Counter(row["file"] for row in rows)
    assert by_file.pop(url) == 2
    assert by_file == {
        "in/exports/1.csv": 2, "in/exports/2.tsv": 1, "a.pdf": 1, "b.docx": 1, "c.pdf": 1, "d.pdf": 1,
        "mails/e.eml": 1, "mails/f.mbox": 2,
    }  # fmt: skip
    assert [row["id"] for row in rows if row["id"]] == ["1", "2", "3", "7", "8"]
    assert (done.rows, done.errors, len(done.unreadable)) == (12, 3, 3)
    assert done.unreadable[0].startswith("in/exports/1.csv: line 3")
    assert any("targets.csv is left out: column 'text' is missing" in said for said in reporter.warned)
    again = inhouse.predict(workspace, "intents", [documents, url], out, query="SELECT * FROM mails")
    assert again.rows == 12  # what was written into the folder is no input

    pattern = str(exports / "[12].*")
    assert inhouse.predict(workspace, "intents", pattern, tmp_path / "p.csv").rows == 3
    assert [row["file"] for row in table(tmp_path / "p.csv")] == ["exports/1.csv", "exports/1.csv", "exports/2.tsv"]


def test_columns_of_another_name_and_options_are_as_in_add(workspace, tmp_path, cli):
    (tmp_path / "a.txt.csv").write_text(f"x|body\n1|{TEXTS[0]}\n")
    wrong = cli(workspace.paths.root, "predict", "intents", tmp_path / "a.txt.csv", "--out", tmp_path / "o.csv")
    assert wrong.code == 3
    assert "'text' is missing" in wrong.err
    done = cli(
        workspace.paths.root, "predict", "intents", tmp_path / "a.txt.csv", "--input", "text=body", "--delimiter", "|",
        "--out", tmp_path / "o.csv", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    [row] = table(tmp_path / "o.csv")
    assert row["prediction"] in INTENTS
    odd = cli(workspace.paths.root, "predict", "intents", tmp_path / "a.txt.csv", "--input", "y=x", "--out", "o.csv")
    assert "--input y: the model reads text" in odd.err
    (tmp_path / "broken.json").write_text("{")
    two = inhouse.predict(workspace, "intents", [tmp_path / "broken.json", tmp_path / "a.txt.csv"], tmp_path / "o.csv",
                          inputs=["text=body"])  # fmt: skip
    assert (two.rows, len(two.unreadable)) == (1, 1)
    with pytest.raises(UsageError, match="--query is for a database"):
        inhouse.predict(workspace, "intents", tmp_path / "a.txt.csv", tmp_path / "o.csv", query="SELECT 1")


KILLED = """
import os, signal, sys
import inhouse
from inhouse.core import Silent

class Killer(Silent):
    def bar(self, title, total):
        return self
    def update(self, done, note=""):
        if done >= 300:
            os.kill(os.getpid(), signal.SIGKILL)

inhouse.predict(inhouse.open_workspace(sys.argv[1]), "intents", sys.argv[2], sys.argv[3], Killer())
"""


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_killed_prediction_goes_on_where_it_was_and_ends_the_same(workspace, tmp_path, environment, kind):
    texts = [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(500)]
    if kind == "folder":
        given_ = tmp_path / "in"
        given_.mkdir()
        for i, text in enumerate(texts):
            (given_ / f"{i:03}.html").write_text(f"<p>{text}")
    else:
        given_ = write_csv(tmp_path / "in.csv", [{"text": text} for text in texts])
    out, part = tmp_path / "out.csv", tmp_path / "out.csv.part"
    command = [sys.executable, "-c", KILLED, str(workspace.paths.root), str(given_), str(out)]
    assert subprocess.run(command, env=environment, check=False, timeout=120).returncode == -signal.SIGKILL
    assert not out.exists()
    kept = part.read_bytes()
    assert kept.count(b"\n") == 1 + 256
    part.write_bytes(kept + b'["cut off by a power c')
    done = inhouse.predict(workspace, "intents", given_, out)
    assert (done.rows, done.resumed) == (500, 256)
    assert not part.exists()
    whole = inhouse.predict(workspace, "intents", given_, tmp_path / "whole.csv")
    assert whole.resumed == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_what_changed_or_could_not_be_read_is_answered_anew(workspace, documents, tmp_path):
    out = tmp_path / "out.csv"
    inhouse.predict(workspace, "intents", documents, out)
    head, rows = part_of(workspace, documents, out)
    keys = [json.loads(line)[0] for line in rows]
    assert len(keys) == len(set(keys)) == 7
    write_part(out, head, rows)
    (documents / "b.docx").unlink()
    canvas = Canvas(str(documents / "c.pdf"))
    canvas.drawString(72, 720, TEXTS[5])
    canvas.save()
    done = inhouse.predict(workspace, "intents", documents, out)
    assert (done.rows, done.errors, done.resumed) == (6, 1, 4)
    assert [row["file"] for row in table(out)][:2] == ["a.pdf", "c.pdf"]
    write_part(out, head.replace("intents@1", "intents@9"), rows)  # of another model: none of it counts
    assert inhouse.predict(workspace, "intents", documents, out).resumed == 0


def part_of(workspace, documents, out):
    """The lines that a command leaves when the disk refuses the last step."""
    folder = out.parent / "refused"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inhouse.pipeline.use.write_table", refuse)
        with pytest.raises(OSError, match="refused"):
            inhouse.predict(workspace, "intents", documents, folder / out.name)
    head, *rows = (folder / f"{out.name}.part").read_text().splitlines()
    return head, rows


def refuse(*_):
    raise OSError("refused")


def write_part(out, head, rows):
    out.with_name(f"{out.name}.part").write_text("\n".join([head, *rows]) + "\n")


def test_formulas_are_escaped_where_they_are_carried_along(workspace, tmp_path):
    write_csv(tmp_path / "t.csv", [{"text": TEXTS[0], "=cmd|' /C calc'!A0": "=1+1", "amount": "-12.50"}])
    inhouse.predict(workspace, "intents", tmp_path / "t.csv", tmp_path / "out.csv")
    [row] = table(tmp_path / "out.csv")
    assert row["'=cmd|' /C calc'!A0"] == "'=1+1"
    assert row["amount"] == "-12.50"


@given(st.text(max_size=20))
def test_no_cell_is_computed_and_what_was_written_can_be_told(cell):
    written = escaped(cell)
    assert written in (cell, f"'{cell}")
    assert written[:1] not in ("=", "@", "\t", "\r")
    assert written[:1] not in ("+", "-") or written.strip("+-0123456789.,' %") == ""


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    def rows():
        yield ["a"]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_table(tmp_path / "out.csv", ["x"], rows())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_predicted_is_refused_before_anything_is_written(workspace, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no document"):
        inhouse.predict(workspace, "intents", tmp_path / "empty", tmp_path / "out.csv")
    write_csv(tmp_path / "t.csv", [{"other": "x"}])
    with pytest.raises(SourceError, match="'text' is missing"):
        inhouse.predict(workspace, "intents", tmp_path / "t.csv", tmp_path / "out.csv")
    with pytest.raises(UsageError, match="the input file itself"):
        inhouse.predict(workspace, "intents", tmp_path / "t.csv", tmp_path / "t.csv")
    with pytest.raises(InputError, match="is a folder"):
        inhouse.predict(workspace, "intents", tmp_path / "t.csv", tmp_path / "empty")
    assert sorted(os.listdir(tmp_path)) == ["empty", "t.csv"]  # noqa: PTH208
