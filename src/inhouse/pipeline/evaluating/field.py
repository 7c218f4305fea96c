"""What the contenders of an evaluation may use: the data, and models that are loaded when first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.core import Dataset, EncoderRecipe, ModelVersion, Reporter, Task, read_recipe
from inhouse.engine import StreamingEngine, get_base, served_file
from inhouse.engine.prompts import TRAINED_SYSTEM
from inhouse.store import Settings, Workspace, predictions
from inhouse.train import max_tokens_of

if TYPE_CHECKING:
    from inhouse.engine.remote_engine import RemoteEngine


def make_field(workspace: Workspace, task: Task, version: ModelVersion, dataset: Dataset, reporter: Reporter) -> Any:  # noqa: ANN401 - the type would import the models
    """What the contenders may use; models are loaded when a contender first asks."""
    from inhouse.deploy import form_of
    from inhouse.deploy.served import CLASSIFIER, GGUF
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.choice import choose_engine, gguf_architecture, open_engine
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.encoder import SentenceEncoder
    from inhouse.engine.gguf_fields import context_length, read_fields
    from inhouse.engine.gguf_traits import traits_of
    from inhouse.evaluate.contenders import Field

    settings, recipe = workspace.settings, read_recipe(version.lineage["recipe"])
    if isinstance(recipe, EncoderRecipe):  # the base that is prompted is the task's
        base = get_base(task.base_model, settings, reporter.say)
        engine = choose_engine(task.engine, gguf_architecture(base.gguf), traits=traits_of(base.gguf))
        encoder, encoder_sha256 = recipe.base_model, recipe.base_sha256
        system, max_tokens = TRAINED_SYSTEM, max_tokens_of(task)
    else:
        base = get_base(recipe.base_model, settings, reporter.say, sha256=recipe.base_sha256)
        engine, encoder, encoder_sha256 = version.engine, task.encoder_model, ""
        system, max_tokens = recipe.system, recipe.max_tokens
    template = ChatTemplate(base.folder, base.spec.end_of_turn)

    def opened(file: Path, *, exact: bool) -> StreamingEngine:
        return open_engine(engine, file, template.end_of_turn, threads=settings.threads, exact=exact)

    return Field(
        task=version.answers_as(task),
        form=form_of(version),
        train=dataset.of("train"),
        validation=dataset.of("validation"),
        test=dataset.of("test"),
        system=system,
        max_tokens=max_tokens,
        context=context_length(read_fields(base.gguf)),
        tuned_name=version.contender,
        make_tuned=lambda: opened(workspace.blobs.path(version.file_sha256, GGUF), exact=version.exact),
        make_classifier=lambda: LabelClassifier(
            workspace.blobs.path(version.file_sha256, CLASSIFIER), threads=settings.threads, exact=version.exact
        ),
        make_base=lambda: opened(served_file(base, engine), exact=False),
        make_remote=lambda name: open_remote_model(name, settings),
        make_encoder=lambda: SentenceEncoder(get_base(encoder, settings, reporter.say, sha256=encoder_sha256).folder),
        template=template,
        reporter=reporter,
        trimming=version.trimming,
        identities={
            "tuned": f"{version.file_sha256} {engine} exact={version.exact}",
            "base": f"{base.spec.sha256} {engine}",
            **{f"remote:{name}": remote_identity(name, settings) for name in task.remotes},
        },
        known=predictions.known(workspace, task.name),
    )


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
