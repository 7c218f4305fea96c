"""From what was trained to a served file: the parity gate, and the loaded model that answers."""

from inhouse.deploy.asking import LIKELIEST, Ask, Options, Piece, conversation_of, inputs_of, prompt_of
from inhouse.deploy.dispatch import Chosen, Dispatcher
from inhouse.deploy.fallback import Fallbacks, Fell
from inhouse.deploy.opening import open_served
from inhouse.deploy.parity import MIN_AGREEMENT, MIN_LABELS, MIN_TOKENS, compare, compare_labels, known_part
from inhouse.deploy.runtime import Runtime
from inhouse.deploy.served import Answered, Served, ServedModel, form_of
from inhouse.deploy.served_classifier import ServedClassifier
from inhouse.deploy.token_chances import TokenChance
from inhouse.deploy.version_files import is_classifier

__all__ = [
    "LIKELIEST",
    "MIN_AGREEMENT",
    "MIN_LABELS",
    "MIN_TOKENS",
    "Answered",
    "Ask",
    "Chosen",
    "Dispatcher",
    "Fallbacks",
    "Fell",
    "Options",
    "Piece",
    "Runtime",
    "Served",
    "ServedClassifier",
    "ServedModel",
    "TokenChance",
    "compare",
    "compare_labels",
    "conversation_of",
    "form_of",
    "inputs_of",
    "is_classifier",
    "known_part",
    "open_served",
    "prompt_of",
]
