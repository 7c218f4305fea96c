"""What `make bench-evaluate` keeps of an evaluation meets its contract, and goes into the table of the examples."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from evaluations import WHOLE

ROOT = Path(__file__).parents[2]
PAGE = "# Title\n\n{}Not measured yet.\n{}\nafter\n"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The benchmark, loaded from its file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        spec = importlib.util.spec_from_file_location("bench_evaluate", ROOT / "benchmarks" / "evaluate.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "bench_evaluate", module)  # dataclasses look their module up
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def case(bench: ModuleType) -> dict[str, Any]:
    kept = bench.told(WHOLE.model_dump(mode="json"))
    return {**kept, "minutes": 12.4, "training_minutes": 10.0, "machine": {"cores": 2}}


def test_what_is_kept_meets_the_contract(case: dict[str, Any]) -> None:
    contract = json.loads((ROOT / "tests" / "contracts" / "bench_evaluate.schema.json").read_text("utf-8"))
    jsonschema.validate({"inhouse": "0", "cases": {"ledger": case}}, contract)
    assert case["ours"] == {"name": "fine-tuned", "value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    assert case["best_alternative"] is None
    assert [c["theirs"] for c in case["against_prompting"]] == ["prompted"]
    assert [(r["target_errors"], r["review_rate"]) for r in case["reviews"]] == [(0.02, 0.22)]


def test_the_table_has_the_examples_that_were_measured(bench: ModuleType, case: dict[str, Any]) -> None:
    page = PAGE.format(*bench.TABLE)
    once = bench.with_table(page, {"ledger": case, "ten": case})
    row = "| ledger | adopt (accuracy) | fine-tuned: 50.0% (40.0% to 60.0%) | none | 12 |\n"
    assert once.count(row) == 1
    assert "| ten |" not in once
    assert "Not measured yet" not in once
    assert once.startswith("# Title")
    assert once.endswith("after\n")
    assert bench.with_table(once, {"ledger": case}) == once
    assert bench.with_table(page, {"ten": case}) == page


def test_the_page_of_the_examples_has_a_place_for_the_table(bench: ModuleType) -> None:
    page = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert [page.count(mark) for mark in bench.TABLE] == [1, 1]


def test_every_example_is_a_case_whose_file_is_there(bench: ModuleType, tmp_path: Path) -> None:
    folders = {p.parent.name for p in (ROOT / "examples").glob("*/generate.py")}
    assert set(bench.OWN) == folders
    for case in bench.OWN.values():
        assert all(file.is_file() for file in case.files(tmp_path))


def test_an_unknown_case_is_named(bench: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no such case: elven; there are ten, 500"):
        bench.main(["elven"])
