"""What a version has forgotten: how far it has moved from its base on prompts that are not of its task."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from inhouse.core import Evaluation, ForgettingResult, ModelVersion, Recipe, Reporter, read_recipe
from inhouse.engine import get_base
from inhouse.pipeline.packaging import ADAPTER, open_trainer
from inhouse.store import Workspace

# For the base, which divergence bounds, and the version.
MINUTES = 2.0
_NOT_MEASURED = "what it has forgotten was not measured"


def forgotten(
    workspace: Workspace, version: ModelVersion, reporter: Reporter, minutes: float = float("inf")
) -> tuple[ForgettingResult | None, tuple[str, ...]]:
    """The divergence of a version from its base on general prompts, or why it was not measured.

    A version's weights never change, so what an earlier evaluation measured on these prompts is told again.

    Args:
        minutes: that are left for it; it takes two at most.
    """
    if not version.fine_tuned:
        return None, ()
    recipe = read_recipe(version.lineage["recipe"])
    if not isinstance(recipe, Recipe):
        return None, (f"{_NOT_MEASURED}: a sentence encoder says nothing but labels",)
    if minutes < MINUTES:
        return None, (f"{_NOT_MEASURED}: no time was left for it",)
    if find_spec("torch") is None or find_spec("transformers") is None:
        return None, (f"{_NOT_MEASURED}: that needs torch (pip install 'inhouse[train]')",)
    if not workspace.blobs.location(version.adapter_sha256, ADAPTER).is_file():
        return None, (f"{_NOT_MEASURED}: what the training learned is not kept any more",)
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.evaluate.divergence import divergence, general_prompts

    texts = general_prompts()
    before = Evaluation.model_validate(version.evaluation).forgetting if version.evaluation else None
    if before is not None and before.prompts == len(texts):
        return before, ()
    reporter.say("asking the version and its base about what is not of the task")
    base = get_base(recipe.base_model, workspace.settings, reporter.say, sha256=recipe.base_sha256)
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    opened = partial(open_trainer, workspace, base, version, template)
    prompts = [template.prompt_ids([{"role": "user", "content": text}]) for text in texts]
    return divergence(partial(opened, trained=False), opened, prompts), ()
