"""What a request for a text may wish of it: the fields that chat and plain completions share."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from inhouse.api.errors import ApiError
from inhouse.core import ModelVersion
from inhouse.deploy import Options
from inhouse.engine.protocol import Sampling

# Fields of the official client that cannot change an answer.
WITHOUT_EFFECT = {
    "user",
    "metadata",
    "store",
    "stream_options",
    "parallel_tool_calls",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "reasoning_effort",
    "verbosity",
    "modalities",
}
_SEEDS = 2**63
_STOP = Annotated[str, Field(min_length=1)]
_LIKELIEST = {
    "classify": "a label is always the likeliest",
    "extract": "an object is always the likeliest",
}
_ANSWERS = {
    "classify": "a classify model answers with one label",
    "extract": "an extract model answers with one JSON object of its own schema",
    "generate": "a generate model answers with one text",
}


class Wishes(BaseModel):
    """Those fields, with OpenAI's bounds. What is neither here nor known to be without effect is refused by name."""

    model_config = ConfigDict(extra="allow")

    model: str
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: Annotated[str, Field(min_length=1)] | Annotated[list[_STOP], Field(max_length=4)] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-_SEEDS, lt=_SEEDS)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None

    @property
    def asks(self) -> str:
        """Who asks, as far as the request tells."""
        told = self.model_extra or {}
        known = (told.get(name) for name in ("safety_identifier", "user"))
        return next((one for one in known if isinstance(one, str) and one), "")

    @property
    def count(self) -> int:
        """How many answers there are to be."""
        return self.n or 1

    @property
    def most(self) -> int | None:
        """The most tokens that the caller wants."""
        return self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end a text."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def includes_usage(self) -> bool:
        """Whether a stream is to end with the count of tokens."""
        return bool((self.stream_options or {}).get("include_usage"))

    @property
    def steered(self) -> dict[str, Any]:
        """What would make other tokens than the likeliest, by field, where it is given and does anything."""
        neutral = {"temperature": 0, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}}
        given = {name: getattr(self, name) for name in neutral}
        return {name: value for name, value in given.items() if value is not None and value != neutral[name]}

    def options(self, schema: Mapping[str, Any] | None = None) -> Options:
        """The same for the model. A text is sampled only where `temperature` is above 0.

        Args:
            schema: that the text is to be held to.
        """
        sampling = None
        if self.temperature and self.top_p != 0:
            seed = secrets.randbelow(_SEEDS) if self.seed is None else self.seed % _SEEDS
            sampling = Sampling(self.temperature, 1.0 if self.top_p is None else self.top_p, seed)
        return Options(self.most, self.stops, sampling, schema)

    def refuse_what_is_unknown(self) -> None:
        """Say no to a field that has no effect here, and is not known to be without any.

        Raises:
            ApiError
        """
        for name, value in (self.model_extra or {}).items():
            if name not in WITHOUT_EFFECT and value is not None:
                raise ApiError(400, f"Unrecognized request argument: {name}", code="unknown_parameter", param=name)

    def refuse_steering(self, version: ModelVersion) -> None:
        """Say no to what would change a text and cannot be done.

        Raises:
            ApiError
        """
        for name in ("presence_penalty", "frequency_penalty", "logit_bias"):
            if name in self.steered and version.kind == "generate":
                raise not_supported(name, "no engine here does it as OpenAI defines it")

    def unused(self, version: ModelVersion) -> list[str]:
        """What was wished for and had no effect on the answer, in words."""
        if reason := _LIKELIEST.get(version.kind):
            names = [*self.steered, *(["stop"] if self.stops else [])]
            found = [f"{_and(names)} had no effect: {reason}"] if names else []
        elif "top_p" in self.steered and self.temperature is None:
            found = ["top_p had no effect: without a temperature the text is the likeliest"]
        else:
            found = []
        if self.count > 1 and (version.kind != "generate" or self.options().sampling is None):
            found.append(f"n = {self.count} answers were written alike: each is the likeliest")
        return found


def not_supported(param: str, reason: str) -> ApiError:
    """A field that is known, and not done as it was asked for."""
    return ApiError(400, f"`{param}` is not supported as asked: {reason}", code="unsupported_value", param=param)


def answers_of(version: ModelVersion) -> str:
    """What a version answers with, in words."""
    return _ANSWERS[version.kind]


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
