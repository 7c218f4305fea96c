"""xllamacpp (llama.cpp in this process) on a GGUF file: the second, independent reader of the same file.

llama.cpp reaches us as the request handler of its server. What it leaves out, is got back here:

- A token that ends in the middle of a character is not reported at all; the next one comes with the bytes of both.
- Which tokens end an answer, it decides by itself: often several, and a grammar may end with any of them.
"""

from __future__ import annotations

import os
import queue
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from inhouse.engine.gguf_fields import cache_numbers, context_length, read_fields
from inhouse.engine.protocol import (
    Generation,
    Grammar,
    Grammars,
    Hear,
    Progress,
    StreamingEngine,
    Ticket,
    Wishes,
    of_each,
)
from inhouse.errors import EngineFault, InputError, ModelUnavailable

CACHE_GIB = 1
# Requests at a time. More gain nothing on a CPU (9.6 requests/s with 4, 9.8 with 16), and each keeps its own copy of a
# beginning that prompts share, which it must compute first.
SLOTS = 4
# Prompts that one thread works through in their order: neighbours share their beginning, and a slot keeps its last one.
BLOCK = 16
# Above every logit there is: the token is taken, whatever the model thinks of it.
_FORCED = 1e6
_WHOLE_VOCABULARY = 1 << 24
_LIKELY = 64

