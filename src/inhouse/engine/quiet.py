"""Keeps the model libraries silent and at home; imported before any of them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

from inhouse.errors import ModelUnavailable


def settle() -> None:
    """Switch the libraries' telemetry, progress bars and hub look-ups off for this process."""
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
    }.items():
        os.environ.setdefault(name, value)
    # `import openvino` reports itself to a web analytics service through this package, asking nobody; where the
    # package cannot be imported, openvino takes a stub of its own.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def settle_transformers() -> None:
    """As `settle`, and for transformers once it is imported."""
    settle()
    with warnings.catch_warnings():
        # transformers deprecates parts of itself while it is being imported; nothing that a user could act on.
        warnings.simplefilter("ignore")
        from transformers.utils import logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()


@contextmanager
def transformers_reads(what: str, remedy: str, file: Path) -> Iterator[None]:
    """While transformers reads a model that we did not make: no progress bar, and any failure told as one of the file.

    Raises:
        ModelUnavailable: transformers cannot read `what`.
    """
    try:
        with redirect_stderr(StringIO()):  # a progress bar that obeys no switch
            yield
    except Exception as error:  # three libraries at work, and none says what it raises
        told = " ".join(str(error).split())[:200]
        raise ModelUnavailable(
            f"transformers cannot read {what}: {type(error).__name__}: {told}", remedy, file=file
        ) from error
