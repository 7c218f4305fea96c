"""Training: a plan with its reasons, then the loop. `inhouse.train.loop` imports torch; this package does not."""

from inhouse.train.encoder_needs import encoder_memory_needed
from inhouse.train.encoder_plan import BATCH as ENCODER_BATCH
from inhouse.train.encoder_plan import MAX_TOKENS as ENCODER_MAX_TOKENS
from inhouse.train.encoder_plan import make_encoder_plan, make_encoder_recipe
from inhouse.train.heap import roomy_heap, tidy_heap
from inhouse.train.interrupt import finishing_the_step
from inhouse.train.needs import (
    BYTES_SERVED,
    GIB,
    KEPT_UP_TO,
    Shape,
    comparing_needed,
    disk_needed,
    memory_needed,
    version_size,
)
from inhouse.train.plan import (
    MAX_TOKENS,
    MIN_PAIRS,
    RANK,
    TOKENS_AT_ONCE,
    Encoded,
    Plan,
    answer_tokens_of,
    encode,
    learns_pairs,
    looked_at,
    make_plan,
    make_recipe,
    max_tokens_of,
    steps_per_epoch,
    usual_rate,
    within_minutes,
)
from inhouse.train.trimming import fit_trimming, kept_share, task_words

__all__ = [
    "BYTES_SERVED",
    "ENCODER_BATCH",
    "ENCODER_MAX_TOKENS",
    "GIB",
    "KEPT_UP_TO",
    "MAX_TOKENS",
    "MIN_PAIRS",
    "RANK",
    "TOKENS_AT_ONCE",
    "Encoded",
    "Plan",
    "Shape",
    "answer_tokens_of",
    "comparing_needed",
    "disk_needed",
    "encode",
    "encoder_memory_needed",
    "finishing_the_step",
    "fit_trimming",
    "kept_share",
    "learns_pairs",
    "looked_at",
    "make_encoder_plan",
    "make_encoder_recipe",
    "make_plan",
    "make_recipe",
    "max_tokens_of",
    "memory_needed",
    "roomy_heap",
    "steps_per_epoch",
    "task_words",
    "tidy_heap",
    "usual_rate",
    "version_size",
    "within_minutes",
]
