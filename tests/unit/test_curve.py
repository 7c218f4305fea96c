"""The learning curve: what is fitted, foretold, and how sure it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import ndtri

import inhouse
from inhouse.core import Dataset, Silent, Task
from inhouse.errors import NoMetric, TooFewExamples
from inhouse.pipeline.curve import _folder
from inhouse.pipeline.curve_shares import causal_parts
from inhouse.pipeline.preparation import Prepared
from inhouse.scoring import learning_curve
from inhouse.scoring.curve import USUAL_NOISE, WORTH
from inhouse.train import MIN_PAIRS, Encoded, make_recipe

OTHERS = [("t", "encoder"), ("t-old", "causal"), ("t-causal", "causal")]
GROUPS = [7, 30, 3, 24, 5, 8, 11, 20, 9, 13, 2, 6]


def scores_of(shares, examples=400):
    """So many of the examples right in each training, the same ones first."""
    return np.array([[float(i < share * examples) for i in range(examples)] for share in shares])


def test_a_power_law_is_found_again_and_read_off_ahead():
    counts = [50, 100, 200, 400]
    scores = scores_of([1 - 4 * n**-0.5 for n in counts], examples=10_000)
    curve = learning_curve(counts, scores, [800, 1600])
    points = curve.points
    assert curve.power == pytest.approx(0.5, abs=0.01)
    assert [p.measured for p in points] == [True] * 4 + [False] * 2
    assert points[4].score == pytest.approx(1 - 4 * 800**-0.5, abs=0.005)
    assert points[5].score == pytest.approx(1 - 4 * 1600**-0.5, abs=0.005)
    assert all(p.low <= p.score <= p.high for p in points)
    assert curve.gain == pytest.approx(4 * (400**-0.5 - 800**-0.5), abs=0.005)
    assert 0 < curve.low < curve.gain < curve.high


def test_fewer_validation_examples_make_it_less_sure():
    counts, shares = [50, 100, 200], [0.5, 0.65, 0.75]
    wide, narrow = (learning_curve(counts, scores_of(shares, n), [400]).points[-1] for n in (40, 4000))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize(("trainings", "examples"), [(3, 100), (4, 200)])
def test_intervals_cover_where_chance_moves_trainings_as_usual(trainings, examples):
    """Over noise as the prior has it; hard examples are hard for all trainings alike, in part."""
    chance, counts, held = np.random.default_rng(5), 64 * 2 ** np.arange(trainings), []
    errors = 0.5 * (counts / 64) ** -0.35
    for _ in range(2000):
        noise = USUAL_NOISE * np.sqrt(WORTH / chance.chisquare(WORTH))
        moved = np.clip(errors * np.exp(chance.normal(0, noise, trainings)), 0.001, 0.999)
        ease = np.sqrt(0.6) * chance.standard_normal(examples)
        ease = ease + np.sqrt(0.4) * chance.standard_normal((trainings, examples))
        scores = (ease > ndtri(moved)[:, None]).astype(float)
        curve = learning_curve(counts.tolist(), scores, [], resamples=300)
        held.append(curve.low <= errors[-1] * (1 - 2**-0.35) <= curve.high)
    assert abs(np.mean(held) - 0.95) <= 0.015


def test_points_off_the_curve_make_it_less_sure():
    counts = [50, 100, 200, 400]
    straight, bent = (
        learning_curve(counts, scores_of(shares), [800]).points[-1]
        for shares in ([0.5, 0.6, 0.68, 0.744], [0.5, 0.66, 0.6, 0.744])
    )
    assert bent.high - bent.low > 1.5 * (straight.high - straight.low)


def test_a_curve_that_falls_foretells_no_gain():
    curve = learning_curve([50, 100], scores_of([0.8, 0.7]), [200])
    assert (curve.power, curve.gain, curve.low) == (0.0, 0.0, 0.0)
    assert curve.points[-1].score <= 0.8


def test_all_right_is_not_all_known():
    curve = learning_curve([50, 100], scores_of([1.0, 1.0]), [200])
    assert curve.power == 0.0
    assert curve.points[-1].score < 1.0


def test_one_training_is_no_curve():
    with pytest.raises(NoMetric):
        learning_curve([50], scores_of([0.5]), [100])


def prepared(groups, tiny_base, pairs=5, **wish):
    """A training of as many examples as the groups have in all, the first `pairs` of them with a rejected answer."""
    sizes = [(f"g{place}", count) for place, count in enumerate(groups)]
    learned = [Encoded([1, 2, 3], [4, 5], group=group) for group, count in sizes for _ in range(count)]
    learned[:pairs] = [replace(e, rejected=(6, 7)) for e in learned[:pairs]]
    task = Task(name="t", kind="generate", train=wish)
    dataset = Dataset("t", 1, (), ())
    recipe = make_recipe(task, dataset, learned, base_model="tiny", base_sha256="0", precision="float32")
    return Prepared(task, dataset, tiny_base, "xllamacpp", recipe, learned, learned[:4])


def test_parts_hold_whole_groups_each_within_the_next(tiny_base):
    parts = causal_parts(prepared(GROUPS, tiny_base), Silent())
    assert len(parts) >= 3
    held = [Counter(e.group for e in part.learned) for part in parts]
    assert all(smaller <= larger and len(smaller) < len(larger) for smaller, larger in pairwise(held))
    assert all(count == held[-1][group] for one in held for group, count in one.items())
    assert len(parts[-1].learned) == 138


@pytest.mark.parametrize(
    ("pairs", "wish", "objective"),
    [
        (138, {}, "dpo"),  # as many as the smallest part has examples: 16 or more
        (60, {}, "sft"),  # one part has some, too few to learn from
        (138, {"objective": "dpo", "beta": 0.2}, "dpo"),
        (5, {"objective": "dpo", "beta": 0.2}, "dpo"),  # asked for
        (138, {"objective": "sft"}, "sft"),
        (0, {}, "sft"),
    ],
)
def test_all_points_of_a_curve_have_one_objective(tiny_base, pairs, wish, objective):
    told, whole = Silent(), prepared(GROUPS, tiny_base, pairs, **wish)
    parts = causal_parts(whole, told)
    assert len(parts) >= 3
    assert {part.recipe.objective for part in parts} == {objective}
    changed = whole.recipe.objective != objective
    assert [f"{MIN_PAIRS} are the least" in line for line in told.warned] == [True] * changed
    if changed:
        assert not any(e.rejected for part in parts for e in (*part.learned, *part.validation))


def test_a_part_without_any_pair_is_trained_by_no_preference_even_where_it_is_asked_for(tiny_base):
    whole, told = prepared(GROUPS, tiny_base, objective="dpo"), Silent()
    inside = {e.group for e in causal_parts(whole, told)[0].learned}
    learned = [replace(e, rejected=() if e.group in inside else (6, 7)) for e in whole.learned]
    parts = causal_parts(replace(whole, learned=learned), told)
    assert {part.recipe.objective for part in parts} == {"sft"}
    assert "has 0 rejected answers, and 1 are the least" in told.warned[0]


def test_one_group_of_nearly_all_is_no_curve(tiny_base):
    with pytest.raises(TooFewExamples, match="in 2 groups"):
        causal_parts(prepared([130, 8], tiny_base), Silent())


def test_parts_are_trained_in_4_bits_where_the_whole_is(tiny_base):
    whole = prepared(GROUPS, tiny_base)
    short = replace(whole, recipe=whole.recipe.model_copy(update={"four_bit": True}))
    assert all(part.recipe.four_bit for part in causal_parts(short, Silent()))


def test_parts_are_not_compiled_where_the_whole_is_not(tiny_base):
    whole = prepared(GROUPS, tiny_base, compile=True)
    assert all(part.recipe.compiled for part in causal_parts(whole, Silent()))
    left_out = replace(whole, recipe=whole.recipe.model_copy(update={"compiled": False}))  # the fused pass has no use
    assert not any(part.recipe.compiled for part in causal_parts(left_out, Silent()))


def test_a_curve_takes_the_place_of_its_own_task_and_model_alone(tmp_path, tiny_base):
    workspace, recipe = inhouse.open_workspace(tmp_path), prepared(GROUPS, tiny_base).recipe
    of_other_data = recipe.model_copy(update={"dataset_fingerprint": "other"})
    tasks = [Task(name=name, kind="classify", train={"model": model}) for name, model in OTHERS]
    others = [_folder(workspace, task, of_other_data) for task in tasks]
    before = _folder(workspace, Task(name="t", kind="classify"), of_other_data)
    now = _folder(workspace, Task(name="t", kind="classify"), recipe)
    assert not before.exists()
    assert all(folder.is_dir() for folder in [now, *others])
