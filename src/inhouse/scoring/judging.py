"""How the answers of a task are judged: by the metrics of its kind, and by scorers of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inhouse.core import Example, Prediction, Task
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.judge import Judged, judge
from inhouse.scoring.own import OwnScorer
from inhouse.scoring.units import some_of


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

    def __call__(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> Judged:
        """Every metric of every answer. No answer scores 0, and a question that was not asked nothing (nan).

        Raises:
            InputError: a scorer of the user's own failed, or gave no number from 0 to 1.
            ValueError: the lengths differ.
        """
        asked = np.array([p.asked for p in predictions], dtype=bool)
        if asked.all():
            return self._judged(examples, [p.target for p in predictions])
        found = self._judged(some_of(examples, asked), [p.target for p in predictions if p.asked])
        scores = {name: np.full(len(asked), np.nan) for name in found.scores}
        for name, those in found.scores.items():
            scores[name][asked] = those
        return Judged(tuple(p.target for p in predictions), scores, asked)

    def _judged(self, examples: Sequence[Example], answers: Sequence[str | None]) -> Judged:
        judged = judge(self.task, examples, answers, self.facts)
        return judged.with_scores(
            {
                one.name: np.array([one.score(e, a) for e, a in zip(examples, answers, strict=True)], dtype=float)
                for one in self.own
            }
        )
