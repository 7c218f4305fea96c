"""The contenders: everything that could answer the task, asked the same questions."""

from importlib import import_module

from inhouse.evaluate.contenders.registry import CONTENDERS, Answers, Contender, Field, contender

# Each registers its contenders. Their order is that of reports, and the first of equals stands for its side.
for _module in ("tuned", "prompting", "classical", "floor"):
    import_module(f"{__name__}.{_module}")

from inhouse.evaluate.contenders.asking import ask_all, contenders_of  # noqa: E402 - imports prompting

__all__ = ["CONTENDERS", "Answers", "Contender", "Field", "ask_all", "contender", "contenders_of"]
