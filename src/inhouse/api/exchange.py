"""One request to a model, from its first sight to its Trace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import quote

from anyio import CancelScope
from sqlalchemy.exc import SQLAlchemyError

from inhouse.api.errors import ApiError, ClientLeft
from inhouse.api.shapes.chat import Head
from inhouse.core import Prediction, Trace
from inhouse.deploy import LIKELIEST, Answered, Ask, Chosen, Fallbacks, Fell, Options
from inhouse.errors import InhouseError, InputError, ModelUnavailable
from inhouse.store.database import now
from inhouse.store.trace_writer import TraceWriter

LEFT = "the client left"
NOT_KEPT = "the trace of this answer could not be kept: `monitor` will not count it, and feedback on it is refused"
TRIMMED = "the input is longer than the model reads: the parts that matter most were read"

_log = logging.getLogger("inhouse")


@dataclass
class Exchange:
    """A request as far as it has come; however it ends, it becomes a Trace.

    `inputs` holds the raw text under no field's name until it was read as the task's input; `key` is the id of the key
    that asks. `tags` tell of an answer by a fallback why, and what the version had answered. `outcome` says of a
    request without an answer whether it was `refused`, as it could not be read, or the client `left`.
    """

    head: Head
    chosen: Chosen
    inputs: dict[str, str]
    warnings: list[str]
    options: Options = LIKELIEST
    count: int = 1
    begun: float = field(default_factory=time.perf_counter)
    first_ms: float | None = None
    answered: Answered | None = None
    error: str | None = None
    kept: bool = False
    key: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    outcome: str = "left"

    @asynccontextmanager
    async def traced(self, writer: TraceWriter) -> AsyncIterator[None]:
        """Keep a Trace of what happens inside, whatever happens."""
        try:
            yield
        except ClientLeft:
            raise
        except Exception as error:
            self.failed(error)
            raise
        finally:
            with CancelScope(shield=True):
                await self.keep(writer)

    async def keep(self, writer: TraceWriter) -> None:
        """Store the Trace, once. That it cannot be stored is no reason to withhold an answer, which is told of it."""
        if self.kept:
            return
        self.kept = True
        try:
            await asyncio.wrap_future(writer.add(self._trace()))
        except (InhouseError, SQLAlchemyError) as error:
            _log.warning("the trace of %s was not kept: %s", self.head.id, str(error).splitlines()[0])
            self.warnings.append(NOT_KEPT)

    def heard(self) -> None:
        """Note when the first piece of the answer was there."""
        if self.first_ms is None:
            self.first_ms = self._elapsed_ms()

    def ask(self) -> Ask:
        """What is asked of the version, once the inputs were read."""
        return Ask(self.chosen.version, self.inputs, self.options, self.count)

    async def answer(self, fallbacks: Fallbacks, ask: Ask) -> tuple[Answered, ...]:
        """The answers, by the version or what stands in for it; which, is noted.

        Raises: what `Runtime.answer` raises.
        """
        given = await fallbacks.answer(self.chosen, ask)
        if given.note:
            self.warnings.append(given.note)
        if given.fell is not None:
            self._fell(given.fell)
        return given.answers

    def _fell(self, fell: Fell) -> None:
        """Note that a generic model answers, and what the version had answered."""
        told: dict[str, Any] = {"because": fell.because, "model_version": self.chosen.version.name}
        self.tags = {"route": self.chosen.route, "because": fell.because, "instead_of": self.chosen.version.name}
        if fell.instead_of is not None:
            own = fell.instead_of.prediction
            told |= {"answer": own.target, "confidence": own.confidence}
            self.tags |= {"answer": own.target or "", "error": own.error or "", "confidence": f"{own.confidence:.6f}"}
        self.head = replace(self.head, version=fell.by, fallback=told)
        self.chosen = Chosen(fell.by, "fallback")

    def ended(self, answers: Sequence[Answered]) -> None:
        """Note the answers. Of several the Trace keeps the first."""
        self.answered, self.outcome = answers[0], ""
        if self.answered.trimmed:
            self.warnings.append(TRIMMED)

    def failed(self, error: Exception) -> None:
        """Note why there is no answer, in one line."""
        refused = isinstance(error, ApiError | InputError) and not isinstance(error, ModelUnavailable)
        self.outcome = "refused" if refused else ""
        if isinstance(error, InhouseError):
            self.error = error.what
        else:
            self.error = error.message if isinstance(error, ApiError) else f"{type(error).__name__}: {error}"

    @property
    def headers(self) -> dict[str, str]:
        """Which version answers, by which way, and how sure it was, once that is known."""
        told = {"x-inhouse-model": quote(self.chosen.version.name, safe="@/:"), "x-inhouse-route": self.chosen.route}
        if self.answered is not None:
            told["x-inhouse-confidence"] = f"{self.answered.prediction.confidence:.4f}"
            told["x-inhouse-needs-review"] = str(self.answered.needs_review).lower()
        return told

    @property
    def task(self) -> str:
        """Whose request it is: also where a base answers in the place of the task's version."""
        instead_of = self.tags.get("instead_of", "")
        return instead_of.partition("@")[0] if instead_of else self.chosen.version.task

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self.begun) * 1000

    def _trace(self) -> Trace:
        left = Answered(Prediction(target=None, error=self.error or LEFT), needs_review=True)
        answered = self.answered or left
        prediction, version = answered.prediction, self.chosen.version
        return Trace(
            id=self.head.id,
            task=self.task,
            model_version=version.name,
            inputs=self.inputs,
            output=prediction.target,
            confidence=prediction.confidence,
            needs_review=answered.needs_review,
            latency_ms=self._elapsed_ms(),
            prompt_tokens=prediction.prompt_tokens,
            answer_tokens=prediction.answer_tokens,
            created_at=now(),
            error=prediction.error,
            route=self.chosen.route,
            key=self.key,
            ttft_ms=self.first_ms,
            asked=self._asked(),
            tags={**self.tags, **({"outcome": self.outcome} if self.outcome else {})},
        )

    def _asked(self) -> dict[str, Any]:
        """The wishes that were not the usual ones."""
        wished = {} if self.options == LIKELIEST else asdict(self.options)  # which takes its time
        options = {name: value for name, value in wished.items() if value not in (None, (), False)}
        return options | ({"n": self.count} if self.count > 1 else {})
