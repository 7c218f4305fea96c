"""What a training does before its first step, and no more of it than that step needs."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse import pipeline
from inhouse.core import Dataset, Silent, Task
from inhouse.engine import catalogue, find_spec, room_to_bring
from inhouse.loading import loading
from inhouse.pipeline import preparation, told
from inhouse.pipeline.preparation import READY, STAGES, beginning
from inhouse.store import Settings
from inhouse.train import TOKENS_AT_ONCE, Encoded, make_recipe
from inhouse.train.plan import BEGUN_WITH, begun_with


def test_a_verb_loads_no_stage_but_its_own():
    code = (
        "import sys; from inhouse import pipeline; pipeline.train; "
        "print([m for m in ('torch', 'inhouse.clean', 'inhouse.sources', 'inhouse.evaluate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_verb_is_where_the_pipeline_says():
    assert sorted(pipeline.__all__) == sorted(name for names in pipeline._HOMES.values() for name in names)
    assert all(getattr(pipeline, name).__name__ == name for name in pipeline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        pipeline.fly  # noqa: B018


def test_cycles_are_looked_for_again_when_loading_is_over():
    with loading():
        with loading():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="broken"), loading():
        raise ValueError("broken")
    assert gc.isenabled()


class _Heard:
    def __init__(self):
        self.seen = []

    def bar(self, title, total):
        self.seen.append((title, total))
        return self

    def update(self, done, note=""):
        self.seen.append((done, note))


def test_each_stage_before_the_first_step_is_shown_as_it_begins():
    heard = _Heard()
    at = beginning(heard)
    for stage in (*STAGES[1:], READY):
        at(stage)
    assert heard.seen == [("beginning", len(STAGES)), *enumerate(STAGES), (len(STAGES), READY)]


@given(st.lists(st.integers(1, 900), min_size=1, max_size=60), st.integers(0, 5))
def test_few_examples_tell_what_is_lost_before_the_first_step_and_the_same_for_every_seed(lengths, seed):
    train = [Encoded([1] * n, [2, 3]) for n in lengths]
    task = Task.model_validate({"name": "t", "labels": ("a", "b"), "train": {"seed": seed}})
    recipe = make_recipe(task, Dataset("t", 1, (), ()), train, base_model="b", base_sha256="0", precision="float32")
    found = begun_with(train, recipe)
    few, most = BEGUN_WITH
    assert min(few, len(train)) <= len(found) <= min(most, len(train))
    assert len(found) <= few or sum(e.tokens for e in found) <= TOKENS_AT_ONCE
    assert found == begun_with(train, recipe.model_copy(update={"seed": seed + 1}))


def _free(monkeypatch, size):
    usage = type(told.shutil.disk_usage("/"))
    monkeypatch.setattr(told.shutil, "disk_usage", lambda _: usage(2 * size, size, size))


def test_a_disk_too_small_for_a_base_that_is_not_here_is_told_before_it_is_fetched(
    tiny_gguf, tiny_base, models_dir, tmp_path, monkeypatch
):
    here, elsewhere = (Settings(models_dir=folder, offline=True) for folder in (models_dir, tmp_path / "a" / "b"))
    spec = find_spec(str(tiny_gguf))
    needed = room_to_bring(spec, elsewhere)
    assert needed == pytest.approx(5.0625 * tiny_base.shape.parameters, rel=0.01)
    assert room_to_bring(spec, here) == 0
    known = next(iter(catalogue().values()))
    assert room_to_bring(known, elsewhere) == 5.0625 * known.parameters
    heard = Silent()
    monkeypatch.setattr(preparation, "get_base", lambda name, settings, say: len(heard.warned))
    for size, warned in ((int(needed) + 1, 0), (int(needed) - 1, 1)):
        _free(monkeypatch, size)
        assert preparation.brought(str(tiny_gguf), elsewhere, heard) == warned
    assert "fetching and converting" in heard.warned[0]
    assert str(tmp_path) in heard.warned[0]


def test_a_training_says_before_its_first_step_that_the_disk_is_too_small(trained, cli, tmp_path, monkeypatch):
    workspace = shutil.copytree(trained, tmp_path / "workspace")
    _free(monkeypatch, 1000)
    done = cli(workspace, "train", "intents", "--again")
    assert done.code == 0, done.err
    assert done.err.index("of disk and 0.00 are free") < done.err.index("validation loss")
