"""What the base, the task and the models of a fine-tuning job are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from inhouse.engine import known_bases
from inhouse.engine.bases import bases_here, by_name, require_base
from inhouse.errors import ModelUnavailable
from inhouse.store import Settings, Workspace, jobs
from inhouse.store.jobs import Job
from inhouse.store.model_names import CHECKPOINT, PREFIX

ID_PREFIX = "ftjob-"
ORGANIZATION = "inhouse"
# Letters of a task's name that a suffix gives, which leaves room for a number; and of the id in a model's name.
_MOST, _ID = 56, 8


def reference_of(settings: Settings, model: str) -> str:
    """What task.toml calls the base model of that name, or of that id on the hub, which is here or may be fetched.

    Raises:
        ModelUnavailable: there is none, with those that there are.
    """
    here = by_name(bases_here(settings, "causal"))
    if model in here:
        if not here[model].spec.reference:
            raise ModelUnavailable(
                f"the file that `{model}` was made of is not known any more",
                "name the file as `base_model` of a task, and train that once",
            )
        return here[model].spec.reference
    if model in (known := {spec.name: spec for spec in known_bases()}):
        return require_base(model, settings).reference or known[model].name
    names = ", ".join(sorted(here)) or "none"
    raise ModelUnavailable(
        f"The model `{model}` does not exist, or is none that can be fine-tuned",
        f"Base models here: {names}; `inhouse models pull NAME` brings more",
    )


def slug_of(suffix: str) -> str:
    """A suffix as a part of a name: small letters a to z, digits, `-` and `_`; empty where it has none of them."""
    return re.sub(r"[^a-z0-9_]+", "-", suffix.lower()).strip("-_")


def claim_task(workspace: Workspace, job: Job) -> str:
    """The name of the task of a job, which is its own: from its suffix, else from its id."""
    slug = slug_of(job.request["suffix"] or "")[:_MOST].strip("-_") or f"{ID_PREFIX}{_short(job)}"
    bases = {base.spec.name for base in bases_here(workspace.settings, "causal")}  # a task would go before one
    free = (name for name in _numbered(slug) if name not in bases and not workspace.has_task(name))
    return jobs.claim_task(workspace, job.id, free)


def model_name(job: Job) -> str:
    """What the model of a job is called."""
    request = job.request
    return f"{PREFIX}{request['model']}:{ORGANIZATION}:{slug_of(request['suffix'] or '')}:{_short(job)}"


def checkpoint_name(job: Job, step: int) -> str:
    """What the model of a job is called as it was after a step."""
    return f"{model_name(job)}{CHECKPOINT}{step}"


def _short(job: Job) -> str:
    return job.id.removeprefix(ID_PREFIX)[:_ID]


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"
