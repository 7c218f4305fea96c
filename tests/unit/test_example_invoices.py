"""The example invoices: the generator gives the committed files, and the documents hold what the fields say."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

INVOICES = Path(__file__).resolve().parents[2] / "examples" / "invoices"
FILES = ("invoices.jsonl", "test_invoices.jsonl", "planted_faults.json")
PAIRS = ("duplicate", "near_duplicate", "contradiction")
WRONG = ("wrong_total", "wrong_date", "wrong_number", "wrong_supplier", "missing_line")
KEYS = ["supplier", "invoice_number", "date", "currency", "total", "vat", "items"]
SIGNS = {"EUR": ("EUR", "€"), "GBP": ("GBP", "£"), "USD": ("USD", "$"), "CHF": ("CHF", "Fr.")}
MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "januari februari maart april mei juni juli augustus september oktober november december",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "jan feb mar apr may jun jul aug sep oct nov dec",
    )
    for number, name in enumerate(names.split(), start=1)
}

Row = dict[str, Any]
Fault = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> dict[int, Row]:
    """The rows by line number."""
    lines = (INVOICES / "invoices.jsonl").read_text(encoding="utf-8").splitlines()
    return {number: json.loads(line) for number, line in enumerate(lines, start=1)}


@pytest.fixture(scope="module")
def faults() -> list[Fault]:
    """The faults in the key file."""
    return list(json.loads((INVOICES / "planted_faults.json").read_text(encoding="utf-8"))["faults"])


@pytest.fixture(scope="module")
def tests() -> dict[int, Row]:
    """The rows of the test file by line number."""
    lines = (INVOICES / "test_invoices.jsonl").read_text(encoding="utf-8").splitlines()
    return {number: json.loads(line) for number, line in enumerate(lines, start=1)}


@pytest.fixture(scope="module")
def right(rows: dict[int, Row], faults: list[Fault]) -> dict[int, Any]:
    """The fields of each row as they should be."""
    fields = {number: row["fields"] for number, row in rows.items()}
    for fault in faults:
        detail = fault["detail"]
        if "field" in detail:
            number = detail.get("wrong_row", fault["rows"][0])
            fields[number] = {**fields[number], detail["field"]: detail["right"]}
    return fields


@pytest.fixture(scope="module")
def suppliers() -> dict[str, Row]:
    """What the table of suppliers says, by name."""
    code = (
        "import csv, sys, vocabulary as v\n"
        "out = csv.writer(sys.stdout)\n"
        "out.writerow(v.Supplier._fields)\n"
        "out.writerows(v.SUPPLIERS)"
    )
    command = [sys.executable, "-B", "-X", "utf8", "-c", code]
    done = subprocess.run(command, cwd=INVOICES, check=True, capture_output=True, text=True, encoding="utf-8")
    return {row["name"]: row for row in csv.DictReader(io.StringIO(done.stdout))}


def pdf_text(path: Path) -> str:
    """The text of a PDF file's only page, as lines."""
    with pypdfium2.PdfDocument(path) as document:
        (page,) = document
        text = page.get_textpage().get_text_range()
    return str(text).replace("\r\n", "\n")


def document_text(row: Row) -> str:
    """The text of a row's document, wherever it stands."""
    document = str(row["document"])
    return pdf_text(INVOICES / document) if document.startswith("documents/") else document


def is_pdf(row: Row) -> bool:
    """Whether the document is a file."""
    return str(row["document"]).endswith(".pdf")


def complete(rows: dict[int, Row]) -> list[Row]:
    """The rows with a document and fields."""
    return [row for row in rows.values() if row["document"] and row["fields"]]


