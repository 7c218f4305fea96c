"""A causal base model in torch, for training and as the reference that the served file is compared with."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inhouse.core import Method
from inhouse.engine.lora import Learner, attach, load_adapter_state, read_adapter
from inhouse.engine.protocol import Along, Generation, Grammar, Grammars, Progress
from inhouse.engine.quiet import settle_transformers
from inhouse.launched import processes_here

# Tokens that the reference ranks at each position: a tie has two, seldom more.
RANKED = 5
# Padded tokens of prompts that are answered together: what is remembered of them is copied at every token.
ASKED_AT_ONCE = 8192
# bfloat16 halves memory and traffic: at so much of float32's rate of products it is still the better choice.
HARDLY_SLOWER = 0.9
# Products that tell which precision is faster: by a thread's own time they differ little, and a start waits for them.
FEW_PRODUCTS = 8


@cache
def best_precision() -> str:
    """`bfloat16` where the processor has it and does not multiply it clearly slower than float32, else `float32`.

    That it has the instructions says too little: AVX512's alone, without AMX, run at half to two thirds of the rate of
    float32 on some Intel servers (docs/log.md), and at twice of it on others. So both are measured, by the time that
    one thread computed: what other programs take of the machine must not change the choice.
    """
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if not cpu_has_bf16():
        return "float32"
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        half, full = (measure_flops(precision, time.thread_time, FEW_PRODUCTS) for precision in ("bfloat16", "float32"))
    finally:
        torch.set_num_threads(usual)
    return "bfloat16" if half >= HARDLY_SLOWER * full else "float32"


def measure_flops(precision: str, clock: Callable[[], float] = time.perf_counter, products: int = 25) -> float:
    """The machine's matrix-product rate at best in FLOP per second of `clock`, at the shapes of a model that fits it.

    Of many products the quickest is the least disturbed by other programs.
    """
    on_gpu = torch.cuda.is_available()
    rows, inner, columns = (8192, 4096, 4096) if on_gpu else (1024, 576, 576)
    kind, device = getattr(torch, precision), "cuda" if on_gpu else "cpu"
    a, b = torch.randn(rows, inner, dtype=kind, device=device), torch.randn(columns, inner, dtype=kind, device=device)
    quickest = math.inf
    for _ in range(products):
        begun = clock()
        nn.functional.linear(a, b)
        if on_gpu:
            torch.cuda.synchronize()
        quickest = min(quickest, clock() - begun)
    return 2 * rows * inner * columns / quickest


def cpu_has_bf16() -> bool:
    """Whether the CPU has bfloat16 matrix instructions (AVX512-BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def use_threads(threads: int) -> int:
    """Set torch's thread count (0: every core this process may use, shared with those started beside it); return it."""
    wanted = threads or max(1, len(os.sched_getaffinity(0)) // processes_here())
    torch.set_num_threads(wanted)
    return wanted


def free_memory() -> float:
    """Bytes that are free for this process where models are trained: processes on one CPU share them.

    torch keeps what was freed on a GPU, for its next tensors: that is free too.
    """
    if torch.cuda.is_available():
        kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return float(torch.cuda.mem_get_info()[0] + kept)
    return float(psutil.virtual_memory().available) / processes_here()


def gpu_watts() -> float | None:
    """The most that the GPU may draw; None where there is none, or NVIDIA's library (nvidia-ml-py) does not tell."""
    if not torch.cuda.is_available() or find_spec("pynvml") is None:
        return None
    nvml = import_module("pynvml")
    try:
        nvml.nvmlInit()
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
            return float(nvml.nvmlDeviceGetPowerManagementLimit(handle)) / 1000
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError:  # some cards and virtual machines have no limit to read
        return None


def can_have_four_bits() -> bool:
    """Whether a base's weights can be loaded in 4 bits here."""
    return torch.cuda.is_available() and find_spec("bitsandbytes") is not None


def can_compile() -> bool:
    """Whether torch.compile finds what it writes code for: a C++ compiler, and on a GPU Triton and a C compiler."""
    if torch.cuda.is_available():
        return find_spec("triton") is not None and any(map(shutil.which, ("cc", "gcc", "clang")))
    return any(map(shutil.which, ("c++", "g++", "clang++")))


def load_model(folder: Path, precision: str, *, four_bit: bool = False, on_cpu: bool = False) -> nn.Module:
    """The base model of a folder, weights in `precision`, on the GPU where there is one.

    Args:
        four_bit: linear layers' weights in 4 bits (NF4, Dettmers et al. 2023), multiplied in `precision`; on a GPU.
        on_cpu: keep them off the GPU.
    """
    settle_transformers()
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, more = getattr(torch, precision), {}
    if four_bit:
        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=kind
        )
        more["device_map"] = {"": torch.cuda.current_device()}
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=kind, attn_implementation=_attention(device, precision), local_files_only=True, **more
    )
    _keep_the_cap(model)
    assert isinstance(model, nn.Module)
    # In 4 bits it is there, and cannot be moved.
    return model.eval() if four_bit else model.to("cpu" if on_cpu else device).eval()


