"""Personal data and secrets: what is looked for, where it stands, and what masks it."""

import inhouse.clean.personal.check  # noqa: F401 - registers the checks
from inhouse.clean.personal.found import HIDDEN, KINDS, PLACEHOLDER, hidden, placeholder
from inhouse.clean.personal.look import personal

__all__ = ["HIDDEN", "KINDS", "PLACEHOLDER", "hidden", "personal", "placeholder"]
