"""The store: settings, tasks, schema, blobs, datasets, aliases and locks, on real files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import tree
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import OperationalError

from inhouse.core import Dataset, Example, ModelVersion, Parity, Provenance, Recipe, Task, Trace
from inhouse.errors import Busy, ConfigError, DiskFull, NotFound
from inhouse.store import (
    Settings,
    Workspace,
    disk_guard,
    erase,
    load_settings,
    records,
    registry,
    replacing,
    sha256_of,
    tables,
    traffic,
)
from inhouse.store import database as db


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    yield workspace
    workspace.close()


def child(code, *arguments, **options):
    """A Python process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# ---------------------------------------------------------------------- settings


def test_settings_come_from_file_and_environment(tmp_path):
    config = tmp_path / "inhouse.toml"
    config.write_text("threads = 3\noffline = true\n[serve]\nport = 8123\n")
    assert load_settings(tmp_path / "none.toml", {}) == Settings()
    settings = load_settings(config, {})
    assert (settings.threads, settings.offline, settings.serve.port, settings.serve.host) == (
        3,
        True,
        8123,
        "127.0.0.1",
    )
    given = {
        "INHOUSE_THREADS": "1",
        "INHOUSE_SERVE__HOST": "localhost",
        "INHOUSE_OFFLINE": "0",
    }
    settings = load_settings(config, given)
    assert (settings.threads, settings.offline, settings.serve.port, settings.serve.host) == (
        1,
        False,
        8123,
        "localhost",
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("threads = 2\nofline = true\n", 2, "did you mean `offline`?"),
        ("threads = 2\n\n[serve]\nhots = 'x'\n", 4, "did you mean `host`?"),
        ("threads = 'many'\n", 1, "`threads` = 'many'"),
        ("[serve]\nport = 70000\n", 2, "`serve.port` = 70000"),
        ("offline = true\nthreads = = 2\n", 2, "not valid TOML"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_line(tmp_path, text, line, said):
    config = tmp_path / "inhouse.toml"
    config.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(config, {})
    assert (error.value.file, error.value.line) == (str(config), line)
    assert said in str(error.value)


def test_the_settings_file_that_is_written_is_valid(workspace):
    assert load_settings(workspace.paths.config, {}) == Settings()


# ---------------------------------------------------------------------- tasks


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("generate", "[outline]\nwords = [9, 2]\n", "`outline.words` = [9, 2]: give the least and the most"),
        ("generate", '[outline]\npatterns = ["("]\n', "no regular expression"),
        ("extract", '[schema]\ntype = "array"\n', "schema.type is 'array'"),
        ("extract", '[schema]\ntype = "object"\n[schema.properties.a]\ntype = "text"\n', "not valid JSON Schema"),
        ("extract", '[metrics]\nprimary = "chrf"\n', "no metric of kind extract"),
    ],
)
def test_a_task_that_no_model_could_be_held_to_is_refused_when_it_is_loaded(workspace, kind, text, said):
    workspace.create()
    file = workspace.paths.task_file("t")
    file.parent.mkdir(parents=True)
    file.write_text(f'kind = "{kind}"\n{text}')
    with pytest.raises(ConfigError) as error:
        workspace.load_task("t")
    assert said in str(error.value)
    assert error.value.file == str(file)


def test_comments_and_layout_of_a_task_file_survive(workspace):
    workspace.save_task(Task(name="t"))
    file = workspace.paths.task_file("t")
    text = file.read_text().replace("[train]\n", "[train]\nepochs = 3   # enough\n").replace("0.95", "0.9")
    file.write_text(f"# what Ann said\n{text}")
    task = workspace.load_task("t")
    assert (task.train.epochs, task.review.target_accuracy) == (3, 0.9)
    workspace.save_task(task.model_copy(update={"labels": ("a", "b"), "instruction": "Choose."}))
    saved = file.read_text()
    assert "# what Ann said" in saved
    assert "epochs = 3   # enough" in saved
    again = workspace.load_task("t")
    assert (again.labels, again.instruction, again.train.epochs) == (("a", "b"), "Choose.", 3)
    workspace.save_task(again)
    assert file.read_text() == saved  # nothing new, nothing changed


