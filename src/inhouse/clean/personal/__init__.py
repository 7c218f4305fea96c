"""Personal data and secrets: what is looked for, where it stands, and what masks it."""

import inhouse.clean.personal.check  # noqa: F401 - registers the checks
from inhouse.clean.personal.found import KINDS, PLACEHOLDER, placeholder

__all__ = ["KINDS", "PLACEHOLDER", "placeholder"]
