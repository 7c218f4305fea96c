"""The parity gate: it passes the file that was trained, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from inhouse.core import Prediction
from inhouse.deploy import compare
from inhouse.engine.protocol import Generation
from inhouse.engine.torch_model import Along

RIGHT = np.array([True] * 20)
ANSWERS = [Prediction(target="a")] * 20
LENGTH = 30


def judged(served_tokens=None, *, gap=0.0, right=RIGHT, tie=1.0):
    """Twenty answers of thirty tokens; the trainer takes token 7 everywhere and 8 next, `tie` less likely."""
    taken = [7] * 20 * LENGTH if served_tokens is None else served_tokens
    along = Along([[7, 8]] * len(taken), [[-0.1, -0.1 - tie]] * len(taken), [-0.1] * len(taken))
    free = [
        Generation(taken[i : i + LENGTH], LENGTH * (-0.1 - gap), finished=True) for i in range(0, len(taken), LENGTH)
    ]
    return compare(free, along, ANSWERS, ANSWERS, RIGHT, right)


def test_the_same_model_passes():
    parity = judged()
    assert parity.passed
    assert (parity.tokens, parity.top1_agreement, parity.ties) == (600, 1.0, 0)
    assert parity.mean_logprob_difference == pytest.approx(0.0)


@pytest.mark.parametrize("other", [7, 20])
def test_another_token_at_more_than_one_place_of_a_hundred_fails(other):
    parity = judged([8] * other + [7] * (600 - other))
    assert not parity.passed
    assert "answer tokens agree" in parity.reason
    assert judged([8] * 6 + [7] * 594).passed


def test_ties_of_the_trainer_are_counted_apart():
    parity = judged([8] * 20 + [7] * 580, tie=0.05)
    assert parity.passed
    assert parity.ties == 20
    assert not judged([9] * 20 + [7] * 580, tie=0.05).passed, "what the trainer does not think of is no tie"


def test_log_probabilities_that_differ_fail():
    assert judged(gap=0.04).passed
    parity = judged(gap=0.06)
    assert "log-probabilities differ" in parity.reason
    assert parity.worst_logprob_difference == pytest.approx(0.06)


def test_a_loss_on_the_task_beyond_chance_fails():
    assert "right on" in judged(right=np.array([False] * 8 + [True] * 12)).reason
    assert judged(right=np.array([False] * 2 + [True] * 18)).passed
