"""`forget` leaves no byte of what is forgotten in the workspace, whenever it is killed, and names who learned from it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import polars as pl
import pytest
from conftest import write_csv
from sqlalchemy import select

from inhouse import pipeline
from inhouse.cli import show_data
from inhouse.core import Feedback, Finding, ModelVersion, Parity, Prediction, Recipe, Silent, Trace, Trimming
from inhouse.dataset.forget import Remains, Wanted
from inhouse.engine.classifier import forget_in_classifier
from inhouse.errors import Busy, ConfigError, InputError, NotFound, UsageError
from inhouse.store import (
    Workspace,
    erase,
    files,
    predictions,
    records,
    registry,
    tables,
    traffic,
    uploads,
    write_bytes,
)
from inhouse.store import database as db
from inhouse.store.vault import mask_key, read_map

SECRET = "Jane Döe-Quirk"
PARITY = Parity(
    passed=True, tokens=1, top1_agreement=1.0, mean_logprob_difference=0.0, worst_logprob_difference=0.0,
    trainer_accuracy=1.0, served_accuracy=1.0, paired_p_value=1.0, validation_examples=1,
)  # fmt: skip
RECIPE = Recipe(
    base_model="b", base_sha256="0", dataset_fingerprint="f", seed=0, epochs=1, batch_size=1, learning_rate=0.1,
    warmup_share=0.0, rank=1, alpha=2, weight_decay=0.0, max_grad_norm=1.0, max_tokens=64, patience=3,
    precision="float32", system="",
)  # fmt: skip


def contents(folder):
    """Every file of a folder as bytes: of Parquet also what its columns hold, of archives also their members."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path, content
        if path.suffix == ".parquet":
            yield path, "\n".join(map(str, pl.read_parquet(path).rows())).encode()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield path, archive.read(name)


def holding(folder, *texts):
    """Where a text stands, as it is, in lower case, or as JSON escapes it."""
    found = set()
    for text in texts:
        forms = {text, text.lower(), text.upper(), json.dumps(text)[1:-1], json.dumps(text.lower())[1:-1]}
        for path, content in contents(folder):
            if any(form.encode() in content for form in forms):
                found.add(str(path.relative_to(folder)))
    return found


def rows(count, start=0):
    return [{"text": f"message {i} about some matter", "label": "ab"[i % 2]} for i in range(start, start + count)]


def of_jane(count):
    return [
        {"text": f"{SECRET.upper() if i % 2 else SECRET} wrote: case  {i}", "label": "ab"[i % 2]} for i in range(count)
    ]


