"""Causal models that are shown something with a question: a prompt that was judged, examples, passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inhouse.core import ModelVersion, render_input
from inhouse.deploy.served import Prompt, ServedModel
from inhouse.deploy.size import size_of_files
from inhouse.deploy.version_files import GGUF, PROMPT
from inhouse.engine import Base, get_base, served_file
from inhouse.engine.gguf_fields import context_length, read_fields
from inhouse.engine.prompt_file import LookUp, PromptFrame, read_frame
from inhouse.engine.retrieval import DEPTH, Texts, fitting, most_alike, room_for_shots
from inhouse.errors import PromptTooLong
from inhouse.store import Workspace
from inhouse.store.registry import WEIGHTS


class _LookedUp:
    """Finds the passages, or else the solved examples, of a frame that belong to a question.

    Attributes:
        size: bytes of memory that its encoder takes at most.

    Raises:
        ModelUnavailable: the sentence encoder is not here.
    """

    def __init__(self, workspace: Workspace, frame: PromptFrame, look_up: LookUp) -> None:
        self._how, self._vectors, self._encoder, self.size = look_up, look_up.matrix, None, 0
        if look_up.encoder:
            from inhouse.engine.openvino_encoder import OpenVinoEncoder

            base = get_base(look_up.encoder, workspace.settings, sha256=look_up.encoder_sha256)
            self._encoder = OpenVinoEncoder(base.folder, threads=workspace.settings.threads)
            self.size = size_of_files(*base.folder.glob("*.safetensors"))
        vectors = self._vectors if self._encoder else None
        self._passages = Texts([one.text for one in frame.passages], vectors) if frame.passages else None

    def of(self, text: str, room: int, prompt: int) -> list[int]:
        """Places of what a question is shown: of passages the nearest first, of examples last.

        Args:
            room: tokens of the longest prompt; `prompt` those of the question's with nothing shown.
        """
        how = self._how
        if not how.costs:
            return []
        budget = room_for_shots(room, prompt, how.tokens)
        ranked = self._ranked(text)
        kept = fitting(ranked, [how.costs[place] for place in ranked], how.count, budget)
        return kept if self._passages else kept[::-1]

    def _ranked(self, text: str) -> list[int]:
        vector = None if self._encoder is None else self._encoder.embed([text])
        if self._passages is not None:
            return self._passages.nearest([text], vector, DEPTH)[0]
        assert vector is not None
        return most_alike(vector, self._vectors, DEPTH)[0]


class ServedPrompt(ServedModel):
    """The untrained base, asked by a prompt that an evaluation judged.

    Args: those of `ServedModel`.
    """

    def __init__(self, workspace: Workspace, version: ModelVersion, *, apart: bool = False) -> None:
        super().__init__(workspace, version, apart=apart)
        self._frame = read_frame(workspace.blobs.path(version.file_sha256, PROMPT))
        self._most = context_length(read_fields(self._base(workspace).gguf)) - self.form.max_tokens
        self._look_up = _LookedUp(workspace, self._frame, self._frame.look_up) if self._frame.look_up else None
        self.size += self._look_up.size if self._look_up else 0

    def _base(self, workspace: Workspace) -> Base:
        lineage = self.version.lineage
        return get_base(lineage["prompted"], workspace.settings, sha256=lineage["prompted_sha256"])

    def _file(self, _workspace: Workspace, base: Base) -> Path:
        return served_file(base, self.version.engine)

    def _prompt(self, inputs: Mapping[str, str], whole: Mapping[str, str]) -> Prompt:
        shown: Sequence[int] | None = None
        if self._look_up is not None:
            alone = self.template.prompt_ids(self._frame.messages(inputs, [], chat=self.version.chat))
            shown = self._look_up.of(render_input(whole), self._most, len(alone))
        ids = self.template.prompt_ids(self._frame.messages(inputs, shown, chat=self.version.chat))
        if len(ids) > self._most and shown is None:  # as it was judged: examples that leave no room are not shown
            ids = self.template.prompt_ids(self._frame.messages(inputs, [], chat=self.version.chat))
        if len(ids) > self._most:
            raise PromptTooLong(f"the prompt takes {len(ids)} tokens, of {self._most} at most", "shorten the input")
        return Prompt(ids, self._frame.cited(shown))


class ServedWithShots(ServedPrompt):
    """A fine-tuned causal model that is shown solved examples, as an evaluation judged it.

    Args: those of `ServedModel`.
    """

    def _base(self, workspace: Workspace) -> Base:
        return ServedModel._base(self, workspace)

    def _file(self, workspace: Workspace, _base: Base) -> Path:
        return workspace.blobs.path(self.version.lineage[WEIGHTS], GGUF)

    def _prompt(self, inputs: Mapping[str, str], whole: Mapping[str, str]) -> Prompt:
        ServedModel._prompt(self, inputs, whole)  # refuses what is longer than the model was trained for
        return super()._prompt(inputs, whole)
