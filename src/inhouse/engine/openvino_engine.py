"""openvino-genai on a GGUF file: the engine that evaluates and serves on a CPU."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inhouse.engine.grammar import labels_grammar
from inhouse.engine.protocol import Generation, Progress
from inhouse.engine.quiet import settle
from inhouse.errors import EngineFault, ModelUnavailable

CACHE_GIB = 1
BATCHED_TOKENS = 2048
SEQUENCES = 64
# Requests handed over at a time: enough to keep every batch full, few enough for a progress bar to move.
CHUNK = 256


class OpenVinoEngine:
    """One GGUF model in a continuous-batching pipeline with prefix caching.

    Args:
        gguf: the model file (llama, qwen2 or qwen3 architecture).
        end_of_turn: the token id that ends an answer.
        threads: CPU threads; 0 leaves the choice to OpenVINO.
        exact: float32 without dynamic quantization, at about half the speed.

    Raises:
        ModelUnavailable: OpenVINO cannot read the file.
    """

    def __init__(self, gguf: Path, end_of_turn: int, *, threads: int = 0, exact: bool = False) -> None:
        settle()
        import openvino
        import openvino_genai

        self._genai = openvino_genai
        self._tensor = openvino.Tensor
        self._end_of_turn = end_of_turn
        self._grammars: dict[tuple[str, ...], Any] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GIB
        scheduler.enable_prefix_caching = True
        scheduler.max_num_batched_tokens = BATCHED_TOKENS
        scheduler.max_num_seqs = SEQUENCES
        properties: dict[str, str] = {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}
        if exact:
            properties |= {
                "INFERENCE_PRECISION_HINT": "f32",
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
                "KV_CACHE_PRECISION": "f32",
            }
        try:
            self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(gguf), scheduler, "CPU", properties)
        except (RuntimeError, IndexError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise ModelUnavailable(
                f"openvino-genai cannot read {gguf.name}: {reason}",
                "use a base model of the llama, qwen2 or qwen3 family",
            ) from error
        self._worker: threading.Thread | None = None
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        labels: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """See `Engine.generate`."""
        config = self._config(max_new_tokens, labels)
        answers: list[Generation] = []
        for part in _parts(prompts):
            with self._lock:
                results = self._pipeline.generate([self._input(p) for p in part], [config] * len(part))
            answers += [self._generation(r.m_generation_ids[0], r.m_scores[0]) for r in results]
            if progress is not None:
                progress(len(answers))
        return answers

    def next_tokens(
        self, prompts: Sequence[Sequence[int]], progress: Progress | None = None
    ) -> tuple[list[int], list[float]]:
        """See `Engine.next_tokens`."""
        answers = self.generate(prompts, max_new_tokens=1, progress=progress)
        return [a.ids[0] for a in answers], [a.logprob for a in answers]

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, labels: Sequence[str] | None = None
    ) -> Iterator[Generation]:
        """See `Engine.stream`. Requests that overlap in time share batches."""
        box: queue.SimpleQueue[Generation | Exception | None] = queue.SimpleQueue()
        self._start_worker()
        self._inbox.put((list(prompt), self._config(max_new_tokens, labels), box))
        while (item := box.get()) is not None:
            if isinstance(item, Exception):
                raise EngineFault(f"the engine failed on a request: {item}") from item
            yield item

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True
        if self._worker is not None:
            self._inbox.put(None)
            self._worker.join()
        self._pipeline = None

    # ------------------------------------------------------------------ requests that come one by one

    def _start_worker(self) -> None:
        with self._lock:
            if self._closed:
                raise EngineFault("the engine is closed")
            if self._worker is None:
                self._worker = threading.Thread(target=self._serve, name="inhouse-engine", daemon=True)
                self._worker.start()

    def _serve(self) -> None:
        """Step the pipeline while it has work; it is not thread-safe, so this thread alone drives it."""
        live: dict[int, tuple[Any, Any, list[int], float]] = {}
        while not self._closed:
            if not self._take(live, wait=not live):
                return
            if not live:
                continue
            try:
                with self._lock:
                    self._pipeline.step()
                    self._collect(live)
            except Exception as error:  # noqa: BLE001 - whatever it is, every waiting request must hear of it
                for _, box, _, _ in live.values():
                    box.put(error)
                live.clear()

    def _take(self, live: dict[int, tuple[Any, Any, list[int], float]], *, wait: bool) -> bool:
        """Hand waiting requests to the pipeline; False when the engine is being closed."""
        while True:
            try:
                item = self._inbox.get(block=wait)
            except queue.Empty:
                return True
            if item is None:
                return False
            wait = False
            prompt, config, box = item
            request = next(self._ids)
            try:
                with self._lock:
                    handle = self._pipeline.add_request(request, self._input(prompt), config)
            except RuntimeError as error:
                box.put(error)
                continue
            live[request] = (handle, box, [], 0.0)

    def _collect(self, live: dict[int, tuple[Any, Any, list[int], float]]) -> None:
        """Pass new tokens on to those who wait for them."""
        done = self._genai.GenerationStatus
        for request, (handle, box, ids, logprob) in list(live.items()):
            grown = False
            while handle.can_read():
                for output in handle.read().values():
                    ids.extend(output.generated_ids)
                    logprob += float(sum(output.generated_log_probs))
                    grown = True
            live[request] = (handle, box, ids, logprob)
            finished = handle.get_status() != done.RUNNING
            if grown:
                box.put(self._generation(list(ids), logprob))
            if finished:
                box.put(None)
                del live[request]

    # ------------------------------------------------------------------ pieces

    def _input(self, ids: Sequence[int]) -> Any:  # noqa: ANN401 - an untyped library's tensor
        return self._tensor(np.array([ids], dtype=np.int64))

    def _config(self, max_new_tokens: int, labels: Sequence[str] | None) -> Any:  # noqa: ANN401
        config = self._genai.GenerationConfig()
        config.max_new_tokens = max_new_tokens
        config.do_sample = False
        config.eos_token_id = self._end_of_turn
        config.stop_token_ids = {self._end_of_turn}
        config.logprobs = 1  # without it every score reads 0.0
        if labels is not None:
            config.structured_output_config = self._grammar(tuple(labels))
        return config

    def _grammar(self, labels: tuple[str, ...]) -> Any:  # noqa: ANN401
        if labels not in self._grammars:
            self._grammars[labels] = self._genai.StructuredOutputConfig(grammar=labels_grammar(labels))
        return self._grammars[labels]

    def _generation(self, ids: Sequence[int], logprob: float) -> Generation:
        return Generation(list(ids), float(logprob), finished=bool(ids) and ids[-1] == self._end_of_turn)


def _parts(prompts: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """The prompts in handfuls, the first one alone.

    A prefix is found in the cache only once a request with it is done: handed over together, 256 prompts with the same
    500 tokens of instruction computed them 256 times (60 s instead of 5).
    """
    if prompts:
        yield prompts[:1]
    for start in range(1, len(prompts), CHUNK):
        yield prompts[start : start + CHUNK]
