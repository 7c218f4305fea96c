"""The example CVs: the generator gives the committed files, and every summary keeps the house style and its CV's facts."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.table import Table

CVS = Path(__file__).resolve().parents[2] / "examples" / "cv"
SECTIONS = ["Key qualifications", "Relevant experience", "Availability"]
FAULTS_OF_SECTIONS = ("missing_section", "swapped_sections")
INVENTED = ("invented_employer", "invented_figure")
PAIRS = ("duplicate", "near_duplicate")
MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
MONTHS = MONTH.split("|")

Row = dict[str, str]
Fault = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> dict[int, Row]:
    """The rows by line number."""
    lines = (CVS / "cvs.jsonl").read_text(encoding="utf-8").splitlines()
    return {number: json.loads(line) for number, line in enumerate(lines, start=1)}


@pytest.fixture(scope="module")
def faults() -> list[Fault]:
    """The faults in the key file."""
    return list(json.loads((CVS / "planted_faults.json").read_text(encoding="utf-8"))["faults"])


@pytest.fixture(scope="module")
def tests() -> dict[int, Row]:
    """The rows of the test file by line number."""
    lines = (CVS / "test_cvs.jsonl").read_text(encoding="utf-8").splitlines()
    return {number: json.loads(line) for number, line in enumerate(lines, start=1)}


@pytest.fixture(scope="module")
def texts(rows: dict[int, Row]) -> dict[int, str]:
    """The text of every CV, wherever it stands."""
    return {number: docx_text(CVS / row["cv"]) if is_docx(row) else row["cv"] for number, row in rows.items()}


@pytest.fixture(scope="module")
def originals(texts: dict[int, str], faults: list[Fault]) -> dict[int, str]:
    """The text of every CV, that of a near duplicate before it was changed."""
    copies = {
        fault["detail"]["copy"]: row
        for fault in faults
        if fault["fault"] == "near_duplicate"
        for row in fault["rows"]
        if row != fault["detail"]["copy"]
    }
    return {number: texts[copies.get(number, number)] for number in texts}


@pytest.fixture(scope="module")
def right(rows: dict[int, Row], faults: list[Fault]) -> dict[int, str]:
    """The summaries as they should be."""
    summaries = {number: row["summary"] for number, row in rows.items()}
    for fault in faults:
        (number, *_) = fault["rows"]
        if fault["fault"] in FAULTS_OF_SECTIONS:
            summaries[number] = fault["detail"]["right"]
        elif fault["fault"] in INVENTED:
            summaries[number] = summaries[number].replace(fault["detail"]["wrong"], fault["detail"]["right"])
    return summaries


def is_docx(row: Row) -> bool:
    """Whether the CV is a file."""
    return row["cv"].startswith("documents/")


def docx_text(path: Path) -> str:
    """Paragraphs and the rows of tables, a line each."""
    return "\n".join(docx_lines(path))


def docx_lines(path: Path) -> Iterator[str]:
    """The lines of a Word file."""
    for block in docx.Document(str(path)).iter_inner_content():
        if isinstance(block, Table):
            yield from (" | ".join(cell.text for cell in row.cells) for row in block.rows)
        else:
            yield block.text


def sections(summary: str) -> dict[str, list[str]]:
    """The lines of each section, in order."""
    found: dict[str, list[str]] = {}
    for line in filter(None, summary.split("\n")):
        if line in SECTIONS:
            found[line] = []
        else:
            found[list(found)[-1]].append(line)
    return found


def generate(out: Path, *options: str, hash_seed: str = "1") -> None:
    """Run the generator as a user would."""
    command = [sys.executable, "-B", str(CVS / "generate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})


@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_generator_gives_the_committed_bytes(tmp_path: Path, hash_seed: str) -> None:
    generate(tmp_path, hash_seed=hash_seed)
    made = {path.name: path.read_bytes() for path in (tmp_path / "documents").iterdir()}
    kept = {path.name: path.read_bytes() for path in (CVS / "documents").iterdir()}
    assert made == kept
    for name in ("cvs.jsonl", "test_cvs.jsonl", "planted_faults.json"):
        assert (tmp_path / name).read_bytes() == (CVS / name).read_bytes()


def test_another_seed_gives_other_people_and_no_old_documents(tmp_path: Path) -> None:
    generate(tmp_path)
    generate(tmp_path, "--seed", "2")
    assert (tmp_path / "cvs.jsonl").read_bytes() != (CVS / "cvs.jsonl").read_bytes()
    assert len(list((tmp_path / "documents").iterdir())) == 40


def test_file_format_and_size(rows: dict[int, Row], texts: dict[int, str]) -> None:
    data = (CVS / "cvs.jsonl").read_bytes()
    assert b"\r" not in data
    assert data.endswith(b"\n")
    assert len(rows) == 428
    for number, row in rows.items():
        assert list(row) == ["id", "cv", "summary"], number
        assert row["id"] == f"cv-{number:03d}"
        # A Word file has no empty lines and no dashes before its bullets.
        assert (850 if is_docx(row) else 900) <= len(texts[number]) <= 1700, number
        assert not re.search(r"[{}]", texts[number] + row["summary"]), number


def test_layouts_are_as_the_readme_says(rows: dict[int, Row]) -> None:
    code = (
        "import json, generate as g\n"
        "rows = g.build(g.SEED).rows\n"
        "print(json.dumps([[row.id, row.layout, row.as_docx] for row in rows]))"
    )
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, cwd=CVS, check=True, capture_output=True, text=True)
    layout_of = {key: layout for key, layout, _ in json.loads(done.stdout)}
    files = Counter(layout for _, layout, as_docx in json.loads(done.stdout) if as_docx)
    readme = (CVS / "README.md").read_text(encoding="utf-8")
    table = readme.split("## CVs")[1].split("## Faults")[0]
    assert set(re.findall(r"^\| ([a-z ]+) \| (?!how)", table, re.MULTILINE)) == set(files) == set(layout_of.values())
    assert min(Counter(layout_of.values()).values()) >= 40
    assert sum(files.values()) == sum(map(is_docx, rows.values())) == 40


def test_word_files_belong_to_their_rows_and_hold_no_time(rows: dict[int, Row]) -> None:
    files = {row["cv"] for row in rows.values() if is_docx(row)}
    assert files == {f"documents/{path.name}" for path in (CVS / "documents").iterdir()}
    assert files == {f"documents/{row['id']}.docx" for row in rows.values() if is_docx(row)}
    for name in files:
        data = (CVS / name).read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert len(data) < 40_000
        styles = {paragraph.style.name for paragraph in docx.Document(str(CVS / name)).paragraphs}
        assert "Title" in styles


def test_word_files_hold_the_same_lines_as_the_text_would(texts: dict[int, str], rows: dict[int, Row]) -> None:
    code = (
        "import json, generate as g\n"
        "rows = g.build(g.SEED).rows\n"
        "print(json.dumps({row.id: row.cv for row in rows if row.as_docx}))"
    )
    command = [sys.executable, "-B", "-c", code]
    expected = json.loads(subprocess.run(command, cwd=CVS, check=True, capture_output=True, text=True).stdout)
    for number, row in rows.items():
        if is_docx(row):
            lines = [line.removeprefix("- ") for line in expected[row["id"]].split("\n") if line]
            assert texts[number].split("\n") == lines, row["id"]


def test_right_summaries_keep_the_structure(right: dict[int, str]) -> None:
    for number, summary in right.items():
        parts = sections(summary)
        assert list(parts) == SECTIONS, number
        assert 2 <= len(parts["Key qualifications"]) <= 4, number
        assert 2 <= len(parts["Relevant experience"]) <= 3, number
        assert len(parts["Availability"]) == 1, number
        bullets = parts["Key qualifications"] + parts["Relevant experience"]
        assert all(line.startswith("- ") and len(line.split()) - 1 <= 14 for line in bullets), number
        assert re.fullmatch(r"Available [^.]+\.", parts["Availability"][0]), number
        assert summary.count("\n\n") == 2, number


def test_right_summaries_keep_the_house_style(right: dict[int, str]) -> None:
    wrong = re.compile(r"!|responsible for|\b(I|my|he|she|his|her|they|their|me)\b|native|fluent|basic", re.IGNORECASE)
    assert [number for number, summary in right.items() if wrong.search(summary)] == []
    for summary in right.values():
        for line in sections(summary)["Relevant experience"]:
            assert re.fullmatch(r"- [^,]+, [^()]+ \((since \d{4}|\d{4}-\d{4})\): [a-z].*[^.]", line), line


def test_summaries_leave_out_what_is_private(originals: dict[int, str], right: dict[int, str]) -> None:
    for number, summary in right.items():
        name = next(line for line in originals[number].split("\n") if line != "Curriculum vitae")
        assert re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+(-[A-Z][a-z]+)?", name), number
        assert not set(name.split()) & set(re.findall(r"[\w-]+", summary)), number
        assert not re.search(r"01632|@|married|single|divorced|widowed|engaged", summary), number
        born = re.search(rf"\d{{1,2}} ({MONTH}) (19\d\d|200\d)", originals[number])
        assert born, number
        assert born[0] not in summary


def test_every_qualification_stands_in_the_cv(originals: dict[int, str], right: dict[int, str]) -> None:
    for number, summary in right.items():
        text = originals[number]
        degree, *others = (line.removeprefix("- ") for line in sections(summary)["Key qualifications"])
        found = re.fullmatch(r"(.+), (.+) \((\d{4})\)", degree)
        assert found, number
        assert all(re.search(rf"\b{re.escape(words)}\b", text) for words in found.groups()), number
        labels = [line.split(": ")[0] for line in others]
        assert labels == [label for label in ("Certificates", "Skills", "Languages") if label in labels], number
        assert "Skills" in labels
        for label, words in (line.split(": ") for line in others):
            listed = r"(?:, |; |\n|\n- )".join(map(re.escape, words.split(", ")))
            opening = "I also hold" if label == "Certificates" else label
            first = rf"(?i:{label}|{opening})(?:: | \| |\n|\n- )"
            assert label == "Languages" or re.search(first + listed, text), (number, label)
        levels = re.findall(r"(\w+)(?: \(|: )(native|fluent|very good|good|basic)\b", text)
        spoken = [language for language, level in levels if level != "basic"]
        assert others[-1] == f"Languages: {', '.join(spoken)}" if spoken else labels[-1] == "Skills", number


def line_about(text: str, employer: str) -> str:
    """Where a CV speaks of an employer: that line and the next two."""
    lines = text.split("\n")
    (at,) = [place for place, line in enumerate(lines) if employer in line]
    return "\n".join(lines[at - 1 : at + 3])


def test_experience_is_the_cvs(originals: dict[int, str], right: dict[int, str]) -> None:
    for number, summary in right.items():
        starts = []
        for line in sections(summary)["Relevant experience"]:
            found = re.fullmatch(r"- (.+), (.+) \((since )?(\d{4})(?:-(\d{4}))?\): (\w+) (.+)", line)
            assert found, line
            role, employer, since, start, end, _, rest = found.groups()
            near = line_about(originals[number], employer)
            assert role in near, line
            assert start in near, line
            assert (end or "") in near, line
            assert rest in near, line
            assert bool(since) == bool(end is None)
            starts.append(int(start))
        assert starts == sorted(starts, reverse=True), number


def test_experience_names_the_newest_positions(originals: dict[int, str], right: dict[int, str]) -> None:
    """As many spans of time as the CV has, at most three, and the newest of them: read apart from the generator."""
    span = re.compile(
        r"(?:\d\d/|[A-Z][a-z]+ )?(\d{4}) ?(?:-|to) ?(?:(?:\d\d/|[A-Z][a-z]+ )?(\d{4})|present|today)"
        r"|[Ss]ince (?:[A-Z][a-z]+ )?(\d{4})"
    )
    for number, summary in right.items():
        spans = [
            (int(first or since), int(end) if end else None) for first, end, since in span.findall(originals[number])
        ]
        newest = sorted(spans, key=lambda one: (one[1] is None, one), reverse=True)[:3]
        told = re.findall(r"\((?:since )?(\d{4})(?:-(\d{4}))?\)", "\n".join(sections(summary)["Relevant experience"]))
        assert [(int(start), int(end) if end else None) for start, end in told] == newest, number


def test_availability_is_the_cvs(originals: dict[int, str], right: dict[int, str]) -> None:
    ways = Counter()
    for number, summary in right.items():
        (sentence,) = sections(summary)["Availability"]
        found = re.fullmatch(
            r"Available (?:from (\d+) (\w+) (\d{4})|after (.+) of notice|immediately), (full-time|\d\d hours a week)\.",
            sentence,
        )
        assert found, number
        day, month, year, notice, hours = found.groups()
        text = originals[number]
        assert hours in text or hours.capitalize() in text, number
        if day:
            written = (f"{day} {month} {year}", f"{int(day):02d}.{MONTHS.index(month) + 1:02d}.{year}")
            assert any(one in text for one in written), number
        elif notice:
            assert re.search(rf"[Nn]otice[^.]*{notice}|{notice} notice", text), number
        else:
            assert re.search(r"at once|immediately|at any time|tomorrow", text), number
        ways["day" if day else "notice" if notice else "now"] += 1
    assert min(ways.values()) >= 20


def test_duplicates_are_all_in_the_key(rows: dict[int, Row], faults: list[Fault], texts: dict[int, str]) -> None:
    places = defaultdict(list)
    for number, row in rows.items():
        places[texts[number], row["summary"]].append(number)
    twice = sorted(numbers for numbers in places.values() if len(numbers) > 1)
    assert twice == sorted(fault["rows"] for fault in faults if fault["fault"] == "duplicate")
    assert len({text for text, _ in places}) == len(places)


def test_faults_are_where_the_key_says(rows: dict[int, Row], faults: list[Fault], texts: dict[int, str]) -> None:
    kinds = Counter(fault["fault"] for fault in faults)
    wrong = (*FAULTS_OF_SECTIONS, *INVENTED)
    assert kinds == {**dict.fromkeys(PAIRS, 15), **dict.fromkeys(wrong, 8), "leakage": 30}
    touched = [number for fault in faults for number in fault["rows"]]
    assert len(touched) == len(set(touched))
    assert not any(is_docx(rows[number]) for number in touched)
    orders = {"missing_section": SECTIONS[:2], "swapped_sections": [SECTIONS[1], SECTIONS[0], SECTIONS[2]]}
    for fault in faults:
        number, detail = fault["rows"][0], fault["detail"]
        if fault["fault"] in orders:
            assert list(sections(rows[number]["summary"])) == orders[fault["fault"]]
            assert set(rows[number]["summary"].split("\n")) <= set(detail["right"].split("\n"))
        elif fault["fault"] == "invented_employer":
            assert detail["wrong"] in rows[number]["summary"]
            assert detail["wrong"].split()[0] not in texts[number]
            assert detail["right"] in texts[number]
            assert detail["right"] not in rows[number]["summary"]
        elif fault["fault"] == "invented_figure":
            [figure] = set(re.findall(r"\d+", detail["wrong"])) - set(re.findall(r"\d+", detail["right"]))
            assert detail["wrong"] in rows[number]["summary"]
            assert figure not in texts[number]
        elif fault["fault"] == "near_duplicate":
            one, other = (rows[n] for n in fault["rows"])
            assert one["summary"] == other["summary"]
            assert one["cv"] != other["cv"]
    odd = [number for number, row in rows.items() if list(sections(row["summary"])) != SECTIONS]
    assert odd == sorted(f["rows"][0] for f in faults if f["fault"] in FAULTS_OF_SECTIONS)


def test_what_leaks_into_the_test_is_in_the_key(
    rows: dict[int, Row], tests: dict[int, Row], faults: list[Fault]
) -> None:
    leaks = {fault["detail"]["test_row"]: fault for fault in faults if fault["fault"] == "leakage"}
    summaries = {row["summary"] for row in rows.values()}
    assert len(tests) == 90
    assert {number for number, row in tests.items() if row["summary"] in summaries} == set(leaks)
    for number, fault in leaks.items():
        [learned] = fault["rows"]
        assert rows[learned]["summary"] == tests[number]["summary"]
        assert (rows[learned]["cv"] == tests[number]["cv"]) == (fault["detail"]["change"] == "none")


def test_the_readmes_summary_is_one_of_them(rows: dict[int, Row]) -> None:
    readme = (CVS / "README.md").read_text(encoding="utf-8")
    assert f"{len(rows)} CVs" in readme
    assert any(f"```\n{row['summary']}\n```" in readme for row in rows.values())
