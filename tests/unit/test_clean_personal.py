"""Personal data and secrets are found where a check digit and the context, or the form, say so; other numbers are not."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import pytest

from inhouse.clean import CHECKS
from inhouse.clean.personal import KINDS, look
from inhouse.clean.personal.fields import kind_of_field
from inhouse.clean.personal.found import hidden
from inhouse.clean.personal.look import personal, secret
from inhouse.clean.personal.numbers import NATIONAL, check_national
from inhouse.clean.personal.secrets import secrets
from inhouse.clean.registry import Subject
from inhouse.core import Dataset, Example, Provenance, input_key
from inhouse.dataset import apply_findings

SHARED = Path(__file__).parents[3] / "shared" / "data"
LEDGER = Path(__file__).parents[2] / "examples" / "ledger"


def dataset(*rows, splits=None):
    """Rows of a text, of inputs, or of (inputs, target)."""
    examples = []
    for line, row in enumerate(rows):
        inputs, target, *rejected = row if isinstance(row, tuple) else (row, "")
        inputs = inputs if isinstance(inputs, dict) else {"text": inputs}
        place = Provenance("d.csv", line)
        examples.append(Example(inputs, target, input_key(inputs), place, rejected="".join(rejected)))
    return Dataset("task", 1, tuple(examples), tuple(splits or ["train"] * len(rows)))


def found(text, kind="generate", look=personal, label="text"):
    """(kind, stretch) of all that is found in one text."""
    rows = look(dataset({label: text}), kind)
    return [(f.kind, piece.text[f.start : f.end]) for piece, f in rows.get(0, [])]


def check(name, data, kind="generate"):
    return list(CHECKS[name](Subject(data, kind)))


# ---------------------------------------------------------------------- numbers with check digits

# Numbers that the states, or python-stdnum's own examples, publish as examples, with a sentence that names them.
NATIONAL_EXAMPLES = {
    "at.vnr": "SVNR: 1237 010180",
    "be.nn": "geboren, 85.07.30-033.28",
    "bg.egn": "ЕГН 752316 926 3",
    "cz.rc": "rodné číslo 710319/2745",
    "de.idnr": "Steuer-ID 36 574 261 809",
    "de.rvnr": "Rentenversicherungsnummer 15 070649 C 103",
    "dk.cpr": "CPR-nummer 211062-5629",
    "ee.ik": "isikukood 36805280109",
    "es.dni": "DNI 54362315-K",
    "es.nie": "NIE X-2482300W",
    "fi.hetu": "henkilötunnus 131052-308T",
    "fr.nir": "sécurité sociale 2 95 10 99 126 111 93",
    "gr.amka": "ΑΜΚΑ (AMKA) 01013099997",
    "hr.oib": "OIB 33392005961",
    "ie.pps": "PPS no 6433435F",
    "it.codicefiscale": "codice fiscale RCCMNL83S18D969H",
    "lt.asmens": "asmens kodas 33309240064",
    "lv.pvn": "personas kods 161175-19997",
    "nl.bsn": "BSN 1112.22.333",
    "pl.pesel": "PESEL 44051401359",
    "pt.nif": "NIF 501964843",
    "ro.cnp": "CNP 1630615123457",
    "se.personnummer": "personnummer 880320-0016",
    "si.emso": "EMŠO 0101006500006",
    "sk.rc": "rodné číslo 710319/2745",
    "gb.nhs": "NHS number 943-476-5870",
    "gb.nino": "National Insurance AB 12 34 56 C",
    "ch.ssn": "AHV 756.9217.0769.85",
    "no.fodselsnummer": "fødselsnummer 151086 95088",
    "us.ssn": "SSN 536-90-4399",
}


@pytest.mark.parametrize("code", sorted(NATIONAL_EXAMPLES))
def test_a_national_number_is_found_beside_its_name(code):
    kinds = [kind for kind, _ in found(NATIONAL_EXAMPLES[code])]
    assert "NATIONAL_ID" in kinds, found(NATIONAL_EXAMPLES[code])


def test_every_country_of_the_union_has_a_national_number():
    union = [
        "at",
        "be",
        "bg",
        "cy",
        "cz",
        "de",
        "dk",
        "ee",
        "es",
        "fi",
        "fr",
        "gr",
        "hr",
        "hu",
        "ie",
        "it",
        "lt",
        "lu",
        "lv",
        "mt",
        "nl",
        "pl",
        "pt",
        "ro",
        "se",
        "si",
        "sk",
    ]
    assert {n.code[:2] for n in NATIONAL} >= set(union)


@pytest.mark.parametrize(
    ("text", "wrong"), [("BSN 111222333", "BSN 111222334"), ("PESEL 44051401359", "PESEL 44051401358")]
)
def test_a_wrong_check_digit_is_no_number(text, wrong):
    assert found(text)
    assert not found(wrong)


def test_digits_alone_count_only_where_fewer_than_one_random_number_in_a_thousand_passes():
    dice = random.Random(0)
    bare = [n for n in NATIONAL if n.written and any(re.fullmatch(n.written, f"19{'0' * k}") for k in range(20))]
    assert [n.code for n in bare] == ["lu.matricule"]
    drawn = ["19" + "".join(dice.choices("0123456789", k=11)) for _ in range(20_000)]
    assert sum(check_national("lu.matricule", one) for one in drawn) < 20


def test_own_checks_know_their_numbers():
    assert check_national("hu.taj", "111 111 110")
    assert not check_national("hu.taj", "111 111 111")
    assert check_national("hu.tax", "8071592153")
    assert not check_national("hu.tax", "8071592154")
    assert check_national("de.rvnr", "65170839J003")
    assert not check_national("de.rvnr", "65170839J004")
    assert check_national("lu.matricule", "1893120105732")
    assert not check_national("lu.matricule", "1893120105733")


@pytest.mark.parametrize(
    "iban",
    ["GB82 WEST 1234 5698 7654 32", "de89370400440532013000", "NL91-ABNA-0417-1643-00", "FR1420041010050500013M02606"],
)
def test_ibans_in_any_writing(iban):
    assert found(f"pay to {iban} today") == [("IBAN", iban)]
    assert found(f"pay to {iban[:-1]}{(int(iban[-1]) + 1) % 10} today") == []


def test_cards_have_a_luhn_digit_and_an_issuer():
    assert found("4111 1111 1111 1111 was charged") == [("CARD", "4111 1111 1111 1111")]
    assert found("4111 1111 1111 1112 was charged") == []
    assert found("my card 4222222222222 is lost") == [("CARD", "4222222222222")]
    assert found("EAN 4222222222222") == []
    assert found("Order 4111111111111111") == []


@pytest.mark.parametrize(
    "vat", ["NL4495445B01", "NL123456782B12", "DE136695976", "ATU13585627", "IT00743110157", "FR40303265045"]
)
def test_vat_numbers(vat):
    valid = vat != "NL4495445B01"
    assert found(f"Our VAT number: {vat}") == ([("VAT", vat)] if valid else [])


@pytest.mark.parametrize(
    "text",
    [
        "Invoice 202400123456 of 12.03.2024 over 1.234,56 EUR",
        "Artikel 4006381333931 x 3 à 12,99",
        "EAN 5901234123457, order no. 44051401359",
        "Cloud backup 01.02.-28.02.2025",
        "Ref. 12345678, batch 111222333",
        "Project 2024-001-0042 costs 699 956 915 in total",
        "Serial 490154203237518",
        "Monday to Friday 08:00-17:00, 24.12.2024 closed",
        "version 10.12.14.2, part 123-456-789",
        "sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Dear Sir or Madam, the Clare Hall cafe is near the river.",
        "Please contact Customer Support. Best Regards from the team",
    ],
)
def test_other_numbers_and_words_are_no_personal_data(text):
    assert found(text) == []


# ---------------------------------------------------------------------- phone, mail, birth, address, names


@pytest.mark.parametrize(
    "text",
    [
        "Phone: <60-56-85-91>",
        "call me at <0490 75 40 81>",
        "my registered <905-674-3793>",
        "Tel. <+44 7700 900318>",
        "bereikbaar op <06-12345678>",
        "<+46 (0)8 928 571 38> fax",
        "<(99) 645-791>",
        "<01 42 68 53 00>",
        "Telefon <089/636-48018>",
        "Fax: <9498777106>",
        "<345-899-3560x4587>",
    ],
)
def test_telephone_numbers(text):
    number = text[text.index("<") + 1 : text.index(">")]
    assert ("PHONE", number) in found(text.replace("<", "").replace(">", ""))


def test_mail_birth_and_addresses():
    assert found("write to Anna-b@firma.example.com.") == [("EMAIL", "Anna-b@firma.example.com")]
    assert found("She was born on 2/8/1935 and paid on 3/8/2024") == [("BIRTH_DATE", "2/8/1935")]
    assert found("geboren am 4. Mai 1980") == [("BIRTH_DATE", "4. Mai 1980")]
    for text in (
        "Hauptstraße 12, 10115 Berlin",
        "12 rue de la Paix, 75002 Paris",
        "221 Baker Street",
        "Kerkstraat 12",
        "Postbus 123",
    ):
        [(kind, stretch)] = found(f"geliefert: {text}")
        assert kind == "ADDRESS"
        assert text.startswith(stretch[:12])


@pytest.mark.parametrize(
    "text",
    [
        "Afvalstoffenheffing <Havenkade 5>",
        "Schoonmaak Kantoor <Oude Havenkade 5a>, januari",
        "Huur <Willem Barentszstraat 12, 1013 NR Amsterdam>",
        "Huur <Burgemeester Oudlaan 50>",
        "Grundsteuer <Hauptstraße 12, 10115 Berlin>",
        "Rechnung Miete <Lange Straße 7>",
        "Müllgebühr Berliner Hof <Am Alten Weg 3>",
        "Heizkosten <Willy-Brandt-Platz 2>",
        "Reinigung Halle <Karl Liebknechtstraße 4>",
        "Affald <Gamle Kongevej 10>",
        "Servicekosten <Havenkade 3-17> schoonmaak 2025",
        "Servicekosten <Havenkade 3-17> 2025 voorschot",
        "Verhuur <Havenkade 5 2011 AB Haarlem>",
        "Cleaning <12 High Street, Leeds LS1 4AP>",
        "Waste Collection <221 Baker Street>",
        "Tassa Rifiuti <Via Roma 5>",
        "Bolletta 3 <Via Giuseppe Garibaldi 5>",
        "Fattura Acqua <Corso Vittorio Emanuele, 21>",
        "Redevance Ordures <12 rue de la Paix, 75002 Paris>",
        "Basura <Calle Mayor 8>",
        "Szemétdíj: <Kossuth Lajos utca 9>",
    ],
)
def test_what_a_line_is_about_is_no_part_of_the_address_in_it(text):
    address = text[text.index("<") + 1 : text.index(">")]
    assert [one for kind, one in found(text.replace("<", "").replace(">", "")) if kind == "ADDRESS"] == [address]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dear Mrs. Winterbottom,\nthank you", "Winterbottom"),
        ("Sehr geehrte Frau Dr. Kaltenegger, danke", "Kaltenegger"),
        ("Met vriendelijke groet,\nFloor van den Oudeland", "Floor van den Oudeland"),
        ("My name is Rubija", "Rubija"),
        ("ich heiße Zoran Veselinović", "Zoran Veselinović"),
        ("Contact: Halvard Quintmoor, Sales", "Halvard Quintmoor"),
        ("I met Peter J. Larkhill there", "Peter J. Larkhill"),
        ("t.n.v. T. Veenhuizen NL35", "T. Veenhuizen"),
        ("Zavolal Étienne Quillfeather", "Étienne Quillfeather"),
    ],
)
def test_names_of_persons(text, name):
    assert ("PERSON", name) in found(text)


def test_a_name_that_one_row_introduces_is_found_in_all_others():
    rows = personal(dataset("Name: Floor Oudeland", "the heating of Floor Oudeland is cold", "Floor plan"), "generate")
    assert sorted(rows) == [0, 1]


def test_what_is_found_once_in_an_example_is_found_everywhere_in_it():
    rows = personal(dataset(("Dear Mr Halvard Quintmoor, ...", "Quintmoor asks about the bill")), "generate")
    assert [(p.field, p.text[f.start : f.end]) for p, f in rows[0]] == [
        ("text", "Halvard Quintmoor"),
        ("", "Quintmoor"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("e-mail", "EMAIL"), ("customerName", "PERSON"), ("Geburtsdatum", "BIRTH_DATE"), ("date_of_birth", "BIRTH_DATE"),
        ("buyer.iban", "IBAN"), ("Telefoonnummer", "PHONE"), ("Prénom", "PERSON"), ("password", "PASSWORD"),
        ("product name", None), ("text", None), ("amount", None), ("description", None),
    ],
)  # fmt: skip
def test_names_of_fields(name, kind):
    assert kind_of_field(name) == kind


def test_a_field_whose_name_says_so_is_found_whole():
    data = dataset({"surname": "xyzzy", "note": "xyzzy came"}, {"surname": "[PERSON_1]", "note": ""})
    assert [(p.field, f.kind) for p, f in personal(data, "classify")[0]] == [("surname", "PERSON"), ("note", "PERSON")]
    assert sorted(personal(data, "classify")) == [0]


# ---------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key AKIA" + "IOSFODNN7EXAMPLE here", "API_KEY"),
        ("token ghp_" + "a1B2" * 9, "API_KEY"),
        ("password: Tr0ub4dor&3", "PASSWORD"),
        ("Das Passwort lautet Sommer2024!", "PASSWORD"),
        ('api_key = "abcdefgh"', "PASSWORD"),
        ("postgres://app:geheim@db/x", "PASSWORD"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "TOKEN"),
        ("use k9Xv2LqT7bRz4WmN8pYc3HdJ now", "TOKEN"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "PRIVATE_KEY"),
    ],
)
def test_secrets(text, kind):
    assert kind in [k for k, _ in found(text, look=secret)]


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my password, can you reset it?",
        "my PIN was blocked?",
        "password: [PASSWORD_1]",
        "password: ********",
        "the password is required",
        "550e8400-e29b-41d4-a716-446655440000",
        "d41d8cd98f00b204e9800998ecf8427e",
        "https://example.com/a/very/long/Path/To/Some/File/index2.html",
        "Donaudampfschifffahrtsgesellschaftskapitän",
    ],
)
def test_no_secrets(text):
    assert list(secrets(text)) == []


# ---------------------------------------------------------------------- findings


def test_one_finding_a_kind_with_nothing_whole_in_it():
    rows = [f"mail h.quintmoor{i}@example.com or call +44 7700 900318" for i in range(50)]
    data = dataset(*rows, splits=["train"] * 40 + ["test"] * 10)
    findings = check("personal_data", data)
    assert [(f.check, f.count, len(f.examples), len(f.evidence), f.drop, f.safe) for f in findings] == [
        ("personal_data", 50, 20, 20, (), False),
        ("personal_data", 50, 20, 20, (), False),
    ]
    assert "40 in train, 10 in test" in findings[0].reason
    dumped = json.dumps([f.model_dump(mode="json") for f in findings])
    assert "quintmoor" not in dumped
    assert "900318" not in dumped
    assert "h.***om" in findings[0].evidence[0].input
    assert "an e-mail address in `text`: h.***om" in findings[0].evidence[0].note
    assert set(findings[0].mask) == set(range(50))


def test_masks_of_a_json_target_keep_it_json():
    target = json.dumps({"name": 'Dr. "Zoe" Quintmoor\nLtd', "iban": "GB82 WEST 1234 5698 7654 32", "phone": 612345678})
    data = dataset(("IBAN GB82 WEST 1234 5698 7654 32", target))
    masked = apply_findings(data, check("personal_data", data, "extract"), 2, "").examples[0]
    assert json.loads(masked.target) == {
        "name": "Dr. \"Zoe\" Quintmoor\nLtd", "iban": "[IBAN]", "phone": "[PHONE]"
    }  # fmt: skip
    assert masked.inputs["text"] == "IBAN [IBAN]"


def test_the_rejected_answer_is_masked_too_and_labels_are_not():
    data = dataset(("x", "write to a.b@example.com", "or to c.d@example.com"))
    masked = apply_findings(data, check("personal_data", data), 2, "").examples[0]
    assert (masked.target, masked.rejected) == ("write to [EMAIL]", "or to [EMAIL]")
    assert check("personal_data", dataset(("x", "c.d@example.com")), "classify") == []


def test_hidden_values():
    assert [hidden(v) for v in ("Bo", "Peter", "NL91ABNA0417164300")] == ["***", "P***r", "NL***00"]
    assert {kind.check for kind in KINDS.values()} == {"personal_data", "secret"}


# ---------------------------------------------------------------------- real data


def test_the_planted_personal_data_of_the_ledger_is_found():
    rows = list(csv.DictReader((LEDGER / "invoice_lines.csv").read_text("utf-8").splitlines()))
    faults = json.loads((LEDGER / "planted_faults.json").read_text("utf-8"))["faults"]
    planted = [f["detail"]["value"] for f in faults if f["fault"] == "personal_data"]
    data = dataset(*({"description": row["description"]} for row in rows))
    stretches = [(f.kind, p.text[f.start : f.end]) for found in personal(data, "classify").values() for p, f in found]
    assert set(planted) <= {text for _, text in stretches}
    sure = [text for kind, text in stretches if kind not in ("PERSON", "ADDRESS")]
    assert sorted(sure) == sorted(planted)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_questions_to_a_bank_hold_no_personal_data():
    rows = list(csv.DictReader((SHARED / "banking77" / "train.csv").read_text("utf-8").splitlines()))[:3000]
    data = dataset(*(row["text"] for row in rows))
    assert personal(data, "classify") == {}
    assert secret(data, "classify") == {}


@pytest.mark.parametrize(
    "piece", ["A. ", "a.", "a-", "Anna van der ", "Hauptstr. 1, ", "12 Rue De La Abc\n", "1 ", "://a:"]
)
def test_long_rows_of_the_same_are_looked_at_in_linear_time(piece):
    text = piece * 5000
    assert all(text.find(stretch) >= 0 for _, stretch in found(text))
    assert list(secrets(text)) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_the_quick_pass_leaves_nothing_out_that_the_slow_looks_find():
    texts = [row["full_text"] for row in json.loads((SHARED / "pii" / "sentences.json").read_text("utf-8"))]
    data = dataset(*texts)
    [rows] = map(look.rows_of, look.parts_of(data.examples, len(texts)))
    introduced = look._introduced(rows, range(len(texts)), "classify")
    names = look._learned([introduced])
    all_groups = {"@", "cued", "given", "again", *look._WITH_DIGITS}
    slow = {i: look._of_example(row, "classify", all_groups, names, introduced.spans) for i, row in enumerate(rows)}
    assert {i: stretches for i, stretches in slow.items() if stretches} == personal(data, "classify")


def test_parts_of_the_rows_in_processes_of_their_own_give_what_one_look_gives(monkeypatch):
    texts = [
        "My name is Quenby Dartmoor.",
        "nothing here",
        "Quenby Dartmoor called",
        "ask Zoltana Meier",
        "secret=kx82ls0q",
    ]
    data = dataset(*(f"{text} {n}" for n in range(20) for text in texts), "I am Quenby", "mail to quenby@example.org")
    expected = personal(data, "classify"), secret(data, "classify")
    assert len(expected[0]) > 40
    monkeypatch.setattr(look, "BATCH", 7)
    assert (personal(data, "classify"), secret(data, "classify")) == expected
    monkeypatch.setattr(look, "MANY", 50)
    assert (personal(data, "classify"), secret(data, "classify")) == expected
