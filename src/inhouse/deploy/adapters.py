"""What answers of a causal version: its GGUF file in an engine of this machine, or its adapter in vLLM."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from inhouse.core import ModelVersion, Recipe
from inhouse.engine.choice import VLLM, open_engine
from inhouse.engine.protocol import StreamingEngine
from inhouse.engine.vllm_engine import Adapter, VllmEngine
from inhouse.store import Workspace, disk_guard

ADAPTER = ".safetensors"


def open_weights(
    workspace: Workspace, version: ModelVersion, gguf: Path, end_of_turn: int, *, apart: bool = False
) -> StreamingEngine:
    """Load what a version answers with.

    Args:
        gguf: its file, for engines that read one.
        apart: see `open_engine`.

    Raises:
        ModelUnavailable, ConfigError, OutboundForbidden
    """
    if version.engine == VLLM:
        return VllmEngine(workspace.settings, end_of_turn, _adapter_of(workspace, version))
    threads = workspace.settings.threads
    return open_engine(version.engine, gguf, end_of_turn, threads=threads, exact=version.exact, apart=apart)


def _adapter_of(workspace: Workspace, version: ModelVersion) -> Adapter | None:
    """A version's adapter in a folder as PEFT and vLLM read it; None of the untrained base."""
    sha256 = version.adapter_sha256
    if not sha256:
        return None
    folder = workspace.paths.adapter(sha256)
    if not folder.is_dir():
        _write(workspace, version, folder)
    return Adapter(f"inhouse-{sha256[:24]}", folder)


def _write(workspace: Workspace, version: ModelVersion, folder: Path) -> None:
    from inhouse.engine.lora import read_adapter, write_adapter

    recipe = Recipe.model_validate(version.lineage["recipe"])
    state = read_adapter(workspace.blobs.path(version.adapter_sha256, ADAPTER))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with disk_guard(folder.parent), tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as name:
        part = Path(name) / "adapter"
        write_adapter(part, state, rank=recipe.rank, alpha=recipe.alpha, base=recipe.base_model, method=recipe.method)
        with suppress(OSError):  # another process was quicker
            part.rename(folder)
