"""The examples of customs, production and replies: the committed files, what the key says of them, and their rules."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Row = dict[str, Any]
Fault = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """An example: its folder, its files of rows, and its columns."""

    name: str
    file: str
    test: str
    text: str
    target: str

    def rows(self, name: str) -> dict[int, Row]:
        """The rows of a file by line number."""
        text = (EXAMPLES / self.name / name).read_text(encoding="utf-8")
        if name.endswith(".csv"):
            return dict(enumerate(csv.DictReader(text.splitlines()), start=2))
        return {number: json.loads(line) for number, line in enumerate(text.splitlines(), start=1)}

    def faults(self) -> list[Fault]:
        """The faults in the key."""
        key = json.loads((EXAMPLES / self.name / "planted_faults.json").read_text(encoding="utf-8"))
        assert (key["file"], key["test"]) == (self.file, self.test)
        return list(key["faults"])


CUSTOMS = Example("customs", "goods.csv", "test_goods.csv", "description", "hs_code")
PRODUCTION = Example("production", "reports.jsonl", "test_reports.jsonl", "report", "fields")
REPLIES = Example("replies", "mails.jsonl", "test_mails.jsonl", "mail", "letter")
ALL = pytest.mark.parametrize("example", [CUSTOMS, PRODUCTION, REPLIES], ids=lambda example: example.name)


def vocabulary(example: Example) -> ModuleType:
    """The words of an example, loaded from its file."""
    spec = importlib.util.spec_from_file_location(f"{example.name}_words", EXAMPLES / example.name / "vocabulary.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generate(example: Example, out: Path, *options: str, hash_seed: str = "1") -> None:
    """Run the generator as a user would."""
    command = [sys.executable, "-B", str(EXAMPLES / example.name / "generate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})


def plain(text: str) -> str:
    """A text without case, spaces and signs: what is written a little differently stays near."""
    return re.sub(r"\W", "", text.lower())


def truth(example: Example) -> dict[int, Any]:
    """The right target of every row."""
    right = {number: row[example.target] for number, row in example.rows(example.file).items()}
    for fault in example.faults():
        if "right" in fault["detail"]:
            right.update(dict.fromkeys(fault["rows"], fault["detail"]["right"]))
    return right


@ALL
@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_generator_gives_the_committed_bytes(example: Example, hash_seed: str, tmp_path: Path) -> None:
    generate(example, tmp_path, hash_seed=hash_seed)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert Path(example.file) in made
    for name in made:
        assert (tmp_path / name).read_bytes() == (EXAMPLES / example.name / name).read_bytes(), name


@ALL
def test_another_seed_gives_another_file(example: Example, tmp_path: Path) -> None:
    generate(example, tmp_path, "--seed", "2")
    assert (tmp_path / example.file).read_bytes() != (EXAMPLES / example.name / example.file).read_bytes()


@ALL
def test_no_row_has_two_faults_and_each_fault_of_a_target_is_one(example: Example) -> None:
    rows, faults = example.rows(example.file), example.faults()
    touched = [number for fault in faults for number in fault["rows"]]
    assert len(touched) == len(set(touched))
    assert set(touched) <= set(rows)
    changed = [fault for fault in faults if "right" in fault["detail"]]
    assert len(changed) >= 24
    for fault in changed:
        assert rows[fault["rows"][0]][example.target] != fault["detail"]["right"]


@ALL
def test_what_stands_there_twice_is_in_the_key(example: Example) -> None:
    rows = example.rows(example.file)
    places: dict[str, list[int]] = {}
    for number, row in rows.items():
        places.setdefault(row[example.text], []).append(number)
    same = sorted(numbers for numbers in places.values() if len(numbers) > 1)
    assert same == sorted(fault["rows"] for fault in example.faults() if fault["fault"] == "duplicate")
    near = [fault for fault in example.faults() if fault["fault"] == "near_duplicate"]
    assert {fault["detail"]["change"] for fault in near} == {"typing error", "punctuation", "spacing"}
    for fault in near:
        first, second = (rows[number] for number in fault["rows"])
        assert first[example.text] != second[example.text]
        assert first[example.target] == second[example.target]
        if fault["detail"]["change"] != "typing error":
            assert plain(first[example.text]) == plain(second[example.text])


@ALL
def test_what_leaks_into_the_test_is_in_the_key(example: Example) -> None:
    rows, tests = example.rows(example.file), example.rows(example.test)
    learned = {row[example.text] for row in rows.values()}
    leaks = {f["detail"]["test_row"]: f for f in example.faults() if f["fault"] == "leakage"}
    assert len(leaks) >= 20
    for number, row in tests.items():
        fault = leaks.get(number)
        assert (row[example.text] in learned) == bool(fault and fault["detail"]["change"] == "none"), number
        if fault:
            assert row[example.target] == rows[fault["rows"][0]][example.target]


# --------------------------------------------------------------------------- customs


def test_customs_has_sixty_codes_of_five_chapters_and_a_share_too_vague() -> None:
    counts = Counter(truth(CUSTOMS).values())
    vague = counts.pop("abstain")
    assert 0.09 <= vague / (vague + sum(counts.values())) <= 0.15
    assert 60 <= len(counts) <= 80
    assert {code[:2] for code in counts} == {"39", "62", "73", "85", "94"}
    assert min(counts.values()) >= 6
    assert all(re.fullmatch(r"\d{6}", code) for code in counts)


def test_customs_ways_to_describe_goods_lead_to_one_code() -> None:
    words = vocabulary(CUSTOMS)
    ways = Counter(way for code in words.CODES for way in {way.lower() for said in code.said.values() for way in said})
    assert not [way for way, count in ways.items() if count > 1]
    vague = {way.lower() for said in words.VAGUE.values() for way in said}
    assert not vague & set(ways)
    assert {len(said) for said in words.VAGUE.values()} == {24}


def test_customs_shipments_stay_whole_and_apart_from_the_test() -> None:
    rows, tests = CUSTOMS.rows(CUSTOMS.file), CUSTOMS.rows(CUSTOMS.test)
    leaks = {f["detail"]["test_row"] for f in CUSTOMS.faults() if f["fault"] == "leakage"}
    learned = {row["shipment"]: row["shipper"] for row in rows.values()}
    assert all(learned[row["shipment"]] == row["shipper"] for row in rows.values())
    assert not [n for n, row in tests.items() if n not in leaks and row["shipment"] in learned]


def test_customs_notes_name_every_code() -> None:
    notes = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((EXAMPLES / "customs" / "documents").iterdir())
    )
    for code in vocabulary(CUSTOMS).CODES:
        assert f"{code.code[:4]}.{code.code[4:]} {code.title}." in notes
    assert notes.count("the answer is abstain") == 5


# --------------------------------------------------------------------------- production


def test_production_reports_hold_what_is_to_be_found() -> None:
    rows = PRODUCTION.rows(PRODUCTION.file)
    for number, fields in truth(PRODUCTION).items():
        text = rows[number]["report"]
        assert list(fields) == ["Lnr", "SchDat", "SchKz", "AuftrNr", "GutTlg", "AusschussTlg", "Stoer", "UebgOffen"]
        digits = re.sub(r"(?<=\d)[.,](?=\d{3}\b)", "", text)
        assert fields["Lnr"] in text, number
        assert fields["AuftrNr"] in text, number
        assert re.search(rf"\b{fields['GutTlg']}\b", digits), number
        assert not fields["AusschussTlg"] or re.search(rf"\b{fields['AusschussTlg']}\b", digits), number
        assert fields["SchDat"][:4] in text, number
        assert re.findall(r"\b[A-Z]{2}-\d{3}\b", text) == [stop["Masch"] for stop in fields["Stoer"]], number


def test_production_stops_have_the_code_of_their_cause() -> None:
    causes = vocabulary(PRODUCTION).CAUSES
    ways = {way: code for code, said in causes.items() for names in said.values() for way in names}
    assert len(ways) == sum(len(names) for said in causes.values() for names in said.values())
    near = {n for f in PRODUCTION.faults() if f["detail"].get("change") == "typing error" for n in f["rows"]}
    rows = PRODUCTION.rows(PRODUCTION.file)
    for number, fields in truth(PRODUCTION).items():
        if number not in near:
            text = rows[number]["report"]
            told = {code for way, code in ways.items() if re.search(rf"(?<!\w){re.escape(way)}(?!\w)", text)}
            assert told == {stop["GrdCode"] for stop in fields["Stoer"]}, number


# --------------------------------------------------------------------------- replies


def test_replies_keep_the_style_of_the_house() -> None:
    rows, words = REPLIES.rows(REPLIES.file), vocabulary(REPLIES)
    for number, text in truth(REPLIES).items():
        parts = text.split("\n\n")
        facts = dict(line.split(": ", 1) for line in rows[number]["facts"].splitlines())
        assert len(parts) == 4, number
        assert parts[0] == f"Dear {facts['customer']},", number
        assert parts[1].startswith("Thank you for your message about your "), number
        assert parts[3] == "Kind regards,\nCustomer care, Halma Bikes", number
        assert all(value in text for value in facts.values()), number
        assert "!" not in text, number
        assert not [phrase for phrase in words.FORBIDDEN if phrase in text], number


def test_replies_are_sorry_where_the_mail_complains() -> None:
    rows, words = REPLIES.rows(REPLIES.file), vocabulary(REPLIES)
    near = {n for f in REPLIES.faults() if f["detail"].get("change") == "typing error" for n in f["rows"]}
    sorry = Counter()
    for number, text in truth(REPLIES).items():
        complains = any(sentence in re.sub(r"  ", " ", rows[number]["mail"]) for sentence in words.ANGRY)
        sorry[complains] += 1
        assert number in near or complains == ("We are sorry for the trouble." in text), number
    assert min(sorry.values()) >= 80


def test_replies_faults_are_of_their_kind() -> None:
    rows, words = REPLIES.rows(REPLIES.file), vocabulary(REPLIES)
    for fault in REPLIES.faults():
        row = rows[fault["rows"][0]]
        if fault["fault"] == "forbidden_phrase":
            assert any(phrase in row["letter"] for phrase in words.FORBIDDEN)
        elif fault["fault"] == "missing_closing":
            assert "Kind regards" not in row["letter"]
        elif fault["fault"] == "invented_fact":
            named = [product for product in words.PRODUCTS if product in row["letter"]]
            assert named
            assert not [product for product in named if product in row["facts"]]
