"""`add` takes folders of documents: the task, its kind and its columns come from where the targets stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import many_intents, write_csv

import inhouse
from inhouse.core import Silent
from inhouse.errors import SourceError
from inhouse.store import records


@pytest.fixture
def workspace(tmp_path):
    opened = inhouse.open_workspace(tmp_path / "work")
    yield opened
    opened.close()


def newest(workspace, name):
    return records.load_dataset(workspace, name, records.latest_dataset(workspace, name))


def labelled(folder):
    for i, row in enumerate(many_intents(4)):
        file = folder / row["category"] / f"{i:02}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<p>{row['text']}")
    return folder


def test_folders_named_as_labels_make_a_classify_task(workspace, tmp_path):
    reporter = Silent()
    added = inhouse.add(workspace, "mails", [labelled(tmp_path / "mails")], reporter)
    assert (added.kind, added.fields, added.target) == ("classify", ("document",), "target")
    assert set(added.labels) == {row["category"] for row in many_intents(1)}
    assert sum(added.counts.values()) == 48
    assert any("the name of its folder" in sentence for sentence in reporter.said)
    example = newest(workspace, "mails").examples[0]
    assert example.provenance.file.startswith(f"mails/{example.target}/")
    assert len(example.provenance.sha256) == 64
    again = inhouse.add(workspace, "mails", [tmp_path / "mails"], reporter)
    assert again.dataset_fingerprint == added.dataset_fingerprint


def test_one_of_several_documents_of_a_name_is_forgotten_alone(workspace, tmp_path):
    folder = labelled(tmp_path / "mails")
    inhouse.add(workspace, "mails", [folder])
    first, second = (folder / name / "same.html" for name in ("card_arrival", "change_pin"))
    for file in (first, second):
        file.write_text(f"<p>Sehr geehrte Damen, {file.parent.name}")
    inhouse.add(workspace, "mails", [folder])
    told = inhouse.forget(workspace, "mails", source=first)
    assert (told.rows, told.places) == (1, ("mails/card_arrival/same.html",))
    named = inhouse.forget(workspace, "mails", source="mails/change_pin/same.html")
    assert named.places == ("mails/change_pin/same.html",)
    assert inhouse.forget(workspace, "mails", source="same.html").rows == 2
    assert inhouse.forget(workspace, "mails", source=folder).rows == 50


def test_files_beside_documents_make_an_extract_task_and_what_cannot_be_used_is_rejected(workspace, tmp_path):
    folder = tmp_path / "invoices"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.html").write_text(f"<h1>Invoice {i}</h1><table><tr><td>Total</td><td>{i}.50</td></tr></table>")
        (folder / f"{i}.json").write_text(json.dumps({"number": str(i), "total": f"{i}.50"}))
    (folder / "alone.html").write_text("<p>nothing beside it")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "broken.json").write_text('{"number": "1", "total": "1"}')
    added = inhouse.add(workspace, "invoices", [folder])
    assert (added.kind, added.fields, added.rejected) == ("extract", ("document",), 2)
    assert {r.file: r.reason.split(" ")[3] for r in added.rejections} == {
        "invoices/alone.html": "has",
        "invoices/broken.pdf": "is",
    }
    remedies = {r.file: r.remedy for r in added.rejections}
    assert remedies["invoices/alone.html"].startswith("put that file beside it")
    assert remedies["invoices/broken.pdf"].startswith("open it with its own program")
    (listed,) = map(Path, added.rejected_files)
    assert listed.name.startswith("invoices.")
    assert len(listed.name) == len("invoices.12345678.rejected.csv")
    with pytest.raises(SourceError, match="lists documents of a folder") as refused:
        inhouse.add(workspace, "invoices", [listed])
    assert "add the folder again" in refused.value.remedy
    broken = folder / "broken.pdf"
    (folder / "broken.json").rename(folder / "mended.json")
    broken.rename(folder / "mended.html").write_text("<p>Invoice 1</p><p>Total 1</p>")
    told = Silent()
    again = inhouse.add(workspace, "invoices", [folder], told)
    assert (again.rejected, sum(again.counts.values())) == (1, 41)
    assert any(line.startswith("1 document rejected; mend these files and add the folder") for line in told.warned)
    example = next(e for e in newest(workspace, "invoices").examples if str(e.provenance) == "invoices/7.html")
    assert example.inputs == {"document": "Invoice 7\n\nTotal | 7.50"}
    assert json.loads(example.target) == {"number": "7", "total": "7.50"}


def test_documents_that_a_table_names_are_read_by_it_alone(workspace, tmp_path):
    folder = tmp_path / "data"
    rows = []
    for i, row in enumerate(many_intents(4)):
        (folder / "texts").mkdir(parents=True, exist_ok=True)
        (folder / "texts" / f"{i}.html").write_text(f"<p>{row['text']}")
        rows.append({"mail": f"texts/{i}.html", "category": row["category"]})
    write_csv(folder / "table.csv", rows)
    added = inhouse.add(workspace, "mails", [folder])
    assert (added.fields, sum(added.counts.values())) == (("mail",), 48)


def test_documents_without_targets_are_refused_with_the_ways_to_give_them(workspace, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.html").write_text("<p>x")
    with pytest.raises(SourceError, match="have no targets") as caught:
        inhouse.add(workspace, "mails", [tmp_path / "in"])
    assert "sort the documents into folders" in caught.value.remedy


def test_a_second_folder_goes_to_the_same_task_beside_a_table(workspace, tmp_path):
    table = write_csv(tmp_path / "t.csv", many_intents(2))
    inhouse.add(workspace, "mails", [table])
    folder = labelled(tmp_path / "mails")
    added = inhouse.add(workspace, "mails", [folder])
    assert added.fields == ("text",)
    assert sum(added.counts.values()) == 24 + 48  # what is there twice is for `clean` to find


def row_of(workspace, name, text):
    dataset = newest(workspace, name)
    (found,) = [
        (e.provenance.file, e.target, split)
        for e, split in zip(dataset.examples, dataset.splits, strict=True)
        if text in e.inputs["document"]
    ]
    return found


def test_a_document_that_lies_in_another_folder_now_has_its_label_and_keeps_its_split(workspace, tmp_path):
    folder = labelled(tmp_path / "mails")
    inhouse.add(workspace, "mails", [folder])
    moved = folder / "card_arrival" / "00.html"
    text = moved.read_text().removeprefix("<p>")
    _, label, split = row_of(workspace, "mails", text)
    assert label == "card_arrival"
    moved.rename(folder / "change_pin" / "moved.html")
    reporter = Silent()
    added = inhouse.add(workspace, "mails", [folder], reporter)
    assert (added.dataset, added.replaced, sum(added.counts.values())) == (2, 1, 48)
    assert row_of(workspace, "mails", text) == ("mails/change_pin/moved.html", "change_pin", split)
    assert any("'card_arrival' -> 'change_pin'" in line for line in reporter.said)
    assert inhouse.add(workspace, "mails", [folder]).dataset == 2


def test_a_mended_target_beside_a_document_replaces_the_one_before_and_what_clean_did_stays(workspace, tmp_path):
    folder = tmp_path / "invoices"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.html").write_text(f"<h1>Invoice {i}</h1>" + "<p>Contact: anna@example.com" * (i == 5))
        (folder / f"{i}.json").write_text(json.dumps({"number": str(i)}))
    inhouse.add(workspace, "invoices", [folder])
    inhouse.clean(workspace, "invoices", apply=["personal_data"])
    (folder / "7.json").write_text('{"number": "seven"}')
    (folder / "5.json").write_text('{"number": "five"}')
    reporter = Silent()
    added = inhouse.add(workspace, "invoices", [folder], reporter)
    assert (added.replaced, sum(added.counts.values())) == (1, 40)
    targets = {e.provenance.file: e.target for e in newest(workspace, "invoices").examples}
    assert targets["invoices/7.html"] == '{"number":"seven"}'
    assert targets["invoices/5.html"] == '{"number":"5"}'
    assert any("1 masked row stayed as read before" in line for line in reporter.warned)
    assert "anna@example.com" not in str(newest(workspace, "invoices").examples)


def test_a_copy_under_another_label_replaces_nothing(workspace, tmp_path):
    folder = labelled(tmp_path / "mails")
    inhouse.add(workspace, "mails", [folder])
    original = folder / "card_arrival" / "00.html"
    (folder / "change_pin" / "copy.html").write_bytes(original.read_bytes())
    added = inhouse.add(workspace, "mails", [folder])
    assert (added.dataset, added.replaced) == (1, 0)
    assert row_of(workspace, "mails", original.read_text().removeprefix("<p>"))[1] == "card_arrival"
