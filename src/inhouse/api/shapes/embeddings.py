"""The bodies of `/v1/embeddings`."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from inhouse.api.errors import ApiError
from inhouse.api.shapes.wishes import not_supported
from inhouse.deploy.embedding import Embedded

MOST_TEXTS = 2048
_Texts = Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_TEXTS)]
_Ids = Annotated[list[StrictInt], Field(min_length=1)]


class EmbeddingRequest(BaseModel):
    """The body. Other fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    model: str
    input: StrictStr | _Texts | _Ids | Annotated[list[_Ids], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """The inputs as texts.

        Raises:
            ApiError: they are token ids, or one is empty.
        """
        found = [self.input] if isinstance(self.input, str) else self.input
        texts = [one for one in found if isinstance(one, str)]
        if not texts or len(texts) < len(found):
            advice = "send texts: token ids are those of one tokenizer (LangChain: check_embedding_ctx_length=False)"
            raise not_supported("input", advice)
        if not all(text.strip() for text in texts):
            raise ApiError(400, "an input is empty", code="invalid_value", param="input")
        return texts


def embeddings(body: EmbeddingRequest, found: Embedded) -> dict[str, Any]:
    """The vectors, as floats or as the bytes of little-endian float32 in base64."""
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, body.encoding_format)}
        for index, vector in enumerate(found.vectors)
    ]
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": usage}


def _written(vector: NDArray[np.float32], form: str | None) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]
