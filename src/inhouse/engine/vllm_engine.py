"""vLLM on a GPU, behind its HTTP address: one base, and an adapter for each version, token ids in and out.

The table `[remotes.vllm]` of inhouse.toml describes it. It is asked with the client, the retries and the guard of every
remote model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from inhouse.engine.choice import VLLM
from inhouse.engine.protocol import (
    Generation,
    Hear,
    StreamingEngine,
    Ticket,
    Wishes,
)
from inhouse.engine.remote_engine import client_of, endpoint_of, host_of
from inhouse.errors import EngineFault, ModelUnavailable
from inhouse.store.settings import Settings

# Requests at a time: vLLM makes batches of them.
AT_ONCE = 64
_RUNTIME = "start vLLM with --enable-lora, --max-lora-rank and the variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"


@dataclass(frozen=True)
class Adapter:
    """What a version learned, as PEFT has it.

    Attributes:
        name: that no other adapter has, as it is made of its content.
        folder: where vLLM finds it too.
    """

    name: str
    folder: Path


class _Request:
    """One request under way; `left` is set when nobody waits any more."""

    def __init__(self, prompt: Sequence[int], wishes: Wishes, hear: Hear, *, every_token: bool) -> None:
        self.prompt, self.wishes, self.hear, self.every_token = list(prompt), wishes, hear, every_token
        self.left = False

    def cancel(self) -> None:
        """See `Ticket.cancel`."""
        self.left = True


class VllmEngine(StreamingEngine):
    """The base that a vLLM serves, or an adapter on it.

    Args:
        settings: with the table `[remotes.vllm]`; its `model` is the base's name there.
        end_of_turn: the token id that ends an answer.
        adapter: None for the base alone.

    Raises:
        ConfigError: there is no such table, or it is not usable.
        ModelUnavailable: vLLM cannot be reached, or has no such base, or does not load the adapter.
        OutboundForbidden: INHOUSE_OFFLINE=1, and it is not on this machine.
    """

    def __init__(self, settings: Settings, end_of_turn: int, adapter: Adapter | None = None) -> None:
        remote, key = endpoint_of(VLLM, settings)
        self._openai, self._client = client_of(remote.base_url, key, offline=settings.offline)
        self._who = f"vLLM at {host_of(remote.base_url)}"
        self._end_of_turn, self._adapter = end_of_turn, adapter
        self._model = adapter.name if adapter else remote.model
        self._loading = Lock()
        self._closed = False
        try:
            self._require(remote.model)
            if adapter is not None:
                self._load(adapter)
        except BaseException:
            self._client.close()
            raise
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="inhouse-vllm")

    def submit(self, prompt: Sequence[int], wishes: Wishes, hear: Hear, *, every_token: bool) -> Ticket:
        """See `StreamingEngine.submit`."""
        request = _Request(prompt, wishes, hear, every_token=every_token)
        try:
            self._threads.submit(self._answer, request)
        except RuntimeError:
            raise EngineFault("the engine is closed") from None
        return request

    def close(self) -> None:
        """See `Engine.close`. Requests under way end with an `EngineFault`; the adapter is unloaded."""
        self._closed = True
        self._threads.shutdown(cancel_futures=False)
        if self._adapter is not None:
            with suppress(self._openai.OpenAIError):
                self._post("unload_lora_adapter", {"lora_name": self._adapter.name})
        self._client.close()

    # ------------------------------------------------------------------ one request

    def _answer(self, request: _Request) -> None:
        """Tell who waits of the answer, and of its end or what ended it."""
        ended: EngineFault | None = None
        try:
            last = None
            for last in self._grown(request):
                if request.every_token:
                    request.hear(last)
            if last is not None and not request.every_token:
                request.hear(last)
        except EngineFault as error:
            ended = error
        except ModelUnavailable as error:
            ended = EngineFault(error.what)
        except self._openai.OpenAIError as error:
            ended = EngineFault(f"{self._who} failed on a request: {' '.join(str(error).split())[:300]}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
            ended = EngineFault(f"{self._who} gave an answer of another shape: {error!r}"[:300])
        with suppress(Exception):
            request.hear(ended)

    def _grown(self, request: _Request) -> Iterator[Generation]:
        """The answer at every piece that vLLM sends."""
        ids: list[int] = []
        logprobs: list[float] = []
        with closing(self._begun(request)) as chunks:
            for chunk in chunks:
                if request.left:
                    return
                if self._closed:
                    raise EngineFault("the engine was closed during the request")
                if chunk.model != self._model:
                    raise EngineFault(f"{self._who} answered with the model {chunk.model!r}, not with {self._model!r}")
                for choice in chunk.choices:
                    found = (choice.model_extra or {}).get("token_ids")
                    if found is None:
                        raise EngineFault(f"{self._who} tells no token ids: it does not know return_token_ids")
                    ids += found
                    logprobs += choice.logprobs.token_logprobs if choice.logprobs else []
                    if found:
                        yield self._generation(ids, logprobs)

    def _begun(self, request: _Request) -> Any:  # noqa: ANN401 - the client's stream
        """The request, sent; where vLLM does not know the adapter any more, it is loaded once more."""
        wishes, sampling = request.wishes, request.wishes.sampling
        # Nothing but our own token ends an answer, as in every other engine.
        more: dict[str, Any] = {
            "return_token_ids": True,
            "stop_token_ids": [self._end_of_turn],
            "ignore_eos": True,
            "skip_special_tokens": False,
        }
        if wishes.grammar is not None:
            more["structured_outputs"] = {"grammar": wishes.grammar.text}
        asked = {
            "model": self._model,
            "prompt": request.prompt,
            "max_tokens": wishes.most,
            "logprobs": 1,
            "temperature": sampling.temperature if sampling else 0,
            "top_p": sampling.top_p if sampling else 1,
            **({"seed": sampling.seed} if sampling else {}),
        }
        create: Any = self._client.completions.create
        try:
            return create(**asked, stream=True, extra_body=more)
        except self._openai.NotFoundError:
            if self._adapter is None:
                raise
            self._load(self._adapter)
            return create(**asked, stream=True, extra_body=more)

    def _generation(self, ids: list[int], logprobs: list[float]) -> Generation:
        if len(logprobs) != len(ids):
            raise EngineFault(f"{self._who} told {len(logprobs)} log-probabilities of {len(ids)} tokens")
        return Generation(list(ids), sum(logprobs), ids[-1] == self._end_of_turn, tuple(logprobs))

    # ------------------------------------------------------------------ base and adapter

    def _require(self, base: str) -> None:
        """Raise where vLLM is not there, or serves another base."""
        try:
            known = self._known()
        except self._openai.AuthenticationError:
            raise ModelUnavailable(f"{self._who} refuses the key", "check `api_key_env` of [remotes.vllm]") from None
        except self._openai.OpenAIError as error:
            told = " ".join(str(error).split())[:200]
            remedy = "check `base_url` of [remotes.vllm] in inhouse.toml, and that it runs"
            raise ModelUnavailable(f"{self._who} cannot be asked: {told}", remedy) from None
        if base not in known:
            there = ", ".join(known) or "none"
            raise ModelUnavailable(
                f"{self._who} has no model {base!r}, but {there}", "check `model` of [remotes.vllm] in inhouse.toml"
            )

    def _known(self) -> list[str]:
        """The names that vLLM answers to."""
        return [model.id for model in self._client.models.list().data]

    def _load(self, adapter: Adapter) -> None:
        """Have vLLM load an adapter. One of its name is there already: it is the same."""
        with self._loading:
            try:
                self._post("load_lora_adapter", {"lora_name": adapter.name, "lora_path": str(adapter.folder)})
            except self._openai.OpenAIError as error:
                if not isinstance(error, self._openai.BadRequestError) or adapter.name not in self._known():
                    raise self._not_loaded(adapter, error) from None

    def _not_loaded(self, adapter: Adapter, error: Exception) -> ModelUnavailable:
        told = " ".join(str(error).split())[:200]
        return ModelUnavailable(f"{self._who} does not load the adapter in {adapter.folder}: {told}", _RUNTIME)

    def _post(self, path: str, body: dict[str, str]) -> None:
        self._client.post(f"/{path}", cast_to=str, body=body)