def head(terms, unseen=None):
    """A classifier's archive, its weights left out; `unseen`: answers by text."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("head.json", json.dumps({"labels": ["a", "b"], "ngrams": terms}, ensure_ascii=False))
        archive.writestr("head.safetensors", b"weights")
        keys = {hashlib.sha256(text.encode()).hexdigest(): answer for text, answer in (unseen or {}).items()}
        archive.writestr("unseen.json", json.dumps(keys))
    return buffer.getvalue()


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "t")
    yield workspace
    workspace.close()


@pytest.fixture
def full(workspace, tmp_path):
    """A workspace in which rows of Jane have gone everywhere that rows go."""
    jane = [*of_jane(20), {"text": f"{SECRET} without a label", "label": ""}]
    pipeline.add(workspace, "t", [write_csv(tmp_path / "a.csv", rows(60))], inputs=["text"], target="label")
    pipeline.add(workspace, "t", [write_csv(tmp_path / "jane.csv", jane)])
    pipeline.add(workspace, "t", [write_csv(tmp_path / "c.csv", rows(10, start=100))])
    dataset = records.load_dataset(workspace, "t")
    of_hers = [e for e in dataset.examples if "wrote" in e.inputs["text"]]
    found = [
        Finding(id=f"f{i}", check="text", severity="info", examples=(e.id,), reason=e.inputs["text"], action="-")
        for i, e in enumerate(dataset.examples)
    ]
    records.save_findings(workspace, dataset, found, {"f3"})
    asked = [*dataset.of("validation"), *dataset.of("test")]
    predictions.save(
        workspace, task="t", model_version="t@1", contender="fine-tuned", dataset=dataset, examples=asked,
        splits=["test"] * len(asked), answers=[Prediction(target=e.target, confidence=1.0) for e in asked],
    )  # fmt: skip
    for number, contender in ((1, "fine-tuned"), (2, "fine-tuned-encoder")):
        page = f"<p>As in</p><td>{of_hers[0].inputs['text'][:50].replace('-', '<wbr>-')}</td>".encode()
        report, file = workspace.blobs.put(page, ".html"), ""
        write_bytes(workspace.paths.report("t", number), page)
        for beside in workspace.paths.beside_report("t", number).values():
            write_bytes(beside, b"figures of the report")
        if number == 2:
            file = workspace.blobs.put(head([["message", "jane döe", "quirk wrote"], ["mes", "ja"]]), ".classifier")
        registry.add_version(
            workspace,
            ModelVersion(
                task="t", number=0, contender=contender, run=f"run-{number}", file_sha256=file, adapter_sha256="",
                fields=("text",), labels=("a", "b"), threshold=0.5, parity=PARITY, report=report,
                lineage={"dataset": 2, "recipe": RECIPE.model_dump()}, training={"note": f"as in: {of_hers[1].inputs['text']}"},
            ),
        )  # fmt: skip
    for i, text in enumerate((of_hers[2].inputs["text"].upper(), "what do others ask")):
        trace = Trace(
            id=f"trace-{i}", task="t", model_version="t@1", inputs={"text": text}, output="a", confidence=1.0,
            needs_review=False, latency_ms=1.0, prompt_tokens=1, answer_tokens=1, created_at=db.now(),
        )  # fmt: skip
        traffic.add_trace(workspace, trace)
        traffic.add_feedback(workspace, Feedback(trace=trace.id, accepted=False, correction="b", comment="no"))
    lines = [{"messages": [{"role": "user", "content": e.inputs["text"]}]} for e in (*of_hers[:2], dataset.examples[0])]
    uploaded = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    files.add_file(workspace, uploaded, "some of hers.jsonl", "fine-tune")
    files.add_file(workspace, json.dumps(lines[0]).encode(), "all of hers.jsonl", "batch")
    upload = uploads.begin(workspace, "parts.jsonl", "batch", 1000, "text")
    with files.receiving(workspace) as folder:
        (folder / "part").write_bytes(uploaded[:100])
        uploads.add_part(workspace, upload, folder / "part")
    run = records.open_run(workspace, "t", 2, RECIPE)
    write_bytes(workspace.paths.run(run.id) / "checkpoint", b"what was learned")
    write_bytes(workspace.paths.curve_run("t", "encoder") / "0123" / "16" / "checkpoint", b"and for a curve")
    pipeline.undo(workspace, "t", to=1)
    pipeline.undo(workspace, "t", to=3)
    return workspace


def test_nothing_is_erased_without_yes(full):
    full.close()
    before = dict(contents(full.paths.root))
    told = pipeline.forget(full, "t", match=SECRET)
    full.close()
    assert dict(contents(full.paths.root)) == before
    assert (told.done, told.rows, told.versions, told.new_dataset) == (False, 20, (2, 3, 5), None)
    assert told.sources == {"jane.csv": 20}
    assert (told.models, told.reports) == (("t@1", "t@2"), ("t@1", "t@2"))
    text = show_data.forgotten(told, again="inhouse forget t --match X --yes")
    assert "20 rows would be erased, of 3 dataset versions" in text
    assert text.endswith("next: inhouse forget t --match X --yes")


def assert_forgotten(workspace):
    """No byte of Jane is left, and all else is."""
    workspace.close()
    assert holding(workspace.paths.root, SECRET) == set()
    newest = records.load_dataset(workspace, "t")
    assert len(newest.examples) == 70
    known = records.versions(workspace, "t")
    texts = {row["text"] for row in (*rows(60), *rows(10, start=100))}
    for number, version in known.items():
        dataset = records.load_dataset(workspace, "t", number)
        assert len(dataset.examples) == sum(version.counts.values()) == (60 if number in (1, 2, 4) else 70)
        assert {e.inputs["text"] for e in dataset.examples} <= texts
    assert [v.erased[0]["rows"] for v in known.values() if v.erased] == [20, 20, 20]
    with workspace.database.begin() as connection:
        left = (
            connection.execute(select(tables.traces.c.id)).scalars().all(),
            connection.execute(select(tables.feedback)).all(),
        )
    assert left[0] == ["trace-1"]
    assert len(left[1]) == 1
    assert [v.report for v in registry.versions(workspace, "t")] == [None, None]
    assert all(v.lineage["forgotten_at"] for v in registry.versions(workspace, "t"))
    assert not list(workspace.paths.root.glob("runs/*"))
    assert records.unfinished_runs(workspace, "t") == []
    pages = [workspace.paths.report("t", n).read_text() for n in (1, 2)]
    assert all("was erased on" in page for page in pages)
    assert not [p for n in (1, 2) for p in workspace.paths.beside_report("t", n).values() if p.exists()]


@pytest.mark.parametrize("which", [{"match": "jane  döe-quirk"}, {"source": "jane.csv"}])
def test_not_a_byte_of_it_is_left(full, which, tmp_path):
    fingerprints = {n: v.fingerprint for n, v in records.versions(full, "t").items()}
    reporter = Silent()
    done = pipeline.forget(full, "t", reporter, **which, yes=True)
    assert_forgotten(full)
    assert (done.done, done.rows, done.versions, done.new_dataset) == (True, 20, (2, 3, 5), 6)
    assert (done.traces, done.rejected, done.file_lines, done.runs) == (1, 1, 3, 1)
    (kept,) = files.files(full, limit=9)
    (line,) = files.open_file(full, kept.id).read_bytes().splitlines()
    assert "message 0" in json.loads(line)["messages"][0]["content"]
    assert done.findings >= 20
    assert (done.reports, done.classifiers, done.models) == (("t@1", "t@2"), ("t@2",), ("t@1", "t@2"))
    assert (done.elsewhere, done.remaining) == ((), ())
    assert "t@1 learned from what was forgotten" in "\n".join(reporter.warned)
    after = {n: v.fingerprint for n, v in records.versions(full, "t").items()}
    assert after.items() >= fingerprints.items()
    assert records.load_dataset(full, "t").parent == 5
    text = show_data.forgotten(done, again="")
    assert "Weights cannot be mended" in text
    again = pipeline.forget(full, "t", **which, yes=True)
    assert (again.rows, again.new_dataset, again.models) == (0, None, ("t@1", "t@2"))
    undone = pipeline.undo(full, "t")  # to before the third file, still without Jane
    assert undone.equals in (1, 2, 4)
    assert holding(full.paths.root, SECRET) == set()


def test_a_file_of_the_api_goes_by_its_id_and_its_name_by_the_text(full):
    pipeline.forget(full, "t", match=SECRET, yes=True)
    lines = json.dumps({"text": "nobody asked to forget this line"}).encode()
    named = files.add_file(full, lines, f"of {SECRET}.jsonl", "batch")
    other = files.add_file(full, lines + b"\n", "other.jsonl", "batch")
    pipeline.forget(full, "t", match=SECRET, yes=True)
    assert files.find_file(full, named.id).filename == "(forgotten)"
    pipeline.forget(full, "t", source=other.id, yes=True)
    ids = {one.id for one in files.files(full, limit=9)}
    assert (named.id in ids, other.id in ids) == (True, False)


def test_a_forgotten_file_is_not_added_again_unseen(full, tmp_path):
    pipeline.forget(full, "t", source=tmp_path / "jane.csv", yes=True)
    newest = records.latest_dataset(full, "t")
    reporter = Silent()
    assert pipeline.add(full, "t", [tmp_path / "jane.csv"], reporter).dataset == newest
    assert any("was forgotten on" in w and "nothing of it is read" in w for w in reporter.warned)
    assert holding(full.paths.root, SECRET) == set()


STEPS = (
    "forget_results",
    "remove_predictions",
    "remove_findings",
    "remove_traces",
    "remove_rejects",
    "end_runs",
    "forget_sources",
    "forget_reasons",
    "rewrite_version",
    "remove_unreferenced",
    "remove_strays",
    "tables_that_hold",
)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_broken_off_at_any_step_it_comes_to_the_same_end(full, step, late, monkeypatch):
    whole, calls = getattr(erase, step), []

    def broken(*arguments):
        calls.append(1)
        if len(calls) < 2 and step in ("rewrite_version", "remove_unreferenced"):  # in the midst of several
            return whole(*arguments)
        if late:
            whole(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(erase, step, broken)
    with pytest.raises(KeyboardInterrupt):
        pipeline.forget(full, "t", source="jane.csv", yes=True)
    monkeypatch.undo()
    full.close()
    done = pipeline.forget(full, "t", source="jane.csv", yes=True)
    assert done.models == ("t@1", "t@2")
    assert_forgotten(full)
    assert records.latest_dataset(full, "t") == 6


def test_killed_at_any_moment_it_comes_to_the_same_end(full):
    code = """if True:
        import sys
        from pathlib import Path
        from inhouse import pipeline
        from inhouse.store import Workspace
        import inhouse.pipeline.forgetting, inhouse.engine.classifier, inhouse.deploy.served
        sys.stdin.readline()
        pipeline.forget(Workspace(Path(sys.argv[1])), "t", match=sys.argv[2], yes=True)
    """
    full.close()
    command = [sys.executable, "-c", code, str(full.paths.root), SECRET]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for child, wait in zip(children, (0.1, 0.3, 0.6), strict=True):
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
    pipeline.forget(full, "t", match=SECRET, yes=True)
    assert_forgotten(full)


def test_what_a_killed_command_left_goes_too(full):
    dataset = records.load_dataset(full, "t")
    full.blobs.put(records.dataset_bytes(dataset) + b"", ".parquet")
    stray = full.blobs.put(records.dataset_bytes(records.load_dataset(full, "t", 2)), ".parquet")
    other = full.paths.blobs / ".part-x.parquet"
    other.write_bytes(full.blobs.path(stray, ".parquet").read_bytes()[:-20])  # not whole
    unfinished = full.paths.task_folder("t") / ".part-y.csv"
    unfinished.write_text(f"{SECRET},1")
    innocent = full.paths.task_folder("t") / ".part-z.csv"
    innocent.write_text("message,1")
    done = pipeline.forget(full, "t", match=SECRET, yes=True)
    assert done.strays == 2
    assert innocent.exists()
    assert_forgotten(full)


def test_what_the_user_wrote_is_named_and_left(full):
    note = full.paths.task_folder("t") / "notes.txt"
    note.write_text(f"ask {SECRET}")
    task = full.load_task("t")
    full.save_task(task.model_copy(update={"instruction": f"For {SECRET}: which is it?"}))
    done = pipeline.forget(full, "t", match=SECRET, yes=True)
    assert done.remaining == ("tasks/t/notes.txt", "tasks/t/task.toml")
    assert "still in tasks/t/notes.txt" in show_data.forgotten(done, again="")


def test_another_task_keeps_its_own_and_is_named(full, tmp_path):
    pipeline.init(full, "other")
    pipeline.add(full, "other", [tmp_path / "jane.csv"], inputs=["text"], target="label")
    before = records.load_dataset(full, "other")
    done = pipeline.forget(full, "t", match=SECRET, yes=True)
    assert done.elsewhere == ("other",)
    assert records.load_dataset(full, "other") == before
    pipeline.forget(full, "other", match=SECRET, yes=True)
    assert len(records.load_dataset(full, "other").examples) == 0
    assert_forgotten(full)


def test_the_form_of_answers_follows(workspace, tmp_path):
    table = [{"text": f"order {i} of cups", "order": json.dumps({"count": i, "kind": "cup"})} for i in range(30)]
    named = [
        {"text": f"order {i} for Vexley Ltd", "order": json.dumps({"count": i, "for": "Vexley Ltd"})} for i in range(6)
    ]
    pipeline.init(workspace, "o", kind="extract")
    files = [write_csv(tmp_path / "1.csv", table), write_csv(tmp_path / "2.csv", named)]
    pipeline.add(workspace, "o", files, inputs=["text"], target="order")
    assert "for" in workspace.load_task("o").json_schema["properties"]
    pipeline.forget(workspace, "o", match="vexley", yes=True)
    assert "for" not in workspace.load_task("o").json_schema["properties"]
    workspace.close()
    assert holding(workspace.paths.root, "Vexley") == set()


def test_the_hash_of_a_corrected_rows_older_form_goes(workspace, tmp_path):
    table = [{"id": f"K{i}", "text": f"message {i}", "label": "ab"[i % 2]} for i in range(40)]
    mended = [{**row, "text": "call ***"} if row["id"] == "K7" else row for row in table]
    table[7]["text"] = "call 0171 234"
    pipeline.add(workspace, "t", [write_csv(tmp_path / "a.csv", table)], key="id")
    before = {e.key: e for e in records.load_dataset(workspace, "t").examples}["K7"]
    pipeline.add(workspace, "t", [write_csv(tmp_path / "b.csv", mended)])
    assert {e.key: e for e in records.load_dataset(workspace, "t").examples}["K7"].group == before.input_key
    done = pipeline.forget(workspace, "t", match="0171 234", yes=True)
    assert (done.rows, done.versions, done.new_dataset) == (1, (1,), None)
    workspace.close()
    assert holding(workspace.paths.root, "0171 234", before.input_key, before.id) == set()


def test_answers_of_other_rows_that_quote_it_go_and_boilerplate_stays():
    wanted = Wanted(source="x.csv")
    remains = Remains(wanted)
    from inhouse.core import Example, Provenance

    hers = Example({"text": "q"}, "Dear Sir, thank you for your letter. Yours, Jane", "g", Provenance("x.csv", 1))
    short = Example({"text": "yes"}, "no", "g", Provenance("x.csv", 2))
    kept = Example({"text": "p"}, "Dear Sir, thank you for your letter.", "g", Provenance("y.csv", 1))
    for example in (hers, short):
        remains.take(example, labelled=False)
    remains.keep([kept])
    assert remains.in_text("<p>dear sir, THANK you for your  letter. yours, jane</p>", cut=False)
    assert not remains.in_text(kept.target, cut=False)
    assert not remains.in_text("yes or no", cut=True)
    assert not remains.in_text("", cut=True)


def test_a_classifier_forgets_answers_and_n_grams_and_nothing_else(tmp_path):
    file, to = tmp_path / "a", tmp_path / "b"
    file.write_bytes(
        head([["message", "jane doe"], ["mes", "jan"]], {"one": ["a", 0.5], "jane doe left a message": ["b", 1.0]})
    )
    assert not forget_in_classifier(file, to, ["nothing"], [])
    assert not to.exists()
    assert forget_in_classifier(
        file, to, ["Jane Doe left a message", "jane doe left a message"], ["a message of January"]
    )
    with zipfile.ZipFile(to) as archive:
        assert json.loads(archive.read("head.json"))["ngrams"] == [["message", "\0" + "1"], ["mes", "jan"]]
        assert list(json.loads(archive.read("unseen.json")).values()) == [["a", 0.5]]
        assert archive.read("head.safetensors") == b"weights"


def test_rows_that_are_nearly_what_is_forgotten_stay_and_are_not_named(workspace, tmp_path):
    table = [{"id": i, "text": f"{'a long beginning of ' * 3}message {i}", "label": "ab"[i % 2]} for i in range(40)]
    mended = [{**row, "text": f"{row['text']} as Jane says"} if row["id"] == 7 else row for row in table]
    for name, rows_of in (("a.csv", table), ("b.csv", mended)):
        pipeline.add(workspace, "t", [write_csv(tmp_path / name, rows_of)], key="id")
    note = workspace.paths.task_folder("t") / "notes.txt"
    note.write_text(table[3]["text"])
    done = pipeline.forget(workspace, "t", match="jane", yes=True)
    assert (done.versions, done.remaining) == ((2,), ())
    assert [len(records.load_dataset(workspace, "t", n).examples) for n in (1, 2, 3)] == [40, 39, 39]


def test_wrong_use_is_told(full):
    for both in ({}, {"source": "a.csv", "match": "text"}):
        with pytest.raises(UsageError, match="a source or a text, one of them"):
            pipeline.forget(full, "t", **both)
    with pytest.raises(UsageError, match="too short"):
        pipeline.forget(full, "t", match=" a ")
    with pytest.raises(NotFound, match="no task"):
        pipeline.forget(full, "none", match="text")
    nothing = pipeline.forget(full, "t", match="nobody at all")
    assert "no row of any version is of that" in show_data.forgotten(nothing, again="")
    assert nothing.rows == 0
    with full.lock("train-t", "training 't'"), pytest.raises(Busy, match="training"):
        pipeline.forget(full, "t", match=SECRET, yes=True)


def test_a_reader_of_the_database_is_waited_for_or_named(full, monkeypatch):
    reader = full.database.engine.raw_connection()
    reader.cursor().execute("PRAGMA busy_timeout=100")
    cursor = reader.cursor()
    cursor.execute("BEGIN")
    cursor.execute("SELECT * FROM traces").fetchone()
    original = db._prepare_sqlite

    def impatient(connection, record):
        original(connection, record)
        connection.execute("PRAGMA busy_timeout=100").close()

    other = Workspace(full.paths.root)
    monkeypatch.setattr(db, "_prepare_sqlite", impatient)
    with pytest.raises(Busy, match="another process is reading"):
        pipeline.forget(other, "t", match=SECRET, yes=True)
    other.close()
    cursor.close()
    reader.rollback()
    reader.close()
    full.close()
    pipeline.forget(full, "t", match=SECRET, yes=True)
    assert_forgotten(full)


def in_the_map(workspace):
    """What the map of masks holds, deciphered: the originals with their placeholders."""
    file = workspace.paths.mask_map("t")
    return read_map(file, mask_key(workspace.paths.root, make=False)) if file.exists() else {}


@pytest.fixture
def masked(workspace, tmp_path, monkeypatch):
    """Letters of Jane and of others, masked in the newest version."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("INHOUSE_MASK_KEY", raising=False)
    files = {"jane.csv": ([SECRET, "Gray Mirkwood"], 0), "others.csv": (["Nora Moorkamp", "Gray Mirkwood"], 40)}
    for name, (people, start) in files.items():
        table = [
            {"text": f"Case {i} is open.\nKind regards,\n{people[i % 2]}\n", "label": "ab"[i % 3 % 2]}
            for i in range(start, start + 40)
        ]
        pipeline.add(workspace, "t", [write_csv(tmp_path / name, table)], inputs=["text"], target="label")
    pipeline.clean(workspace, "t", apply=["personal_data"])
    assert sorted(in_the_map(workspace)) == ["PERSON:gray mirkwood", "PERSON:jane döe quirk", "PERSON:nora moorkamp"]
    return workspace