def empty_model(folder: Path, precision: str) -> nn.Module:
    """The same model with weights that take no memory and have no values (torch's device `meta`)."""
    settle_transformers()
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with init_empty_weights(include_buffers=False):  # buffers are computed from the config, and kept in no file
        model = AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, precision), attn_implementation=_attention(device, precision)
        )
    model.tie_weights()
    _keep_the_cap(model)
    assert isinstance(model, nn.Module)
    return model.eval()


def _keep_the_cap(model: Any) -> None:  # noqa: ANN401 - a transformers model
    if getattr(model.config, "attn_logit_softcapping", None):  # Gemma 2's cap on scores: sdpa leaves it out
        model.set_attn_implementation("eager")


def settle_for_answers(model: Any) -> None:  # noqa: ANN401 - a transformers model
    """Give a model that only answers, or learns by another way than its own, the attention that is fastest forward."""
    if not getattr(model.config, "attn_logit_softcapping", None):
        model.set_attn_implementation("sdpa")


def _attention(device: str, precision: str) -> str:
    """The attention that is fastest there, of those that are installed.

    On a CPU eager: at the lengths of short texts its backward pass is much cheaper than sdpa's.
    """
    if device == "cpu":
        return "eager"
    return "flash_attention_2" if precision == "bfloat16" and find_spec("flash_attn") is not None else "sdpa"


def answer_logits(model: Any, inputs: Mapping[str, Any], positions: Tensor) -> Tensor:  # noqa: ANN401
    """Logits at chosen positions alone: the head is the dearest part and most positions need none.

    Args:
        inputs: what the model takes, made by `padded` or `side_by_side`.
        positions: flat indices into batch x length whose next token is wanted, [n].

    Returns:
        float32 logits [n, vocabulary].
    """
    hidden = model.model(**inputs, use_cache=False).last_hidden_state
    logits: Tensor = model.lm_head(hidden.flatten(0, 1)[positions])
    if cap := getattr(model.config, "final_logit_softcapping", None):  # Gemma 2 bends its logits, as its forward does
        logits = torch.tanh(logits / cap) * cap
    return logits.float()


class TorchEngine:
    """The reference engine: transformers with the adapter beside the weights, as it was trained.

    Args:
        folder: of the base model.
        adapter: `adapter_model.safetensors`, or None for the base alone.
        rank, alpha, method: of the adapter.
        answer_ids: answer text to ids with the end-of-turn token.
        on_cpu: keep it off the GPU.
    """

    def __init__(
        self,
        folder: Path,
        adapter: Path | None,
        *,
        rank: int,
        alpha: int,
        method: Method = "lora",
        precision: str,
        answer_ids: Callable[[str], list[int]],
        on_cpu: bool = False,
    ) -> None:
        self._model: Any = load_model(folder, precision, on_cpu=on_cpu)
        settle_for_answers(self._model)
        self._answer_ids = answer_ids
        self.adapters: dict[str, Learner] = {}
        if adapter is not None:
            self.adapters = attach(self._model, rank, alpha, 0, method)
            load_adapter_state(self.adapters, read_adapter(adapter))
            self._model.to(next(self._model.parameters()).device)

    @classmethod
    def around(cls, model: Any, answer_ids: Callable[[str], list[int]]) -> Self:  # noqa: ANN401 - a transformers model
        """An engine around a model that is there, with whatever adapters it has."""
        engine = cls.__new__(cls)
        engine._model, engine._answer_ids, engine.adapters = model, answer_ids, {}
        return engine

    def next_tokens(
        self, prompts: Sequence[Sequence[int]], progress: Progress | None = None
    ) -> tuple[list[int], list[float]]:
        """See `Engine.next_tokens`."""
        along = self.ranked_tokens_along([(list(p), [0]) for p in prompts], progress)
        return [r[0] for r in along.ids], [p[0] for p in along.logprobs]

    def ranked_tokens_along(
        self, answers: Sequence[tuple[list[int], list[int]]], progress: Progress | None = None
    ) -> Along:
        """What the model thinks at every position of given answers (teacher forcing).

        Args:
            answers: pairs of prompt ids and answer ids.
        """
        found = Along([], [], [])
        with torch.inference_mode():
            for start in range(0, len(answers), 16):
                part = [([*p, *a], list(range(len(p), len(p) + len(a)))) for p, a in answers[start : start + 16]]
                chances = answer_logits(self._model, *padded(part, self._device)).log_softmax(-1)
                best = chances.topk(RANKED, -1)
                given = torch.tensor([token for _, a in answers[start : start + 16] for token in a])
                found.ids.extend(best.indices.tolist())
                found.logprobs.extend(best.values.tolist())
                found.given.extend(chances.gather(1, given.to(chances.device)[:, None])[:, 0].tolist())
                if progress is not None:
                    progress(start + len(part))
        return found

    def log_chances_along(self, answers: Sequence[tuple[list[int], list[int]]]) -> list[NDArray[np.float32]]:
        """Log-probabilities of all tokens at every position of given answers, [tokens, vocabulary] each.

        Args:
            answers: pairs of prompt ids and answer ids.
        """
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(answers), 8):
                part = [([*p, *a], list(range(len(p), len(p) + len(a)))) for p, a in answers[start : start + 8]]
                chances = answer_logits(self._model, *padded(part, self._device)).log_softmax(-1).cpu().numpy()
                edges = list(accumulate(len(places) for _, places in part))
                found += np.split(chances, edges[:-1])
        return found

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        grammar: Grammars = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """See `Engine.generate`; only to the labels of one grammar for all is kept: this checks what was learned."""
        allowed = None
        if isinstance(grammar, Grammar) and grammar.labels:
            allowed = _Continuations([self._answer_ids(label) for label in grammar.labels])
        ends = allowed.ends if allowed else self._answer_ids("")
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers: dict[int, Generation] = {}
        while len(answers) < len(order):
            start = end = len(answers)
            while end < len(order) and (end - start) * len(prompts[order[end]]) < ASKED_AT_ONCE and end < start + 32:
                end += 1
            part = order[start:end]
            given = self._greedy([prompts[i] for i in part], allowed, ends, max_new_tokens)
            for i, ids in zip(part, given, strict=True):
                answers[i] = Generation(ids, 0.0, finished=ids[-1] in ends)
            if progress is not None:
                progress(len(answers))
        return [answers[i] for i in range(len(prompts))]

    def close(self) -> None:
        """Free the model, whose weights the adapters hold too."""
        del self._model
        self.adapters = {}

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self._model.parameters()).device
        return device

    def _greedy(
        self,
        prompts: Sequence[Sequence[int]],
        allowed: _Continuations | None,
        ends: Sequence[int],
        max_new_tokens: int,
    ) -> list[list[int]]:
        """Greedy answers for one left-padded batch, inside the label tree where there is one."""
        width = max(map(len, prompts))
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        model: Any = self._model
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids.to(self._device),
                attention_mask=mask.to(self._device),
                max_new_tokens=min(max_new_tokens, allowed.longest) if allowed else max_new_tokens,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=ends,
                prefix_allowed_tokens_fn=(lambda _row, so_far: allowed.after(so_far[width:].tolist()))
                if allowed
                else None,
            )
        return [_through_end(row, ends) for row in out[:, width:].tolist()]


