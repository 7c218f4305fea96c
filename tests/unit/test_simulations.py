"""The statistics keep their promises: intervals cover 95 ± 1.5 %, tests err in 5 ± 1 %, power is as computed.

Where a figure can be added up over binomials it is, without the noise of a simulation.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from draws import mean_of, pair_of, uneven
from scipy.special import expit
from scipy.stats import binom

from inhouse.scoring import (
    Confidences,
    Judged,
    apart,
    certified_review,
    compare_scores,
    exact_power,
    examples_to_tell,
    fit_calibrator,
    holm,
    label_results,
    macro_f1,
    mcnemar_exact,
    paired_difference,
    paired_f1_difference,
    reliability,
    summarise,
    units_of,
    wilson,
)
from inhouse.scoring.agreement import quadratic_kappa
from inhouse.scoring.intervals import positive_mean
from inhouse.scoring.units import sign_p

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray | None]]
RUNS = 2_500  # standard error of a coverage: 0.4 points, of a share of 5 % too


def lines(count: int, right: float) -> Draw:
    """Shares of right lines, most of them 1, as `fields_exact` has them."""
    return lambda rng: (np.where(rng.random(count) < right, 1.0, rng.binomial(10, 0.7, count) / 10), None)


def grouped(groups: int, likeness: float, steps: int) -> Draw:
    """Groups of 1 to 11 examples that are alike (beta-binomial); 80 % of all is right."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        number = uneven(rng, groups)
        known = rng.beta(0.8 * (1 / likeness - 1), 0.2 * (1 / likeness - 1), groups)
        return rng.binomial(steps, known[number]) / steps, number

    return draw


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: (rng.beta(2, 5, size=60), None), 2 / 7),
        (lambda rng: (rng.beta(2, 5, size=300), None), 2 / 7),
        (lines(40, 0.7), 0.91),
        (lines(240, 0.9), 0.97),
        (lambda rng: (rng.binomial(4, 0.8, 60) / 4, None), 0.8),
        (grouped(10, 0.2, 1), 0.8),
        (grouped(10, 0.2, 5), 0.8),
        (grouped(20, 0.2, 5), 0.8),
        (grouped(47, 0.2, 1), 0.8),
        (grouped(47, 0.4, 5), 0.8),
        (grouped(200, 0.2, 5), 0.8),
    ],
)
def test_intervals_of_means_cover(draw: Draw, truth: float) -> None:
    rng = np.random.default_rng(1)
    found = [mean_of(*draw(rng)) for _ in range(RUNS)]
    assert abs(np.mean([m.low <= truth <= m.high for m in found]) - 0.95) <= 0.015


@pytest.mark.parametrize("n", [50, 240, 1000])
def test_wilson_covers_what_it_promises(n: int) -> None:
    # Computed, not simulated: over true shares as they occur, the mean coverage is 95 %.
    shares = np.linspace(0.5, 0.95, 91)
    inside = np.array([(m.low <= shares) & (shares <= m.high) for m in (wilson(k, n) for k in range(n + 1))])
    coverage = (binom.pmf(np.arange(n + 1)[:, None], n, shares) * inside).sum(axis=0)
    assert abs(coverage.mean() - 0.95) < 0.015


@pytest.mark.parametrize(("few", "many"), [(60, 60), (100, 300)])
def test_intervals_of_independent_shares_cover(few: int, many: int) -> None:
    # Computed, not simulated: the mean over pairs of true shares as training and test have them.
    ones, others = ([wilson(k, n) for k in range(n + 1)] for n in (few, many))
    spans = np.array([[apart(one, other)[1:] for other in others] for one in ones])
    found = []
    for learned in (0.9, 0.95, 0.98):
        for unseen in (0.6, 0.75, 0.9):
            inside = (spans[:, :, 0] <= learned - unseen) & (learned - unseen <= spans[:, :, 1])
            chances = np.outer(binom.pmf(range(few + 1), few, learned), binom.pmf(range(many + 1), many, unseen))
            found.append((chances * inside).sum())
    assert abs(np.mean(found) - 0.95) <= 0.015
    assert min(found) > 0.93


