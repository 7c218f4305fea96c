"""The statistics: equal to published values and to scipy and scikit-learn, and honest in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from draws import accuracy, mean_of, pair_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from sklearn.metrics import f1_score

from inhouse.errors import NoMetric, UsageError
from inhouse.scoring import (
    Judged,
    compare_scores,
    exact_power,
    examples_to_tell,
    holm,
    macro_f1,
    mcnemar_exact,
    paired_difference,
    paired_f1_difference,
    summarise,
    wilson,
)

LABELS = ["a", "b", "c", "d"]
TRIPLES = st.lists(
    st.tuples(st.sampled_from([*LABELS, "elsewhere", None]), st.sampled_from([*LABELS, None]), st.sampled_from(LABELS)),
    min_size=1,
    max_size=50,
)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)


def columns(pairs: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


# --- a share


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_the_published_interval(successes: int, n: int, low: float, high: float) -> None:
    found = wilson(successes, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert (found.value, found.n) == (successes / n, n)


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_wilson_is_that_of_scipy(successes: int, n: int) -> None:
    successes = min(successes, n)
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    found = wilson(successes, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_metric_of_nothing_is_an_error() -> None:
    for nothing in (
        lambda: wilson(0, 0),
        lambda: accuracy([], []),
        lambda: macro_f1([], []),
        lambda: paired_difference(np.array([], dtype=bool), np.array([], dtype=bool)),
        lambda: paired_f1_difference([], [], []),
    ):
        with pytest.raises(NoMetric):
            nothing()


def test_an_impossible_share_is_an_error() -> None:
    for successes in (-1, 6):
        with pytest.raises(UsageError):
            wilson(successes, 5)


def test_lengths_must_agree() -> None:
    for wrong in (
        lambda: accuracy(["a"], ["a", "b"]),
        lambda: accuracy(["a"], ["a"], groups=["x", "y"]),
        lambda: macro_f1(["a"], ["a", "b"]),
        lambda: mcnemar_exact(np.array([True]), np.array([True, False])),
        lambda: paired_f1_difference(["a"], ["a", "b"], ["a", "b"]),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_no_answer_is_a_wrong_answer() -> None:
    assert accuracy(["a", None, "b", ""], ["a", "a", "a", "a"]) == wilson(1, 4)


# --- macro-F1


@given(TRIPLES)
def test_macro_f1_is_that_of_scikit_learn(triples: list[tuple[str | None, str | None, str]]) -> None:
    predicted, expected = [p for p, _, _ in triples], [e for _, _, e in triples]
    known = f1_score(
        expected, [p or "" for p in predicted], labels=sorted(set(expected)), average="macro", zero_division=0
    )
    found = macro_f1(predicted, expected)
    assert found.value == pytest.approx(known)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.n == len(triples)


def test_a_perfect_score_on_few_examples_is_no_certainty() -> None:
    found = macro_f1(["a", "b", "c"], ["a", "b", "c"])
    assert found.high == 1.0
    assert found.low == pytest.approx(wilson(3, 3).low)


# --- two contenders: p


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_mcnemar_is_the_binomial_test(a_alone: int, b_alone: int, both: int) -> None:
    total = a_alone + b_alone
    known = binomtest(a_alone, total).pvalue if total else 1.0
    assert mcnemar_exact(*pair_of(both, a_alone, b_alone, 3)) == pytest.approx(known, rel=1e-9)


def test_mcnemar_of_no_difference_is_one() -> None:
    assert mcnemar_exact(*pair_of(5, 0, 0, 5)) == 1.0
    assert mcnemar_exact(np.array([], dtype=bool), np.array([], dtype=bool)) == 1.0


def test_mcnemar_of_thousands() -> None:
    assert mcnemar_exact(*pair_of(0, 2100, 1900, 0)) == pytest.approx(binomtest(2100, 4000).pvalue, rel=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("uvwxyz")), min_size=1, max_size=30))
def test_grouped_mcnemar_swaps_whole_groups(rows: list[tuple[bool, bool, str]]) -> None:
    a, b = columns([(x, y) for x, y, _ in rows])
    groups = [g for _, _, g in rows]
    net = [sum(int(x) - int(y) for x, y, g in rows if g == name) for name in sorted(set(groups))]
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(net))).reshape(len(net), -1).T
    known = np.mean(np.abs(signs @ np.array(net)) >= abs(sum(net)))
    assert mcnemar_exact(a, b, groups=groups) == pytest.approx(known)


# --- two contenders: gain


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    # Fagerland, Lydersen, Laake 2014 (Stat Med 33:2850): airway hyper-responsiveness (Bentur et al. 2009), Tango.
    [((1, 1, 7, 12), -0.517, -0.026)],
)
def test_paired_difference_is_the_published_interval(cells: tuple[int, int, int, int], low: float, high: float) -> None:
    gain, found_low, found_high = paired_difference(*pair_of(*cells))
    assert gain == pytest.approx((cells[1] - cells[2]) / sum(cells))
    assert (round(found_low, 3), round(found_high, 3)) == (low, high)


def tango_closed(won: int, lost: int, n: int) -> list[float]:
    """The same limits as roots of a quartic (Yang, Sun, Hardin 2013, Stat Med 32:1336): an independent way."""
    g = 1.959963984540054**2
    d, s = won - lost, won + lost
    return sorted(
        float(root.real)
        for root in np.roots(
            [
                n**2 * (n / g + 1) ** 2,
                -n * d * (n / g + 1) * (4 * n / g + 1),
                2 * n * d**2 * (3 * n / g + 2) / g - n**2 * (s / g + 1),
                n * d * (2 * s / g + 1) - d**3 * (4 * n / g + 1) / g,
                d**2 * (d**2 / g - s) / g,
            ]
        )
        if abs(root.imag) < 1e-7
    )


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 400))
def test_paired_difference_solves_the_quartic(won: int, lost: int, same: int) -> None:
    roots = tango_closed(won, lost, won + lost + same)
    _, low, high = paired_difference(*pair_of(same, won, lost, 0))
    assert min(abs(low - root) for root in roots) < 1e-5
    assert min(abs(high - root) for root in roots) < 1e-5


@given(PAIRS, st.integers(1, 80))
@example(pairs=[(True, False)] * 5, sets=80)
@example(pairs=[(False, True)], sets=1)
@example(pairs=[(True, True)] * 9, sets=80)
@example(pairs=[(True, False), (False, True)], sets=1)
def test_swapping_the_contenders_mirrors_everything(pairs: list[tuple[bool, bool]], sets: int) -> None:
    a, b = columns(pairs)
    groups = [str(i % sets) for i in range(len(a))]
    gain, low, high = paired_difference(a, b, groups=groups)
    assert paired_difference(b, a, groups=groups) == pytest.approx((-gain, -high, -low), abs=1e-9)
    assert mcnemar_exact(a, b, groups=groups) == pytest.approx(mcnemar_exact(b, a, groups=groups))
    assert -1 <= low <= gain <= high <= 1
    assert low < high


@given(TRIPLES)
@settings(max_examples=50)
def test_swapping_mirrors_f1_too(triples: list[tuple[str | None, str | None, str]]) -> None:
    a, b, expected = ([t[i] for t in triples] for i in range(3))
    gain, low, high, p = paired_f1_difference(a, b, expected)
    other = paired_f1_difference(b, a, expected)
    assert other[:3] == pytest.approx((-gain, -high, -low), abs=1e-9)
    assert -1 <= low <= gain <= high <= 1
    assert 0 < p <= 1
    assert other[3] == pytest.approx(p)


def test_the_interval_leaves_0_out_wherever_the_test_is_significant() -> None:
    for total in range(1, 41):
        for won in range(total + 1):
            a, b = pair_of(30, won, total - won, 30)
            _, low, high = paired_difference(a, b)
            if mcnemar_exact(a, b) < 0.05:
                assert low > 0 or high < 0


def test_identical_contenders_are_not_proven_equal_by_few_examples() -> None:
    right = np.array([True] * 5)
    gain, low, high = paired_difference(right, right)
    assert gain == 0.0
    assert -low == pytest.approx(high)
    assert high == pytest.approx(1.96**2 / (5 + 1.96**2), abs=1e-4)
    same = ["a", "b", "a", "b", "a"]
    assert paired_f1_difference(same, same, same) == pytest.approx((0.0, low, high, 1.0))


# --- groups


@given(PAIRS)
def test_groups_of_one_change_nothing(pairs: list[tuple[bool, bool]]) -> None:
    a, b = columns(pairs)
    alone = [str(i) for i in range(len(a))]
    assert paired_difference(a, b, groups=alone) == paired_difference(a, b)
    assert mcnemar_exact(a, b, groups=alone) == mcnemar_exact(a, b)


def test_copies_of_an_example_add_nothing() -> None:
    rng = np.random.default_rng(9)
    expected = ["a"] * 300
    once = ["a" if hit else "b" for hit in rng.random(30) < 0.8]
    copies = [answer for answer in once for _ in range(10)]
    groups = [str(i // 10) for i in range(300)]
    width = [m.high - m.low for m in (accuracy(once, expected[:30]), accuracy(copies, expected, groups=groups))]
    assert width[1] == pytest.approx(width[0], rel=0.15)
    assert accuracy(copies, expected, groups=groups).n == 300
    assert accuracy(copies, expected).high - accuracy(copies, expected).low < width[0] / 2


def test_one_group_is_one_observation() -> None:
    answers, one = ["a", "b", "a", "a"], ["x"] * 4
    assert accuracy(answers, ["a"] * 4, groups=one).high > 0.9
    assert accuracy(answers, ["a"] * 4, groups=one).low < 0.2
    gain, low, high, p = paired_f1_difference(answers, ["b"] * 4, ["a"] * 4, groups=one)
    assert low < 0 < gain < high
    assert p == 1.0


def test_all_right_in_few_groups_counts_the_groups() -> None:
    groups = [str(i // 25) for i in range(100)]
    assert accuracy(["a"] * 100, ["a"] * 100, groups=groups).low == pytest.approx(wilson(4, 4).low)


# --- several comparisons, and how many examples


def test_holm_is_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_lowers_nothing(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= min(1.0, p * len(p_values)) for p, q in zip(p_values, adjusted, strict=True))
    ranks = sorted(range(len(p_values)), key=lambda i: (p_values[i], adjusted[i]))
    assert [adjusted[i] for i in ranks] == sorted(adjusted)


@pytest.mark.parametrize(("gain", "discordant", "alpha"), [(0.05, 0.2, 0.05), (0.03, 0.06, 0.05), (0.1, 0.3, 0.005)])
def test_the_power_is_that_of_the_binomials(gain: float, discordant: float, alpha: float) -> None:
    for n in (40, 333):
        m, k = np.meshgrid(np.arange(1, n + 1), np.arange(n + 1), indexing="ij")
        shown = (k <= m) & (2 * binom.cdf(np.minimum(k, m - k), m, 0.5) < alpha)
        chances = binom.pmf(m, n, discordant) * binom.pmf(k, m, (1 + gain / discordant) / 2)
        assert exact_power(n, gain, discordant, alpha) == pytest.approx(chances[shown].sum(), abs=1e-6)


def test_examples_to_tell_are_the_fewest_with_the_power() -> None:
    # Connor's formula gives 626: (1.96 * sqrt(0.2) + 0.8416 * sqrt(0.2 - 0.0025))^2 / 0.0025
    n = examples_to_tell(0.05, 0.2)
    assert n == examples_to_tell(-0.05, 0.2) == 658
    assert exact_power(n, 0.05, 0.2) >= 0.8 > exact_power(n - 1, 0.05, 0.2)
    assert examples_to_tell(0.05, 0.2, power=0.9) > n
    assert examples_to_tell(0.05, 0.2, alpha=0.1) < n < examples_to_tell(0.05, 0.2, alpha=0.005)


def test_examples_to_tell_refuses_what_cannot_be() -> None:
    with pytest.raises(NoMetric):
        examples_to_tell(0.0, 0.1)
    with pytest.raises(UsageError):
        examples_to_tell(0.2, 0.1)


# --- scores between 0 and 1


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_mean_of_scores_of_0_and_1_is_a_share(right: list[bool]) -> None:
    found = mean_of(np.array(right, dtype=float))
    assert found == wilson(sum(right), len(right))


def test_macro_f1_is_asked_of_the_answers_not_of_scores() -> None:
    expected = ["a", "b", "a", "c"]
    given_answers = Judged(("a", "b", "b", None), {"accuracy": np.array([1.0, 1.0, 0.0, 0.0])})
    assert summarise(given_answers, expected, "macro_f1") == macro_f1(given_answers.answers, expected)


def test_copies_of_a_score_add_nothing() -> None:
    rng = np.random.default_rng(13)
    ours, theirs = rng.beta(2, 5, size=(2, 30))
    groups = [str(i // 10) for i in range(300)]
    once, copied = (
        compare_scores(*scores, groups=g)
        for scores, g in (((ours, theirs), None), ((np.repeat(ours, 10), np.repeat(theirs, 10)), groups))
    )
    assert copied[2] - copied[1] == pytest.approx(once[2] - once[1], rel=0.15)
    assert copied[3] == pytest.approx(once[3], abs=0.05)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30), st.integers(1, 30))
@settings(deadline=None, max_examples=50)
def test_swapping_mirrors_scores_too(pairs: list[tuple[float, float]], sets: int) -> None:
    ours, theirs = np.array(pairs).T
    groups = [str(i % sets) for i in range(len(ours))]
    gain, low, high, p = compare_scores(ours, theirs, groups=groups)
    other = compare_scores(theirs, ours, groups=groups)
    assert other == pytest.approx((-gain, -high, -low, p), abs=1e-9)
    assert -1 <= low <= gain <= high <= 1
    assert 0 < p <= 1


def test_one_group_and_equal_scores_prove_little() -> None:
    one = ["x"] * 40
    scores = np.linspace(0.2, 0.8, 40)
    alone = mean_of(scores, one)
    assert alone.high - alone.low > 0.5
    same = mean_of(np.full(5, 0.5))
    assert same.low < 0.3
    gain, low, high, p = compare_scores(scores + 0.1, scores, groups=one)
    assert low < 0 < gain < high
    assert p == 1.0


def test_an_example_that_one_contender_has_no_score_for_counts_for_neither() -> None:
    ours, theirs = np.array([0.2, np.nan, 0.9, 0.4]), np.array([0.1, 1.0, np.nan, 0.4])
    assert compare_scores(ours, theirs, groups=["a", "b", "c", "d"]) == compare_scores(
        ours[[0, 3]], theirs[[0, 3]], groups=["a", "d"]
    )
    with pytest.raises(ValueError):
        compare_scores(ours, theirs[:3])
