"""How the answers of a task are judged: by the metrics of its kind, and by scorers of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inhouse.core import Example, Task
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.judge import Judged, judge
from inhouse.scoring.own import OwnScorer


@dataclass(frozen=True)
class Judging:
    """Judges answers, one per example.

    Args:
        facts: finds facts in texts; without it, what asks for facts is left out.
        own: scorers of the user's own.
    """

    task: Task
    facts: FactFinder | None = None
    own: tuple[OwnScorer, ...] = ()

    def __call__(self, examples: Sequence[Example], answers: Sequence[str | None]) -> Judged:
        """Every metric of every answer; None is no answer, and scores 0.

        Raises:
            InputError: a scorer of the user's own failed, or gave no number from 0 to 1.
            ValueError: the lengths differ.
        """
        judged = judge(self.task, examples, answers, self.facts)
        return judged.with_scores(
            {
                one.name: np.array([one.score(e, a) for e, a in zip(examples, answers, strict=True)], dtype=float)
                for one in self.own
            }
        )
