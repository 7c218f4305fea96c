"""Confidence is the share of right answers, and errors that go straight keep to their target with certainty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import CalibrationError, Calibrator, Prediction
from inhouse.errors import EngineFault, NoMetric
from inhouse.scoring import Confidences, certified_review, examples_to_certify, fit_calibrator, reliability

DICE = np.random.default_rng


def answers(dice, n, *, each=1, spread=0.0):
    """Answers that are right as often as they are sure, about; those of a group of `each` share their luck."""
    sure = dice.beta(6, 1, n)
    shift = np.repeat(dice.normal(0, spread, n // each), each)
    odds = np.log(sure / (1 - sure)) + shift
    right = dice.random(n) < 1 / (1 + np.exp(-odds))
    groups = [str(i // each) for i in range(n)] if each > 1 else None
    return Confidences(sure, right, groups)


# ---------------------------------------------------------------------- the guarantee


@pytest.mark.parametrize(("n", "each", "spread", "target"), [(1000, 1, 0.0, 0.05), (1000, 5, 1.5, 0.1)])
def test_more_errors_than_the_target_go_straight_in_one_of_twenty_data_sets_at_most(n, each, spread, target) -> None:
    truth = answers(DICE(0), 400_000, each=each, spread=spread)
    order = np.argsort(-truth.sure)
    sure, errors = truth.sure[order], np.cumsum(~truth.right[order]) / np.arange(1, len(order) + 1)
    sets, broken, inside = 2000, 0, []
    for seed in range(sets):
        dice = DICE(seed + 1)
        validation = answers(dice, 300, each=each, spread=spread)
        told = certified_review("a", validation, answers(dice, n, each=each, spread=spread), target)
        if told.threshold is not None:
            through = np.searchsorted(-sure, -told.threshold, side="right")
            broken += errors[through - 1] > target
            inside.append(told.straight_low <= through / len(sure) <= told.straight_high)
    assert broken <= 0.05 * sets
    assert len(inside) >= sets / 2, "it must not be so by refusing all"
    assert abs(np.mean(inside) - 0.95) <= 0.015


def test_so_many_right_answers_are_needed_for_certainty() -> None:
    assert examples_to_certify(0.02) == 149
    assert examples_to_certify(0.05) == 59
    assert examples_to_certify(0.05, 0.05) is None
    assert examples_to_certify(0.0) is None
    for n, certain in ((58, False), (59, True)):
        all_right = Confidences(np.full(n, 0.9), np.ones(n, bool))
        told = certified_review("a", all_right, all_right, 0.05)
        assert told.certain == certain
        assert told.more_examples == (None if certain else 1)


def test_one_group_is_worth_one_answer() -> None:
    right = np.ones(100, bool)
    alone = Confidences(np.full(100, 0.9), right, [str(i) for i in range(100)])
    together = Confidences(np.full(100, 0.9), right, [str(i // 10) for i in range(100)])
    assert certified_review("a", alone, alone, 0.05).straight == 1.0
    told = certified_review("a", together, together, 0.05)
    assert (told.straight, told.review_rate, told.more_examples) == (0.0, 1.0, 490)


def test_the_threshold_stands_where_the_errors_begin() -> None:
    sure = np.linspace(0, 1, 1001)
    right = (sure > 0.5) | (np.arange(1001) % 2 == 0)
    told = certified_review("a", Confidences(sure, right), Confidences(sure, right), 0.05, with_curve=True)
    assert told.threshold is not None
    assert 0.4 <= told.threshold <= 0.5
    assert told.straight + told.review_rate == pytest.approx(1.0)
    assert [p.threshold for p in told.curve] == sorted((p.threshold for p in told.curve), reverse=True)
    assert told.curve[-1].straight == 1.0
    assert all(p.errors <= p.errors_high for p in told.curve)
    assert 0 < told.straight_low < told.straight < told.straight_high < 1
    between = f"({100 * told.straight_low:.0f} to {told.straight_high:.0%})"
    shares = f"{told.straight:.0%} {between} go straight through, {told.review_rate:.0%} to a person"
    assert told.sentence == f"at most 5 % errors: {shares}"


def test_an_answer_with_an_error_goes_to_a_person() -> None:
    sure = np.array([*[0.9] * 200, *[-1.0] * 200])
    one = Confidences(sure, sure > 0)
    assert certified_review("a", one, one, 0.05).straight == 0.5
    none = Confidences(np.full(9, -1.0), np.zeros(9, bool))
    assert certified_review("a", none, none, 0.05).threshold is None


def test_nothing_less_sure_than_what_was_validated_goes_straight() -> None:
    validation = Confidences(np.full(200, 0.8), np.ones(200, bool))
    judged = Confidences(np.array([*[0.9] * 200, *[0.7] * 200]), np.ones(400, bool))
    assert certified_review("a", validation, judged, 0.05).threshold == 0.8


def test_without_validation_or_test_answers_all_go_to_a_person() -> None:
    nothing, some = Confidences(np.empty(0), np.empty(0, bool)), Confidences(np.full(200, 0.9), np.ones(200, bool))
    assert certified_review("a", nothing, some, 0.05).threshold is None
    told = certified_review("a", some, nothing, 0.05)
    assert (told.threshold, told.review_rate, told.more_examples) == (None, 1.0, None)


def test_says_why_all_go_to_a_person() -> None:
    few = Confidences(np.full(36, 0.9), np.ones(36, bool))
    assert certified_review("a", few, few, 0.02).sentence.endswith("about 113 more would do")
    bad = Confidences(np.full(300, 0.9), np.arange(300) % 2 == 0)
    assert certified_review("a", bad, bad, 0.02).sentence.endswith("as no confidence is right that often")


def test_refuses_what_is_no_confidence() -> None:
    with pytest.raises(EngineFault):
        Confidences(np.array([0.5, np.nan]), np.array([True, True]))
    with pytest.raises(ValueError):
        Confidences(np.array([0.5]), np.array([True, False]))


# ---------------------------------------------------------------------- calibration


@pytest.mark.parametrize(("n", "bend"), [(150, "odds"), (3000, "odds"), (3000, "step")])
def test_a_calibrated_confidence_is_the_share_of_right_answers(n, bend) -> None:
    def drawn(dice, size):
        raw = dice.beta(8, 1, size)
        odds = np.log(raw / (1 - raw))
        true = 1 / (1 + np.exp(-(0.5 * odds - 0.5))) if bend == "odds" else np.where(raw > 0.93, 0.97, 0.3)
        return raw, dice.random(size) < true

    raw, right = drawn(DICE(1), n)
    calibrator = fit_calibrator(raw, right)
    fresh, hit = drawn(DICE(2), 20_000)
    before, _ = reliability(fresh, hit)
    after, _ = reliability(np.array([calibrator(c) for c in fresh]), hit)
    assert before.value > 0.08 > before.by_chance_high
    assert after.value < (0.03 if bend == "odds" and n > 200 else 0.05)
    assert calibrator.method == ("isotonic" if bend == "step" else "logistic")


def test_a_handful_of_errors_calibrates_nothing() -> None:
    raw = np.full(50, 0.9)
    assert fit_calibrator(raw, np.arange(50) > 3).method == "none"
    assert Calibrator()(0.37) == 0.37


@given(st.integers(0, 10_000), st.sampled_from([60, 400]))
def test_calibration_keeps_the_order_and_can_be_undone(seed, n) -> None:
    dice = DICE(seed)
    raw = dice.beta(5, 1, n)
    calibrator = fit_calibrator(raw, dice.random(n) < raw**2)
    told = np.array([calibrator(c) for c in np.sort(raw)])
    assert (np.diff(told) >= 0).all()
    assert ((told >= 0) & (told <= 1)).all()
    assert calibrator(0.0) == 0.0
    assert all(calibrator(calibrator.before(c)) == pytest.approx(c, abs=1e-6) for c in told[:: n // 20])


@pytest.mark.parametrize("groups", [None, [str(i // 4) for i in range(6000)], ["all"] * 6000])
def test_a_calibration_error_stands_beside_that_of_chance(groups) -> None:
    one = answers(DICE(5), 6000)
    honest, bins = reliability(one.sure, one.right, groups)
    assert sum(b.right.n for b in bins) == honest.n == 6000
    assert 0 < honest.value < honest.by_chance_high
    assert honest.by_chance < honest.by_chance_high or groups[0] == "all"
    if groups is None or groups[0] != "all":
        boasting, _ = reliability(one.sure**0.3, one.right, groups)
        assert boasting.value > 3 * boasting.by_chance_high


def test_of_many_answers_chance_is_that_of_few(monkeypatch) -> None:
    one = answers(DICE(5), 3000, each=5, spread=1.0)
    for groups in (None, one.groups):
        quick, _ = reliability(one.sure, one.right, groups)
        with monkeypatch.context() as patch:
            patch.setattr("inhouse.scoring.calibration._MANY", 10**6)
            drawn, _ = reliability(one.sure, one.right, groups)
        assert quick.value == drawn.value
        assert (quick.by_chance, quick.by_chance_high) == pytest.approx(
            (drawn.by_chance, drawn.by_chance_high), rel=0.03
        )


def test_a_calibration_error_that_was_kept_with_an_interval_is_read() -> None:
    kept = {"value": 0.1, "low": 0.05, "high": 0.2, "n": 40}
    assert CalibrationError.model_validate(kept) == CalibrationError(value=0.1, n=40)


def test_a_calibration_error_of_nothing_is_no_number() -> None:
    with pytest.raises(NoMetric):
        reliability(np.empty(0), np.empty(0, bool))


def test_an_evaluation_calibrates_on_validation_and_leaves_out_who_is_always_as_sure(monkeypatch) -> None:
    from types import SimpleNamespace

    from inhouse.core import Task
    from inhouse.pipeline.evaluating.review import reviewed
    from inhouse.scoring import Judged

    dice = DICE(3)
    sides = {}
    for split, n in (("validation", 300), ("test", 800)):
        raw = dice.beta(8, 1, n)
        sides[split] = (raw, dice.random(n) < raw**4, [SimpleNamespace(group=f"{split}{i}") for i in range(n)])

    def contender(name, sure):
        given = {s: [Prediction(target="a", confidence=sure(float(c))) for c in sides[s][0]] for s in sides}
        given["test"][0] = Prediction(target=None, error="none of the labels")
        return SimpleNamespace(name=name, **given)

    judged = {
        split: {n: Judged((), {"accuracy": right.astype(float)}) for n in ("ours", "majority")}
        for split, (_, right, _) in sides.items()
    }
    task = Task.model_validate(
        {
            "name": "t",
            "kind": "classify",
            "input": {"fields": ["text"]},
            "labels": ["a", "b"],
            "review": {"target_accuracy": 0.8},
        }
    )
    told = reviewed(
        task,
        SimpleNamespace(of=lambda split: sides[split][2]),
        [contender("ours", lambda c: c), contender("majority", lambda _: 0.5)],
        judged["validation"],
        judged["test"],
    )
    assert set(told.calibrators) == {"ours"}
    (calibration,) = told.calibrations
    assert calibration.ece.value < calibration.ece_before
    assert calibration.ece.n == 799
    assert [r.target_errors for r in told.reviews] == [0.02, 0.05, 0.2]
    straight = [r.straight for r in told.reviews]
    assert straight == sorted(straight)
    assert straight[-1] > 0
    assert [bool(r.curve) for r in told.reviews] == [False, False, True]
    assert told.threshold_of("ours", 0.2) == told.reviews[-1].threshold
    assert told.threshold_of("majority", 0.2) > 1


@pytest.mark.parametrize(("raw", "straight"), [(0.75, False), (0.9, True)])
def test_what_is_served_is_judged_by_its_calibrated_confidence(raw, straight) -> None:
    from types import SimpleNamespace

    from inhouse.deploy.served import Served

    calibrator = Calibrator(method="logistic", slope=1.0, offset=-1.0)
    of_fields = {"town": Calibrator(), "": calibrator}
    served = SimpleNamespace(version=SimpleNamespace(calibrator=calibrator, field_calibrators=of_fields, threshold=0.6))
    told = Served.judged(served, Prediction(target="a", confidence=raw, parts={"town": raw, "total": raw}))
    assert told.prediction.parts == {"town": raw, "total": calibrator(raw)}
    assert told.prediction.confidence == calibrator(raw) < raw == told.prediction.raw
    assert told.needs_review is not straight
