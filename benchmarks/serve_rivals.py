"""What `serve.py` compares our server with, each in a process of its own: one JSON object on standard output.

    python serve_rivals.py NAME REQUESTS SECONDS [OPTIONS]

REQUESTS is a file of `serve.py`: the GGUF file, what ends an answer, the labels' grammar, and prompts as token ids.
`llama` serves until its standard input ends; the others compute for so many seconds.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil

IN_FLIGHT = 32
FIRST_TOKENS = 40


class Raw:
    """openvino-genai alone: a loop that keeps a number of requests under way, prompts and configuration made before."""

    def __init__(self, asked: dict[str, Any]) -> None:
        import numpy as np
        import openvino
        import openvino_genai as genai

        from inhouse.engine.openvino_engine import _open, properties

        self._pipeline = _open(genai, Path(asked["gguf"]), properties(0, exact=False))
        self._prompts = [openvino.Tensor(np.array([ids], np.int64)) for ids in asked["prompts"]]
        self._config = [self._configured(genai, asked, grammar) for grammar in (True, False)]
        self._ids = itertools.count()

    def _configured(self, genai: Any, asked: dict[str, Any], grammar: bool) -> Any:  # noqa: ANN401 - untyped
        config = genai.GenerationConfig()
        config.max_new_tokens, config.do_sample = asked["most"], False
        config.eos_token_id, config.stop_token_ids = asked["end_of_turn"], {asked["end_of_turn"]}
        if grammar:
            config.structured_output_config = genai.StructuredOutputConfig(grammar=asked["grammar"])
        return config

    def _begin(self, place: int, *, free: bool = False) -> Any:  # noqa: ANN401
        prompt = self._prompts[place % len(self._prompts)]
        return self._pipeline.add_request(next(self._ids), prompt, self._config[free])

    def rate(self, places: Iterator[int], in_flight: int, until: float = float("inf"), *, free: bool = False) -> float:
        """Requests per second, until then or the last of the places; what is under way then is not counted."""
        begun, done, live = time.perf_counter(), 0, []
        while time.perf_counter() < until:
            live += [self._begin(place, free=free) for place in itertools.islice(places, in_flight - len(live))]
            if not live:
                break
            self._pipeline.step()
            left = [handle for handle in live if not _ended(handle)]
            done, live = done + len(live) - len(left), left
        seconds = time.perf_counter() - begun
        for handle in live:
            handle.cancel()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        return done / seconds

    def answers(self, places: Sequence[int], *, free: bool) -> list[tuple[int, ...]]:
        """Their tokens, with the grammar or without."""
        live = [self._begin(place, free=free) for place in places]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        return [_tokens(handle) for handle in live]

    def first_token_ms(self, place: int) -> float:
        """From the request to its first token, with nothing else under way."""
        begun, handle = time.perf_counter(), self._begin(place)
        while not handle.can_read():
            self._pipeline.step()
        first = (time.perf_counter() - begun) * 1000
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        return first


def _tokens(handle: Any) -> tuple[int, ...]:  # noqa: ANN401 - untyped
    found: list[int] = []
    while handle.can_read():
        for output in handle.read().values():
            found += output.generated_ids
    return tuple(found)


def _ended(handle: Any) -> bool:  # noqa: ANN401 - untyped
    return handle.get_status().name != "RUNNING"


def openvino(asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """32 under way as our server has them, then all of a heap at once, and the time to first tokens."""
    raw = Raw(asked)
    raw.rate(iter(range(IN_FLIGHT)), IN_FLIGHT)
    with _Cpu() as cpu:
        rate = raw.rate(itertools.count(), IN_FLIGHT, time.perf_counter() + seconds)
    heap = max(IN_FLIGHT, int(rate * seconds))
    return {
        "requests_per_second": rate,
        "cpu_ms_per_request": cpu.seconds * 1000 / (rate * seconds),
        "all_at_once": raw.rate(iter(range(heap)), heap),
        "first_token_ms": median(raw.first_token_ms(place) for place in range(FIRST_TOKENS)),
    }


def constraint(asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Requests per second with the grammar and without, of inputs that get the same answer either way."""
    raw, some = Raw(asked), range(min(4 * IN_FLIGHT, len(asked["prompts"])))
    pairs = zip(some, raw.answers(some, free=False), raw.answers(some, free=True), strict=True)
    same = [place for place, held, free in pairs if held == free]
    if not same:
        return {"same_answers": 0}
    found: dict[bool, list[float]] = {False: [], True: []}
    for free in (False, True, True, False):
        places = itertools.cycle(same)
        found[free].append(raw.rate(places, IN_FLIGHT, time.perf_counter() + seconds / 2, free=free))
    held, free_rate = (sum(found[free]) / 2 for free in (False, True))
    return {
        "same_answers": len(same),
        "asked": len(some),
        "held": held,
        "free": free_rate,
        "cost": 1 - held / free_rate,
    }


def transformers(asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """`generate` on batches alike in length, as many texts as are under way elsewhere, without a grammar."""
    import torch
    from transformers import AutoModelForCausalLM

    gguf = Path(asked["gguf"])
    # In float32, as transformers itself says: its products with packed weights compute in nothing else.
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    end = asked["end_of_turn"]
    prompts = sorted(asked["prompts"], key=len)
    batches = itertools.cycle([prompts[i : i + IN_FLIGHT] for i in range(0, len(prompts), IN_FLIGHT)][::7])
    how = {"max_new_tokens": asked["usual"], "do_sample": False, "eos_token_id": end}
    done, begun = 0, time.perf_counter()
    with _Cpu() as cpu, torch.inference_mode():
        while time.perf_counter() < begun + seconds:
            batch = next(batches)
            width = max(map(len, batch))
            ids = torch.tensor([[end] * (width - len(p)) + p for p in batch])
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in batch])
            model.generate(input_ids=ids, attention_mask=mask, pad_token_id=end, **how)
            done += len(batch)
    seconds = time.perf_counter() - begun
    return {"requests_per_second": done / seconds, "cpu_ms_per_request": cpu.seconds * 1000 / done}


def llama(asked: dict[str, Any], port: int, options: dict[str, Any]) -> None:
    """llama.cpp's own HTTP server on a port of this machine, until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = asked["gguf"]
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_parallel, params.n_ctx = options["slots"], 512 * options["slots"]
    params.n_batch = options["batch"]
    params.kv_unified = options["one_cache"]
    flash = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = (
        flash.LLAMA_FLASH_ATTN_TYPE_ENABLED if options["flash"] else flash.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    if options["threads"]:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options["threads"]
    params.n_threads_http = 64
    params.verbosity, params.offline, params.ui, params.fit_params = -1, True, False, False
    server = xllamacpp.Server(params)
    print(json.dumps({"url": str(server.listening_address)}), flush=True)
    sys.stdin.read()


class _Cpu:
    """Processor seconds of this process."""

    def __enter__(self) -> _Cpu:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = self._now() - self._before

    def _now(self) -> float:
        times = psutil.Process().cpu_times()
        return float(times.user + times.system)


RIVALS: dict[str, Callable[[dict[str, Any], float], dict[str, Any]]] = {
    "openvino": openvino,
    "constraint": constraint,
    "transformers": transformers,
}


def main() -> None:
    """Compute, print."""
    name, file, much, *options = sys.argv[1:]
    asked = json.loads(Path(file).read_text("utf-8"))
    if name == "llama":
        llama(asked, int(much), json.loads(options[0]))
    else:
        print(json.dumps(RIVALS[name](asked, float(much))))


if __name__ == "__main__":
    main()
