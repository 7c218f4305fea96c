"""`add`: folders of mixed files, columns that are called otherwise, rejected rows and back, the same rows again."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import many_intents, write_csv
from hypothesis import given
from hypothesis import strategies as st

from inhouse import pipeline
from inhouse.core import Feedback, Provenance, Rejection, Silent, Trace
from inhouse.errors import InputError, NotFound, RareLabels, SourceError, UsageError
from inhouse.sources import ReadOptions, find_files, read_source, rejects_csv
from inhouse.sources.rejected import escaped
from inhouse.store import Workspace, records, traffic
from inhouse.store.database import now

ROWS = many_intents(5)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A folder that is no workspace yet, beside the data."""
    return Workspace(tmp_path / "work")


@pytest.fixture
def data(tmp_path) -> Path:
    """A folder for data."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def rename(rows, **names):
    """Rows with their columns called otherwise: text="body"."""
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def write_jsonl(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def stored(workspace, name="intents"):
    return records.load_dataset(workspace, name)


# ---------------------------------------------------------------------- folders, patterns, bad files


def test_a_folder_of_mixed_files(workspace, data):
    for year, rows in (("2024", ROWS[:20]), ("2025", ROWS[20:40])):
        (data / year).mkdir()
        write_csv(data / year / "data.csv", rows)
    write_jsonl(data / "more.jsonl", ROWS[40:])
    (data / "broken.jsonl").write_text("[1, 2\n")
    (data / "notes.log").write_text("x")
    (data / ".hidden.csv").write_text("text,category\n")
    (data / "~$open.xlsx").write_text("")
    (data / "circle").symlink_to("..")
    (data / "away").symlink_to("/etc")
    told = Silent()
    added = pipeline.add(workspace, "intents", [data], told)
    assert sum(added.counts.values()) == len(ROWS)
    places = {e.provenance.file for e in stored(workspace).examples}
    assert places == {"data/2024/data.csv", "data/2025/data.csv", "data/more.jsonl"}
    assert [Path(bad.file).name for bad in added.unusable] == ["broken.jsonl"]
    assert added.unusable[0].remedy
    assert any("broken.jsonl" in line and "->" in line for line in told.warned)
    passed = next(line for line in told.said if line.startswith("files passed over"))
    assert "2 hidden" in passed
    assert "2 links" in passed
    assert ".log" in passed


def test_one_bad_file_that_is_named_alone_is_an_error(workspace, data):
    (data / "broken.jsonl").write_text("[1, 2\n")
    with pytest.raises(SourceError, match="closing ]"):
        pipeline.add(workspace, "intents", [data / "broken.jsonl"])
    (data / "other.csv").write_text("")
    with pytest.raises(SourceError, match="and 1 more files cannot be used"):
        pipeline.add(workspace, "intents", [data])
    assert not workspace.paths.root.exists()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["data/a.csv", "data/b.csv"]),
        ("**/*.csv", ["data/a.csv", "data/b.csv", "data/x/a.csv", "data/x/y/b.csv"]),
        ("x/**", ["x/a.csv", "x/y/b.csv"]),
        ("?/[!a].csv", []),
        ("*/[a].csv", ["data/x/a.csv"]),
    ],
)
def test_patterns(data, pattern, names):
    for name in ("a.csv", "b.csv", "x/a.csv", "x/y/b.csv", "x/c.log"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("a,b\n")
    if not names:
        with pytest.raises(SourceError, match="no file matches"):
            find_files([f"{data}/{pattern}"])
        return
    assert [one.name for one in find_files([f"{data}/{pattern}"]).files] == names


def test_files_of_one_name_are_told_apart_and_a_file_is_read_once(data):
    for folder in ("a", "b"):
        (data / folder).mkdir()
        (data / folder / "data.csv").write_text("a,b\n")
    found = find_files([data / "a" / "data.csv", data / "b" / "data.csv", data / "a" / "data.csv"])
    assert len(found.files) == 2
    assert len({one.name for one in found.files}) == 2


def test_many_files_deep_folders_and_odd_names(data):
    for n in range(3000):
        (data / f"{n:05}.json").touch()
    deep = data
    for _ in range(40):
        deep = deep / "folder-of-a-folder"
        deep.mkdir()
    (deep / "last.csv").touch()
    (Path(os.fsdecode(os.fsencode(data) + b"/\xff.csv"))).touch()
    os.mkfifo(data / "pipe.csv")
    found = find_files([data])
    assert len(found.files) == 3002
    assert all(one.name.encode() for one in found.files)
    assert found.passed_over["no files (pipes, devices)"] == 1


def test_the_folders_of_the_workspace_are_left_out(workspace, tmp_path, data):
    inside = Workspace(tmp_path)
    write_csv(data / "good.csv", [*ROWS, {"text": "", "category": "card_arrival"}])
    pipeline.add(inside, "intents", [data / "good.csv"])
    assert list(tmp_path.glob("tasks/intents/rejected/*.csv"))
    told = Silent()
    assert pipeline.add(inside, "intents", [tmp_path], told).dataset == 1
    inside.close()


# ---------------------------------------------------------------------- columns that are called otherwise


def test_other_columns_are_found_kept_and_used_again(workspace, data):
    pipeline.add(workspace, "intents", [write_csv(data / "first.csv", ROWS[:30])])
    other = [{"id": f"m-{n}", "body": r["text"], "queue": r["category"]} for n, r in enumerate(ROWS[30:])]
    told = Silent()
    added = pipeline.add(workspace, "intents", [write_jsonl(data / "other.jsonl", other)], told)
    assert sum(added.counts.values()) == len(ROWS)
    assert added.fields == ("text",)
    section = workspace.load_task("intents").sources[0]
    assert (section.pattern, section.columns) == ("other.jsonl", {"text": "body", "category": "queue"})
    assert "other.jsonl: body is the task's text" in told.said
    assert all(set(e.inputs) == {"text"} for e in stored(workspace).examples)


def test_columns_said_by_name_or_by_order(workspace, data):
    pipeline.add(workspace, "intents", [write_csv(data / "first.csv", ROWS[:20])])
    odd = rename(ROWS[20:40], text="a", category="b")
    for row in odd:
        row["c"] = row["a"].upper() + " again"
    file = write_jsonl(data / "odd.jsonl", odd)
    pipeline.add(workspace, "intents", [file], inputs=["text=a"], target="category=b")
    assert len(stored(workspace).examples) == 40
    more = write_jsonl(data / "more.jsonl", rename(ROWS[40:], text="x", category="y"))
    pipeline.add(workspace, "intents", [more], inputs=["x"], target="y")
    assert len(stored(workspace).examples) == len(ROWS)


def test_what_cannot_be_told_is_refused_with_the_options_to_say_it(workspace, data):
    pipeline.add(workspace, "intents", [write_csv(data / "first.csv", ROWS[:30])])
    two = [{"one": r["text"], "two": r["text"][::-1] + " x", "queue": r["category"]} for r in ROWS[30:]]
    before = workspace.paths.task_file("intents").read_bytes()
    with pytest.raises(SourceError) as told:
        pipeline.add(workspace, "intents", [write_jsonl(data / "two.jsonl", two)])
    assert "--input text=COLUMN" in told.value.remedy
    with pytest.raises(InputError, match="--input one, two"):
        pipeline.add(workspace, "intents", [data / "two.jsonl"], inputs=["one", "two"])
    assert workspace.paths.task_file("intents").read_bytes() == before
    assert records.latest_dataset(workspace, "intents") == 1


def test_a_named_column_is_taken_at_its_word(workspace, data):
    pipeline.add(workspace, "intents", [write_csv(data / "first.csv", ROWS[:30])])
    other = write_jsonl(data / "other.jsonl", rename(ROWS[30:], text="body"))
    with pytest.raises(SourceError, match="column 'bodi' is missing"):
        pipeline.add(workspace, "intents", [other], inputs=["bodi"])


def test_shapes_of_one_folder_and_keys_of_an_object(workspace, data):
    orders = [{"mail": f"send {n} lamps to Bonn, order {n}", "amount": n, "city": "Bonn"} for n in range(1, 30)]
    write_jsonl(data / "a.jsonl", orders[:20])
    write_jsonl(data / "b.jsonl", rename(orders[20:], amount="Amount", city="CITY"))
    added = pipeline.add(workspace, "orders", [data], kind="extract", inputs=["mail"], target=["amount", "city"])
    assert sum(added.counts.values()) == 29
    assert {tuple(json.loads(e.target)) for e in stored(workspace, "orders").examples} == {("amount", "city")}


def test_a_source_without_the_group_column_is_taken(workspace, data):
    grouped = [{**r, "customer": f"c{n % 15}"} for n, r in enumerate(ROWS[:30])]
    pipeline.add(workspace, "intents", [write_jsonl(data / "a.jsonl", grouped)], group="customer")
    told = Silent()
    pipeline.add(workspace, "intents", [write_csv(data / "b.csv", ROWS[30:])], told)
    assert any("no column 'customer' for the group" in line for line in told.said)
    assert len(stored(workspace).examples) == len(ROWS)


def test_how_a_file_is_read_reaches_the_reader_and_is_kept(workspace, data, monkeypatch):
    from inhouse.sources import registry

    seen, read_csv = [], registry.READERS["csv"]

    def reader(file):
        seen.append(file.options)
        return read_csv(file)

    monkeypatch.setitem(registry.READERS, "csv", reader)
    first = write_csv(data / "first.csv", ROWS[:30])
    pipeline.add(workspace, "intents", [first], options=ReadOptions(encoding="utf-8", delimiter=","))
    write_csv(first, ROWS)
    pipeline.add(workspace, "intents", [first])
    assert seen == [ReadOptions(encoding="utf-8", delimiter=",")] * 2
    assert workspace.load_task("intents").sources[0].encoding == "utf-8"


# ---------------------------------------------------------------------- a task that is not there, and asking


def test_add_makes_a_task_and_refuses_a_slip(workspace, data):
    file = write_csv(data / "first.csv", ROWS)
    told = Silent()
    assert pipeline.add(workspace, "intents", [file], told).kind == "classify"
    assert any(line.startswith("kind of task: classify") for line in told.said)
    with pytest.raises(NotFound, match="there is no task 'intent'"):
        pipeline.add(workspace, "intent", [file])
    with pytest.raises(UsageError, match="of kind classify, not extract"):
        pipeline.add(workspace, "intents", [file], kind="extract")
    for name in ("intents2", "intents-mail", "tents"):
        assert pipeline.add(workspace, name, [file]).task == name


def test_the_one_instruction_of_an_alpaca_table_becomes_the_tasks(workspace, data):
    rows = [{"instruction": "Name the intent.", "input": r["text"], "output": r["category"]} for r in ROWS]
    file, told = write_jsonl(data / "alpaca.jsonl", rows), Silent()
    pipeline.add(workspace, "intents", [file], told)
    assert workspace.load_task("intents").instruction == "Name the intent."
    assert any(line.startswith("instruction of the task: 'Name the intent.'") for line in told.said)
    assert not any(line.startswith("left out") for line in told.said)
    pipeline.init(workspace, "others", instruction="Which one?")
    pipeline.add(workspace, "others", [file], told)
    assert workspace.load_task("others").instruction == "Which one?"
    assert any("as the task has its own" in line for line in told.said)


def test_asked_once_and_no_is_no(workspace, data):
    file, asked = write_csv(data / "first.csv", ROWS[:30]), []

    def no(question):
        asked.append(question)
        return False

    with pytest.raises(UsageError, match="nothing was added"):
        pipeline.add(workspace, "intents", [file], confirm=no)
    assert not workspace.paths.root.exists()
    told = Silent()
    pipeline.add(workspace, "intents", [file], told, confirm=lambda _: True)
    assert any("3 labels: card_arrival, change_pin, failed_transfer" in line for line in told.said)
    pipeline.add(workspace, "intents", [write_csv(data / "more.csv", ROWS[30:])], confirm=no)
    assert asked == ["use this?"]


def test_rows_of_labels_that_appear_once_are_set_aside_where_a_person_says_so(workspace, data):
    rows = [*ROWS, {"text": "where is my crad", "category": "Card_Arrival"}]
    file, asked = write_csv(data / "first.csv", rows), []

    def says(answer):
        return lambda question: asked.append(question) or answer

    for confirm in (None, says(False)):
        with pytest.raises(RareLabels, match="'Card_Arrival' appears once"):
            pipeline.add(workspace, "intents", [file], confirm=confirm)
    assert not workspace.exists
    added = pipeline.add(workspace, "intents", [file], confirm=says(True))
    assert (added.dropped, len(stored(workspace).examples)) == (1, len(ROWS))
    assert "write 'card_arrival'" in asked[0]
    assert asked[1].endswith("set such rows aside?")


@pytest.mark.parametrize(("answer", "code"), [(b"what\n\n", 0), (b"n\n", 2), (None, 0)])
def test_the_question_at_a_real_terminal(tmp_path, data, answer, code):
    file = write_csv(data / "first.csv", ROWS)
    ours, theirs = pty.openpty()
    words = ["add", "intents", str(file), "-w", str(tmp_path / "w"), *(["--yes"] if answer is None else [])]
    program = f"from inhouse.cli import main; main({words!r})"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    if answer:
        os.write(ours, answer)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        shown += part
    assert process.wait(timeout=60) == code, shown
    assert (b"use this? [Y/n]" in shown) == (answer is not None)
    assert (tmp_path / "w").exists() == (code == 0)


# ---------------------------------------------------------------------- rejected rows, and back


def test_rejected_rows_are_mended_and_added_again(workspace, data):
    rows = [*ROWS[:30], {"text": "=HYPERLINK(1)", "category": ""}, {"text": "", "category": "change_pin"}]
    pipeline.add(workspace, "intents", [write_csv(data / "first.csv", ROWS[30:])])
    file = write_jsonl(data / "mails.jsonl", [{"n": n, **r} for n, r in enumerate(rename(rows, text="body"))])
    added = pipeline.add(workspace, "intents", [file])
    assert [(bad.file, bad.line) for bad in added.rejections] == [("mails.jsonl", 31), ("mails.jsonl", 32)]
    assert all(bad.reason and bad.remedy for bad in added.rejections)
    (rejected,) = map(Path, added.rejected_files)
    kept = list(csv.DictReader(io.StringIO(rejected.read_text())))
    assert kept[0]["body"] == "'=HYPERLINK(1)"
    assert (kept[1]["n"], kept[1]["category"]) == ("31", "change_pin")
    assert kept[0]["inhouse_remedy"].startswith("fill in the right answer")
    kept[0]["category"], kept[1]["body"] = "card_arrival", "my pin is gone"
    with rejected.open("w", newline="") as mended:
        writer = csv.DictWriter(mended, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
    again = pipeline.add(workspace, "intents", [rejected])
    assert again.rejected == 0
    texts = {e.inputs["text"]: e.target for e in stored(workspace).examples}
    assert texts["=HYPERLINK(1)"] == "card_arrival"
    assert texts["my pin is gone"] == "change_pin"


def test_rejected_rows_as_they_are_stay_rejected(workspace, data):
    pipeline.add(workspace, "intents", [write_csv(data / "first.csv", ROWS[:30])])
    file = data / "odd.csv"
    file.write_text("text,category\n" + "".join(f"{r['text']},{r['category']}\n" for r in ROWS[30:]) + "a,b,c\n")
    added = pipeline.add(workspace, "intents", [file])
    with pytest.raises(SourceError, match="1 of 1 rows cannot be used"):
        pipeline.add(workspace, "intents", [added.rejected_files[0]])


PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"))


@given(st.lists(st.tuples(PRINTABLE, PRINTABLE), min_size=1, max_size=5))
def test_cells_come_back_as_they_were(tmp_path_factory, cells):
    cells = [tuple(c.strip() for c in row) for row in cells]
    rows = [Rejection(Provenance("f", n), "bad", "", {"one": a, "two": b}) for n, (a, b) in enumerate(cells, 1)]
    file = tmp_path_factory.mktemp("rejects") / "f.csv"
    file.write_bytes(rejects_csv(("one", "two"), rows))
    source = read_source(file)
    assert source.columns == ("one", "two")
    assert [(r.values["one"].strip(), r.values["two"].strip()) for r in source.records] == cells


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1", "'=1"])
def test_what_a_spreadsheet_would_compute_is_escaped(cell):
    assert escaped(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-5.20", "+49 30 1234", "12", "text", "it's", "", "- 1 %"[2:]])
def test_what_it_would_not_compute_is_left_alone(cell):
    assert escaped(cell) == cell


@pytest.mark.parametrize(
    ("option", "value", "ending"), [("sheet", "May", "jsonl"), ("delimiter", ";", "jsonl"), ("header", 2, "jsonl")]
)
def test_an_option_that_no_file_is_read_by_is_refused(workspace, data, cli, option, value, ending):
    file = write_jsonl(data / f"rows.{ending}", ROWS)
    done = cli(workspace.paths.root, "add", "intents", file, f"--{option}", value)
    assert done.code == 2
    assert f"--{option} {value}: none of the files is read so" in done.err
    assert not workspace.has_task("intents")
    table = write_csv(data / "rows.csv", ROWS)
    beside = {"sheet": 2, "delimiter": 0, "header": 0}[option]  # one of several files is enough
    wish = {"sheet": "May", "delimiter": ",", "header": 1}[option]
    assert cli(workspace.paths.root, "add", "intents", file, table, f"--{option}", wish).code == beside


# ---------------------------------------------------------------------- what is told


def test_everything_is_told_once(workspace, data, cli):
    lines = ["text,category", *(f"{row['text']} für Anna,{row['category']}" for row in ROWS), "ohne Antwort,"]
    (data / "alt.csv").write_bytes("\n".join(lines).encode("cp1252"))
    done = cli(workspace.paths.root, "add", "intents", data / "alt.csv", "--input", "text", "--target", "category")
    assert (done.err + done.out).count("1252") == 1
    assert (done.err + done.out).count("1 row rejected") == 1
    texts = [{"text": row["text"], "answer": f"Dear customer,\n{row['text']}\nKind regards"} for row in ROWS]
    done = cli(workspace.paths.root, "add", "letters", write_jsonl(data / "letters.jsonl", texts), "--kind", "generate")
    [section] = [line for line in (done.err + done.out).splitlines() if "Kind regards" in line]
    assert section.startswith("  ")


# ---------------------------------------------------------------------- the same rows again


def test_a_file_saved_again_adds_its_new_rows_alone(workspace, data):
    file = write_csv(data / "mails.csv", ROWS[:40])
    pipeline.add(workspace, "intents", [file])
    mixed = ROWS[:40]
    random.Random(0).shuffle(mixed)
    write_csv(file, mixed)
    told = Silent()
    assert pipeline.add(workspace, "intents", [file], told).dataset == 1
    assert "40 rows of mails.csv were added before: nothing new in them" in told.said
    write_csv(file, ROWS)
    assert pipeline.add(workspace, "intents", [file]).dataset == 2
    assert len(stored(workspace).examples) == len(ROWS)


def test_rows_that_clean_dropped_do_not_come_back(workspace, data):
    file = write_csv(data / "mails.csv", [*ROWS, *ROWS[:5]])
    pipeline.add(workspace, "intents", [file])
    pipeline.clean(workspace, "intents", apply=["exact_duplicate"])
    cleaned = stored(workspace)
    assert len(cleaned.examples) < len(ROWS) + 5
    write_csv(file, [*ROWS[::-1], *ROWS[:5]])
    assert pipeline.add(workspace, "intents", [file]).dataset == cleaned.number


def test_objects_are_the_same_in_whatever_order_their_keys_are(workspace, data):
    orders = [{"mail": f"send {n} lamps, order {n}", "fields": {"n": n, "city": "Bonn"}} for n in range(1, 30)]
    file = write_jsonl(data / "orders.jsonl", orders)
    pipeline.add(workspace, "orders", [file], kind="extract", inputs=["mail"], target="fields")
    write_jsonl(file, [{**o, "fields": dict(reversed(o["fields"].items()))} for o in orders])
    assert pipeline.add(workspace, "orders", [file]).dataset == 1


# ---------------------------------------------------------------------- traces


def test_the_corrections_of_served_answers(workspace, data):
    pipeline.add(workspace, "intents", [write_csv(data / "mails.csv", ROWS)])
    told = Silent()
    assert pipeline.add(workspace, "intents", ["traces"], told).dataset == 1
    assert any("no correction" in line for line in told.said)
    for n in range(3):
        trace = Trace(
            id=f"t{n}",
            task="intents",
            model_version="intents@1",
            inputs={"text": f"what about card {n}"},
            output="change_pin",
            confidence=0.5,
            needs_review=True,
            latency_ms=1.0,
            prompt_tokens=5,
            answer_tokens=2,
            created_at=now(),
        )
        traffic.add_trace(workspace, trace)
        traffic.add_feedback(workspace, Feedback(trace=trace.id, correction="card_arrival", accepted=False))
    added = pipeline.add(workspace, "intents", ["traces"])
    assert added.dataset == 2
    new = [e for e in stored(workspace).examples if e.provenance.file.startswith("corrections/")]
    assert {e.target for e in new} == {"card_arrival"}
    assert len(new) == 3
    assert pipeline.add(workspace, "intents", ["traces"]).dataset == 2
