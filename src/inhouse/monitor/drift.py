"""Drift: do the requests, or the answers, of the window differ from the reference beyond chance?

Both tests are permutation tests: they hold their error rate at any size and for any number of labels. An alarm
asks for `ALPHA` = 0.01 over the two together (Holm), not the usual 0.05: monitoring is repeated, and at 0.05 a
weekly look would cry wolf two or three times a year, at 0.01 once in two years. Each side is cut to 500 drawn at
random: a change that 500 requests do not show is too small to act on, and with a hundred thousand requests any
trifle would be significant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.core import DriftSignal
from inhouse.scoring import MAX_PER_SIDE, holm, permutation_p, shares_differ

Floats = NDArray[np.float64]

ALPHA = 0.01
MIN_REQUESTS = 20
MAX_EXAMPLES = 5
NO_ANSWER = "(no answer)"
_TIE = 1e-9


def input_drift(
    reference: NDArray[np.floating],
    window: NDArray[np.floating],
    texts: Sequence[str],
    *,
    seed: int = 0,
    permutations: int = 500,
) -> DriftSignal | None:
    """Kernel two-sample test on embeddings of the requests (MMD, Gretton et al., JMLR 13, 2012).

    The unbiased squared maximum mean discrepancy with the kernel exp(-d²/median of d²) (the median heuristic);
    its p-value from random relabelling. The kernel matrix is made once, and every permutation is one column of a
    matrix product (0.1 s for 500 against 500).

    Args:
        reference: embeddings [n, d] of what the model was evaluated on.
        window: embeddings [m, d] of the served requests.
        texts: the m requests; up to five of those least like the reference come back as examples.

    Returns:
        The signal, or None with fewer than `MIN_REQUESTS` on either side: too few to tell.

    Raises:
        ValueError: the shapes do not fit together.
    """
    _check_shapes(reference, window, texts)
    if min(len(reference), len(window)) < MIN_REQUESTS:
        return None
    rng = np.random.default_rng(seed)
    ours, theirs = _draw(len(reference), rng), _draw(len(window), rng)
    n = len(ours)
    kernel = _kernel(np.concatenate([reference[ours], window[theirs]]).astype(np.float64))
    observed = _mmd(kernel, _members(np.arange(len(kernel))[:, None], n))
    shuffled = rng.permuted(np.tile(np.arange(len(kernel))[:, None], permutations), axis=0)
    p_value = permutation_p(float(observed[0]), _mmd(kernel, _members(shuffled, n)))
    witness = kernel[n:, :n].mean(axis=1) - kernel[n:, n:].mean(axis=1)
    strangest = dict.fromkeys(texts[theirs[i]] for i in np.argsort(witness, kind="stable"))
    return _signal("input", float(observed[0]), p_value, list(strangest))


def output_drift(
    reference_labels: Sequence[str | None],
    window_labels: Sequence[str | None],
    *,
    seed: int = 0,
    permutations: int = 2000,
) -> DriftSignal | None:
    """Permutation test of the chi-square statistic on the shares of the answers.

    The reference should be answers of the same model (on its test examples), not the true labels: a model that
    errs towards one label is no drift. Permuted counts are drawn from their exact distribution, the multivariate
    hypergeometric one, so that the test holds for many rare labels. None counts as a label of its own.

    Returns:
        The signal with up to five labels whose share changed most ("card_arrival: 2 % -> 19 %"), or None with
        fewer than `MIN_REQUESTS` on either side.
    """
    if min(len(reference_labels), len(window_labels)) < MIN_REQUESTS:
        return None
    before, after = Counter(map(_named, reference_labels)), Counter(map(_named, window_labels))
    statistic, p_value = shares_differ(before, after, seed=seed, permutations=permutations)
    return _signal("output", statistic, p_value, _changes(before, after))


def family(*signals: DriftSignal | None) -> tuple[DriftSignal, ...]:
    """The signals that could be tested, with Holm-adjusted p-values; drifted where that is under `ALPHA`."""
    tested = [s for s in signals if s is not None]
    adjusted = holm([s.p_value for s in tested])
    return tuple(
        s.model_copy(update={"p_value": p, "drifted": p < ALPHA}) for s, p in zip(tested, adjusted, strict=True)
    )


def _check_shapes(reference: NDArray[np.floating], window: NDArray[np.floating], texts: Sequence[str]) -> None:
    shapes = f"reference {reference.shape}, window {window.shape}, {len(texts)} texts"
    if reference.ndim != 2 or window.ndim != 2 or reference.shape[1] != window.shape[1]:
        raise ValueError(f"two arrays [n, d] with the same d are needed: {shapes}")
    if len(texts) != len(window):
        raise ValueError(f"there must be one text per row of the window: {shapes}")


def _draw(size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most `MAX_PER_SIDE` of `size` positions, in order."""
    if size <= MAX_PER_SIDE:
        return np.arange(size)
    return np.sort(rng.choice(size, MAX_PER_SIDE, replace=False))


def _kernel(points: Floats) -> Floats:
    """RBF kernel [n, n] exp(-d²/median of d²), with a diagonal of 0 (for the unbiased estimate)."""
    norms = np.square(points).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms[None, :] - 2.0 * points @ points.T, 0.0)
    apart = squared[np.triu_indices(len(points), k=1)]
    apart = apart[apart > _TIE * norms.max()]  # twins, up to rounding, say nothing about the width
    width = float(np.median(apart)) if len(apart) else 1.0
    kernel: Floats = np.exp(-squared / width)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _members(order: NDArray[np.intp], n: int) -> Floats:
    """Indicators [points, permutations] of the n points that each permutation calls reference."""
    return (order < n).astype(np.float64)


def _mmd(kernel: Floats, members: Floats) -> Floats:
    """Unbiased MMD² [permutations] of the points in `members` [points, permutations] against the rest."""
    n = float(members[:, 0].sum())
    m = len(kernel) - n
    within = np.einsum("ip,ip->p", members, kernel @ members)
    across = kernel.sum(axis=1) @ members - within
    rest = kernel.sum() - within - 2.0 * across
    mmd: Floats = within / (n * (n - 1)) + rest / (m * (m - 1)) - 2.0 * across / (n * m)
    return mmd


def _signal(name: str, statistic: float, p_value: float, examples: Sequence[str]) -> DriftSignal:
    return DriftSignal(
        signal=name,
        statistic=statistic,
        p_value=p_value,
        drifted=p_value < ALPHA,
        examples=tuple(examples[:MAX_EXAMPLES]),
    )


def _named(label: str | None) -> str:
    return NO_ANSWER if label is None else label


def _changes(before: Counter[str], after: Counter[str]) -> list[str]:
    """Labels by the size of their change, as text."""
    shares = [(x, before[x] / before.total(), after[x] / after.total()) for x in sorted(before | after)]
    shares.sort(key=lambda s: -abs(s[2] - s[1]))
    return [f"{label}: {_change(old, new)}" for label, old, new in shares if old != new]


def _change(old: float, new: float) -> str:
    """`2 % -> 19 %`, with a decimal where whole percents would look alike."""
    digits = 1 if abs(new - old) < 0.01 else 0
    return f"{100 * old:.{digits}f} % -> {100 * new:.{digits}f} %"