def test_a_task_that_is_not_there_names_those_that_are(workspace):
    workspace.save_task(Task(name="tickets"))
    with pytest.raises(NotFound, match="did you mean `tickets`"):
        workspace.load_task("tickts")
    with pytest.raises(NotFound, match="no inhouse workspace"):
        Workspace(workspace.paths.root / "elsewhere").load_task("tickets")


# ---------------------------------------------------------------------- schema


def test_the_migrations_make_the_tables_that_the_code_knows(workspace):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with workspace.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() == db.SCHEMA_VERSION
        looked = inspect(connection)
        for table in tables.metadata.tables.values():  # what autogenerate does not look at
            assert looked.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]


@contextmanager
def older(path, revision):
    """The engine of a database as an older inhouse left it, and a connection to fill it."""
    from alembic import command
    from alembic.config import Config

    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(db.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield engine, connection


def test_sources_of_an_older_workspace_are_kept(tmp_path):
    with older(tmp_path / "old.db", "0004") as (engine, connection):
        connection.exec_driver_sql("INSERT INTO sources VALUES ('t', 'ab', 'train', 'a.csv', 1, 9, 2, 'now', NULL)")
    db.migrate(engine)
    with engine.connect() as connection:
        assert dict(connection.execute(tables.sources.select()).mappings().one()) == {
            **{"task": "t", "sha256": "ab", "role": "train", "part": "", "file": "a.csv", "dataset": 1},
            **{"rows": 9, "rejected": 2, "created_at": "now", "forgotten_at": None, "reading": ""},
        }
    engine.dispose()


def test_versions_and_traces_of_an_older_workspace_are_kept(tmp_path):
    with older(tmp_path / "old.db", "0005") as (engine, connection):
        connection.exec_driver_sql("INSERT INTO model_versions VALUES ('t', 1, 'run-1', '{}', 'then')")
        connection.exec_driver_sql(
            "INSERT INTO traces VALUES ('c-1', 't', 't@1', '{\"text\": \"a\"}', 'b', 0.5, 0, 1.5, 3, 2, NULL, 'then')"
        )
    db.migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(tables.model_versions.select()).mappings().one()["changed_at"] == "then"
        trace = Trace.model_validate(dict(connection.execute(tables.traces.select()).mappings().one()))
    assert (trace.inputs, trace.output, trace.asked, trace.ttft_ms) == ({"text": "a"}, "b", {}, None)
    engine.dispose()


def test_files_of_the_api_are_no_strays_and_what_was_asked_is_forgotten_too(workspace):
    blob = workspace.blobs.put(b"lines of Ann", ".jsonl")
    file = {"id": "file-1", "purpose": "batch", "filename": "a.jsonl", "bytes": 12, "blob": blob, "status": "processed"}
    plain = {"task": "t", "model_version": "t@1", "inputs": {"text": "x"}, "output": "b", "confidence": 0.5}
    plain |= {"needs_review": False, "latency_ms": 1.0, "prompt_tokens": 3, "answer_tokens": 2, "created_at": "now"}
    shadow = {"task": "t", "model_version": "t@2", "confidence": 0.5, "latency_ms": 1.0, "created_at": "now"}
    for name, asked in (("c-1", {"stop": ["Ann"]}), ("c-2", {})):
        traffic.add_trace(workspace, Trace(id=name, asked=asked, **plain))
    with workspace.database.begin() as connection:
        connection.execute(tables.api_files.insert().values(**file, created_at="now"))
        for trace in ("c-1", "c-2"):
            connection.execute(tables.shadow_answers.insert().values(trace=trace, **shadow))
    assert erase.referenced(workspace) == {blob}
    assert erase.remove_strays(workspace, lambda path: True) == 0
    assert erase.remove_traces(workspace, "t", lambda *_: False, lambda text: "Ann" in text) == 1
    assert [t.id for t in traffic.traces(workspace, "t")] == ["c-2"]
    with workspace.database.read() as connection:
        assert connection.scalars(tables.shadow_answers.select()).all() == ["c-2"]


# ---------------------------------------------------------------------- transactions


def test_a_reader_waits_for_no_writer_and_sees_what_was_committed(workspace):
    registry.move_alias(workspace, "t", "champion", 1, action="promote")
    with workspace.database.begin() as writing:
        writing.execute(tables.aliases.update().values(number=2))
        begun = time.perf_counter()
        assert registry.alias_number(workspace, "t", "champion") == 1
        assert time.perf_counter() - begun < 5  # a writer that waited would give up after 30 s
    assert registry.alias_number(workspace, "t", "champion") == 2


def test_nothing_is_written_in_the_place_of_a_reader(workspace):
    registry.move_alias(workspace, "t", "champion", 1, action="promote")
    with workspace.database.read() as reading, pytest.raises(OperationalError, match="readonly"):
        reading.execute(tables.aliases.update().values(number=2))
    assert registry.alias_number(workspace, "t", "champion") == 1


def test_as_many_look_at_once_as_there_are_threads(workspace):
    everybody = threading.Barrier(60)

    def look(_):
        with workspace.database.read() as connection:
            connection.execute(tables.aliases.select()).all()
            everybody.wait(20)  # none comes by unless all hold a connection

    with ThreadPoolExecutor(60) as pool:
        list(pool.map(look, range(60)))


def test_a_database_of_a_newer_inhouse_is_left_alone(workspace):
    with workspace.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    workspace.close()
    with pytest.raises(ConfigError, match="schema 9999"):
        Workspace(workspace.paths.root).database  # noqa: B018


# ---------------------------------------------------------------------- files


def test_a_failing_write_leaves_nothing(tmp_path):
    old = tmp_path / "kept.txt"
    old.write_text("before")
    for path in (old, tmp_path / "new" / "deep" / "file.txt"):
        with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
            1 / temporary.write_text("")
    assert tree(tmp_path) == {"kept.txt": sha256_of(old)}
    assert old.read_text() == "before"


def test_a_blob_that_cannot_be_written_whole_is_not_there(workspace):
    code = """if True:
        import resource, sys
        from pathlib import Path
        from inhouse.store import Blobs
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        blobs = Blobs(Path(sys.argv[1]))
        print(blobs.put(b"small", ".bin"))
        try:
            blobs.put(b"x" * 20_000, ".bin")
        except OSError as error:
            print(error.strerror)
    """
    out, err = child(code, workspace.paths.blobs).communicate(timeout=30)
    sha, reason = out.split("\n")[:2]
    assert (reason, err) == ("File too large", "")
    assert [p.name for p in workspace.paths.blobs.rglob("*") if p.is_file()] == [f"{sha}.bin"]


def test_equal_bytes_are_kept_once_and_a_missing_blob_is_told(workspace):
    sha = workspace.blobs.put(b"abc", ".bin")
    path = workspace.blobs.path(sha, ".bin")
    before = path.stat().st_mtime_ns
    assert workspace.blobs.put(b"abc", ".bin") == sha
    assert path.stat().st_mtime_ns == before
    with workspace.blobs.scratch(workspace.paths.root) as scratch:
        (scratch / "made").write_bytes(b"abcd")
        other = workspace.blobs.put_file(scratch / "made", ".bin")
    assert sha256_of(workspace.blobs.path(other, ".bin")) == other
    path.unlink()
    with pytest.raises(NotFound, match=f"{sha[:12]}.*is missing"):
        workspace.blobs.path(sha, ".bin")


def test_no_space_is_told_whichever_library_says_it(tmp_path):
    for error in (
        OSError(28, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ):
        with pytest.raises(DiskFull, match="free some space"), disk_guard(tmp_path):
            raise error
    with pytest.raises(OSError, match="denied"), disk_guard(tmp_path):
        raise OSError(13, "denied")


def test_a_killed_writer_leaves_no_half_file_visible(workspace):
    code = """if True:
        import os, sys
        from pathlib import Path
        from inhouse.store import Blobs
        blobs = Blobs(Path(sys.argv[1]))
        print("go", flush=True)
        while True:
            blobs.put(os.urandom(3_000_000), ".bin")
    """
    dice = random.Random(0)
    for _ in range(5):
        writer = child(code, workspace.paths.blobs)
        assert writer.stdout.readline() == "go\n"
        time.sleep(dice.uniform(0.01, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=30)
    files = [p for p in workspace.paths.blobs.rglob("*.bin") if not p.name.startswith(".part-")]
    assert files
    assert all(p.stem == sha256_of(p) for p in files)


# ---------------------------------------------------------------------- datasets


def example(n, **changes):
    inputs = {"text": f'line {n}\nsays "é🙂"', "amount": f"{n}.00"}
    return Example(inputs, f"label {n % 3}", f"group-{n // 2}", Provenance("müller.csv", n + 2, "ab" * 32), **changes)


def test_a_dataset_comes_back_as_it_was(workspace):
    examples = tuple(example(n) for n in range(9))
    splits = ("train", "validation", "test") * 3
    dataset = Dataset("t", 1, examples, splits, reason="added müller.csv", parent=None)
    source = {"sha256": "ab" * 32, "role": "train", "part": "Mai", "file": "müller.csv", "rows": 9, "rejected": 0}
    records.save_dataset(workspace, dataset, [{**source, "reading": "header in row 2"}])
    back = records.load_dataset(workspace, "t")
    assert back == dataset
    assert back.fingerprint == dataset.fingerprint
    assert [e.id for e in back.examples] == [e.id for e in examples]
    assert list(back.examples[0].inputs) == ["text", "amount"]  # the order of fields makes the prompt
    assert records.known_sources(workspace, "t") == {("ab" * 32, "train", "Mai"): "header in row 2"}
    with pytest.raises(NotFound, match="no dataset version 2"):
        records.load_dataset(workspace, "t", 2)
    with pytest.raises(NotFound, match="has no data yet"):
        records.load_dataset(workspace, "other")


def test_a_dataset_that_cannot_be_registered_leaves_no_blob(workspace):
    first = Dataset("t", 1, (example(1),), ("train",))
    records.save_dataset(workspace, first)
    before = [p for p in workspace.paths.blobs.rglob("*") if p.is_file()]
    with pytest.raises(Exception, match="UNIQUE"):
        records.save_dataset(workspace, Dataset("t", 1, (example(2),), ("train",)))
    assert [p for p in workspace.paths.blobs.rglob("*") if p.is_file()] == before
    assert records.load_dataset(workspace, "t") == first
    with pytest.raises(Exception, match="UNIQUE"):  # the blob of the version that is there stays
        records.save_dataset(workspace, first)
    assert records.load_dataset(workspace, "t") == first


def test_a_killed_writer_of_datasets_leaves_whole_versions(workspace):
    workspace.database  # noqa: B018 - made before the race
    code = """if True:
        import sys
        from pathlib import Path
        from inhouse.core import Dataset, Example, Provenance
        from inhouse.store import Workspace, records
        workspace = Workspace(Path(sys.argv[1]))
        number = records.latest_dataset(workspace, "t")
        print("go", flush=True)
        while True:
            number += 1
            rows = tuple(Example({"text": f"{number} {n}"}, "a", "g", Provenance("f.csv", n)) for n in range(500))
            records.save_dataset(workspace, Dataset("t", number, rows, ("train",) * 500))
    """
    dice = random.Random(1)
    for _ in range(3):
        writer = child(code, workspace.paths.root)
        assert writer.stdout.readline() == "go\n"
        time.sleep(dice.uniform(0.05, 0.3))
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=30)
    newest = records.latest_dataset(workspace, "t")
    assert newest > 0
    for number in range(1, newest + 1):
        dataset = records.load_dataset(workspace, "t", number)
        assert len(dataset.examples) == 500
        assert dataset.examples[499].inputs["text"] == f"{number} 499"


# ---------------------------------------------------------------------- versions and aliases

RECIPE = Recipe(
    base_model="b", base_sha256="0", dataset_fingerprint="f", seed=0, epochs=1, batch_size=1, learning_rate=0.1,
    warmup_share=0.0, rank=1, alpha=2, weight_decay=0.0, max_grad_norm=1.0, max_tokens=64, patience=3,
    precision="float32", system="",
)  # fmt: skip


@pytest.fixture
def three(workspace):
    """A workspace whose task has three versions."""
    parity = Parity(
        passed=True, tokens=1, top1_agreement=1.0, mean_logprob_difference=0.0, worst_logprob_difference=0.0,
        trainer_accuracy=1.0, served_accuracy=1.0, paired_p_value=1.0, validation_examples=1,
    )  # fmt: skip
    for n in range(3):
        version = ModelVersion(
            task="t", number=0, contender="fine-tuned", run=f"run-{n}", file_sha256=f"{n}", adapter_sha256=f"{n}",
            fields=("text",),
            labels=("a", "b"), threshold=0.5, parity=parity, lineage={"dataset": 1, "recipe": RECIPE.model_dump()},
        )  # fmt: skip
        assert registry.add_version(workspace, version).number == n + 1
    return workspace


def test_the_same_step_after_a_rollback_is_another_version_of_the_run(three):
    (first, *_) = registry.versions(three, "t")
    for told in ({"steps": 6}, {"steps": 9, "diverged_at": 7}):
        registry.add_version(three, first.model_copy(update={"run": "r", "lineage": {**first.lineage, **told}}))
    assert registry.version_of_run(three, "r", 6).name == "t@4"
    assert registry.version_of_run(three, "r", 6, 7) is None
    assert registry.version_of_run(three, "r", 9, 7).name == "t@5"
    assert registry.version_of_run(three, "r", 9) is None


def promote(workspace, number):
    return registry.move_alias(workspace, "t", registry.CHAMPION, number, action="promote")


def champion(workspace):
    return registry.alias_number(workspace, "t", registry.CHAMPION)


def test_rollback_walks_back_one_promotion_at_a_time(three):
    with pytest.raises(NotFound, match="no earlier champion"):
        registry.roll_back(three, "t", "")
    assert [promote(three, n) for n in (1, 2, 3)] == [None, 1, 2]
    assert registry.roll_back(three, "t", "bad") == (3, 2)
    assert registry.roll_back(three, "t", "worse") == (2, 1)
    with pytest.raises(NotFound, match="no earlier champion"):
        registry.roll_back(three, "t", "")
    assert champion(three) == 1
    promote(three, 3)
    assert registry.roll_back(three, "t", "") == (3, 1)
    moves = registry.moves(three, "t")
    assert [(m["before"], m["after"], m["action"]) for m in moves] == [
        (None, 1, "promote"), (1, 2, "promote"), (2, 3, "promote"), (3, 2, "rollback"), (2, 1, "rollback"),
        (1, 3, "promote"), (3, 1, "rollback"),
    ]  # fmt: skip
    assert [m["reason"] for m in moves[3:5]] == ["bad", "worse"]


def test_promoting_the_champion_again_is_not_a_promotion_to_roll_back(three):
    for number in (1, 2, 2):
        promote(three, number)
    assert registry.roll_back(three, "t", "") == (2, 1)
    with pytest.raises(NotFound):
        registry.roll_back(three, "t", "")


def test_a_version_is_found_by_number_alias_and_latest(three):
    promote(three, 2)
    found = [registry.find_version(three, "t", which).name for which in ("1", 1, "champion", "latest")]
    assert found == ["t@1", "t@1", "t@2", "t@3"]
    for which in ("candidate", "9", "newest"):
        with pytest.raises(NotFound, match=r"versions: t@1, t@2, t@3"):
            registry.find_version(three, "t", which)


def test_the_candidate_alias_is_no_part_of_the_champions_line(three):
    promote(three, 1)
    registry.move_alias(three, "t", registry.CANDIDATE, 2, action="evaluate")
    promote(three, 3)
    assert registry.roll_back(three, "t", "") == (3, 1)
    assert registry.alias_number(three, "t", registry.CANDIDATE) == 2


# ---------------------------------------------------------------------- locks

HOLD = """if True:
    import sys, time
    from pathlib import Path
    from inhouse.store import Workspace
    with Workspace(Path(sys.argv[1])).lock("train-t", "training 't'"):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_lock_is_held_by_one_process_and_freed_by_its_death(workspace):
    holder = child(HOLD, workspace.paths.root)
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(Busy, match="another process is already training 't'"),
            workspace.lock("train-t", "training 't'"),
        ):
            pass
        with workspace.lock("train-other", "training 'other'"):
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate(timeout=30)
    with workspace.lock("train-t", "training 't'"):
        pass


def test_two_processes_cannot_train_the_same_task(copy_of_trained, cli):
    holder = child(HOLD.replace("train-t", "train-intents"), copy_of_trained)
    try:
        assert holder.stdout.readline() == "held\n"
        done = cli(copy_of_trained, "train", "intents", "--json")
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate(timeout=30)
    assert done.code == 3
    assert done.json["error"]["type"] == "Busy"
    assert "wait until it ends" in done.err