@pytest.mark.parametrize("which", [{"match": SECRET.upper()}, {"source": "jane.csv"}])
def test_what_a_placeholder_stands_for_goes_and_that_of_other_rows_stays(masked, which):
    mask = in_the_map(masked)["PERSON:jane döe quirk"]
    told = pipeline.forget(masked, "t", **which)
    assert told.masks == (mask,)
    assert len(in_the_map(masked)) == 3
    assert "from the encrypted map: [PERSON_" in show_data.forgotten(told, again="")
    done = pipeline.forget(masked, "t", **which, yes=True)
    assert done.masks == (mask,)
    masked.close()
    assert holding(masked.paths.root, SECRET) == set()
    assert sorted(in_the_map(masked)) == ["PERSON:gray mirkwood", "PERSON:nora moorkamp"]
    left = sum(mask in e.inputs["text"] for e in records.load_dataset(masked, "t").examples)
    assert left == (20 if "match" in which else 0)  # rows that are masked hold the text no more
    pipeline.forget(masked, "t", match=mask, yes=True)
    masked.close()
    assert holding(masked.paths.root, mask) == set()


def test_a_map_of_which_nothing_is_left_goes(masked):
    for file in ("jane.csv", "others.csv"):
        pipeline.forget(masked, "t", source=file, yes=True)
    assert not masked.paths.mask_map("t").exists()


