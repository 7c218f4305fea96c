"""How much memory a loaded model takes, reckoned from its files before it is known how much it will be used."""

from __future__ import annotations

from pathlib import Path

from inhouse.engine.choice import VLLM
from inhouse.engine.openvino_engine import cache_blocks

# Measured on SmolLM2-135M (docs/log.md): 370 MiB were its weights of 138 MiB, 440 MiB its full cache of 270 MiB; a
# process of its own with the libraries has some 100 MiB before.
_PROCESS = 128 * 2**20
_WEIGHTS, _CACHE = 2.5, 1.5


def size_of_model(engine: str, gguf: Path, *, exact: bool) -> int:
    """Bytes of a causal model with a full cache; 0 where another server holds it."""
    if engine == VLLM:
        return 0
    blocks, block = cache_blocks(gguf, exact=exact)
    return int(_PROCESS + _WEIGHTS * gguf.stat().st_size + _CACHE * blocks * block)


def size_of_files(*files: Path) -> int:
    """Bytes of a classifier whose weights are in these files."""
    return int(_PROCESS + _WEIGHTS * sum(file.stat().st_size for file in files))
