"""How near in meaning texts are to the expected ones, by the embedded sentence encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import BaseFacts, Dataset, Example, ModelVersion, Prediction, canonical_hash
from inhouse.engine import ENCODER, find_spec, get_base, is_here
from inhouse.store import Workspace, predictions

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers

NAME = "similarity"
Floats = NDArray[np.float64]


def similarities(
    workspace: Workspace,
    version: ModelVersion,
    dataset: Dataset,
    given: Any,  # noqa: ANN401 - the type would import the models
    answers: Sequence[Answers],
) -> tuple[dict[str, Floats], tuple[BaseFacts, ...]]:
    """By the contender's name, the cosine of each text's vector and the expected one's, 0 to 1; no answer has 0.

    What was told of the same answer to the same example before is told again without asking the encoder. Nothing, with
    a note, where the encoder is not on this machine.

    Returns:
        the scores, and the facts of the encoder.
    """
    spec = find_spec(ENCODER)
    if given.task.kind != "generate":
        return {}, ()
    if not is_here(spec, workspace.settings):
        given.notes.append(f"{NAME} is left out: {ENCODER} is not on this machine (`inhouse models pull {ENCODER}`)")
        return {}, ()
    test = dataset.of("test")
    pairs = {
        _key(spec.sha256, e, p.target): (e, p.target)
        for one in answers
        for e, p in zip(test, one.test, strict=True)
        if p.target is not None
    }
    fresh = {key: pair for key, pair in pairs.items() if key not in given.known}
    for key, score in _cosines(workspace, given, fresh).items():
        given.known[key] = (Prediction(target=pairs[key][1], confidence=score).model_dump_json(), 0.0)
    known = {key: Prediction.model_validate_json(given.known[key][0]) for key in pairs}
    predictions.save(
        workspace,
        task=version.task,
        model_version=version.name,
        contender=NAME,
        dataset=dataset,
        examples=[example for example, _ in pairs.values()],
        splits=["test"] * len(pairs),
        answers=list(known.values()),
        keys=list(known),
    )
    scores = {
        one.name: np.array(
            [
                0.0 if p.target is None else known[_key(spec.sha256, e, p.target)].confidence
                for e, p in zip(test, one.test, strict=True)
            ]
        )
        for one in answers
    }
    facts = BaseFacts(name=spec.name, title=spec.title, parameters=spec.parameters, limits=spec.limits, used_by=(NAME,))
    return scores, (facts,)


def _cosines(workspace: Workspace, given: Any, pairs: Mapping[str, tuple[Example, str]]) -> dict[str, float]:  # noqa: ANN401
    """The cosine of answer and expected answer, by key; each different text is read once."""
    from inhouse.engine.encoder import SentenceEncoder

    if not pairs:
        return {}
    texts = list(dict.fromkeys(text for e, answer in pairs.values() for text in (e.target, answer)))
    bar = given.reporter.bar(NAME, len(texts))
    vectors = SentenceEncoder(get_base(ENCODER, workspace.settings).folder).embed(texts, bar.update)
    place = {text: i for i, text in enumerate(texts)}
    return {
        key: float(np.clip(vectors[place[e.target]] @ vectors[place[answer]], 0.0, 1.0))
        for key, (e, answer) in pairs.items()
    }


def _key(encoder: str, example: Example, answer: str | None) -> str:
    return canonical_hash([NAME, encoder, example.id, answer], 64)