def edits(count: int) -> Draw:
    """Differences of fields: most examples have none."""
    return lambda rng: (
        np.where(rng.random(count) < 0.25, (rng.binomial(5, 0.9, count) - rng.binomial(5, 0.7, count)) / 5, 0.0),
        None,
    )


def customers(groups: int, gain: float) -> Draw:
    """Differences that a whole group shares in part."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        number = uneven(rng, groups)
        apart = gain + rng.normal(0, 0.08, groups)[number] + rng.normal(0, 0.1, len(number))
        return np.clip(apart, -0.45, 0.55), number

    return draw


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many signs as tell 5 %."""
    monkeypatch.setattr("inhouse.scoring.units._DRAWS", (399,))


@pytest.fixture
def no_p(monkeypatch: pytest.MonkeyPatch) -> None:
    """No p is looked at."""
    monkeypatch.setattr("inhouse.scoring.units._DRAWS", (1,))


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (edits(60), 0.05),
        (edits(240), 0.05),
        (customers(5, 0.0), 0.0),
        (customers(10, 0.0), 0.0),
        (customers(10, 0.05), 0.05),
        (customers(20, 0.0), 0.0),
        (customers(47, 0.05), 0.05),
    ],
)
@pytest.mark.usefixtures("no_p")
def test_intervals_of_gains_cover(draw: Draw, truth: float) -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(RUNS):
        apart, groups = draw(rng)
        _, low, high, _ = compare_scores(0.45 + apart, np.full(len(apart), 0.45), groups=groups)
        covered += low <= truth <= high
    assert abs(covered / RUNS - 0.95) <= 0.015


@pytest.mark.parametrize("n", [40, 240, 1000])
@pytest.mark.parametrize(("discordant", "gain"), [(0.1, 0.0), (0.2, 0.05), (0.3, 0.1)])
def test_intervals_of_paired_shares_cover(n: int, discordant: float, gain: float) -> None:
    rng = np.random.default_rng(8)
    shares = [0.6, (discordant + gain) / 2, (discordant - gain) / 2, 0.4 - discordant]
    covered, seen = 0, {}
    for both, won, lost, neither in rng.multinomial(n, shares, size=20_000):
        if (won, lost) not in seen:
            _, low, high = paired_difference(*pair_of(both, won, lost, neither))
            seen[won, lost] = low <= gain <= high
        covered += seen[won, lost]
    assert abs(covered / 20_000 - 0.95) <= 0.015


def answers(rng: np.random.Generator, expected: np.ndarray, known: np.ndarray, labels: int) -> list[str]:
    """Each example is known with its chance, and guessed otherwise."""
    guessed = rng.integers(labels, size=len(expected))
    return [str(i) for i in np.where(rng.random(len(expected)) < known, expected, guessed)]


def true_f1(right: np.ndarray) -> float:
    """Macro-F1 in the long run where label i is known with chance right[i], and all are as frequent."""
    guessed = (1 - right) / len(right)
    return float(np.mean(2 * (right + guessed) / (1 + right + guessed.sum())))


# Luck that the examples of a group share, in log-odds, and the nodes that its mean is taken over.
LUCK = 1.0
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


