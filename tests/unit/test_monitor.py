"""Quality, drift and the decision: right on cases that can be counted by hand, and honest in simulation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import DriftSignal, Feedback, Metric, MonitorResult, Trace, folded
from inhouse.monitor import ALPHA, MIN_REQUESTS, decide, family, input_drift, output_drift
from inhouse.monitor import quality as judged_quality

CONTRACT = Path(__file__).parents[1] / "contracts" / "monitor.schema.json"


def quality(traces, feedback):
    """As `monitor` asks for a classify task: labels are the same whatever their case and white space."""
    return judged_quality(traces, feedback, lambda answer, correction: folded(answer) == folded(correction))


def trace(number: int, output: str | None = "a", *, needs_review: bool = False) -> Trace:
    return Trace(
        id=f"t{number}",
        task="tickets",
        model_version="tickets@1",
        inputs={"text": f"text {number}"},
        output=output,
        confidence=0.9,
        needs_review=needs_review,
        latency_ms=5.0,
        prompt_tokens=20,
        answer_tokens=2,
        created_at="2026-11-01T00:00:00+00:00",
    )


def judged(number: int, *, accepted: bool = True, correction: str | None = None, at: str = "1") -> Feedback:
    return Feedback(trace=f"t{number}", accepted=accepted, correction=correction, created_at=at)


# --- quality


def test_quality_counts_acceptances_and_corrections():
    opinions = [judged(0), judged(1, accepted=False), judged(2, accepted=False, correction="b")]
    metric, basis = quality([trace(n) for n in range(10)], opinions)
    assert metric is not None
    assert (metric.value, metric.n) == (pytest.approx(1 / 3), 3)
    assert metric.low < 1 / 3 < metric.high
    assert "3 of 10" in basis
    assert "upper bound" not in basis


def test_a_correction_to_the_same_answer_confirms_it():
    metric, _ = quality([trace(0, "Card arrival"), trace(1)], [judged(0, accepted=False, correction=" card  Arrival")])
    assert metric is not None
    assert metric.value == 1.0
    assert metric.n == 1


def test_corrections_of_wrong_answers_alone_give_an_upper_bound():
    traces = [*(trace(n) for n in range(19)), trace(19, None)]
    metric, basis = quality(traces, [judged(n, accepted=False, correction="b") for n in range(4)])
    assert metric is not None
    assert (metric.value, metric.n) == (pytest.approx(15 / 20), 20), "4 corrected and 1 without an answer are wrong"
    assert "answers nobody corrected are counted as right, so this is an upper bound" in basis


def test_all_judged_and_all_wrong_is_no_upper_bound():
    metric, basis = quality([trace(n) for n in range(3)], [judged(n, accepted=False) for n in range(3)])
    assert metric is not None
    assert metric.value == 0.0
    assert "upper bound" not in basis


def test_the_latest_feedback_wins():
    opinions = [judged(0, accepted=True, at="2"), judged(0, accepted=False, at="1"), judged(1)]
    metric, _ = quality([trace(0), trace(1)], opinions)
    assert metric is not None
    assert metric.value == 1.0
    same_time = [judged(0, accepted=True), judged(0, accepted=False), judged(1)]
    metric, _ = quality([trace(0), trace(1)], same_time)
    assert metric is not None
    assert metric.value == 0.5


def test_nothing_judged_gives_none():
    assert quality([], []) == (None, "nobody judged any of the 0 answers yet")
    assert quality([trace(0)], [judged(7)])[0] is None, "feedback on a trace outside the window does not count"


def test_basis_warns_where_doubtful_answers_were_judged_more_often():
    traces = [trace(n, needs_review=n < 20) for n in range(100)]
    assert "probably higher" in quality(traces, [judged(n) for n in range(20)])[1]
    assert "probably higher" not in quality(traces, [judged(n) for n in range(100)])[1]


# --- drift


def clouds(rng: np.random.Generator, n: int, m: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of unit vectors in 16 dimensions, the second moved along one of them."""
    points = rng.normal(size=(n + m, 16))
    points[n:, 0] += shift
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points[:n], points[n:]


