"""A generic model in the place of the fine-tuned one, where that is unsure, gives no valid answer, or is too slow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from inhouse.core import ModelVersion, Task, render_input
from inhouse.core.json_schema import compact
from inhouse.deploy.asking import Ask
from inhouse.deploy.bases import NOTHING_TRAINED, Bases
from inhouse.deploy.dispatch import Chosen
from inhouse.deploy.runtime import Runtime
from inhouse.deploy.served import PROMPT, Answered, form_of
from inhouse.engine import get_base, require_base
from inhouse.engine.answers import text_prediction
from inhouse.engine.choice import choose_engine, gguf_architecture
from inhouse.engine.gguf_traits import traits_of
from inhouse.engine.prompt_file import PromptFrame, frame_of
from inhouse.engine.prompts import conversation
from inhouse.engine.remote_engine import RemoteEngine, open_remote, unfenced
from inhouse.errors import ConfigError, EngineFault, InhouseError, NotFound, TimedOut
from inhouse.store import Workspace
from inhouse.store.settings import REMOTE, ReleaseSettings

Because = Literal["unsure", "invalid", "late", "fault"]


class GenericVersion(ModelVersion):
    """A generic model as what answers in the place of a version.

    Attributes:
        generic: how it is named: `tickets@prompted`, `remote:NAME`, or a base's own name.
    """

    generic: str

    @property
    def name(self) -> str:
        """How it is named."""
        return self.generic


@dataclass(frozen=True, slots=True)
class Fell:
    """Why the fine-tuned version did not answer, what did, and what that version had answered, if it had."""

    because: Because
    by: ModelVersion
    instead_of: Answered | None


@dataclass(frozen=True, slots=True)
class Given:
    """The answers to a request; `fell` where a generic model gave them, `note` where it should have and could not."""

    answers: tuple[Answered, ...]
    fell: Fell | None = None
    note: str = ""


class Fallbacks:
    """The generic models of the tasks that have one.

    Raises:
        ConfigError: a table `[tasks.NAME]` is of no task, or its generic model cannot answer it.
        ModelUnavailable: the base is not on this machine, or the key of a remote model is not in the environment.
        OutboundForbidden: a remote model, and INHOUSE_OFFLINE=1.
    """

    def __init__(self, workspace: Workspace, runtime: Runtime) -> None:
        self._workspace, self._runtime = workspace, runtime
        self._known: dict[str, tuple[ModelVersion, ModelVersion]] = {}
        self._frames: dict[str, tuple[ModelVersion, PromptFrame]] = {}
        self._remotes: dict[str, RemoteEngine] = {}
        for name, release in workspace.settings.tasks.items():
            self._require(name, release)

    def _require(self, name: str, release: ReleaseSettings) -> None:
        try:
            task = self._workspace.load_task(name)
        except NotFound as error:
            raise ConfigError(
                f"[tasks.{name}] is of no task: {error.what}", error.remedy, file=self._workspace.paths.config
            ) from error
        if release.fallback == "base" and task.kind != "generate":
            raise ConfigError(
                f"tasks.{name}.fallback = 'base': a base as it is gives no {task.kind} answers",
                'take "prompted", which tells it the labels or the schema',
                file=self._workspace.paths.config,
            )
        if release.fallback in ("prompted", "base"):
            require_base(task.base_model, self._workspace.settings)
        if release.fallback.startswith(REMOTE):
            self._remotes[name] = open_remote(release.fallback.removeprefix(REMOTE), self._workspace.settings)

    def close(self) -> None:
        """Close the connections to remote models."""
        for remote in self._remotes.values():
            remote.close()

    def helps(self, chosen: Chosen, ask: Ask) -> bool:
        """Whether another may answer instead: of a task's own name, and where one answer is asked for."""
        by_name = chosen.route in ("champion", "canary")
        return by_name and ask.count == 1 and bool(self._workspace.settings.release(chosen.version.task).fallback)

    async def answer(self, chosen: Chosen, ask: Ask) -> Given:
        """The answers to a request, by the version, or by the generic model where that is needed.

        Raises: what `Runtime.answer` raises.
        """
        if not self.helps(chosen, ask):
            return Given(await self._runtime.answer(ask))
        release = self._workspace.settings.release(chosen.version.task)
        own, because, fault = await self._own(ask, release)
        if own is not None and because is None:
            return Given((own,))
        if release.fallback == "review":
            if own is None:
                raise fault or EngineFault("the model gave no answer")
            return Given((replace(own, needs_review=True),))
        assert because is not None
        try:
            by, answered = await self._generic(ask, release)
            why = answered.prediction.error if answered.prediction.target is None else ""
        except InhouseError as error:
            why = error.what
        if not why:
            return Given((answered,), Fell(because, by, own))
        if own is None:
            raise fault or EngineFault(f"{_WORDS[because]}, and the fallback has no answer either: {why}")
        return Given((replace(own, needs_review=True),), note=f"the fallback {release.fallback} has no answer: {why}")

    async def _own(
        self, ask: Ask, release: ReleaseSettings
    ) -> tuple[Answered | None, Because | None, InhouseError | None]:
        """The version's answer, why it will not do, and the fault where there is none."""
        patience = None if release.fallback == "review" else release.fallback_after
        try:
            async with asyncio.timeout(patience):
                (answered,) = await self._runtime.answer(ask)
        except TimedOut as error:
            return None, "late", error
        except TimeoutError:
            return None, "late", None
        except EngineFault as error:
            return None, "fault", error
        prediction = answered.prediction
        if prediction.target is None or (prediction.error and prediction.finished):
            return answered, "invalid", None
        return answered, "unsure" if prediction.confidence < release.fallback_below else None, None

    async def _generic(self, ask: Ask, release: ReleaseSettings) -> tuple[ModelVersion, Answered]:
        """The generic model and its answer: as the task's owner wants it, a valid one needs no review."""
        by = await asyncio.to_thread(self._version, ask.version, release)
        if release.fallback.startswith(REMOTE):
            answered = await asyncio.to_thread(self._ask_remote, ask)
        else:
            (answered,) = await self._runtime.answer(replace(ask, version=by, inputs=_inputs(by, ask)))
        return by, replace(answered, needs_review=answered.prediction.error is not None)

    def _version(self, version: ModelVersion, release: ReleaseSettings) -> ModelVersion:
        """The generic model as what answers, made once for each state of a version."""
        known = self._known.get(version.task)
        if known is None or known[0] is not version:
            known = version, self._made(version, release)
            self._known[version.task] = known
        return known[1]

    def _made(self, version: ModelVersion, release: ReleaseSettings) -> ModelVersion:
        settings = self._workspace.settings
        task = self._task(version)
        if release.fallback == "base":
            base = get_base(task.base_model, settings)
            if (found := Bases(settings).find(base.spec.name)) is None:
                raise ConfigError(f"no engine here runs the base {base.spec.name}", "take another fallback")
            return found
        changed = {"number": 0, "contender": release.fallback, "calibrator": None, "field_calibrators": {}}
        changed |= {"threshold": 0.0, "parity": NOTHING_TRAINED, "checked": None, "exact": False, "evaluation": None}
        if release.fallback == "prompted":
            base = get_base(task.base_model, settings)
            frame = frame_of(task).model_dump_json().encode("utf-8")
            changed["file_sha256"] = self._workspace.blobs.put(frame, PROMPT)
            changed["engine"] = choose_engine(task.engine, gguf_architecture(base.gguf), traits=traits_of(base.gguf))
            changed["lineage"] = {**version.lineage, "prompted": base.spec.name, "prompted_sha256": base.spec.sha256}
        name = f"{version.task}@prompted" if release.fallback == "prompted" else release.fallback
        return GenericVersion.model_validate({**dict(version), **changed, "generic": name})

    def _task(self, version: ModelVersion) -> Task:
        return version.answers_as(self._workspace.load_task(version.task))

    def _ask_remote(self, ask: Ask) -> Answered:
        """A remote model's answer, held to the task's form by what is checked of it."""
        version, form = ask.version, form_of(ask.version)
        known = self._frames.get(version.task)
        if known is None or known[0] is not version:
            known = self._frames[version.task] = version, frame_of(self._task(version))
        (given,) = self._remotes[version.task].answer(
            [known[1].messages(ask.inputs, chat=version.chat)],
            max_new_tokens=ask.options.most or form.max_tokens,
            json_schema=version.json_schema if version.kind == "extract" else None,
        )
        if given.error is not None:
            raise EngineFault(given.error)
        found = text_prediction(
            unfenced(given.text),
            form,
            prompt_tokens=given.prompt_tokens,
            answer_tokens=given.answer_tokens,
            finished=given.finished,
        )
        return Answered(found, needs_review=False)


_WORDS: Mapping[Because, str] = {
    "unsure": "the model is not sure enough",
    "invalid": "the model gave no valid answer",
    "late": "the model gave no answer in time",
    "fault": "the engine failed",
}


def _inputs(by: ModelVersion, ask: Ask) -> Mapping[str, str]:
    """The input as the generic model takes it: a base reads messages."""
    if isinstance(by, GenericVersion):
        return ask.inputs
    if ask.version.chat:
        return {by.fields[0]: compact(conversation(ask.inputs))}
    return {by.fields[0]: compact([{"role": "user", "content": render_input(ask.inputs)}])}
