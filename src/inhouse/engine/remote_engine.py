"""A model behind any OpenAI-shaped endpoint (vLLM, Ollama, llama.cpp, a vendor), through the official client.

Text in, text out: unlike the local engines it renders its own prompts and tells no probabilities that compare.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inhouse.engine.protocol import Progress
from inhouse.errors import ConfigError, ModelUnavailable, OutboundForbidden, did_you_mean
from inhouse.store.settings import RemoteSettings, Settings, is_loopback

if TYPE_CHECKING:
    import openai

AT_ONCE = 4
TIMEOUT_SECONDS = 120.0
# Tries again by the client itself, waiting longer each time: at connection faults, 408, 409, 429 and 5xx.
RETRIES = 3
_BAD_REQUEST = (400, 422)
# Of one request: it was read and will not be answered, however often it is sent.
_REFUSED = (*_BAD_REQUEST, 413)
# So many requests in a row without an answer, each with its retries, and the endpoint is down: the rest are not sent.
PATIENCE = 12
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Conversation = Sequence[Mapping[str, str]]
Wishes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """One answer, or why there is none.

    Attributes:
        finished: the answer was not cut off at its greatest length.
        lost: it never came: the endpoint failed or was not reached, so nothing is known of what the model would say.
    """

    text: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    error: str | None = None
    finished: bool = True
    lost: bool = False


def open_remote(name: str, settings: Settings) -> RemoteEngine:
    """The remote model that `[remotes.NAME]` of inhouse.toml describes.

    Raises: what `endpoint_of` and `client_of` raise.
    """
    remote, key = endpoint_of(name, settings)
    return RemoteEngine(remote.base_url, remote.model, key, offline=settings.offline)


def endpoint_of(name: str, settings: Settings) -> tuple[RemoteSettings, str]:
    """What `[remotes.NAME]` of inhouse.toml says, and the key, taken from the environment.

    Raises:
        ConfigError: there is no such table, or it is not usable.
        ModelUnavailable: the key is not in the environment.
        OutboundForbidden: INHOUSE_OFFLINE=1, and the endpoint is not on this machine.
    """
    if name not in settings.remotes:
        hint = did_you_mean(name, settings.remotes)
        raise ConfigError(f"no remote model {name!r} in inhouse.toml", f"{hint}add a table [remotes.{name}]")
    remote = settings.remotes[name]
    _require_permission(remote.base_url, offline=settings.offline)
    if not _VARIABLE.fullmatch(remote.api_key_env):  # perhaps the key itself: it is not shown
        raise ConfigError(
            f"`api_key_env` of the remote model {name!r} is not the name of an environment variable",
            "put the key into an environment variable and that variable's name here",
        )
    key = os.environ.get(remote.api_key_env, "").strip()
    if not key and not is_loopback(host_of(remote.base_url)):
        raise ModelUnavailable(
            f"the environment variable {remote.api_key_env} with the key of the remote model {name!r} is not set",
            f"set {remote.api_key_env}, or name another variable as `api_key_env`",
        )
    return remote, key


def client_of(
    base_url: str, api_key: str, *, offline: bool, timeout: float = TIMEOUT_SECONDS, retries: int = RETRIES
) -> tuple[Any, openai.OpenAI]:
    """The official client's module, and a client of an endpoint.

    Raises:
        ConfigError: `base_url` is not the URL of an endpoint.
        ModelUnavailable: the client is not installed.
        OutboundForbidden: offline, and the endpoint is not on this machine.
    """
    _require_permission(base_url, offline=offline)
    try:
        import openai
    except ImportError as error:
        raise ModelUnavailable(
            "a remote model is asked through the package openai, which is not installed",
            "pip install 'inhouse[remote]'",
        ) from error
    # A proxy of the environment would carry what is meant for this machine out of it.
    own = openai.DefaultHttpxClient(trust_env=False) if is_loopback(host_of(base_url)) else None
    client = openai.OpenAI(
        base_url=base_url, api_key=api_key or "none", timeout=timeout, max_retries=retries, http_client=own
    )
    return openai, client


class RemoteEngine:
    """Asks a chat endpoint, a few requests at a time.

    Args:
        base_url: of the API, such as `https://api.openai.com/v1`.
        model: its name there.
        api_key: may be empty where the endpoint asks for none. It is never shown.
        offline: refuse an endpoint that is not on this machine.
        timeout: seconds that one try may take.
        retries: further tries of a request that failed for a reason that may pass.

    Attributes:
        note: what the endpoint would not do as asked, in words; empty when nothing.

    Raises:
        ConfigError: `base_url` is not the URL of an endpoint.
        ModelUnavailable: the client is not installed.
        OutboundForbidden: offline, and the endpoint is not on this machine.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str,
        *,
        offline: bool,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        self._openai, self._client = client_of(base_url, api_key, offline=offline, timeout=timeout, retries=retries)
        self._host = host_of(base_url)
        self._model = model
        self._key = api_key
        self._lock = threading.Lock()
        self._refused: tuple[str, ...] = ()
        self._in_vain = 0
        self.note = ""

    def answer(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int,
        json_schema: dict[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> list[RemoteAnswer]:
        """One answer per conversation, in order; a request that fails keeps its place, with an error.

        The first request goes alone: what is wrong with it is wrong with all. Where the endpoint stops answering, the
        rest are not sent, and count as lost.

        Raises:
            ModelUnavailable: the endpoint cannot be reached, refuses the key, or has no such model.
        """
        wishes = _wishes(max_new_tokens, json_schema)
        answers: list[RemoteAnswer] = []
        self._in_vain = 0
        if conversations:
            answers.append(self._first(conversations[0], wishes))
            if progress is not None:
                progress(1)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="inhouse-remote") as pool:
            for answer in pool.map(lambda conversation: self._other(conversation, wishes), conversations[1:]):
                answers.append(answer)
                if progress is not None:
                    progress(len(answers))
        return answers

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # ------------------------------------------------------------------ one request

    def _first(self, conversation: Conversation, wishes: Wishes) -> RemoteAnswer:
        who = f"the remote model {self._model!r} at {self._host}"
        try:
            return self._ask(conversation, wishes)
        except (self._openai.AuthenticationError, self._openai.PermissionDeniedError) as error:
            raise ModelUnavailable(
                f"{who} refuses the key ({error.status_code})", "check the environment variable that holds the key"
            ) from None
        except self._openai.NotFoundError as error:
            raise ModelUnavailable(
                f"{who} is not there: {self._told(error)}", "check `base_url` and `model` in inhouse.toml"
            ) from None
        except self._openai.APIConnectionError as error:
            raise ModelUnavailable(
                f"{who} cannot be reached: {self._told(error)}", "check `base_url` in inhouse.toml, and that it runs"
            ) from None
        except self._openai.OpenAIError as error:
            return self._failed(error)

    def _other(self, conversation: Conversation, wishes: Wishes) -> RemoteAnswer:
        with self._lock:
            in_vain = self._in_vain
        if in_vain >= PATIENCE:
            return RemoteAnswer(error=f"not sent, as {PATIENCE} requests in a row got no answer", lost=True)
        try:
            answer = self._ask(conversation, wishes)
        except self._openai.OpenAIError as error:
            answer = self._failed(error)
        with self._lock:
            self._in_vain = self._in_vain + 1 if answer.lost else 0
        return answer

    def _failed(self, error: openai.OpenAIError) -> RemoteAnswer:
        return RemoteAnswer(error=self._told(error), lost=getattr(error, "status_code", None) not in _REFUSED)

    def _ask(self, conversation: Conversation, wishes: Wishes) -> RemoteAnswer:
        """Ask with all wishes that the endpoint has not refused yet; drop one more each time that it refuses some.

        A wish counts as refused only once the request succeeds without it: other mistakes give the same status.
        """
        refused = self._refused
        while True:
            left = _without(wishes, refused)
            try:
                answer = self._request(conversation, left)
            except self._openai.APIStatusError as error:
                name = _blamed(error, left) if error.status_code in _BAD_REQUEST else None
                if name is None:
                    raise
                refused = (*refused, name)
            else:
                self._remember(refused, wishes)
                return answer

    def _request(self, conversation: Conversation, wishes: Wishes) -> RemoteAnswer:
        create: Callable[..., Any] = self._client.chat.completions.create
        reply = create(model=self._model, messages=[dict(message) for message in conversation], **wishes)
        choices = getattr(reply, "choices", None)
        if not choices:
            return RemoteAnswer(error=f"{self._host} answered without a choice", lost=True)
        message, usage = choices[0].message, reply.usage
        refusal = getattr(message, "refusal", None)
        return RemoteAnswer(
            text=message.content or "",
            prompt_tokens=usage.prompt_tokens if usage is not None else 0,
            answer_tokens=usage.completion_tokens if usage is not None else 0,
            error=f"the model refused to answer: {refusal[:200]}" if refusal else None,
            finished=choices[0].finish_reason != "length",
        )

    def _remember(self, refused: tuple[str, ...], wishes: Wishes) -> None:
        with self._lock:
            self._refused = tuple(dict.fromkeys((*self._refused, *refused)))
            told = [_NOTES[name] for name in self._refused if name in wishes and name in _NOTES]
            self.note = f"{self._host} does not take {' and '.join(told)}" if told else ""

    def _told(self, error: openai.OpenAIError) -> str:
        """An error in one line, without the key should the endpoint repeat it."""
        line = " ".join(str(error).split())
        return (line.replace(self._key, "…") if self._key else line)[:300]


def unfenced(text: str) -> str:
    """The text without the fence in which many models put JSON."""
    fenced = _FENCED.fullmatch(text.strip())
    return fenced[1] if fenced else text.strip()


# What to do without where the endpoint refuses it, in words that a report can show.
_NOTES = {
    "response_format": "a JSON Schema: its answers were not held to it",
    "temperature": "a temperature: its answers may differ from run to run",
}


def _wishes(max_new_tokens: int, json_schema: dict[str, Any] | None) -> Wishes:
    wishes: Wishes = {"max_tokens": max_new_tokens, "temperature": 0}
    if json_schema is not None:
        named = {"name": "answer", "schema": json_schema, "strict": True}
        wishes["response_format"] = {"type": "json_schema", "json_schema": named}
    return wishes


def _without(wishes: Wishes, refused: Sequence[str]) -> Wishes:
    """The wishes that are left; vendors that refuse `max_tokens` know it by a newer name."""
    left = {name: value for name, value in wishes.items() if name not in refused}
    if "max_tokens" in refused:
        left["max_completion_tokens"] = wishes["max_tokens"]
    return left


def _blamed(error: openai.APIStatusError, wishes: Wishes) -> str | None:
    """The wish that a refusal names; where it names none, the one that fewest endpoints know."""
    said = f"{getattr(error, 'param', None) or ''} {error}"
    for name in ("max_tokens", "temperature", "response_format"):
        if name in wishes and re.search(rf"\b{name}\b", said):
            return name
    return "response_format" if "response_format" in wishes else None


def host_of(base_url: str) -> str:
    """The machine in a URL; empty where there is none."""
    return urlsplit(base_url).hostname or ""


def _require_permission(base_url: str, *, offline: bool) -> None:
    """Raise where the URL is none, or leads out of this machine while that is forbidden."""
    host = host_of(base_url)
    if urlsplit(base_url).scheme not in ("http", "https") or not host:
        raise ConfigError(
            "`base_url` of a remote model is not the URL of an endpoint", "give one such as http://localhost:11434/v1"
        )
    if offline and not is_loopback(host):
        raise OutboundForbidden(
            f"the remote model at {host} needs a connection, and INHOUSE_OFFLINE=1 forbids it",
            "unset INHOUSE_OFFLINE (or `offline` in inhouse.toml) for this one command",
        )