def generate(out: Path, *options: str, hash_seed: str = "1") -> None:
    """Run the generator as a user would."""
    command = [sys.executable, "-B", str(INVOICES / "generate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})


@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_generator_gives_the_committed_bytes(tmp_path: Path, hash_seed: str) -> None:
    generate(tmp_path, hash_seed=hash_seed)
    made = {path.name: path.read_bytes() for path in (tmp_path / "documents").iterdir()}
    kept = {path.name: path.read_bytes() for path in (INVOICES / "documents").iterdir()}
    assert made == kept
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (INVOICES / name).read_bytes()


def test_another_seed_gives_other_invoices_and_no_old_documents(tmp_path: Path) -> None:
    generate(tmp_path)
    generate(tmp_path, "--seed", "2")
    assert (tmp_path / "invoices.jsonl").read_bytes() != (INVOICES / "invoices.jsonl").read_bytes()
    assert len(list((tmp_path / "documents").iterdir())) == 60


def test_file_format(rows: dict[int, Row], tests: dict[int, Row]) -> None:
    for name, numbered in (("invoice", rows), ("test", tests)):
        data = (INVOICES / ("invoices.jsonl" if name == "invoice" else "test_invoices.jsonl")).read_bytes()
        assert b"\r" not in data
        assert data.endswith(b"\n")
        for number, row in numbered.items():
            assert list(row) == ["id", "document", "supplier", "fields"], number
            assert row["id"] == f"{name}-{number:04d}"


def test_counts_of_suppliers_languages_and_layouts(rows: dict[int, Row], suppliers: dict[str, Row]) -> None:
    assert len(rows) == 643
    counts = Counter(row["supplier"] for row in rows.values())
    assert set(counts) == set(suppliers)
    assert len(counts) == 60
    assert min(counts.values()) >= 6
    assert Counter(supplier["lang"] for supplier in suppliers.values()) == dict.fromkeys(("en", "de", "nl", "fr"), 15)
    layouts = defaultdict(list)
    for supplier in suppliers.values():
        layouts[supplier["layout"]].append(supplier["lang"])
    assert len(layouts) == 10
    assert all(len(langs) == 6 and len(set(langs)) == 4 for langs in layouts.values())


def test_fields_are_well_formed(rows: dict[int, Row], right: dict[int, Any]) -> None:
    sizes = Counter()
    for number, row in rows.items():
        if row not in complete(rows):
            continue
        fields = right[number]
        assert list(fields) == KEYS, row["id"]
        assert fields["supplier"] == row["supplier"]
        assert re.fullmatch(r"202[56]-\d\d-\d\d", fields["date"])
        assert fields["currency"] in SIGNS
        assert fields["total"] > 0 <= fields["vat"]
        sizes[len(fields["items"])] += 1
        for item in fields["items"]:
            assert list(item) == ["description", "quantity", "amount"], row["id"]
            assert item["quantity"] > 0 < item["amount"]
            assert item["description"] == item["description"].strip() != ""
            assert not re.search(r"[{}]", item["description"])
    assert set(sizes) == {1, 2, 3, 4}
    assert min(sizes.values()) >= 50


def test_documents_and_targets_are_short(rows: dict[int, Row]) -> None:
    sizes = []
    for row in complete(rows):
        assert 150 <= len(document_text(row)) <= 900
        sizes.append(len(json.dumps(row["fields"], ensure_ascii=False, separators=(",", ":"))))
    assert max(sizes) <= 400
    assert sum(size <= 350 for size in sizes) >= 0.85 * len(sizes)


def figures_in(text: str, country: str, lang: str) -> set[float]:
    """The numbers that a text may hold, read as its language writes them: written apart from the generator."""
    thousands, point = {"en": (",", "."), "de": (".", ","), "nl": (".", ","), "fr": (" ", ",")}[lang]
    if country == "CH":
        thousands, point = "'", "."
    number = rf"(?<![\d.,'])\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})*(?:{re.escape(point)}\d+)?(?!\d)"
    found = re.findall(number, text) + re.findall(rf"\d+(?:{re.escape(point)}\d+)?", text)
    return {float(one.replace(thousands, "").replace(point, ".")) for one in found}


def dates_in(text: str) -> set[str]:
    """The days that a text may hold, as ISO: written apart from the generator."""
    found = set()
    for day, month, year in re.findall(r"\b(\d\d)[-/.](\d\d)[-/.](\d{4}|\d\d)\b", text):
        found.add(f"{int(year) % 100 + 2000}-{month}-{day}")
    for day, name, year in re.findall(r"\b(\d{1,2})\.? (\w+) (\d{4})\b", text):
        found.add(f"{year}-{MONTHS.get(name.lower(), 0):02d}-{int(day):02d}")
    for name, day, year in re.findall(r"\b([A-Z][a-z]+) (\d{1,2}), (\d{4})\b", text):
        found.add(f"{year}-{MONTHS.get(name.lower(), 0):02d}-{int(day):02d}")
    return found


def test_readers_of_figures_and_dates_on_known_ones() -> None:
    assert figures_in("Total TTC 1 518,96 EUR", "FR", "fr") >= {1518.96}
    assert figures_in("CHF 1'234.50", "CH", "de") >= {1234.5}
    assert 1518.96 not in figures_in("Total 1.518,96", "GB", "en")
    assert dates_in("le 14 août 2025, le 03/02/26") == {"2025-08-14", "2026-02-03"}
    assert dates_in("March 4, 2026") == {"2026-03-04"}


def test_every_value_of_the_fields_stands_in_the_document(
    rows: dict[int, Row], right: dict[int, Any], suppliers: dict[str, Row]
) -> None:
    for number, row in rows.items():
        if row not in complete(rows):
            continue
        text, fields, supplier = document_text(row), right[number], suppliers[row["supplier"]]
        figures = figures_in(text, supplier["country"], supplier["lang"])
        words = [fields["supplier"], fields["invoice_number"], *(item["description"] for item in fields["items"])]
        assert [word for word in words if word not in text] == [], row["id"]
        values = [fields["vat"]] + [item[key] for item in fields["items"] for key in ("quantity", "amount")]
        assert [value for value in values if value not in figures] == [], row["id"]
        assert fields["total"] in figures, row["id"]
        assert fields["date"] in dates_in(text), row["id"]
        assert any(sign in text for sign in SIGNS[fields["currency"]]), row["id"]
        others = [sign for code, signs in SIGNS.items() if code != fields["currency"] for sign in signs]
        assert not any(sign in text for sign in others), row["id"]


def test_sums_add_up_but_where_the_key_says_so(rows: dict[int, Row], faults: list[Fault]) -> None:
    off = []
    for number, row in rows.items():
        if fields := row["fields"]:
            net = sum(item["amount"] for item in fields["items"])
            off += [number] if abs(net + fields["vat"] - fields["total"]) > 0.005 else []
    sums = ("wrong_total", "missing_line")
    assert off == sorted(number for fault in faults if fault["fault"] in sums for number in fault["rows"])


def test_invoice_numbers_belong_to_one_invoice_but_for_the_duplicates(
    rows: dict[int, Row], faults: list[Fault], right: dict[int, Any]
) -> None:
    pairs = {kind: sorted(f["rows"] for f in faults if f["fault"] == kind) for kind in PAIRS}
    places = defaultdict(list)
    for number, row in rows.items():
        if row["document"] and not is_pdf(row):
            places[row["document"]].append(number)
    twice = [numbers for numbers in places.values() if len(numbers) > 1]
    assert sorted(twice) == sorted(pairs["duplicate"] + pairs["contradiction"])
    keys = Counter((row["supplier"], right[n]["invoice_number"]) for n, row in rows.items() if row in complete(rows))
    assert sum(count > 1 for count in keys.values()) == sum(map(len, pairs.values()))


def test_a_suppliers_numbers_rise_with_the_date(
    rows: dict[int, Row], right: dict[int, Any], suppliers: dict[str, Row]
) -> None:
    """Where the counter ends the number, and nothing but letters and a stroke stands before it."""
    counters = [name for name, it in suppliers.items() if re.fullmatch(r"[A-Z]+[- ]?\{n(:0\dd)?\}", it["number"])]
    assert len(counters) >= 20
    for name in counters:
        own = [right[n] for n, row in rows.items() if row in complete(rows) and row["supplier"] == name]
        numbers = sorted((fields["date"], int(re.sub(r"\D", "", fields["invoice_number"]))) for fields in own)
        assert [number for _, number in numbers] == sorted(number for _, number in numbers), name


def test_faults_are_where_the_key_says(rows: dict[int, Row], faults: list[Fault]) -> None:
    kinds = Counter(fault["fault"] for fault in faults)
    assert kinds == {
        **dict.fromkeys(PAIRS, 15),
        **dict.fromkeys(WRONG, 8),
        "empty_document": 4,
        "no_fields": 4,
        "leakage": 30,
    }
    touched = [number for fault in faults for number in fault["rows"]]
    assert len(touched) == len(set(touched))
    assert not any(is_pdf(rows[number]) for number in touched)
    for fault in faults:
        mine, detail = [rows[number] for number in fault["rows"]], fault["detail"]
        if fault["fault"] in PAIRS[:2]:
            assert mine[0]["fields"] == mine[1]["fields"]
            assert (mine[0]["document"] == mine[1]["document"]) == (fault["fault"] == "duplicate")
        elif fault["fault"] in WRONG:
            assert mine[0]["fields"][detail["field"]] == detail["wrong"] != detail["right"]
        elif fault["fault"] == "contradiction":
            [other] = set(fault["rows"]) - {detail["wrong_row"]}
            assert rows[other]["fields"][detail["field"]] == detail["right"]
            assert rows[detail["wrong_row"]]["fields"][detail["field"]] != detail["right"]
        elif fault["fault"] == "no_fields":
            assert detail["right"]["invoice_number"] in mine[0]["document"]
        if fault["fault"] == "wrong_total":
            assert sorted(f"{detail['wrong']:.2f}") == sorted(f"{detail['right']:.2f}")
    empty = [number for number, row in rows.items() if not row["document"].strip()]
    bare = [number for number, row in rows.items() if row["fields"] is None]
    assert empty == sorted(n for fault in faults if fault["fault"] == "empty_document" for n in fault["rows"])
    assert bare == sorted(n for fault in faults if fault["fault"] == "no_fields" for n in fault["rows"])


def test_what_leaks_into_the_test_is_in_the_key(
    rows: dict[int, Row], tests: dict[int, Row], faults: list[Fault]
) -> None:
    leaks = {fault["detail"]["test_row"]: fault for fault in faults if fault["fault"] == "leakage"}
    numbers = {(row["supplier"], row["fields"]["invoice_number"]) for row in complete(rows)}
    for number, row in tests.items():
        known = (row["supplier"], row["fields"]["invoice_number"]) in numbers
        assert known == (number in leaks), row["id"]
    for number, fault in leaks.items():
        [learned] = fault["rows"]
        assert rows[learned]["fields"] == tests[number]["fields"]
        same = rows[learned]["document"] == tests[number]["document"]
        assert same == (fault["detail"]["change"] == "none")
    assert Counter(row["supplier"] for n, row in tests.items() if n not in leaks) == dict.fromkeys(
        {row["supplier"] for row in rows.values()}, 1
    )


def test_pdf_files_are_small_and_one_of_each_supplier(rows: dict[int, Row]) -> None:
    files = [row for row in rows.values() if is_pdf(row)]
    assert Counter(row["supplier"] for row in files) == dict.fromkeys({row["supplier"] for row in rows.values()}, 1)
    assert all(row["document"] == f"documents/{row['id']}.pdf" for row in files)
    paths = sorted((INVOICES / "documents").iterdir())
    assert [f"documents/{path.name}" for path in paths] == sorted(row["document"] for row in files)
    assert sum(path.stat().st_size for path in paths) < 300_000


def test_pdf_files_give_the_lines_of_the_layout(rows: dict[int, Row]) -> None:
    """Text extraction gives what the same invoice would be as text, but for empty lines and wide gaps."""
    code = (
        "import json, generate as g\n"
        "rows = g.build(g.SEED).rows\n"
        "print(json.dumps({row.id: row.text for row in rows if row.as_pdf}))"
    )
    command = [sys.executable, "-B", "-c", code]
    texts = json.loads(subprocess.run(command, cwd=INVOICES, check=True, capture_output=True, text=True).stdout)
    assert len(texts) == 60
    for row in rows.values():
        if is_pdf(row):
            expected = [re.sub(" +", " ", line) for line in texts[row["id"]].split("\n") if line]
            assert document_text(row).split("\n") == expected, row["id"]


def test_readme_names_every_supplier_in_its_layout(suppliers: dict[str, Row]) -> None:
    readme = (INVOICES / "README.md").read_text(encoding="utf-8")
    listed = {}
    for layout, names in re.findall(r"^\| ([a-z ]+) \| [^|]+ \| ([^|]+, [^|]+) \|$", readme, re.MULTILINE):
        listed[layout] = names.split(", ")
    assert len(listed) == 10
    found = {name: layout for layout, names in listed.items() for name in names}
    assert found == {name: supplier["layout"] for name, supplier in suppliers.items()}