@pytest.mark.parametrize("size", [50, 100, 200])
def test_input_drift_keeps_its_error_rate(size: int):
    rng = np.random.default_rng(size)
    p_values = []
    for seed in range(400):
        reference, window = clouds(rng, 150, size)
        signal = input_drift(reference, window, [""] * size, seed=seed, permutations=99)
        assert signal is not None
        p_values.append(signal.p_value)
    # 0.10 expected; 400 trials stray beyond these bounds in fewer than 1 of 1000.
    assert 0.05 <= np.mean(np.array(p_values) <= 0.1) <= 0.16


@pytest.mark.parametrize("size", [50, 200])
def test_output_drift_keeps_its_error_rate_with_many_rare_labels(size: int):
    rng = np.random.default_rng(size)
    shares = rng.dirichlet(np.full(77, 0.5))
    p_values = []
    for seed in range(300):
        draw = [[str(x) for x in rng.choice(77, n, p=shares)] for n in (300, size)]
        signal = output_drift(*draw, seed=seed, permutations=199)
        assert signal is not None
        p_values.append(signal.p_value)
    assert 0.05 <= np.mean(np.array(p_values) <= 0.1) <= 0.16


def test_both_tests_find_a_shift():
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(20):
        reference, window = clouds(rng, 200, 60, shift=1.5)
        before = [str(x) for x in rng.choice(10, 200)]
        after = [str(x) for x in rng.choice(10, 60, p=[0.4, *[0.6 / 9] * 9])]
        signals = family(input_drift(reference, window, [""] * 60, seed=seed), output_drift(before, after, seed=seed))
        found += all(s.drifted for s in signals)
    assert found >= 19


def test_examples_name_what_drives_the_drift():
    reference, window = clouds(np.random.default_rng(3), 100, 40)
    window[:3] = -10 * np.ones(16)
    texts = ["wholly new", "wholly new", "new too", *(f"usual {n}" for n in range(37))]
    signal = input_drift(reference, window, texts)
    assert signal is not None
    assert {"wholly new", "new too"} <= set(signal.examples)
    assert len(signal.examples) == len(set(signal.examples)) == 5

    outputs = output_drift(["card_arrival"] * 2 + ["other"] * 98, ["card_arrival"] * 19 + ["other"] * 80 + [None])
    assert outputs is not None
    assert outputs.examples == ("other: 98 % -> 80 %", "card_arrival: 2 % -> 19 %", "(no answer): 0 % -> 1 %")
    assert outputs.drifted


def test_drift_is_deterministic_and_samples_large_sides():
    reference, window = clouds(np.random.default_rng(4), 700, 900)
    texts = [str(n) for n in range(900)]
    assert input_drift(reference, window, texts, seed=5) == input_drift(reference, window, texts, seed=5)
    assert output_drift(texts, texts[:800], seed=5) == output_drift(texts, texts[:800], seed=5)


def test_too_few_requests_give_no_signal():
    reference, window = clouds(np.random.default_rng(0), 100, MIN_REQUESTS - 1)
    assert input_drift(reference, window, [""] * len(window)) is None
    assert output_drift(["a"] * 100, ["b"] * (MIN_REQUESTS - 1)) is None
    assert family(None, None) == ()


def test_identical_points_are_no_drift():
    signal = input_drift(np.ones((30, 4)), np.ones((25, 4)), ["x"] * 25)
    assert signal is not None
    assert (signal.statistic, signal.p_value, signal.drifted) == (pytest.approx(0.0, abs=1e-9), 1.0, False)
    outputs = output_drift(["a"] * 30, ["a"] * 25)
    assert outputs is not None
    assert (outputs.p_value, outputs.examples) == (1.0, ())


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="same d"):
        input_drift(np.ones((30, 4)), np.ones((25, 3)), ["x"] * 25)
    with pytest.raises(ValueError, match="one text per row"):
        input_drift(np.ones((30, 4)), np.ones((25, 4)), ["x"] * 24)


def test_chi_square_is_pearsons():
    from scipy.stats import chi2_contingency

    before, after = ["a"] * 30 + ["b"] * 50 + ["c"] * 20, ["a"] * 15 + ["b"] * 15 + ["c"] * 10
    signal = output_drift(before, after)
    assert signal is not None
    exact = chi2_contingency([[30, 50, 20], [15, 15, 10]], correction=False)
    assert signal.statistic == pytest.approx(exact.statistic)
    assert signal.p_value == pytest.approx(exact.pvalue, abs=0.05)


def raw(name: str, p_value: float) -> DriftSignal:
    return DriftSignal(signal=name, statistic=1.0, p_value=p_value, drifted=p_value < ALPHA)