@pytest.mark.parametrize("other", ["another key", ""])
def test_without_the_key_of_the_map_nothing_is_erased(masked, other, monkeypatch, tmp_path):
    masked.close()
    before = {path: content for path, content in contents(masked.paths.root) if content}  # a lock is an empty file
    monkeypatch.setenv("INHOUSE_MASK_KEY", other)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises((InputError, ConfigError), match="key") as error:
        pipeline.forget(masked, "t", match=SECRET, yes=True)
    assert "INHOUSE_MASK_KEY" in str(error.value)
    masked.close()
    assert {path: content for path, content in contents(masked.paths.root) if content} == before
    assert not (tmp_path / "elsewhere").exists()


def test_words_that_only_forgotten_rows_taught_choose_no_parts_any_more(full):
    version = registry.versions(full, "t")[0]
    weights = {"word döe": 1.0, "before quirk": 2.0, "word message": 3.0, "word elsewhere": 4.0, "first": 5.0}
    trimming = Trimming(room=99, query={"message": 1.0, "jane": 2.0, "classify": 3.0}, weights=weights)
    registry.update_version(full, version.model_copy(update={"trimming": trimming}))
    done = pipeline.forget(full, "t", match=SECRET, yes=True)
    assert done.trimmings == ("t@1",)
    assert_forgotten(full)
    assert holding(full.paths.root, "döe", "quirk") == set()
    left = registry.versions(full, "t")[0].trimming
    assert set(left.weights) == {"word message", "word elsewhere", "first"}
    assert set(left.query) == {"message", "classify"}
    assert pipeline.forget(full, "t", match=SECRET, yes=True).trimmings == ()


