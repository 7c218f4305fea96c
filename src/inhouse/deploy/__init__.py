"""From what was trained to a served file: the parity gate, and the loaded model that answers."""

from inhouse.deploy.parity import MIN_AGREEMENT, MIN_LABELS, MIN_TOKENS, compare, compare_labels
from inhouse.deploy.served import Answered, Served, ServedClassifier, ServedModel, form_of, open_served

__all__ = [
    "MIN_AGREEMENT",
    "MIN_LABELS",
    "MIN_TOKENS",
    "Answered",
    "Served",
    "ServedClassifier",
    "ServedModel",
    "compare",
    "compare_labels",
    "form_of",
    "open_served",
]
