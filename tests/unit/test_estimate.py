"""The estimate of a training against one that was recorded: what was probed, and what steps and looks then cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inhouse.core import Recipe
from inhouse.train import Encoded, looked_at, make_plan
from inhouse.train.plan import begun_with, look_every

RECORDED = json.loads((Path(__file__).parent / "recorded_training.json").read_text("utf-8"))


def test_a_training_takes_what_was_foretold_of_it():
    """Seconds are of one thread's processor time (docs/log.md): they do not depend on who else was there."""
    recipe = Recipe.model_validate(RECORDED["recipe"])
    learned, validation = (
        [Encoded([1] * prompt, [2] * answer) for prompt, answer in RECORDED[side]] for side in ("learned", "validation")
    )
    tokens, seconds = map(sum, zip(*RECORDED["probe"], strict=True))
    plan = make_plan(recipe, learned, validation, seconds_per_token=seconds / tokens)
    first, *looks = RECORDED["looks"]
    assert plan.steps == len(RECORDED["steps"])
    assert plan.tokens == pytest.approx(RECORDED["tokens"], rel=0.1)
    assert first[0] == len(begun_with(learned, recipe))
    assert [count for count, _ in looks] == [len(looked_at(learned, validation, recipe))] * len(looks)
    assert len(looks) == -(-plan.steps // look_every(learned, validation, recipe))
    taken = sum(RECORDED["steps"]) + sum(cost for _, cost in RECORDED["looks"])
    assert plan.seconds == pytest.approx(taken, rel=0.25)