def test_rejected_rows_of_others_stay(full):
    file = full.paths.rejects("t", "both.csv.12345678")
    write_bytes(file, b"file,line,reason,row\nboth.csv,2,empty,x\njane.csv,3,empty,y\n")
    pipeline.forget(full, "t", source="jane.csv", yes=True)
    with file.open(newline="") as lines:
        assert [row[0] for row in csv.reader(lines)] == ["file", "both.csv"]


def test_rejected_rows_that_were_mended_go_with_their_file(workspace, tmp_path):
    pipeline.add(workspace, "t", [write_csv(tmp_path / "other.csv", rows(30))])
    bad = [{"text": f"Zeile {i} ohne Ziel", "label": ""} for i in range(2)]
    file = write_csv(tmp_path / "plain.csv", [*rows(10, start=30), *bad])
    (rejected,) = pipeline.add(workspace, "t", [file]).rejected_files
    kept = list(csv.DictReader(io.StringIO(Path(rejected).read_text())))
    mended = write_csv(tmp_path / Path(rejected).name, [{**row, "label": "a"} for row in kept])
    added = pipeline.add(workspace, "t", [mended])
    newest = records.load_dataset(workspace, "t")
    assert [str(e.provenance) for e in newest.examples[-2:]] == ["plain.csv:12", "plain.csv:13"]
    assert pipeline.add(workspace, "t", [mended]).dataset == added.dataset == 3
    done = pipeline.forget(workspace, "t", source=file, yes=True)
    assert (done.rows, done.sources) == (12, {"plain.csv": 12})
    assert holding(workspace.paths.root, "Zeile 1 ohne", "plain.csv") == set()
    told = Silent()
    pipeline.add(workspace, "t", [write_csv(tmp_path / "again.csv", [{**row, "label": "b"} for row in kept])], told)
    assert any("2 rows of again.csv are of a file that was forgotten" in line for line in told.warned)
    assert len(records.load_dataset(workspace, "t").examples) == 30


