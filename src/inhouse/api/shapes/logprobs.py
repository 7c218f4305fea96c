"""How likely tokens were, in OpenAI's two shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inhouse.api.errors import ApiError
from inhouse.api.shapes.wishes import not_supported
from inhouse.core import ModelVersion
from inhouse.deploy import Options, TokenChance, is_classifier

MOST = 1


def check_chances(param: str, count: int | None, version: ModelVersion, options: Options) -> None:
    """Refuse what no engine tells: it tells of each token that was chosen, and of no other.

    Args:
        param: the field that wishes for likeliest tokens, `count` of them at each place.

    Raises:
        ApiError
    """
    if is_classifier(version):
        raise not_supported("logprobs", "this model is a classifier: it writes no tokens")
    if count and count > MOST:
        raise not_supported(param, "the engine tells of the chosen token alone: 0 or 1")
    if count and (version.kind != "generate" or options.sampling or options.schema is not None):
        raise not_supported(param, "the chosen token need not be the likeliest here, and the engine tells of no other")


def require_logprobs(logprobs: bool | None, top: int | None) -> None:
    """Refuse `top_logprobs` alone, as OpenAI does.

    Raises:
        ApiError
    """
    if top is not None and not logprobs:
        what = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise ApiError(400, what, code="invalid_value", param="top_logprobs")


def of_chat(tokens: Sequence[TokenChance], top: int) -> dict[str, Any]:
    """`choices[].logprobs` of a chat completion."""
    entries = [_entry(token) for token in tokens]
    content = [{**entry, "top_logprobs": [dict(entry)] if top else []} for entry in entries]
    return {"content": content, "refusal": None}


def of_completion(tokens: Sequence[TokenChance], top: int) -> dict[str, Any]:
    """`choices[].logprobs` of a plain completion."""
    return {
        "tokens": [_written(token) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{_written(token): token.logprob} for token in tokens] if top else None,
        "text_offset": [token.start for token in tokens],
    }


def _entry(token: TokenChance) -> dict[str, Any]:
    return {"token": _written(token), "logprob": token.logprob, "bytes": list(token.text)}


def _written(token: TokenChance) -> str:
    """The token as a text; bytes that are no whole letter as OpenAI writes them (`\\xf0\\x9f`)."""
    return token.text.decode("utf-8", "backslashreplace")
