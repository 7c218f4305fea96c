"""Which kind of model a version is, and what its own file is called."""

from __future__ import annotations

from inhouse.core import ModelVersion
from inhouse.engine.classifier import ENGINE
from inhouse.engine.linear_archive import LINEAR_ENGINE
from inhouse.store.registry import WEIGHTS

GGUF = ".gguf"
CLASSIFIER = ".classifier"
PROMPT = ".prompt"


def suffix_of(version: ModelVersion) -> str:
    """How a version's own file ends among the blobs: weights, or a prompt."""
    if is_classifier(version):
        return CLASSIFIER
    return PROMPT if is_prompted(version) or is_shown_shots(version) else GGUF


def is_classifier(version: ModelVersion) -> bool:
    """Whether a version is no language model: it writes no tokens."""
    return version.engine in (ENGINE, LINEAR_ENGINE)


def is_prompted(version: ModelVersion) -> bool:
    """Whether a version is the untrained base with a prompt."""
    return "prompted" in version.lineage


def is_shown_shots(version: ModelVersion) -> bool:
    """Whether a version is a fine-tuned causal model that is shown solved examples; its weights are another's."""
    return WEIGHTS in version.lineage