class _Continuations:
    """Which token may follow which beginning of a label."""

    def __init__(self, labels: Sequence[Sequence[int]]) -> None:
        self.longest = max(map(len, labels))
        self.ends = sorted({label[-1] for label in labels})
        following: dict[tuple[int, ...], set[int]] = {}
        for label in labels:
            for i, token in enumerate(label):
                following.setdefault(tuple(label[:i]), set()).add(token)
        self._following = {k: sorted(v) for k, v in following.items()}

    def after(self, so_far: list[int]) -> list[int]:
        # A finished row keeps being asked while others go on: anything will do, it is padded over.
        return self._following.get(tuple(so_far), self.ends)


def _through_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    """The ids up to the first that ends the turn, without the padding after it."""
    for i, token in enumerate(ids):
        if token in ends:
            return ids[: i + 1]
    return ids


def padded(texts: Sequence[tuple[list[int], list[int]]], device: torch.device) -> tuple[dict[str, Tensor], Tensor]:
    """A batch that predicts chosen tokens of some texts.

    Args:
        texts: pairs of a text's ids and the positions in it that are to be predicted, none of them the first.

    Returns:
        Right-padded ids and mask [batch, length] as a model takes them, and the flat positions that predict the chosen
        tokens.
    """
    width = max(len(text) for text, _ in texts) - 1
    ids = torch.zeros(len(texts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    positions: list[int] = []
    for row, (text, chosen) in enumerate(texts):
        seen = text[:-1]
        ids[row, : len(seen)] = torch.tensor(seen)
        mask[row, : len(seen)] = 1
        positions += (row * width + place - 1 for place in chosen)
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    return inputs, torch.tensor(positions, device=device)


def side_by_side(
    texts: Sequence[tuple[list[int], list[int]]], device: torch.device
) -> tuple[dict[str, Tensor | int], Tensor]:
    """The same in one row without padding, for attention that ends where positions begin anew.

    transformers' does so where there is no mask; where texts begin is told to flash attention beside, which would read
    it off the positions in each layer and wait for the GPU each time.

    Returns:
        Ids and positions [1, tokens], where texts begin and the last one ends [texts + 1], and the longest text's
        tokens, as a model takes them; and the flat positions that predict the chosen tokens.
    """
    lengths = [len(text) - 1 for text, _ in texts]
    starts = [0, *accumulate(lengths)]
    chosen = [start + place - 1 for start, (_, places) in zip(starts, texts, strict=False) for place in places]
    begins = torch.tensor(starts, dtype=torch.int32, device=device)
    inputs: dict[str, Tensor | int] = {
        "input_ids": torch.tensor([[token for text, _ in texts for token in text[:-1]]], device=device),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None].to(device),
        "cu_seq_lens_q": begins,
        "cu_seq_lens_k": begins,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }
    return inputs, torch.tensor(chosen, device=device)
