"""Models that pick a label: they write no tokens, and answer all that waits together."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from inhouse.core import ModelVersion, Prediction, render_input
from inhouse.core.queues import groups
from inhouse.deploy.asking import LIKELIEST, Options
from inhouse.deploy.served import Answered, Served, Tokens
from inhouse.deploy.size import size_of_files
from inhouse.deploy.version_files import CLASSIFIER
from inhouse.engine import get_base
from inhouse.engine.answers import Question
from inhouse.engine.classifier import ENGINE, TEXTS_AT_ONCE
from inhouse.engine.protocol import Progress
from inhouse.store import Workspace

if TYPE_CHECKING:
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.linear_archive import LinearClassifier


class ServedClassifier(Served):
    """A tuned encoder with its head over the labels, or a linear classifier.

    Requests that wait at the same time are answered as one batch, by a thread of its own.

    Args: those of `ServedModel`.
    """

    def __init__(self, workspace: Workspace, version: ModelVersion) -> None:
        super().__init__(version)
        self.classifier = open_classifier(workspace, version)
        self.size = _classifier_size(workspace, version)
        self._waiting: SimpleQueue[tuple[Mapping[str, str], Future[Answered]] | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._work, name=f"answers of {version.name}", daemon=True)
        self._worker.start()

    def _question(self, inputs: Mapping[str, str]) -> Question:
        return self.classifier.question(render_input(inputs))

    def predictions(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        return self.classifier.answer(questions, progress)

    def soon(self, inputs: Mapping[str, str]) -> Future[Answered]:
        """See `Served.soon`: what waits is answered together."""
        answer: Future[Answered] = Future()
        self._waiting.put((inputs, answer))
        return answer

    def stream(
        self,
        question: Question,
        options: Options = LIKELIEST,
        *,
        every_token: bool = True,
        left: Future[None] | None = None,
    ) -> Generator[tuple[str, Answered | Tokens | None]]:
        """See `Served.stream`: a label comes as a whole."""
        (prediction,) = self.predictions([question])
        yield str(prediction.target), self.judged(prediction)

    def _work(self) -> None:
        for group in groups(self._waiting, TEXTS_AT_ONCE):
            self._answer_group([one for one in group if one[1].set_running_or_notify_cancel()])

    def _answer_group(self, group: Sequence[tuple[Mapping[str, str], Future[Answered]]]) -> None:
        asked: list[tuple[Question, Future[Answered]]] = []
        for inputs, answer in group:
            try:
                asked.append((self.question(inputs), answer))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the request's own
                answer.set_exception(error)
        try:
            found = self.predictions([question for question, _ in asked])
        except Exception as error:  # noqa: BLE001 - as above
            for _, answer in asked:
                answer.set_exception(error)
            return
        for (question, answer), prediction in zip(asked, found, strict=True):
            answer.set_result(replace(self.judged(prediction), trimmed=question.trimmed))

    def close(self) -> None:
        """Free the model, once what waits is answered."""
        self._waiting.put(None)
        self._worker.join()
        self.classifier.close()


def _classifier_size(workspace: Workspace, version: ModelVersion) -> int:
    files = [workspace.blobs.path(version.file_sha256, CLASSIFIER)]
    if version.engine != ENGINE and "encoder" in version.lineage:
        encoder = get_base(version.lineage["encoder"], workspace.settings, sha256=version.lineage["encoder_sha256"])
        files += encoder.folder.glob("*.safetensors")
    return size_of_files(*files)


def open_classifier(workspace: Workspace, version: ModelVersion) -> LabelClassifier | LinearClassifier:
    """What answers with labels, of a version that is no language model.

    Raises:
        ModelUnavailable: its file, or the encoder that it reads, is gone.
    """
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.linear_archive import LinearClassifier
    from inhouse.engine.openvino_encoder import OpenVinoEncoder

    file = workspace.blobs.path(version.file_sha256, CLASSIFIER)
    if version.engine == ENGINE:
        return LabelClassifier(file, threads=workspace.settings.threads, exact=version.exact)
    if "encoder" not in version.lineage:
        return LinearClassifier(file)
    base = get_base(version.lineage["encoder"], workspace.settings, sha256=version.lineage["encoder_sha256"])
    return LinearClassifier(file, OpenVinoEncoder(base.folder, threads=workspace.settings.threads).embed)
