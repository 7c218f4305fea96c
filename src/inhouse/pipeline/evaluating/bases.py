"""Which base models the contenders of an evaluation were made of, and what these cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from inhouse.core import BaseFacts, ContenderResult, ModelVersion, Task
from inhouse.engine import get_base
from inhouse.pipeline.evaluating.field import base_of, encoder_of, writer_and_picker
from inhouse.store import Settings


def bases_of(
    task: Task, versions: Sequence[ModelVersion], contenders: Sequence[ContenderResult], settings: Settings
) -> tuple[BaseFacts, ...]:
    """The base that writes, and the encoder, each with the contenders that it is behind.

    Args:
        versions: the fine-tuned ones that took part.
    """
    from inhouse.evaluate.contenders import CONTENDERS

    writer, picker = writer_and_picker(versions)
    own = [c for c in contenders if c.name != "champion" and not c.name.startswith("remote:")]
    # An encoder reads tokens too, and picks its answer.
    writing = tuple(c.name for c in own if c.prompt_tokens is not None and c.name != "fine-tuned-encoder")
    encoding = tuple(c.name for c in own if c.name in CONTENDERS and CONTENDERS[c.name].encodes)
    found = []
    if writing:
        base, _ = base_of(task, writer, settings)
        found.append((base.spec, base.spec.parameters or base.shape.parameters, writing))
    if encoding:
        name, sha256 = encoder_of(task, picker)
        spec = get_base(name, settings, sha256=sha256).spec
        found.append((spec, spec.parameters, encoding))
    return tuple(
        BaseFacts(name=spec.name, title=spec.title, parameters=count, limits=spec.limits, used_by=names)
        for spec, count, names in found
    )