def test_how_the_file_was_read_goes_with_it_and_what_cannot_be_read_is_said_to_be_that(workspace, tmp_path):
    pipeline.add(workspace, "t", [write_csv(tmp_path / "other.csv", rows(30))])
    renamed = [{"body": row["text"], "label": row["label"]} for row in rows(10, start=30)]
    file = write_csv(tmp_path / "cols.csv", renamed)
    folder = tmp_path / "exports"
    folder.mkdir()
    write_csv(folder / "more.csv", [{"corpus": row["text"], "label": row["label"]} for row in rows(10, start=40)])
    pipeline.add(workspace, "t", [file])
    pipeline.add(workspace, "t", [folder])
    assert [s.pattern for s in workspace.load_task("t").sources] == ["exports/*.csv", "cols.csv"]
    (workspace.paths.root / "n.parquet").write_bytes(b"PAR1 no more")
    told = Silent()
    done = pipeline.forget(workspace, "t", told, source=file.rename(tmp_path / "moved.csv"), yes=True)
    assert (done.rows, done.sections, done.remaining, done.unread) == (10, 1, (), ("n.parquet",))
    assert any("[[sources]]" in line for line in told.said)
    assert "n.parquet could not be read" in show_data.forgotten(done, again="")
    assert [s.pattern for s in workspace.load_task("t").sources] == ["exports/*.csv"]
    (workspace.paths.root / "n.parquet").unlink()
    assert holding(workspace.paths.root, "cols.csv") == set()


