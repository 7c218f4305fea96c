"""From adapter to a served file: packaging, the parity gate, and the loaded model that answers."""

from inhouse.deploy.parity import MIN_AGREEMENT, MIN_TOKENS, compare
from inhouse.deploy.served import Answered, ServedModel, form_of

__all__ = ["MIN_AGREEMENT", "MIN_TOKENS", "Answered", "ServedModel", "compare", "form_of"]
