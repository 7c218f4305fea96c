"""`doctor` and `models`: what this machine has, what is missing and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from inhouse.core import DEFAULT_BASE, Reporter, Silent
from inhouse.engine import BaseSpec, catalogue, get_base, is_here, location
from inhouse.engine.bases import hub_catalogue, pulled_bases
from inhouse.pipeline.room import (
    causal_memory,
    family_is_fused,
    four_bits,
    free_for,
    on_gpu,
    precision_here,
    way_that_fits,
    ways_to_train,
    with_comparing,
)
from inhouse.store import Settings
from inhouse.train import ENCODER_BATCH, ENCODER_MAX_TOKENS, GIB, MAX_TOKENS, TOKENS_AT_ONCE, encoder_memory_needed

# What an encoder's training takes grows with the examples that its head is fitted to.
SUPPOSED_EXAMPLES = 1000


@dataclass(frozen=True)
class Check:
    """One thing looked at: how it stands, and how to mend it."""

    name: str
    ok: bool
    value: str
    remedy: str = ""


@dataclass(frozen=True)
class Checkup:
    """What `doctor` saw; `ready` when no library is missing, and offline no base model."""

    ready: bool
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"ready": self.ready, "checks": [asdict(c) for c in self.checks]}


_NEEDED = {
    "torch": "training",
    "transformers": "training",
    "tokenizers": "rendering prompts",
    "gguf": "writing model files",
    "openvino_genai": "evaluating and serving (engine openvino-genai)",
    "xllamacpp": "evaluating and serving (engine xllamacpp)",
    "fastapi": "serve",
    "uvicorn": "serve",
    "altair": "reports",
    "vl_convert": "reports",
}


def doctor(settings: Settings) -> Checkup:
    """Look at cores, bf16, memory, disk, GPU, engines and base models."""
    libraries = _libraries()
    models = _models(settings)
    ready = all(c.ok for c in libraries) and (not settings.offline or all(c.ok for c in models))
    return Checkup(ready=ready, checks=(*_hardware(settings), *libraries, *models))


def _hardware(settings: Settings) -> list[Check]:
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(_existing(settings))
    base = catalogue()[DEFAULT_BASE]
    needed, free = _memory_needed(base), free_for(base.kind)
    enough = free >= needed
    takes = f"training {base.name} takes {needed / GIB:.1f} GiB with examples of {MAX_TOKENS:,} tokens"
    checks = [
        Check("cores", cores >= 2, f"{cores} usable", "" if cores >= 2 else "training will be slow on one core"),
        Check(
            "memory",
            enough,
            f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f}; {takes}{_on_gpu(free)}",
            "" if enough else "close other programs, or set a smaller `train.max_tokens` in task.toml",
        ),
        Check(
            "disk",
            disk.free > 2 * 2**30,
            f"{disk.free / 2**30:.1f} GiB free for base models",
            "" if disk.free > 2 * 2**30 else "free some space, or set `models_dir` in inhouse.toml",
        ),
    ]
    if importlib.util.find_spec("torch") is None:
        return checks
    import torch

    from inhouse.engine.torch_model import best_precision, cpu_has_bf16

    bf16 = best_precision() == "bfloat16"
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none (none is needed)"
    slow = "there, but float32 is faster here" if cpu_has_bf16() else "no: training runs in float32"
    speed = "yes" if bf16 else slow
    return [*checks, Check("bf16", bf16, speed), Check("gpu", True, gpu)]


def _existing(settings: Settings) -> str:
    folder = settings.models_dir.expanduser()
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def _libraries() -> list[Check]:
    checks = []
    for module, purpose in _NEEDED.items():
        here = importlib.util.find_spec(module) is not None
        remedy = "" if here else f'for {purpose}: pip install "inhouse[all]"'
        checks.append(Check(module, here, "installed" if here else "missing", remedy))
    return checks


def _models(settings: Settings) -> list[Check]:
    checks = []
    for spec in catalogue().values():
        here = is_here(spec, settings)
        checks.append(
            Check(
                f"model {spec.name}",
                here,
                str(location(spec, settings)) if here else "not on this machine yet",
                "" if here else f"inhouse models pull {spec.name} (or it is fetched when first needed)",
            )
        )
    return checks


def list_models(settings: Settings) -> list[dict[str, Any]]:
    """The base models that inhouse knows and whether they are here, then others of the hub that were pulled.

    `memory_gib` is what training takes here, in the numbers and by the way that `train` would choose, with examples of
    a thousand tokens (of an encoder, as long as it reads), and `fits` whether this machine has it free; both are None
    where the model's shape is not known.
    """
    specs = (*catalogue().values(), *hub_catalogue().values())
    known = [(spec, location(spec, settings), True) for spec in specs]
    pulled = [
        (base.shape, base.folder, base.spec.kind == "encoder" or family_is_fused(base.folder, MAX_TOKENS))
        for base in pulled_bases(settings)
        if base.spec.name not in {spec.name for spec in specs}
    ]
    return [
        {
            "name": s.name,
            "kind": s.kind,
            "title": s.title,
            "parameters": s.parameters,
            "licence": s.licence,
            "context": s.context or None,
            "languages": s.languages,
            **_room(s, fused=fused),
            "here": is_here(s, settings),
            "folder": str(folder),
            "limits": s.limits,
        }
        for s, folder, fused in [*known, *pulled]
    ]


def _room(spec: BaseSpec, *, fused: bool) -> dict[str, Any]:
    if not spec.layers:
        return {"memory_gib": None, "fits": None}
    needed = _memory_needed(spec, fused=fused)
    return {"memory_gib": needed / GIB, "fits": needed <= free_for(spec.kind)}


def _memory_needed(spec: BaseSpec, *, fused: bool = True) -> float:
    """Bytes that a training takes as `train` would choose it, LoRA of a causal model, with examples of `MAX_TOKENS`.

    Args:
        fused: whether the hand-written pass knows the model's family.
    """
    if spec.kind == "encoder":
        longest = min(spec.context or ENCODER_MAX_TOKENS, ENCODER_MAX_TOKENS)
        return encoder_memory_needed(spec, ENCODER_BATCH, [longest] * SUPPOSED_EXAMPLES)

    def taking(checkpointed: bool, four_bit: bool) -> float:
        return causal_memory(
            spec,
            longest=MAX_TOKENS,
            lengths=[MAX_TOKENS],
            answers=TOKENS_AT_ONCE // 4,  # as of receipts and invoices
            precision=precision_here(),
            checkpointed=checkpointed,
            four_bit=four_bit,
            known=fused,
        )

    ways = ways_to_train(recomputes=on_gpu() or not fused, four_bits=four_bits())
    return with_comparing(taking(*way_that_fits(taking, free_for(spec.kind), ways)), spec)


def _on_gpu(free: float) -> str:
    return f"; {free / GIB:.1f} GiB are free on the GPU" if on_gpu() else ""


def pull_model(settings: Settings, name: str, reporter: Reporter | None = None) -> dict[str, Any]:
    """Fetch, check and convert a base model.

    Returns:
        `name`, `kind`, `folder` and `sha256`.

    Raises:
        ModelUnavailable: not known, not to be had, not usable as a base, or its checksum is wrong.
    """
    reporter = reporter or Silent()
    base = get_base(name, settings, reporter.say)
    return {"name": name, "kind": base.spec.kind, "folder": str(base.folder), "sha256": base.spec.sha256}