def test_rejected_rows_of_another_file_with_the_same_columns_stay(workspace, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    for name, first in (("jane.csv", 0), ("other.csv", 20)):
        write_csv(folder / name, [*rows(20, start=first), {"text": f"no label in {name}", "label": ""}])
    write_csv(folder / "third.csv", [*rows(20, start=40), {"text": "", "label": "jane.csv"}])
    (file,) = pipeline.add(workspace, "t", [folder]).rejected_files
    assert Path(file).name.startswith("jane.csv.")
    done = pipeline.forget(workspace, "t", source=folder / "jane.csv", yes=True)
    assert (done.rows, done.rejected) == (20, 1)
    left = list(csv.DictReader(io.StringIO(Path(file).read_text())))
    assert [row["inhouse_file"] for row in left] == ["exports/other.csv", "exports/third.csv"]


def test_one_of_two_folders_of_one_name_is_forgotten_alone(workspace, tmp_path):
    folders = [tmp_path / year / "exports" for year in ("2024", "2025")]
    for start, folder in enumerate(folders):
        folder.mkdir(parents=True)
        write_csv(folder / "a.csv", rows(20, start=20 * start))
    pipeline.add(workspace, "t", folders)
    done = pipeline.forget(workspace, "t", source=folders[0], yes=True)
    assert done.rows == 20
    (file,) = {e.provenance.file for e in records.load_dataset(workspace, "t").examples}
    assert file.endswith("2025/exports/a.csv")


def test_another_task_that_holds_it_in_its_pool_is_named(workspace, tmp_path):
    pipeline.add(workspace, "t", [write_csv(tmp_path / "a.csv", rows(20))])
    pipeline.init(workspace, "other")
    unlabelled = write_csv(tmp_path / "u.csv", [{"text": f"a letter of {SECRET}"}, {"text": "another one"}])
    pipeline.add(workspace, "other", [unlabelled], unlabelled=True)
    assert pipeline.forget(workspace, "t", match=SECRET).elsewhere == ("other",)
