"""openvino-genai on a GGUF file: the engine that evaluates and serves on a CPU."""

from __future__ import annotations

import itertools
import queue
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from inhouse.engine.gguf_fields import cache_numbers, read_fields
from inhouse.engine.protocol import (
    Generation,
    Grammars,
    Hear,
    Progress,
    StreamingEngine,
    Ticket,
    Wishes,
    of_each,
)
from inhouse.engine.quiet import settle
from inhouse.engine.signal_stack import usual_signal_stack
from inhouse.errors import EngineFault, ModelUnavailable

# Tokens of a block of the cache; of how many blocks it has at most, 24,576 tokens: 64 requests of 384; and its bytes.
BLOCK = 32
MOST_BLOCKS = 768
MOST_CACHE = 2**30
BATCHED_TOKENS = 2048
SEQUENCES = 64
# Letters of all grammars in one pipeline. It keeps every one that it ever compiled (some 50 bytes for each letter), and
# only a new pipeline forgets them.
MOST_GRAMMAR = 8_000_000
# Seconds. `step` holds Python's lock to its end, and the rest of the process stands still meanwhile. After a step that
# told somebody something the worker leaves the lock to others until none came for `LULL`, at most for `MOST_LULL`.
LULL = 0.001
MOST_LULL = 0.02
# Requests handed over at a time: enough to keep every batch full, few enough for a progress bar to move.
CHUNK = 256


@dataclass(slots=True)
class _Request:
    """One request on its way through the worker thread; `left` is set when nobody waits any more."""

    prompt: list[int]
    wishes: Wishes
    hear: Hear | None = None
    every_token: bool = False
    handle: Any = None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    left: bool = False

    def cancel(self) -> None:
        """See `Ticket.cancel`."""
        self.left = True

    def tell(self, item: Generation | EngineFault | None) -> None:
        """Tell the one who waits; who cannot be told has left."""
        if self.hear is None:
            return
        try:
            self.hear(item)
        except Exception:  # noqa: BLE001 - whatever it is, it must not end the requests of others
            self.left = True


