"""The sequential test: how often it is wrong over ten thousand requests, and how soon it is right."""

from __future__ import annotations

from math import comb, exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.scoring.sequential import BLOCK, ODDS, Count, MoreEvents, _won

REQUESTS, LOOK, RUNS = 10_000, 50, 200
BOUND = 40  # of one signal of two, at 0.05 together


def returned_after(rng, usual, tried, share):
    """Requests to the tried arm until the evidence was enough; 0 where it never was."""
    arm = rng.random(REQUESTS) < share
    happened = rng.random(REQUESTS) < np.where(arm, tried, usual)
    sums = [np.cumsum(mask) for mask in (~arm, ~arm & happened, arm, arm & happened)]
    known = MoreEvents()
    for place in range(LOOK - 1, REQUESTS, LOOK):
        n, x, m, y = (int(one[place]) for one in sums)
        known = known.after(Count(n, x), Count(m, y))
        if known.evidence >= BOUND:
            return m
    return 0


def returned(usual, tried, share, seed=0):
    rng = np.random.default_rng(seed)
    return [returned_after(rng, usual, tried, share) for _ in range(RUNS)]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.2])
def test_equal_arms_are_returned_seldom(rate, share):
    """At most 0.025 of each signal: of 200 runs, 11 has a probability of 1 % at that rate."""
    assert sum(map(bool, returned(rate, rate, share))) < 11


def test_a_better_arm_is_not_returned():
    assert sum(map(bool, returned(0.2, 0.1, 0.1))) == 0


@pytest.mark.parametrize(
    ("usual", "tried", "least", "within"),
    [
        (0.01, 0.05, 0.97, 250),
        (0.01, 0.20, 1.0, 60),
        (0.01, 1.0, 1.0, 40),
        (0.20, 0.30, 0.97, 400),
        (0.20, 0.40, 1.0, 110),
    ],
)
def test_a_worse_arm_is_returned_soon(usual, tried, least, within):
    found = returned(usual, tried, 0.1)
    assert np.mean([bool(one) for one in found]) >= least
    assert np.median([one for one in found if one]) <= within


@settings(max_examples=60)
@given(
    rate=st.floats(0.001, 0.999),
    guess=st.floats(0.001, 0.7),
    odds=st.sampled_from(ODDS),
    sizes=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    less=st.floats(0.0, 1.0),
)
def test_no_bet_is_expected_to_win_without_more_events(rate, guess, odds, sizes, less):
    """Exactly, over all that a block can bring: whatever the rate, what is guessed of it, and the sizes of the arms."""
    usual, tried = sizes
    if not usual + tried:
        return

    def chance(n, x, p):
        return comb(n, x) * p**x * (1 - p) ** (n - x)

    expected = sum(
        chance(usual, x, rate)
        * chance(tried, y, rate * less)
        * exp(_won(guess, odds, Count(usual, x), Count(tried, y)))
        for x in range(usual + 1)
        for y in range(tried + 1)
    )
    assert expected <= 1 + 1e-9


def test_small_blocks_wait_and_the_first_only_tells_the_rate():
    known = MoreEvents()
    assert known.after(Count(500, 5), Count(BLOCK - 1, BLOCK - 1)) == known
    first = known.after(Count(500, 5), Count(BLOCK, BLOCK))
    assert (first.evidence, first.tried) == (1.0, Count(BLOCK, BLOCK))
    assert first.after(Count(600, 6), Count(2 * BLOCK, 2 * BLOCK)).evidence > 1000


def test_what_was_erased_is_no_evidence():
    known = MoreEvents().after(Count(500, 5), Count(50, 5)).after(Count(700, 8), Count(80, 9))
    for usual, tried in ((Count(600, 8), Count(90, 9)), (Count(700, 2), Count(80, 9))):
        again = known.after(usual, tried)
        assert (again.evidence, again.usual, again.tried) == (known.evidence, usual, tried)
