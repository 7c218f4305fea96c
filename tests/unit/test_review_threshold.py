"""The review threshold: nothing goes out unseen that validation does not vouch for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.errors import EngineFault
from inhouse.scoring import review_threshold
from inhouse.scoring.review import MIN_ACCEPTED

SURENESS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5001, 0.75, 0.9, 0.99, 1.0])
ANSWERS = st.lists(st.tuples(SURENESS, st.booleans()), max_size=60)


def test_takes_the_smallest_confidence_that_reaches_the_target() -> None:
    # 19 right answers, a wrong one, then only wrong ones: 19 of 20 is just 95 %.
    confidences = [1 - i / 100 for i in range(30)]
    right = [True] * 19 + [False] * 11
    assert review_threshold(confidences, right, 0.95) == confidences[19]
    assert review_threshold(confidences, right, 1.0) == confidences[18]


def test_accepts_everything_seen_where_all_is_right() -> None:
    assert review_threshold([0.3, *[0.9] * 20], [True] * 21, 0.95) == 0.3


def test_equally_sure_answers_are_accepted_together() -> None:
    # The first ten of a tie would be right; the tie as a whole is not.
    assert review_threshold([0.8] * 20, [True] * 10 + [False] * 10, 0.95) > 1.0


def test_a_dip_does_not_end_the_search() -> None:
    confidences = [1 - i / 1000 for i in range(40)]
    right = [True] * 10 + [False] + [True] * 29
    assert review_threshold(confidences, right, 0.95) == confidences[-1]


def test_a_few_sure_answers_prove_nothing() -> None:
    few = MIN_ACCEPTED - 1
    assert review_threshold([0.99] * few, [True] * few, 0.95) == 1.01
    assert review_threshold([0.99] * few + [0.1] * 50, [True] * few + [False] * 50, 0.95) == 1.01


def test_no_validation_sends_everything_to_a_person() -> None:
    assert review_threshold([], [], 0.5) == 1.01


def test_refuses_what_is_no_confidence() -> None:
    with pytest.raises(EngineFault):
        review_threshold([0.5, float("nan")], [True, True], 0.9)
    with pytest.raises(ValueError):
        review_threshold([0.5], [True, False], 0.9)


@given(ANSWERS, st.floats(0.01, 1.0))
def test_is_what_trying_every_confidence_finds(answers: list[tuple[float, bool]], target: float) -> None:
    confidences = np.array([c for c, _ in answers])
    right = np.array([r for _, r in answers], dtype=bool)
    reaching = [
        t
        for t in sorted({c for c, _ in answers})
        if (confidences >= t).sum() >= MIN_ACCEPTED and right[confidences >= t].mean() >= target - 1e-12
    ]
    assert review_threshold(confidences, right, target) == (reaching[0] if reaching else 1.01)