Chunk = dict[str, Any]
Told = Callable[[Chunk], None]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class XLlamaCppEngine(StreamingEngine):
    """One GGUF model in llama.cpp's continuous batching, each of its slots keeping the prompt it read last.

    Args:
        gguf: the model file.
        end_of_turn: the token id that ends an answer.
        threads: CPU threads; 0 leaves the choice to llama.cpp.
        exact: attention and its cache in float32. Products with 8-bit weights round their other side to 8 bits too,
            and nothing switches that off.

    Raises:
        ModelUnavailable: xllamacpp is not installed, cannot read the file, or would not end an answer at `end_of_turn`.
    """

    def __init__(self, gguf: Path, end_of_turn: int, *, threads: int = 0, exact: bool = False) -> None:
        self._end_of_turn = end_of_turn
        self._context, slots = _sizes(read_fields(gguf), exact=exact)
        self._quiet = threading.Condition()  # tells when the last call has left llama.cpp
        self._under_way = 0
        self._closed = False
        with tempfile.TemporaryDirectory(prefix="inhouse-") as folder:  # what is killed leaves nothing in it
            self._server: Any = _start(gguf, self._context, slots, threads, Path(folder), exact=exact)
            self._other_ends = self._find_other_ends(gguf)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        grammar: Grammars = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """See `Engine.generate`.

        Raises:
            InputError: a prompt is empty or does not fit into the context; then none is answered.
        """
        asked = zip(prompts, of_each(grammar, len(prompts)), strict=True)
        requests = [self._request(prompt, max_new_tokens, one) for prompt, one in asked]

        return _in_blocks(lambda request: self._whole(request, lambda: False), requests, progress)

    def next_tokens(
        self, prompts: Sequence[Sequence[int]], progress: Progress | None = None
    ) -> tuple[list[int], list[float]]:
        """See `Engine.next_tokens`."""
        for prompt in prompts:
            self._room(prompt)
        best = _in_blocks(lambda prompt: self._likely(prompt, 1)[0], prompts, progress)
        return [int(b["id"]) for b in best], [float(b["logprob"]) for b in best]

    def submit(self, prompt: Sequence[int], wishes: Wishes, hear: Hear, *, every_token: bool) -> Ticket:
        """See `StreamingEngine.submit`.

        Raises:
            InputError: the prompt is empty or does not fit into the context, or the answer is to be sampled: a token
                that llama.cpp does not report (see above) can only be found again where it was the likeliest.
        """
        refuse_sampling(wishes)
        request = self._request(prompt, wishes.most, wishes.grammar)
        self._refuse_when_closed()
        ticket = _Ticket()

        def work() -> None:
            try:
                if every_token:
                    for part in self._parts(request, ticket.left.is_set):
                        hear(part)
                else:
                    hear(self._whole(request, ticket.left.is_set))
                hear(None)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
                with suppress(Exception):
                    hear(_fault(error))

        threading.Thread(target=work, name="inhouse-engine", daemon=True).start()
        return ticket

    def close(self) -> None:
        """See `Engine.close`. Requests under way end with an `EngineFault` at their next token."""
        with self._quiet:
            self._closed = True
            self._quiet.wait_for(lambda: self._under_way == 0)
            self._server = None

    # ------------------------------------------------------------------ calls into llama.cpp

    def _whole(self, request: Chunk, left: Callable[[], bool]) -> Generation:
        """The answer to a request; what there is of it when it is `left`."""
        chunks: list[Chunk] = []
        self._complete(request, chunks.append, left)
        growing = _Growing(request, self._end_of_turn, self._likely)
        for chunk in chunks:
            growing.take(chunk)
        return growing.generation()

    def _parts(self, request: Chunk, left: Callable[[], bool]) -> Iterator[Generation]:
        """The answer as it grows. What llama.cpp left out is asked for beside the thread that it tells the rest in."""
        box: queue.SimpleQueue[Chunk | EngineFault | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                self._complete(request, box.put, left)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
                box.put(_fault(error))
            finally:
                box.put(None)

        threading.Thread(target=work, name="inhouse-engine", daemon=True).start()
        growing = _Growing(request, self._end_of_turn, self._likely)
        while (item := box.get()) is not None:
            if isinstance(item, EngineFault):
                raise item
            if growing.take(item):
                yield growing.generation()

    def _likely(self, prompt: Sequence[int], count: int) -> list[Chunk]:
        """The `count` most likely next tokens, best first, as `id`, `logprob` and `bytes`.

        The end of the turn is forced, as a token that is not a whole character would not be reported; the
        probabilities are those before any force.
        """
        request = self._plain(prompt, 1) | {"n_probs": count, "logit_bias": [[self._end_of_turn, _FORCED]]}
        chunks: list[Chunk] = []
        self._complete(request, chunks.append, lambda: False)
        found: list[Chunk] = _entries(chunks[0])[0]["top_logprobs"]
        return found

    def _complete(self, request: Chunk, hear: Told, left: Callable[[], bool]) -> None:
        """One request, its chunks handed to `hear` as they come, until done or `left`.

        Raises:
            EngineFault: llama.cpp refused it, or the engine is closed.
        """
        last: Chunk = {}

        def take(chunk: Chunk) -> bool:  # whether to drop the request
            nonlocal last
            self.steps += 1
            if self._closed or left():
                return True
            last = chunk
            if "error" not in chunk:
                hear(chunk)
            return False

        with self._inside() as server:
            server.handle_completions(request, take)
        if "error" in last:
            raise EngineFault(f"llama.cpp refused a request: {last['error'].get('message', last['error'])}")
        if self._closed:
            raise EngineFault("the engine was closed during the request")
        if not left() and not _is_last(last):
            raise EngineFault("llama.cpp ended a request without an answer")

    @contextmanager
    def _inside(self) -> Iterator[Any]:
        with self._quiet:
            self._refuse_when_closed()
            self._under_way += 1
            server = self._server
        try:
            yield server
        finally:
            del server
            with self._quiet:
                self._under_way -= 1
                self._quiet.notify_all()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise EngineFault("the engine is closed")

    # ------------------------------------------------------------------ pieces

    def _request(self, prompt: Sequence[int], max_new_tokens: int, grammar: Grammar | None) -> Chunk:
        request = self._plain(prompt, min(max_new_tokens, self._room(prompt)))
        if grammar is not None:
            request |= {"grammar": grammar.text, "logit_bias": [[token, False] for token in self._other_ends]}
        return request

    def _plain(self, prompt: Sequence[int], count: int) -> Chunk:
        """A greedy request; `verbose` brings the number of tokens so far, reported ones and others."""
        return {
            "prompt": list(prompt),
            "n_predict": count,
            "samplers": ["top_k"],
            "top_k": 1,
            "n_probs": 1,
            "post_sampling_probs": False,
            "cache_prompt": True,
            "stream": True,
            "verbose": True,
        }

    def _room(self, prompt: Sequence[int]) -> int:
        """How many tokens fit behind the prompt: at least one."""
        if not prompt:
            raise InputError("a prompt without tokens cannot be answered", "give the input some text")
        room = self._context - len(prompt)
        if room < 1:
            raise InputError(
                f"a prompt of {len(prompt)} tokens does not fit into the context of {self._context}",
                "shorten the input, or show fewer examples in the prompt",
            )
        return room

    def _find_other_ends(self, gguf: Path) -> list[int]:
        """Every token but `end_of_turn` that llama.cpp takes for the end of an answer.

        The list is what `ignore_eos` would forbid, which the answer to such a request tells.
        """
        chunks: list[Chunk] = []
        request = self._plain([self._end_of_turn], 1) | {"ignore_eos": True}
        self._complete(request, chunks.append, lambda: False)
        biases = chunks[-1]["__verbose"]["generation_settings"]["logit_bias"]
        ends = {int(bias["token"]) for bias in biases}
        if self._end_of_turn not in ends:
            self.close()
            raise ModelUnavailable(
                f"llama.cpp does not take token {self._end_of_turn} of {gguf.name} for the end of an answer",
                f"write {self._end_of_turn} into the file as `tokenizer.ggml.eos_token_id`, or use another engine",
            )
        return sorted(ends - {self._end_of_turn})


def refuse_sampling(wishes: Wishes) -> None:
    """Refuse what the engine cannot do.

    Raises:
        InputError: the answer is to be sampled.
    """
    if wishes.sampling is not None:
        raise InputError(
            f"a temperature of {wishes.sampling.temperature:g} cannot be had: the engine xllamacpp, which runs "
            "this model, gives the likeliest answer alone",
            "leave `temperature` out, or set it to 0",
        )


class _Ticket:
    """A request under way, until it is `left`."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def cancel(self) -> None:
        """See `Ticket.cancel`."""
        self.left.set()


class _Growing:
    """An answer put together from the chunks of one request, with the tokens that llama.cpp did not report."""

    def __init__(self, request: Chunk, end_of_turn: int, likely: Callable[[Sequence[int], int], list[Chunk]]) -> None:
        self._end_of_turn = end_of_turn
        self._likely = likely
        self._prompt: list[int] = request["prompt"]
        self._free = "grammar" not in request
        self._ids: list[int] = []
        self._logprobs: list[float] = []

    def generation(self) -> Generation:
        """The answer so far."""
        finished = bool(self._ids) and self._ids[-1] == self._end_of_turn
        return Generation(list(self._ids), sum(self._logprobs), finished, tuple(self._logprobs))

    def take(self, chunk: Chunk) -> bool:
        """Add what a chunk brings; whether the answer grew."""
        before = len(self._ids)
        hidden = chunk["__verbose"]["tokens_predicted"] - before
        if not _is_last(chunk):
            (entry,) = _entries(chunk)
            self._recover(hidden - 1, bytes(entry["bytes"]))
            self._add(entry)
        elif self._free:
            self._recover(hidden, None)
        # Else a grammar's answer was cut short within a character: what is known of it, is the answer so far.
        return len(self._ids) > before

    def _recover(self, count: int, text: bytes | None) -> None:
        """Find `count` tokens that came before a reported one, which together with them says `text`.

        Each was the most likely of those that the grammar allowed; as it allowed `text`, it was the most likely of
        those that `text` begins with.
        """
        for _ in range(count):
            entry = self._most_likely(text)
            self._add(entry)
            if text is not None:
                text = text[len(entry["bytes"]) :]

    def _most_likely(self, text: bytes | None) -> Chunk:
        if text is None:
            return self._likely([*self._prompt, *self._ids], 1)[0]
        for count in (_LIKELY, _WHOLE_VOCABULARY):
            for entry in self._likely([*self._prompt, *self._ids], count):
                piece = bytes(entry["bytes"])
                if piece and len(piece) < len(text) and text.startswith(piece):
                    return entry
        raise EngineFault(f"no token begins the bytes {text!r} that llama.cpp answered")

    def _add(self, entry: Chunk) -> None:
        self._ids.append(int(entry["id"]))
        self._logprobs.append(float(entry["logprob"]))


def _entries(chunk: Chunk) -> list[Chunk]:
    """The tokens of a chunk."""
    found: list[Chunk] = chunk["choices"][0]["logprobs"]["content"]
    return found


def _is_last(chunk: Chunk) -> bool:
    return bool(chunk) and chunk["choices"][0]["finish_reason"] is not None


def _in_blocks(work: Callable[[Asked], Answer], items: Sequence[Asked], progress: Progress | None) -> list[Answer]:
    """`work` on every item, a few blocks at a time, in their order."""
    # Fewer items than would fill the blocks are spread over all threads.
    size = max(1, min(BLOCK, len(items) // SLOTS))
    blocks = [items[start : start + size] for start in range(0, len(items), size)]
    answers: list[Answer] = []
    with ThreadPoolExecutor(SLOTS, thread_name_prefix="inhouse-engine") as pool:
        for block in pool.map(lambda block: [work(item) for item in block], blocks):
            answers += block
            if progress is not None:
                progress(len(answers))
    return answers


def _sizes(header: dict[str, Any], *, exact: bool) -> tuple[int, int]:
    """The context of a slot and the number of slots, so that their cache keeps to CACHE_GIB (one slot always fits)."""
    room = CACHE_GIB * 2**30 // (cache_numbers(header) * (4 if exact else 2))
    context = context_length(header)
    return context, max(1, min(SLOTS, room // context))


def _start(gguf: Path, context: int, slots: int, threads: int, folder: Path, *, exact: bool) -> Any:  # noqa: ANN401
    """llama.cpp with the model loaded."""
    xllamacpp = _import()
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.verbosity = -1  # nothing on standard output or error
    params.offline = True
    params.fit_params = False  # it would make the context smaller to fit the memory, silently
    params.cache_ram_mib = 0  # up to 8 GiB of earlier prompts, copied at every change of a slot's prompt
    params.cache_idle_slots = False
    if threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    if exact:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    # The server cannot be had without its door: it is put where nobody else can knock, and soon where nobody can.
    params.ui = False
    params.endpoint_slots = False
    params.n_threads_http = 1
    params.api_keys = [secrets.token_urlsafe(32)]
    if os.name == "posix":
        params.hostnames = [str(folder / "engine.sock")]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelUnavailable(
            f"llama.cpp cannot read {gguf.name}", "use another base model, or a newer xllamacpp"
        ) from error


def _fault(error: BaseException) -> EngineFault:
    if isinstance(error, EngineFault):
        return error
    fault = EngineFault(f"the engine failed on a request: {error}")
    fault.__cause__ = error
    return fault


def _import() -> Any:  # noqa: ANN401 - an untyped library
    try:
        import xllamacpp
    except ImportError as error:
        hint = " and Debian's package libgomp1" if "libgomp" in str(error) else ""
        raise ModelUnavailable(
            f"the engine xllamacpp cannot be loaded: {error}", f"install it{hint}: pip install xllamacpp"
        ) from error
    return xllamacpp
