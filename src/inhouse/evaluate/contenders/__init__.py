"""The contenders: everything that could answer the task, asked the same questions."""

from importlib import import_module

from inhouse.evaluate.contenders.registry import CONTENDERS, Answers, Asked, Contender, Field, contender

# Each registers its contenders. Their order is that of reports, and the first of equals stands for its side.
for _module in ("tuned", "prompting", "searching", "retrieving", "classical", "floor"):
    import_module(f"{__name__}.{_module}")

from inhouse.evaluate.contenders.asking import (  # noqa: E402 - imports prompting
    UNASKED,
    TimeBudget,
    ask_all,
    contenders_of,
    require_contenders,
    value_on_validation,
)
from inhouse.evaluate.contenders.tuned import SHOWN_EXAMPLES  # noqa: E402

__all__ = [
    "CONTENDERS",
    "SHOWN_EXAMPLES",
    "UNASKED",
    "Answers",
    "Asked",
    "Contender",
    "Field",
    "TimeBudget",
    "ask_all",
    "contender",
    "contenders_of",
    "require_contenders",
    "value_on_validation",
]
