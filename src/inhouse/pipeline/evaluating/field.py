"""What the contenders of an evaluation may use: the data, and models that are loaded when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.core import Dataset, EncoderRecipe, ModelVersion, Recipe, Reporter, Silent, Task, read_recipe
from inhouse.engine import Base, StreamingEngine, get_base, served_file
from inhouse.engine.prompts import TRAINED_SYSTEM
from inhouse.errors import ModelUnavailable
from inhouse.pipeline.evaluating.documents import documents_of
from inhouse.pipeline.evaluating.judged import judging_of
from inhouse.pipeline.evaluating.untrained import untrained_draft
from inhouse.store import Settings, Workspace, predictions
from inhouse.train import max_tokens_of

if TYPE_CHECKING:
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.remote_engine import RemoteEngine


def make_field(
    workspace: Workspace, task: Task, dataset: Dataset, reporter: Reporter, versions: Sequence[ModelVersion] = ()
) -> Any:  # noqa: ANN401 - the type would import the models
    """What the contenders may use; models are loaded when a contender first asks.

    Args:
        versions: the fine-tuned ones that take part, one of a kind, which answer alike. Their base is what is prompted;
            without one it is the task's.

    Raises:
        ModelUnavailable: a base is not here.
    """
    from inhouse.deploy import form_of
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.encoder import SentenceEncoder
    from inhouse.engine.gguf_fields import context_length, read_fields
    from inhouse.evaluate.contenders import Field

    settings = workspace.settings
    writer, picker = writer_and_picker(versions)
    base, engine = base_of(task, writer, settings, reporter)
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    encoder, encoder_sha256 = encoder_of(task, picker)
    system, max_tokens = TRAINED_SYSTEM, max_tokens_of(task)
    if writer is not None and isinstance(recipe := _recipe_of(writer), Recipe):
        system, max_tokens = recipe.system, recipe.max_tokens

    answering = versions[0] if versions else untrained_draft(task, dataset, base, template)
    task = answering.answers_as(task)
    return Field(
        task=task,
        judging=judging_of(workspace, task, dataset),
        form=form_of(answering),
        train=dataset.of("train"),
        validation=dataset.of("validation"),
        test=dataset.of("test"),
        system=system,
        max_tokens=max_tokens,
        context=context_length(read_fields(base.gguf)),
        tuned_names=tuple(v.contender for v in versions),
        make_tuned=_maker_of(workspace, writer, template),
        make_classifier=_classifier_of(workspace, picker),
        make_base=lambda: _opened(engine, template, settings, served_file(base, engine)),
        make_remote=lambda name: open_remote_model(name, settings),
        make_encoder=lambda: SentenceEncoder(get_base(encoder, settings, reporter.say, sha256=encoder_sha256).folder),
        template=template,
        reporter=reporter,
        trimming=writer.trimming if writer else None,
        identities={
            "base": f"{base.spec.sha256} {engine}",
            **({"tuned": f"{writer.file_sha256} {engine} exact={writer.exact}"} if writer else {}),
            **{f"remote:{name}": remote_identity(name, settings) for name in task.remotes},
        },
        known=predictions.known(workspace, task.name),
        read_documents=documents_of(workspace, task.name, reporter),
    )


def writer_and_picker(versions: Sequence[ModelVersion]) -> tuple[ModelVersion | None, ModelVersion | None]:
    """Of some fine-tuned versions the causal model, which writes its answers, and the encoder, which picks labels."""
    pickers = [v for v in versions if _recipe_of(v).method == "encoder"]
    return next((v for v in versions if v not in pickers), None), next(iter(pickers), None)


def _recipe_of(version: ModelVersion) -> Recipe | EncoderRecipe:
    return read_recipe(version.lineage["recipe"])


def base_of(
    task: Task, writer: ModelVersion | None, settings: Settings, reporter: Reporter | None = None
) -> tuple[Base, str]:
    """The base that is prompted, and the engine that asks it: those of the fine-tuned model, else the task's."""
    from inhouse.engine.choice import choose_engine, gguf_architecture
    from inhouse.engine.gguf_traits import traits_of

    say = (reporter or Silent()).say
    if writer is not None:
        recipe = _recipe_of(writer)
        return get_base(recipe.base_model, settings, say, sha256=recipe.base_sha256), writer.engine
    base = get_base(task.base_model, settings, say)
    return base, choose_engine(task.engine, gguf_architecture(base.gguf), traits=traits_of(base.gguf))


def encoder_of(task: Task, picker: ModelVersion | None) -> tuple[str, str]:
    """Name and SHA-256 of the encoder whose vectors are compared: as it was before it was tuned, else the task's."""
    if picker is None:
        return task.encoder_model, ""
    recipe = _recipe_of(picker)
    return recipe.base_model, recipe.base_sha256


def _opened(engine: str, template: ChatTemplate, settings: Settings, file: Path) -> StreamingEngine:
    """The untrained base."""
    from inhouse.engine.choice import VLLM, open_engine
    from inhouse.engine.vllm_engine import VllmEngine

    if engine == VLLM:
        return VllmEngine(settings, template.end_of_turn)
    return open_engine(engine, file, template.end_of_turn, threads=settings.threads, exact=False)


def _maker_of(
    workspace: Workspace, writer: ModelVersion | None, template: ChatTemplate
) -> Callable[[], StreamingEngine]:
    from inhouse.deploy.adapters import open_weights
    from inhouse.deploy.version_files import GGUF

    if writer is None:
        return _nothing_trained
    return lambda: open_weights(workspace, writer, workspace.blobs.path(writer.file_sha256, GGUF), template.end_of_turn)


def _classifier_of(workspace: Workspace, picker: ModelVersion | None) -> Callable[[], LabelClassifier]:
    from inhouse.deploy.version_files import CLASSIFIER
    from inhouse.engine.classifier import LabelClassifier

    if picker is None:
        return _nothing_trained
    return lambda: LabelClassifier(
        workspace.blobs.path(picker.file_sha256, CLASSIFIER), threads=workspace.settings.threads, exact=picker.exact
    )


def _nothing_trained() -> Any:  # noqa: ANN401 - never gives anything back
    raise ModelUnavailable("no such model is trained yet", "inhouse train TASK")


def remote_identity(name: str, settings: Settings) -> str:
    """What a remote model is: where it is asked, and under which name."""
    remote = settings.remotes[name]
    return f"{remote.base_url} {remote.model}"


def open_remote_model(name: str, settings: Settings) -> RemoteEngine:
    """A remote model of `inhouse.toml`.

    Raises:
        ConfigError, ModelUnavailable, OutboundForbidden
    """
    from inhouse.engine.remote_engine import open_remote

    return open_remote(name, settings)


def encoders_of(task: Task) -> tuple[str, ...]:
    """The sentence encoder, where a contender of the task's kind needs it."""
    return (task.encoder_model,) if task.kind == "classify" else ()
