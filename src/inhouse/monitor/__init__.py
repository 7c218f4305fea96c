"""Is the served model still good: quality from feedback, drift against the reference, and what to do next.

Pure functions over core types and numpy arrays; the pipeline fetches traces and makes the embeddings.
"""

from inhouse.monitor.decision import (
    ENOUGH_CORRECTIONS,
    MIN_JUDGED,
    decide,
)
from inhouse.monitor.drift import ALPHA, MIN_REQUESTS, family, input_drift, output_drift
from inhouse.monitor.quality import quality

__all__ = [
    "ALPHA",
    "ENOUGH_CORRECTIONS",
    "MIN_JUDGED",
    "MIN_REQUESTS",
    "decide",
    "family",
    "input_drift",
    "output_drift",
    "quality",
]
