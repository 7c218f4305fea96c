"""The learning curve: what is fitted, foretold, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from inhouse.errors import NoMetric
from inhouse.scoring import learning_curve


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
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


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
