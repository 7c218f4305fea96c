"""Which answers a person should look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.errors import EngineFault

MIN_ACCEPTED = 10
EVERYTHING_TO_A_PERSON = 1.01


def review_threshold(
    confidences: Sequence[float] | NDArray[np.float64],
    right: Sequence[bool] | NDArray[np.bool_],
    target_accuracy: float,
) -> float:
    """The smallest confidence from which on answers may go out unseen.

    An answer is accepted if its confidence is at least the threshold. Of all confidences seen on validation, the
    smallest is taken at which the accepted answers are right often enough, by point estimate; so nothing less sure
    than anything validated is accepted. At least `MIN_ACCEPTED` answers must be accepted: one sure and right
    answer proves nothing, and where fewer are, everything goes to a person.

    Args:
        confidences: of the answers to the validation examples, 0 to 1.
        right: whether each is right, in the same order.
        target_accuracy: the share of accepted answers that must be right, 0 to 1.

    Returns:
        A confidence, or 1.01 where no threshold reaches the target.

    Raises:
        EngineFault: if a confidence is not a number.
        ValueError: if the lengths differ.
    """
    sure, hit = np.asarray(confidences, dtype=float), np.asarray(right, dtype=bool)
    if sure.shape != hit.shape:
        raise ValueError(f"{len(sure)} confidences for {len(hit)} answers")
    if np.isnan(sure).any():
        raise EngineFault("a confidence is not a number", "report this with the engine's name")
    order = np.argsort(-sure, kind="stable")
    sure, accepted = sure[order], np.arange(1, len(sure) + 1)
    # Answers that are equally sure are accepted together, so only the last of them is a place to stop.
    last = np.append(sure[1:] < sure[:-1], True)[: len(sure)]
    # In counts, with room for rounding: 19 of 20 is 0.95.
    enough = np.cumsum(hit[order]) >= target_accuracy * accepted - 1e-9
    good = sure[last & enough & (accepted >= MIN_ACCEPTED)]
    return float(good[-1]) if len(good) else EVERYTHING_TO_A_PERSON
