"""What a person who labels is helped by: which record is next, and what its answer probably is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, Reporter, Task, render_input, spread
from inhouse.engine import find_spec, get_base, is_here
from inhouse.scoring.ngrams import main_directions, ngrams
from inhouse.scoring.teaching import margin_uncertainty, teaching_order
from inhouse.store import Workspace, registry
from inhouse.store.pool import PoolRecord

if TYPE_CHECKING:
    from inhouse.deploy.served import Served
    from inhouse.engine.encoder import SentenceEncoder

Floats = NDArray[np.float64]

# Unlabelled records, and examples, that are looked at, evenly spread: what is beyond teaches the same.
LOOKED_AT = 2000
# The classical contender's middle strength; too few examples are there to choose one by.
_STRENGTH = 10.0
# Letter n-grams are brought to this width where there is no encoder.
_WIDTH = 100
# Of how many times as many records as are wanted the ones are taken that the champion is least sure of.
_ASKED = 2
_LIKELY = 5


@dataclass(frozen=True, slots=True)
class Suggested:
    """What a model says of a record: an answer, how sure it is, who says so, and other likely labels.

    `draft` is what an editor begins with: the answer, or that of the example most like the record.
    """

    answer: str | None = None
    confidence: float | None = None
    by: str = ""
    likely: tuple[str, ...] = ()
    draft: str = ""


class Advisor:
    """Chooses and suggests; models and vectors are kept from one call to the next.

    The champion suggests, where there is one; else, of labels, the classical contender, which learns from each answer:
    sentence embeddings, or letter n-grams where no encoder is here, with logistic regression.
    """

    def __init__(self, workspace: Workspace, task: Task, reporter: Reporter) -> None:
        self._workspace, self._task, self._reporter = workspace, task, reporter
        self._champion: Served | None = None
        self._asked = False
        self._encoder: SentenceEncoder | None = None
        self._known: dict[str, NDArray[np.float32]] = {}

    def next_records(
        self, records: Sequence[PoolRecord], examples: Sequence[Example], count: int
    ) -> list[tuple[PoolRecord, Suggested]]:
        """The `count` records that teach most, the first one most, each with what is suggested.

        Args:
            records: of the pool, without an answer.
            examples: what is labelled so far.
        """
        records, examples = spread(records, LOOKED_AT), spread(examples, LOOKED_AT)
        if not records:
            return []
        champion = self._open_champion()
        texts = [render_input(one.inputs) for one in records]
        vectors = self._vectors([*texts, *(render_input(e.inputs) for e in examples)])
        ours, labelled = vectors[: len(records)], vectors[len(records) :]
        labels, chances = self._chances(ours, labelled, examples)
        judged = chances is not None or champion is None
        order = teaching_order(
            ours,
            labelled,
            count if judged else _ASKED * count,
            None if chances is None else margin_uncertainty(chances),
        )
        told = [
            _by_linear(labels, chances[i])
            if chances is not None
            else Suggested(draft=_draft(ours[i], labelled, examples))
            for i in order
        ]
        if champion is not None:
            told = _by_champion(champion, [records[i] for i in order], told)
            if not judged:
                sure = [1.0 if one.confidence is None else one.confidence for one in told]
                places = sorted(range(len(order)), key=lambda place: sure[place])[:count]
                order, told = [order[p] for p in places], [told[p] for p in places]
        return [(records[i], one) for i, one in zip(order, told, strict=True)]

    def close(self) -> None:
        """Free the champion."""
        if self._champion is not None:
            self._champion.close()

    def _open_champion(self) -> Served | None:
        if not self._asked:
            self._asked = True
            if registry.alias_number(self._workspace, self._task.name, registry.CHAMPION) is not None:
                from inhouse.deploy import open_served

                version = registry.find_version(self._workspace, self._task.name, registry.CHAMPION)
                self._reporter.say(f"suggestions: {version.name}, the champion")
                self._champion = open_served(self._workspace, version)
        return self._champion

    def _chances(
        self, ours: Floats, labelled: Floats, examples: Sequence[Example]
    ) -> tuple[tuple[str, ...], Floats | None]:
        """The labels, and the chance of each by record; None where there is nothing to learn them from."""
        targets = [e.target for e in examples]
        if self._task.kind != "classify" or len(set(targets)) < 2:
            return (), None
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(labelled, targets)
        return tuple(map(str, model.classes_)), np.asarray(model.predict_proba(ours), np.float64)

    def _vectors(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts, by the task's encoder or, where it is not here, by their n-grams."""
        spec = find_spec(self._task.encoder_model)
        if not is_here(spec, self._workspace.settings):
            return main_directions(ngrams(texts, words=False, least=1), _WIDTH)
        if self._encoder is None:
            from inhouse.engine.encoder import SentenceEncoder

            self._encoder = SentenceEncoder(get_base(self._task.encoder_model, self._workspace.settings).folder)
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            bar = self._reporter.bar("reading the records", len(new))
            self._known.update(zip(new, self._encoder.embed(new, bar.update), strict=True))
        return np.stack([self._known[text] for text in texts]).astype(np.float64)


def _by_linear(labels: Sequence[str], chances: Floats) -> Suggested:
    best = np.argsort(-chances, kind="stable")[:_LIKELY]
    likely = tuple(labels[i] for i in best)
    return Suggested(likely[0], float(chances[best[0]]), "the classical contender", likely, likely[0])


def _by_champion(champion: Served, records: Sequence[PoolRecord], told: Sequence[Suggested]) -> list[Suggested]:
    """What the champion says in the place of the first answer; an answer with a fault is a draft alone."""
    found = []
    for answered, before in zip(champion.answer([one.inputs for one in records]), told, strict=True):
        prediction = answered.prediction
        if prediction.target is None or prediction.error:
            draft = prediction.target or before.draft
            found.append(Suggested(None, 0.0, champion.version.name, before.likely, draft))
            continue
        target = prediction.target
        likely = tuple(dict.fromkeys((target, *before.likely)))[:_LIKELY] if before.likely else ()
        found.append(Suggested(target, prediction.confidence, champion.version.name, likely, target))
    return found


def _draft(vector: Floats, labelled: Floats, examples: Sequence[Example]) -> str:
    """The target of the example most like a record; empty where there is none."""
    return str(examples[int(np.argmax(labelled @ vector))].target) if len(examples) else ""
