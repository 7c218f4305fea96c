"""Training: a plan with its reasons, then the loop. `inhouse.train.loop` imports torch; this package does not."""

from inhouse.train.heap import roomy_heap
from inhouse.train.plan import (
    Encoded,
    Plan,
    answer_tokens_of,
    encode,
    make_plan,
    make_recipe,
    max_tokens_of,
    measure_flops,
)

__all__ = [
    "Encoded",
    "Plan",
    "answer_tokens_of",
    "encode",
    "make_plan",
    "make_recipe",
    "max_tokens_of",
    "measure_flops",
    "roomy_heap",
]
