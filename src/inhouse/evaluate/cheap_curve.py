"""What more examples would bring, by a model that trains in a second."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from inhouse.core import canonical_hash
from inhouse.evaluate.contenders import Field
from inhouse.scoring import LearningCurve, learning_curve

# Shares of the training examples, as 1 in so many; the curve is read off at twice as many as there are.
PARTS = (4, 2, 1)
STRENGTH = 10.0
CURVE_OF = "sentence embeddings with a linear model"


def cheap_curve(given: Field, judged_by: Literal["validation", "test"]) -> LearningCurve | None:
    """The learning curve of `embedding-linear`, judged by the field's validation or test questions.

    Groups join in an order fixed by content. None where there are no labels, or a share has fewer than two of them.
    """
    from sklearn.linear_model import LogisticRegression

    questions = given.validation if judged_by == "validation" else given.test
    if given.task.kind != "classify" or not questions:
        return None
    train, asked = given.embeddings
    edge = len(given.validation)
    asked = asked[:edge] if judged_by == "validation" else asked[edge:]
    wanted = np.array([e.target for e in questions])
    targets = np.array([e.target for e in given.train])
    order = np.argsort([canonical_hash(e.group) for e in given.train], kind="stable")
    counts, scores = [], []
    for part in PARTS:
        some = order[: len(order) // part]
        if len(set(targets[some])) < 2:
            return None
        with warnings.catch_warnings():  # a share may well have an example or two of each label
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
            model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(train[some], targets[some])
        counts.append(len(some))
        scores.append((model.predict(asked) == wanted).astype(float))
    return learning_curve(counts, np.array(scores), [2 * counts[-1]])