def lucky(odds: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """The chances at these log-odds with so much luck."""
    return np.asarray(expit(odds + LUCK * luck))


def over_luck(odds: np.ndarray) -> np.ndarray:
    """The mean chance over all luck."""
    return np.asarray(lucky(odds[:, None], NODES) @ (WEIGHTS / WEIGHTS.sum()))


@pytest.mark.parametrize(
    ("labels", "n", "groups"),
    [(5, 60, None), (20, 400, None), (77, 800, None), (8, 1000, None), (5, None, 10), (5, None, 20), (5, 3500, 14)],
)
@pytest.mark.usefixtures("no_p")
def test_intervals_of_macro_f1_and_its_gains_cover(labels: int, n: int | None, groups: int | None) -> None:
    rng = np.random.default_rng(11)
    odds = rng.uniform(0.5, 2.5, labels)
    mean = expit if groups is None else over_luck
    ours, theirs = true_f1(mean(odds)), true_f1(mean(odds - 0.3))
    covered = gain_covered = 0
    for _ in range(RUNS):
        units = None if groups is None else uneven(rng, groups) if n is None else np.arange(n) % groups
        size = n if units is None else len(units)
        expected = rng.integers(labels, size=size)
        wanted = [str(i) for i in expected]
        luck = np.zeros(size) if units is None else rng.standard_normal(groups)[units]
        a = answers(rng, expected, lucky(odds[expected], luck), labels)
        b = answers(rng, expected, lucky(odds[expected] - 0.3, luck), labels)
        metric = macro_f1(a, wanted, groups=units)
        _, low, high, _ = paired_f1_difference(a, b, wanted, groups=units)
        covered += metric.low <= ours <= metric.high
        gain_covered += low <= ours - theirs <= high
    assert abs(covered / RUNS - 0.95) <= 0.015
    assert abs(gain_covered / RUNS - 0.95) <= 0.015


@pytest.mark.parametrize("n", [16, 48])
def test_intervals_of_divergence_cover(n: int) -> None:
    # Of prompts whose answers are 2 to 24 tokens long, with divergences as skewed as a gamma's of shape 2.
    rng = np.random.default_rng(18)
    inside = []
    for _ in range(RUNS):
        tokens = np.where(rng.random(n) < 0.75, 24, rng.integers(2, 25, n)).astype(float)
        low, high = positive_mean(tokens * rng.gamma(2, 0.5, n), tokens)
        inside.append(low <= 1 <= high)
    assert abs(np.mean(inside) - 0.95) <= 0.015


@pytest.mark.parametrize("each", [1, 5])
def test_a_perfect_confidence_is_off_by_more_than_chance_in_5_percent(
    each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inhouse.scoring.calibration._DRAWS", 499)  # enough to tell 5 %
    rng = np.random.default_rng(19)
    n, beyond, off, foretold = 200, [], [], []
    groups = [str(i // each) for i in range(n)]
    for seed in range(RUNS):
        odds = rng.normal(1.5, 1.2, n)
        luck = np.repeat(rng.standard_normal(n // each), each)
        sure, right = over_luck(odds), rng.random(n) < lucky(odds, luck)
        error, _ = reliability(sure, right, groups, seed=seed)
        beyond.append(error.value > error.by_chance_high)
        off.append(error.value)
        foretold.append(error.by_chance)
    assert abs(np.mean(beyond) - 0.05) <= 0.01
    assert np.mean(foretold) == pytest.approx(np.mean(off), rel=0.03)


@pytest.mark.parametrize("n", [30, 60])
@pytest.mark.parametrize("noise", [0.7, 1.5, 6.0])
def test_intervals_of_agreement_cover(n: int, noise: float) -> None:
    rng = np.random.default_rng(16)

    def grades(count: int) -> tuple[np.ndarray, np.ndarray]:
        people = rng.choice(5, size=count, p=[0.1, 0.15, 0.25, 0.3, 0.2])
        return people + 1, np.clip(people + np.rint(rng.normal(0, noise, count)).astype(int), 0, 4) + 1

    truth = quadratic_kappa(*grades(200_000), groups=np.zeros(200_000, dtype=int)).value
    found = [quadratic_kappa(*grades(n)) for _ in range(RUNS)]
    assert abs(np.mean([m.low <= truth <= m.high for m in found]) - 0.95) <= 0.015


@pytest.mark.parametrize("groups", [None, 50])
def test_intervals_of_labels_cover(groups: int | None) -> None:
    rng = np.random.default_rng(17)
    labels, n = 5, 400
    right = np.linspace(0.6, 0.95, labels)
    recall = right + (1 - right) / labels
    precision = recall / (right + (1 - right).sum() / labels)
    truth = {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}
    names = None if groups is None else np.arange(n) % groups
    inside: dict[str, list[bool]] = {name: [] for name in truth}
    for _ in range(1000):
        expected = rng.integers(labels, size=n)
        for one in label_results(answers(rng, expected, right[expected], labels), [str(i) for i in expected], names):
            for name, values in truth.items():
                metric = getattr(one, name)
                inside[name].append(metric.low <= values[int(one.label)] <= metric.high)
    for name, found in inside.items():
        assert abs(np.mean(found) - 0.95) <= 0.015, name


# --- false positives


@pytest.mark.parametrize(("n", "discordant"), [(1000, 0.25), (2000, 0.2), (3080, 0.15)])
def test_mcnemar_errs_in_5_percent(n: int, discordant: float) -> None:
    # Added up, not simulated. An exact test stays below 5 %: the fewer are discordant the further.
    assert abs(exact_power(n, 0.0, discordant) - 0.05) <= 0.01
    rng = np.random.default_rng(3)
    wolves, seen = 0, {}
    for won, lost, _ in rng.multinomial(n, [discordant / 2, discordant / 2, 1 - discordant], size=20_000):
        if (won, lost) not in seen:
            seen[won, lost] = mcnemar_exact(*pair_of(0, won, lost, 0)) < 0.05
        wolves += seen[won, lost]
    assert wolves / 20_000 == pytest.approx(exact_power(n, 0.0, discordant), abs=0.005)


def test_mcnemar_of_few_errs_less() -> None:
    for n in (40, 120, 240):
        assert exact_power(n, 0.0, 0.2) <= 0.05


def test_groups_that_stand_or_fall_together_are_no_proof() -> None:
    # 20 groups of 10 examples, each going to one contender at random: by example nearly always "significant".
    rng = np.random.default_rng(6)
    groups = [str(i // 10) for i in range(200)]
    by_example, by_group, covered = [], [], []
    for _ in range(5000):
        ours = np.repeat(rng.random(20) < 0.5, 10)
        by_example.append(mcnemar_exact(ours, ~ours) < 0.05)
        by_group.append(mcnemar_exact(ours, ~ours, groups=groups) < 0.05)
        _, low, high = paired_difference(ours, ~ours, groups=groups)
        covered.append(low <= 0 <= high)
    assert np.mean(by_example) > 0.3
    assert abs(np.mean(by_group) - 0.05) <= 0.01
    assert abs(np.mean(covered) - 0.95) <= 0.015


@pytest.mark.parametrize("groups", [None, 60])
@pytest.mark.parametrize("n", [60, 240, 1200])
@pytest.mark.usefixtures("few_draws")
def test_the_permutation_test_errs_in_5_percent(n: int, groups: int | None) -> None:
    rng = np.random.default_rng(12)
    names = None if groups is None else np.arange(n) % groups
    wolves = 0
    for seed in range(RUNS):
        both = rng.beta(2, 2, size=n)
        shared = 0.0 if groups is None else rng.normal(0, 0.1, groups)[np.arange(n) % groups]
        ours = both + shared + rng.normal(0, 0.1, n)
        wolves += compare_scores(ours, both + rng.normal(0, 0.1, n), groups=names, seed=seed)[3] < 0.05
    assert abs(wolves / RUNS - 0.05) <= 0.01


@pytest.mark.parametrize(("labels", "groups"), [(6, None), (6, 40), (77, None)])
@pytest.mark.usefixtures("few_draws")
def test_the_swap_test_of_macro_f1_errs_in_5_percent_and_sees_a_gain(labels: int, groups: int | None) -> None:
    rng = np.random.default_rng(7)
    n, null, real = 240, 0, []
    units = None if groups is None else np.arange(n) % groups
    for seed in range(RUNS):
        expected = rng.integers(labels, size=n)
        wanted = [str(i) for i in expected]
        # Each of the two has luck of its own in each group.
        luck = np.zeros((2, n)) if units is None else 0.5 * rng.standard_normal((2, groups))[:, units]
        a, same = (answers(rng, expected, expit(1.5 + one), labels) for one in luck)
        null += paired_f1_difference(a, same, wanted, groups=units, seed=seed)[3] < 0.05
        if seed < 300:
            worse = answers(rng, expected, expit(0.5 + luck[1]), labels)
            real.append(paired_f1_difference(a, worse, wanted, groups=units, seed=seed)[3] < 0.05)
    assert abs(null / RUNS - 0.05) <= 0.01
    assert np.mean(real) > 0.8


def test_of_several_equal_contenders_one_is_called_better_in_5_percent_at_most() -> None:
    rng = np.random.default_rng(13)
    wolves = 0
    for _ in range(5000):
        ours, *others = rng.random((6, 800)) < 0.8
        wolves += min(holm([mcnemar_exact(ours, other) for other in others])) < 0.05
    assert wolves / 5000 <= 0.05


# --- power


@pytest.mark.parametrize(("gain", "discordant", "alpha"), [(0.05, 0.2, 0.05), (0.1, 0.3, 0.05), (0.03, 0.06, 0.01)])
def test_the_power_is_as_computed(gain: float, discordant: float, alpha: float) -> None:
    n = examples_to_tell(gain, discordant, alpha=alpha)
    rng = np.random.default_rng(10)
    shown, seen = 0, {}
    shares = [(discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant]
    for won, lost, _ in rng.multinomial(n, shares, size=10_000):
        if (won, lost) not in seen:
            seen[won, lost] = mcnemar_exact(*pair_of(0, won, lost, 0)) < alpha
        shown += seen[won, lost]
    assert abs(shown / 10_000 - 0.8) <= 0.015


# --- p of signs


def test_p_goes_as_low_as_the_data_says() -> None:
    # 36 receipts, all a little better: one in 2^35.
    assert sign_p(np.full(36, 0.1)) < 0.00001
    assert sign_p(np.full(10, 0.1)) == 2 / 2**10


@pytest.mark.parametrize("shift", [0.0, 0.08, 0.13])
def test_p_of_many_signs_is_that_of_draws(shift: float) -> None:
    rng = np.random.default_rng(14)
    sums = rng.normal(shift, 1.0, 600) * rng.random(600)
    draws = np.abs((rng.random((40_000, 600)) < 0.5) @ (2 * sums) - sums.sum())
    drawn = np.mean(draws >= abs(sums.sum()))
    assert sign_p(sums) == pytest.approx(drawn, abs=4 * np.sqrt(drawn * (1 - drawn) / 40_000) + 2e-4)


# --- time


def test_100_000_predictions_of_ten_contenders_take_20_seconds_at_most() -> None:
    rng = np.random.default_rng(15)
    n = 100_000
    expected = [str(i) for i in rng.integers(77, size=n)]
    groups = [f"customer {i}" for i in rng.integers(40_000, size=n)]
    hits = rng.random((10, n)) < np.linspace(0.7, 0.8, 10)[:, None]
    predicted = [[e if hit else "3" for e, hit in zip(expected, row, strict=True)] for row in hits]
    scores = {f"s{i}": rng.beta(4, 2, size=n) for i in range(4)}
    begun = time.process_time()
    units = units_of(groups, n)
    for row, answered in zip(hits, predicted, strict=True):
        judged = Judged(tuple(answered), {"accuracy": row.astype(float), **scores})
        for name in (*judged.scores, "macro_f1"):
            summarise(judged, expected, name, units)
    for answered, row in zip(predicted[1:], hits[1:], strict=True):
        compare_scores(hits[0].astype(float), row.astype(float), groups=units)
        compare_scores(scores["s0"], rng.random(n), groups=units)
        paired_f1_difference(predicted[0], answered, expected, groups=units)
    label_results(predicted[0], expected, units)
    for row in hits:
        sure = np.clip(0.7 * row + 0.3 * rng.random(n), 0, 1)
        calibrator = fit_calibrator(sure[: n // 10], row[: n // 10], groups[: n // 10])
        told = Confidences(np.array([calibrator(c) for c in sure]), row, groups)
        reliability(told.sure, row, groups)
        for target in (0.02, 0.05, 0.1):
            certified_review("a", told, told, target)
    taken = time.process_time() - begun
    assert taken <= 20, f"{taken:.1f} s"
