"""Real input for another kind: intents and slots of xsid as JSON, through add, train, evaluate and predict."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from commands import command

pytestmark = pytest.mark.journey


@pytest.fixture
def english(banking, tmp_path) -> Path:
    """Every other of the 300 English sentences, read in place."""
    source = banking.parent / "xsid" / "xsid.jsonl"
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    kept = [{k: r[k] for k in ("text", "intent", "slots")} for r in rows if (r["lang"], r["split"]) == ("en", "valid")]
    path = tmp_path / "english.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept[::2]), "utf-8")
    return path


def test_objects_are_learned_valid_and_better_than_prompted(english, tmp_path, cli):
    folder = tmp_path / "w"
    cli(folder, "init", "orders", "--kind", "extract")
    file = folder / "tasks" / "orders" / "task.toml"
    file.write_text(file.read_text().replace("[train]\n", "[train]\nmax_steps = 32\n"))
    cli(folder, "add", "orders", str(english), "--input", "text", "--target", "intent", "--target", "slots")
    trained = cli(folder, "train", "orders")
    assert trained["parity"]["passed"], trained["parity"]["reason"]
    found = {
        c["name"]: c["metrics"] for c in cli(folder, "evaluate", "orders", "--contender", "prompted")["contenders"]
    }
    tuned, prompted = found["fine-tuned"], found["prompted"]
    assert tuned["valid"]["value"] >= 0.97
    assert tuned["fields_exact"]["value"] > prompted["fields_exact"]["value"] + 0.1
    assert tuned["field:intent"]["value"] > found["majority"]["field:intent"]["value"]
    out, some = tmp_path / "out.csv", tmp_path / "some.jsonl"
    some.write_text("".join(english.read_text("utf-8").splitlines(keepends=True)[::5]), "utf-8")
    command(folder, "predict", "orders", str(some), "--out", str(out), "--version", "latest")
    answers = [
        json.loads(row["prediction"])
        for row in csv.DictReader(out.read_text("utf-8").splitlines())
        if row["prediction"]
    ]
    assert len(answers) >= 28
    assert all(set(a) == {"intent", "slots"} for a in answers)
