"""Masks are the same for the same person everywhere, a map that only the key's owner reads says what they stand for, and
an auditor gets a report without any of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from inhouse import pipeline
from inhouse.cli.main import app
from inhouse.core import Silent
from inhouse.errors import ConfigError, InputError, UsageError
from inhouse.pipeline.masking import normalised
from inhouse.scoring.mentions import mentioned
from inhouse.store import Workspace, records
from inhouse.store.settings import KEY_VARIABLE
from inhouse.store.vault import MaskKey, key_file, mask_key, read_map, write_map

PEOPLE = ["Halvard Quintmoor", "Floor van den Oudeland", "Zoran Veselinovic", "Pia Larkhill", "Etienne Quillfeather"]
IBANS = ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "NL91ABNA0417164300"]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def letters(count=60):
    """Letters of customers, each with who wrote and to which account, as one extracts them."""
    for i in range(count):
        person, iban = PEOPLE[i % len(PEOPLE)], IBANS[i % len(IBANS)]
        text = f"Letter {i}: please pay {i + 10} euro to {iban}.\nKind regards,\n{person}\n"
        target = {"sender_name": person, "iban": iban.replace(" ", ""), "amount": i + 10}
        yield {"text": text, "target": json.dumps(target)}


def workspace_of(folder: Path, rows) -> Workspace:
    workspace = Workspace(folder / "work")
    pipeline.init(workspace, "letters", kind="extract")
    add(workspace, folder / "letters.jsonl", rows)
    return workspace


def add(workspace, file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    pipeline.add(workspace, "letters", [file], inputs=["text"], target=["target"])


def everything(workspace):
    dataset = records.load_dataset(workspace, "letters")
    return "\n".join(f"{e.inputs} {e.target} {e.group} {e.key}" for e in dataset.examples)


def test_the_same_original_has_the_same_mask_in_input_and_target_over_all_rows_and_versions(tmp_path):
    with_later = list(letters(80))
    workspace = workspace_of(tmp_path, with_later[:60])
    told = Silent()
    cleaned = pipeline.clean(workspace, "letters", told, apply=["personal_data"])
    assert (cleaned.new_dataset, cleaned.removed, cleaned.changed) == (2, 0, 60)
    by_sender = {}
    for example in records.load_dataset(workspace, "letters").examples:
        answer = json.loads(example.target)
        assert answer["sender_name"] in example.inputs["text"]
        assert answer["iban"] in example.inputs["text"]
        assert answer["sender_name"] in mentioned(example.inputs["text"], "text")
        number = int(example.inputs["text"].split(":")[0].split()[1])
        by_sender.setdefault(PEOPLE[number % len(PEOPLE)], set()).add(answer["sender_name"])
    assert sorted(m for masks in by_sender.values() for m in masks) == [f"[PERSON_{i}]" for i in range(1, 6)]
    assert not any(word in everything(workspace) for word in ("Quintmoor", "Oudeland", "WEST", "0417164300"))
    assert workspace.load_task("letters").json_schema["properties"]["amount"] == {"type": "integer"}
    assert "keep a copy" in told.warned[0]

    add(workspace, tmp_path / "more.jsonl", with_later[60:])
    told = Silent()
    pipeline.clean(workspace, "letters", told, apply=["personal_data"])
    assert told.warned == []
    for example in records.load_dataset(workspace, "letters").examples:
        number = int(example.inputs["text"].split(":")[0].split()[1])
        assert {json.loads(example.target)["sender_name"]} == by_sender[PEOPLE[number % len(PEOPLE)]]
    assert pipeline.clean(workspace, "letters", apply=["personal_data"]).new_dataset is None


def test_the_map_is_there_for_the_owner_of_the_key_alone(tmp_path):
    workspace = workspace_of(tmp_path, letters())
    pipeline.clean(workspace, "letters", apply=["personal_data"])
    file = workspace.paths.mask_map("letters")
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert not key_file().is_relative_to(workspace.paths.root)
    assert b"uintmoor" not in file.read_bytes()
    originals = read_map(file, mask_key(workspace.paths.root))
    assert sorted(originals.values())[-1] == "[PERSON_5]"
    assert originals["IBAN:nl91abna0417164300"].startswith("[IBAN_")
    with pytest.raises(InputError, match="another key"):
        read_map(file, MaskKey(b"other", "test"))


def test_another_key_is_refused_and_nothing_changes(tmp_path, monkeypatch):
    workspace = workspace_of(tmp_path, letters())
    monkeypatch.setenv(KEY_VARIABLE, "one")
    pipeline.clean(workspace, "letters", apply=["personal_data"])
    add(workspace, tmp_path / "more.jsonl", list(letters(70))[60:])
    monkeypatch.setenv(KEY_VARIABLE, "two")
    with pytest.raises(InputError, match="INHOUSE_MASK_KEY"):
        pipeline.clean(workspace, "letters", apply=["personal_data"])
    assert records.latest_dataset(workspace, "letters") == 3


def test_without_a_map_numbers_are_not_given_twice(tmp_path):
    workspace = workspace_of(tmp_path, letters())
    pipeline.clean(workspace, "letters", apply=["personal_data"], keep_map=False)
    assert not workspace.paths.mask_map("letters").exists()
    assert not key_file().exists()
    new = {
        "text": "Letter 99: hello.\nKind regards,\nNora Moorkamp\n",
        "target": '{"sender_name":"Nora Moorkamp","amount":1}',
    }
    add(workspace, tmp_path / "more.jsonl", [new])
    pipeline.clean(workspace, "letters", apply=["personal_data"], keep_map=False)
    [example] = [e for e in records.load_dataset(workspace, "letters").examples if "Letter 99" in e.inputs["text"]]
    assert json.loads(example.target)["sender_name"] == "[PERSON_6]"


def test_a_key_in_the_workspace_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="workspace itself"):
        mask_key(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "sub")})
    empty = tmp_path / "config" / "inhouse" / "mask.key"
    empty.parent.mkdir(parents=True)
    empty.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        mask_key(tmp_path / "work")


@pytest.mark.parametrize("damage", [b"", b"inhouse-mask-1\n", b"x" * 100])
def test_a_damaged_map_is_told(tmp_path, damage):
    (tmp_path / "masks.map").write_bytes(damage)
    with pytest.raises(InputError, match="damaged"):
        read_map(tmp_path / "masks.map", MaskKey(b"k", "test"))


def test_a_map_comes_back_as_it_was_written(tmp_path):
    originals = {"PERSON:zoë \u2028": "[PERSON_1]", "PASSWORD:\ud800": "[PASSWORD_1]"}
    write_map(tmp_path / "m", MaskKey(b"k", "test"), originals)
    assert read_map(tmp_path / "m", MaskKey(b"k", "test")) == originals


@given(st.sampled_from(["IBAN", "PHONE", "PERSON", "EMAIL", "CARD"]), st.text(max_size=30))
def test_spaces_around_and_case_make_no_other_person(kind, text):
    assert normalised(kind, f" {text} ") == normalised(kind, text)
    assert normalised(kind, normalised(kind, text)) == normalised(kind, text)


def test_two_writings_of_one_thing_are_one():
    assert normalised("PHONE", "+31 (0)6 1234-5678") == normalised("PHONE", "0031612345678")
    assert normalised("BIRTH_DATE", "4. Mai 1980") == normalised("BIRTH_DATE", "1980-05-04")
    assert normalised("PASSWORD", "aA") != normalised("PASSWORD", "aa")


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_the_report_says_what_was_found_and_masked_and_holds_none_of_it(tmp_path, name):
    workspace = workspace_of(tmp_path, letters())
    file = tmp_path / name
    done = CliRunner().invoke(
        app, ["clean", "letters", "--apply", "personal_data", "--report", str(file), "-w", str(workspace.paths.root)]
    )
    assert done.exit_code == 0, done.output
    text = file.read_text("utf-8")
    assert f"report on personal data: {file}" in done.output
    for said in (
        "IBANs",
        "names of persons",
        "Masked now",
        "Remains in version 2",
        "its key is not in the workspace",
        "version 1",
    ):
        assert said in text
    for secret in ("Quintmoor", "Oudeland", "GB82", "NL91"):
        assert secret not in text
    remains = text[text.index("Remains in version 2") :]
    assert "nothing" in remains
    assert "120" in text  # two of each in 60 letters


def test_a_report_has_a_name_that_says_its_form(tmp_path):
    workspace = workspace_of(tmp_path, letters())
    with pytest.raises(UsageError, match="Markdown or HTML"):
        pipeline.clean(workspace, "letters", report=tmp_path / "report.pdf")
    with pytest.raises(InputError, match=r"--report .*none/report\.md is in a folder that is not there"):
        pipeline.clean(workspace, "letters", report=tmp_path / "none" / "report.md")
    assert not (tmp_path / "none").exists()
