"""What the models of a task can read: what `add` and `clean` measure its examples by."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from inhouse.clean import EncoderLimit, Limits, Subject
from inhouse.core import Dataset, Task
from inhouse.engine import find_spec, get_base, is_here, known_bases
from inhouse.errors import NothingToLearn
from inhouse.store import Workspace

if TYPE_CHECKING:
    from inhouse.engine.chat_template import ChatTemplate


def subject_of(workspace: Workspace, task: Task, dataset: Dataset) -> Subject:
    """The dataset as checks look at it. Without what only a model that is not on this machine could tell.

    Raises:
        ModelUnavailable: the task names a base that there is not.
    """
    causal = find_spec(task.base_model)
    encoder = _encoder_limit(workspace, task)
    limits = Limits(title=causal.title, languages=causal.languages, encoder=encoder)
    told = Subject(dataset, task.kind, schema=task.json_schema, outline=task.outline, limits=limits)
    if not is_here(causal, workspace.settings):
        return told
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.gguf_fields import context_length, read_fields
    from inhouse.train import max_tokens_of

    base = get_base(task.base_model, workspace.settings)
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    context = context_length(read_fields(base.gguf))
    limits = replace(limits, context=context, longer=_longer(context), special_tokens=template.special_tokens)
    told = replace(told, limits=limits)
    if task.train.model == "encoder":
        return told
    most = min(max_tokens_of(task), context)
    return replace(
        told,
        count_tokens=lambda texts: [len(template.text_ids(text)) for text in texts],
        max_tokens=most,
        trimmed=cache(lambda: _trimmed(task, dataset, template, most)) if task.train.trim else None,
    )


def _trimmed(task: Task, dataset: Dataset, template: ChatTemplate, max_tokens: int) -> str:
    """What trimming leaves of the dataset, in a sentence; or why it cannot be done."""
    from inhouse.pipeline.trimming import trimmed_by_relevance

    try:
        return trimmed_by_relevance(task, dataset, template, max_tokens).said
    except NothingToLearn as error:
        return error.what


def _longer(context: int) -> tuple[tuple[str, int], ...]:
    """Bases that read more than `context` tokens, the smallest model first."""
    longer = sorted((spec for spec in known_bases() if spec.context > context), key=lambda spec: spec.parameters)
    return tuple((spec.name, spec.context) for spec in longer)


def _encoder_limit(workspace: Workspace, task: Task) -> EncoderLimit | None:
    """Of the encoder that the task's contenders or its training use; None where there is none, or it is not here."""
    if task.kind != "classify":
        return None
    spec = find_spec(task.encoder_model)
    if not is_here(spec, workspace.settings):
        return None
    from inhouse.engine.encoder import MAX_TOKENS, TextTokens
    from inhouse.engine.encoder_facts import facts_of

    folder = get_base(task.encoder_model, workspace.settings).folder
    facts = facts_of(folder)
    tokens = TextTokens.of_folder(folder, facts.longest, facts.prefix)
    trained = task.train.model == "encoder"
    wished = (task.train.max_tokens if trained else None) or MAX_TOKENS
    return EncoderLimit(
        spec.title,
        reads=min(wished, facts.longest),
        count_tokens=tokens.counts,
        trained=trained,
        skips_spaces=tokens.skips_spaces,
    )
