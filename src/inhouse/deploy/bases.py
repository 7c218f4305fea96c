"""Base models as they are, by their own names."""

from __future__ import annotations

from datetime import UTC, datetime

from inhouse.core import ModelVersion, Parity
from inhouse.engine import Base
from inhouse.engine.bases import bases_here, converted_at
from inhouse.errors import ModelUnavailable
from inhouse.store import Settings
from inhouse.store.traffic import NO_TASK

# The most tokens of an answer where the caller names no bound: an untrained model may repeat itself without end.
USUAL_TOKENS = 1024
# Nothing was trained, so there is nothing that it could differ from.
NOTHING_TRAINED = Parity(
    passed=True,
    tokens=0,
    top1_agreement=1.0,
    mean_logprob_difference=0.0,
    worst_logprob_difference=0.0,
    trainer_accuracy=0.0,
    served_accuracy=0.0,
    paired_p_value=1.0,
    validation_examples=0,
    reason="nothing was trained",
)


class BaseVersion(ModelVersion):
    """A base model as what answers: it belongs to no task, and writes texts.

    Attributes:
        base: its own name, as `base_model` in task.toml has it.
        hub_id: under which the hub has it; empty when it is not known to be there.
    """

    base: str
    hub_id: str = ""

    @property
    def name(self) -> str:
        """Its own name."""
        return self.base


class Bases:
    """The base models on this machine that an engine here can run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[tuple[str, float], BaseVersion | None] = {}

    def versions(self) -> list[BaseVersion]:
        """All of them, in the order of their names."""
        found = (self._version(base) for base in bases_here(self._settings, "causal"))
        return [version for version in found if version is not None]

    def find(self, name: str) -> BaseVersion | None:
        """The one with that name, or that id on the hub."""
        versions = self.versions()
        by_id = {version.hub_id: version for version in versions if version.hub_id}
        return {**by_id, **{version.base: version for version in versions}}.get(name)

    def _version(self, base: Base) -> BaseVersion | None:
        """None where no engine here runs it. A folder's files are read once."""
        key = (str(base.folder), converted_at(base.folder))
        if key not in self._known:
            self._known[key] = _version_of(base, key[1])
        return self._known[key]


def _version_of(base: Base, made: float) -> BaseVersion | None:
    from inhouse.engine.choice import choose_engine, gguf_architecture
    from inhouse.engine.gguf_traits import traits_of

    try:
        engine = choose_engine("auto", gguf_architecture(base.gguf), traits=traits_of(base.gguf))
    except ModelUnavailable:
        return None
    return BaseVersion(
        task=NO_TASK,
        number=0,
        kind="generate",
        contender="base",
        run="",
        file_sha256=base.spec.sha256,
        adapter_sha256="",
        fields=("messages",),
        chat=True,
        threshold=0.0,
        parity=NOTHING_TRAINED,
        engine=engine,
        lineage={},
        created_at=datetime.fromtimestamp(made, UTC).isoformat(),
        base=base.spec.name,
        hub_id=base.hub_id,
    )