class OpenVinoEngine(StreamingEngine):
    """One GGUF model in a continuous-batching pipeline with prefix caching.

    Args:
        gguf: the model file (llama, qwen2 or qwen3 architecture).
        end_of_turn: the token id that ends an answer.
        threads: CPU threads; 0 leaves the choice to OpenVINO.
        exact: float32 without dynamic quantization, at about half the speed; the cache holds float16.

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
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._open = partial(_open, openvino_genai, gguf, properties(threads, exact=exact))
        self._pipeline = self._open()
        self._grammars: set[int] = set()  # the hashes of those that the pipeline knows
        self._letters = 0  # and how long they are together
        self._broken = False  # whether a step of it has failed
        self._live: list[_Request] = []  # what the worker has handed to the pipeline
        self._told = False  # whether its last step told somebody something
        self._door = threading.Lock()  # of the inbox: nothing comes in once the worker has emptied it for good
        self._worker: threading.Thread | None = None
        self._inbox: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._closed = False

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        grammar: Grammars = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """See `Engine.generate`."""
        grammars = iter(of_each(grammar, len(prompts)))
        answers: list[Generation] = []
        for part in _parts(prompts):
            with self._lock:
                self._refuse_when_closed()
                self._renew()
                requests = [_Request(list(prompt), Wishes(max_new_tokens, next(grammars))) for prompt in part]
                answers += self._together(requests)
            if progress is not None:
                progress(len(answers))
        return answers

    def submit(self, prompt: Sequence[int], wishes: Wishes, hear: Hear, *, every_token: bool) -> Ticket:
        """See `StreamingEngine.submit`."""
        request = _Request(list(prompt), wishes, hear, every_token)
        self._hand_over(request)
        return request

    def close(self) -> None:
        """See `Engine.close`. Requests under way end with an `EngineFault`."""
        with self._door:
            self._closed = True
            worker = self._worker
            self._inbox.put(None)
        if worker is not None:
            worker.join()
        with self._lock:
            self._pipeline = None

    def _together(self, requests: Sequence[_Request]) -> list[Generation]:
        """The answers to some requests. The pipeline's own `generate` would leave out what each token's chance was."""
        try:
            for request in requests:
                self._add(request)
            while self._pipeline.has_non_finished_requests():
                self._pipeline.step()
            for request in requests:
                self._read(request)
        except BaseException:
            for request in requests:
                if request.handle is not None:
                    request.handle.cancel()
            raise
        return [self._generation(request) for request in requests]

    # ------------------------------------------------------------------ requests that come one by one

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise EngineFault("the engine is closed")

    def _hand_over(self, request: _Request) -> None:
        with self._door:
            self._refuse_when_closed()
            self._inbox.put(request)
            if self._worker is None:
                self._worker = threading.Thread(target=self._serve, name="inhouse-engine", daemon=True)
                self._worker.start()

    def _serve(self) -> None:
        """Step the pipeline while it has work; it is not thread-safe, so this thread alone drives it."""
        live = self._live
        fault: BaseException = EngineFault("the engine was closed during the request")
        try:
            while not self._closed and self._take(live):
                if live:
                    self._step(live)
        except BaseException as error:  # noqa: BLE001 - whatever it is, every waiting request must hear of it
            fault = error
        finally:
            self._fail(live, fault)
            self._end(fault)

    def _take(self, live: list[_Request]) -> bool:
        """Hand waiting requests to the pipeline, or wait for one; False when the engine is being closed."""
        until, self._told = time.monotonic() + MOST_LULL if self._told else 0.0, False
        while not (live and self._is_worn()):
            try:
                lull = time.monotonic() < until
                request = self._inbox.get(block=lull or not live, timeout=LULL if live else None)
            except queue.Empty:
                return True
            if request is None:
                return False
            try:
                with self._lock:
                    self._renew()
                    self._add(request)
                    live.append(request)
            except BaseException as error:
                request.tell(_fault(error))
                if not isinstance(error, Exception):
                    raise
        return True

    def _step(self, live: list[_Request]) -> None:
        """One step for all; a request that nobody waits for is dropped from the pipeline by it."""
        try:
            with self._lock:
                for request in live:
                    if request.left:
                        request.handle.cancel()
                self._pipeline.step()
                self.steps += 1
                live[:] = [request for request in live if self._collect(request)]
        except Exception as error:  # noqa: BLE001 - whatever it is, every waiting request must hear of it
            self._broken = True
            self._fail(live, error)

    def _fail(self, live: list[_Request], error: BaseException) -> None:
        """Tell every request of the pipeline, and drop it there."""
        for request in live:
            request.tell(_fault(error))
            with suppress(Exception):
                request.handle.cancel()
        live.clear()

    def _end(self, error: BaseException) -> None:
        """Tell what still waits; unless the engine is closed, the next request starts another thread."""
        with self._door:
            self._worker = None
            while not self._inbox.empty():
                request = self._inbox.get()
                if request is not None:
                    request.tell(_fault(error))

    def _collect(self, request: _Request) -> bool:
        """Pass new tokens, or the whole answer, on to the one who waits; False when there will be no more."""
        grown = self._read(request)
        finished = request.handle.get_status() != self._genai.GenerationStatus.RUNNING
        if grown if request.every_token else finished and request.ids:
            request.tell(self._generation(request))
            self._told = True
        if finished:
            request.tell(None)
            self._told = True
        return not finished

    # ------------------------------------------------------------------ pieces

    def _add(self, request: _Request) -> None:
        """Hand a request to the pipeline."""
        config = self._config(request.wishes)
        request.handle = self._pipeline.add_request(next(self._ids), self._input(request.prompt), config)

    def _read(self, request: _Request) -> bool:
        """Take what the pipeline has written; whether that was anything."""
        before = len(request.ids)
        while request.handle.can_read():
            for output in request.handle.read().values():
                request.ids.extend(output.generated_ids)
                request.logprobs.extend(output.generated_log_probs)
        return len(request.ids) > before

    def _is_worn(self) -> bool:
        return self._broken or (self._letters >= MOST_GRAMMAR and len(self._grammars) > 1)

    def _renew(self) -> None:
        """Begin a new pipeline where the old one failed or holds too many grammars, and has no request."""
        if self._is_worn() and not self._live:
            self._pipeline = None
            self._pipeline = self._open()
            self._grammars.clear()
            self._letters, self._broken = 0, False

    def _input(self, ids: Sequence[int]) -> Any:  # noqa: ANN401 - an untyped library's tensor
        return self._tensor(np.array([ids], dtype=np.int64))

    def _config(self, wishes: Wishes) -> Any:  # noqa: ANN401
        config = self._genai.GenerationConfig()
        config.max_new_tokens = wishes.most
        config.do_sample = wishes.sampling is not None
        if wishes.sampling is not None:
            config.temperature, config.top_p = wishes.sampling.temperature, wishes.sampling.top_p
            config.rng_seed = wishes.sampling.seed
        config.eos_token_id = self._end_of_turn
        config.stop_token_ids = {self._end_of_turn}
        config.logprobs = 1  # without it every score reads 0.0
        if wishes.grammar is not None:
            text = wishes.grammar.text
            if (key := hash(text)) not in self._grammars:
                self._grammars.add(key)
                self._letters += len(text)
            config.structured_output_config = self._genai.StructuredOutputConfig(grammar=text)
        return config

    def _generation(self, request: _Request) -> Generation:
        ids, logprobs = list(request.ids), tuple(request.logprobs)
        return Generation(ids, sum(logprobs), bool(ids) and ids[-1] == self._end_of_turn, logprobs)


def properties(threads: int, *, exact: bool) -> dict[str, str]:
    """What OpenVINO is told of a model."""
    told = {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}
    if exact:
        told |= {
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
            # Not f32: with it a prompt whose beginning is in the cache gets wrong answers (docs/design/engines.md).
            "KV_CACHE_PRECISION": "f16",
        }
    return told


def save_model(gguf: Path, folder: Path) -> None:
    """Write what openvino-genai makes of a GGUF file: `openvino_model.xml`, a tokenizer with the chat template.

    Raises:
        ModelUnavailable: it cannot read the file, or does not write it.
    """
    settle()
    import openvino_genai

    copy = folder / gguf.name  # it writes beside what it reads
    shutil.copyfile(gguf, copy)
    try:
        with usual_signal_stack():
            openvino_genai.LLMPipeline(str(copy), "CPU", enable_save_ov_model=True)
    except (RuntimeError, IndexError, ValueError) as error:
        raise _unreadable(gguf, error) from error
    copy.unlink()
    written = {f"openvino_{part}.{end}" for part in ("model", "tokenizer", "detokenizer") for end in ("xml", "bin")}
    if missing := written - {file.name for file in folder.iterdir()}:
        raise ModelUnavailable(f"openvino-genai did not write {min(missing)}", "export --to gguf")


def _unreadable(gguf: Path, error: Exception) -> ModelUnavailable:
    reason = str(error).strip().splitlines()[-1][:200]
    return ModelUnavailable(
        f"openvino-genai cannot read {gguf.name}: {reason}", "use a base model of the llama, qwen2 or qwen3 family"
    )


def _open(genai: Any, gguf: Path, told: dict[str, str]) -> Any:  # noqa: ANN401 - an untyped library
    """A pipeline with the model loaded."""
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = cache_blocks(gguf, exact=told.get("KV_CACHE_PRECISION") == "f16")[0]
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = BATCHED_TOKENS
    scheduler.max_num_seqs = SEQUENCES
    try:
        with usual_signal_stack():
            return genai.ContinuousBatchingPipeline(str(gguf), scheduler, "CPU", told)
    except (RuntimeError, IndexError, ValueError) as error:
        raise _unreadable(gguf, error) from error


def cache_blocks(gguf: Path, *, exact: bool) -> tuple[int, int]:
    """How many blocks the cache of a model has, and the bytes of one.

    Raises:
        ModelUnavailable: there is no such file, or it is no GGUF file.
    """
    block = BLOCK * cache_numbers(read_fields(gguf)) * (2 if exact else 1)
    return max(1, min(MOST_BLOCKS, MOST_CACHE // block)), block


def _fault(error: BaseException) -> EngineFault:
    """One of its own for each request: an exception that several threads raise gathers all their tracebacks."""
    what = error.what if isinstance(error, EngineFault) else f"the engine failed on a request: {error}"
    fault = EngineFault(what)
    fault.__cause__ = error
    return fault


def _parts(prompts: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """The prompts in handfuls, the first one alone.

    A prefix is found in the cache only once a request with it is done: handed over together, 256 prompts with the same
    500 tokens of instruction computed them 256 times (60 s instead of 5).
    """
    if prompts:
        yield prompts[:1]
    for start in range(1, len(prompts), CHUNK):
        yield prompts[start : start + CHUNK]
