"""What the checks of labels read texts by: the task's sentence encoder, where it is on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from inhouse.core import Reporter, Task
from inhouse.engine import find_spec, get_base, is_here
from inhouse.store import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def embedder(workspace: Workspace, task: Task, reporter: Reporter) -> Callable[[list[str]], NDArray[np.float32]] | None:
    """Texts to vectors of unit length; None where the encoder is not here, or no label is to be judged.

    The encoder is loaded at the first call. A text that comes again is read once.
    """
    if task.kind != "classify" or not is_here(find_spec(task.encoder_model), workspace.settings):
        return None

    def embed(texts: list[str]) -> NDArray[np.float32]:
        from inhouse.engine.encoder import SentenceEncoder

        different = list(dict.fromkeys(texts))
        bar = reporter.bar("embeddings of the inputs", len(different))
        base = get_base(task.encoder_model, workspace.settings)
        vectors = SentenceEncoder(base.folder).embed(different, bar.update)
        place = {text: i for i, text in enumerate(different)}
        return vectors[[place[text] for text in texts]]

    return embed