def test_holm_over_the_family():
    first, second = family(raw("input", 0.008), raw("output", 0.004))
    assert (first.p_value, second.p_value) == (0.008, 0.008)
    assert first.drifted
    assert second.drifted
    first, second = family(raw("input", 0.008), raw("output", 0.5))
    assert (first.p_value, first.drifted, second.p_value) == (0.016, False, 0.5)
    assert family(raw("input", 0.008), None)[0].drifted, "alone, it needs no correction"


# --- decision


def metric(value: float, n: int) -> Metric:
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return Metric(value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=n)


def decided(**changes: object) -> tuple[str, str]:
    usual: dict[str, object] = {
        "quality": metric(0.88, 100),
        "basis": "100 judged",
        "accuracy_at_evaluation": metric(0.9, 500),
        "drift": (raw("input", 0.5), raw("output", 0.6)),
        "corrections": 12,
        "dataset_train_size": 800,
        "traces": 300,
    }
    return decide("tickets", **(usual | changes))  # type: ignore[arg-type]


FALLEN = metric(0.6, 100)
DRIFTED = (raw("input", 0.002), raw("output", 0.6))


@pytest.mark.parametrize(
    ("changes", "decision", "says"),
    [
        ({}, "keep", "no drift was found"),
        ({"traces": 0, "quality": None}, "keep", "No request"),
        ({"quality": FALLEN, "corrections": 40}, "retrain", "`inhouse retrain tickets`"),
        ({"quality": FALLEN, "corrections": 39}, "collect", "correct 1 more"),
        ({"quality": FALLEN, "corrections": 19, "dataset_train_size": 50}, "collect", "correct 1 more"),
        ({"quality": FALLEN, "previous_accuracy": metric(0.85, 500)}, "go_back", "`inhouse rollback tickets`"),
        ({"quality": FALLEN, "previous_accuracy": metric(0.65, 50)}, "collect", "too few"),
        (
            {"quality": FALLEN, "previous_accuracy": metric(0.85, 500), "drift": DRIFTED, "corrections": 99},
            "retrain",
            "fell to 60.0 %",
        ),
        ({"previous_accuracy": metric(0.99, 5000)}, "keep", "no drift"),
        ({"drift": DRIFTED}, "collect", "correct 28 more"),
        ({"drift": DRIFTED, "corrections": 40}, "retrain", "The requests differ from the reference"),
        ({"drift": DRIFTED, "quality": None, "corrections": 40}, "retrain", "(p = 0.002)"),
        ({"corrections": 160}, "retrain", "160 corrections are waiting"),
        ({"corrections": 159}, "keep", "no drift"),
        ({"corrections": 19, "dataset_train_size": 10}, "keep", "no drift"),
        ({"quality": None}, "collect", "Only 0 of 300"),
        ({"quality": metric(0.1, 19), "corrections": 15}, "collect", "accept or correct 1 more"),
        ({"drift": ()}, "keep", "too few requests"),
    ],
)
def test_decisions(changes: dict[str, object], decision: str, says: str):
    made, reason = decided(**changes)
    assert made == decision
    assert says in reason


@given(
    value=st.floats(0, 1),
    judged_count=st.integers(1, 500),
    corrections=st.integers(0, 500),
    p_value=st.floats(0.001, 1),
    traces=st.integers(0, 500),
    size=st.integers(1, 2000),
)
def test_every_case_has_a_decision_that_meets_the_contract(
    value: float, judged_count: int, corrections: int, p_value: float, traces: int, size: int
):
    made, reason = decided(
        quality=metric(value, judged_count),
        corrections=corrections,
        drift=(raw("input", p_value),),
        traces=traces,
        dataset_train_size=size,
    )
    result = MonitorResult(
        task="tickets",
        model_version="tickets@1",
        window={"from": "2026-11-01", "to": "2026-11-08", "traces": traces},
        quality=metric(value, judged_count),
        quality_basis="judged",
        drift=family(raw("input", p_value), raw("output", 0.3)),
        review_rate=0.1,
        corrections=corrections,
        decision=made,  # type: ignore[arg-type]
        reason=reason,
    )
    jsonschema.validate(json.loads(result.model_dump_json()), json.loads(CONTRACT.read_text()))
    if made == "retrain":
        assert corrections >= 20
