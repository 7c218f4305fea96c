"""A fine-tuned classifier as one file, and how it answers: OpenVINO for the encoder, numpy for the head.

The file is a zip archive without compression, the same bytes for the same model: `encoder.xml` and `encoder.bin` (both
encoders, OpenVINO IR), `tokenizer.json`, `head.*`, `unseen.json`, `meta.json`. Nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inhouse.core import Prediction
from inhouse.engine.answers import Question
from inhouse.engine.encoder import TextTokens
from inhouse.engine.label_head import Floats, LabelHead, told_only_by
from inhouse.engine.protocol import Progress
from inhouse.errors import ModelUnavailable

if TYPE_CHECKING:  # it imports torch
    from inhouse.engine.encoder_model import TwinEncoder

ENGINE = "openvino"
# Members of the archive. `unseen` has the answers that validation texts got before they were learned from, each under
# the SHA-256 of its text.
IR, WEIGHTS, TOKENIZER, META = "encoder.xml", "encoder.bin", "tokenizer.json", "meta.json"
UNSEEN = "unseen.json"
HEAD = ("head.safetensors", "head.json")
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
# Texts that go through the encoder at once: more of them keep their padding in no cache.
TEXTS_AT_ONCE = 64
# Labels that are told with an answer beside the likeliest.
ALTERNATIVES = 4


@dataclass(frozen=True)
class Reading:
    """How texts become token ids for a classifier's encoder."""

    tokenizer: str
    longest: int
    pad: int
    prefix: str = ""

    @property
    def tokens(self) -> TextTokens:
        """What does it."""
        return TextTokens(self.tokenizer, self.longest, self.prefix)


def write_classifier(
    file: Path, twin: TwinEncoder, reading: Reading, head: LabelHead, unseen: Mapping[str, Prediction]
) -> None:
    """Write a classifier as one file.

    Args:
        file: its folder gets two files more, which are gone at the end.
        unseen: by text, the answers to validation examples of a model that had not learned from them.
    """
    from inhouse.engine.encoder_model import write_openvino

    ir = file.parent / IR
    write_openvino(twin, reading.pad, ir)
    meta = {"longest": reading.longest, "pad": reading.pad, "prefix": reading.prefix}
    parts = {
        IR: ir.read_bytes(),
        WEIGHTS: ir.with_suffix(".bin").read_bytes(),
        TOKENIZER: reading.tokenizer.encode("utf-8"),
        META: json.dumps(meta).encode("utf-8"),
        UNSEEN: json.dumps({text_key(text): [a.target, a.confidence] for text, a in unseen.items()}).encode("utf-8"),
        **dict(zip(HEAD, head.as_bytes(), strict=True)),
    }
    write_archive(file, parts)
    for left in (ir, ir.with_suffix(".bin")):
        left.unlink()


def write_archive(file: Path, parts: Mapping[str, bytes]) -> None:
    """A zip archive without compression, the same bytes for the same parts."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST_DATE), content)


class LabelClassifier:
    """Answers texts with labels; safe to be asked by several threads.

    Args:
        file: what `write_classifier` wrote.
        threads: 0 for all cores.
        exact: computed in float32, not in the fastest precision that there is.

    Raises:
        ModelUnavailable: the file is no such archive, or OpenVINO cannot read it.
    """

    def __init__(self, file: Path, *, threads: int = 0, exact: bool = False) -> None:
        from inhouse.engine.openvino_encoder import Vectors

        try:
            with zipfile.ZipFile(file) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            meta = json.loads(parts[META])
            reading = Reading(parts[TOKENIZER].decode("utf-8"), meta["longest"], meta["pad"], meta["prefix"])
            self._head = LabelHead.of_bytes(*(parts[name] for name in HEAD))
            # Files of before have none: their models had not learned from validation examples.
            unseen = json.loads(parts.get(UNSEEN, b"{}"))
            self._unseen = {key: tuple(answer) for key, answer in unseen.items()}
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ModelUnavailable(f"this is no whole classifier: {error}", "train again", file=file) from error
        self._vectors = Vectors(parts[IR], parts[WEIGHTS], reading.pad, threads=threads, exact=exact)
        self._tokens = reading.tokens

    def question(self, text: str) -> Question:
        """A text as it is asked: what goes beyond the encoder's length is read by the head's n-grams alone."""
        return Question(self._tokens.ids([text])[0], text)

    def answer(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        """One label per question, in order."""
        answers: list[Prediction] = [Prediction(target=None)] * len(questions)
        order = sorted(range(len(questions)), key=lambda i: len(questions[i].prompt))
        for start in range(0, len(order), TEXTS_AT_ONCE):
            part = order[start : start + TEXTS_AT_ONCE]
            asked = [questions[i] for i in part]
            chances = self._head.log_chances(self._vectors([q.prompt for q in asked]), [q.text for q in asked])
            for place, question, answer in zip(part, asked, predictions(self._head.labels, chances), strict=True):
                answers[place] = answer.model_copy(update={"prompt_tokens": len(question.prompt)})
            if progress is not None:
                progress(start + len(part))
        return answers

    def answer_unseen(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        """The same, but a validation example that was learned from in the end is answered as it was before that."""
        return as_before(self.answer(questions, progress), questions, self._unseen)

    def close(self) -> None:
        """Free the model."""
        self._vectors.close()


def as_before(
    found: Sequence[Prediction], questions: Sequence[Question], unseen: Mapping[str, tuple[str, float]]
) -> list[Prediction]:
    """The answers, with those of texts that were learned from in the end as they were before that.

    Args:
        unseen: target and confidence by the key of such a text.
    """
    kept = [unseen.get(text_key(question.text)) for question in questions]
    return [
        one
        if before is None
        else one.model_copy(update={"target": before[0], "confidence": before[1], "alternatives": ()})
        for one, before in zip(found, kept, strict=True)
    ]


def forget_in_classifier(file: Path, to: Path, gone: Collection[str], kept: Iterable[str]) -> bool:
    """Write a classifier without what its file has of texts in clear or under a hash; whether there was anything.

    Those are kept answers, and n-grams, whose weights then count for no text any more.

    Args:
        file: what `write_classifier` or `write_linear` wrote.
        to: the file to write; nothing is written where there was nothing.
        gone: the texts that go.
        kept: the texts that it was trained on and that stay: their n-grams do.
    """
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    unseen, told, kept = json.loads(parts.get(UNSEEN, b"{}")), json.loads(parts[HEAD[1]]), list(kept)
    keys = {text_key(text) for text in gone}
    left = {key: answer for key, answer in unseen.items() if key not in keys}
    ngrams = []
    for which, terms in enumerate(told["ngrams"]):
        tell = told_only_by(which, gone, kept)
        ngrams.append([f"\0{i}" if term in tell else term for i, term in enumerate(terms)])
    if left == unseen and ngrams == told["ngrams"]:
        return False
    if UNSEEN in parts:
        parts[UNSEEN] = json.dumps(left).encode("utf-8")
    parts[HEAD[1]] = json.dumps({**told, "ngrams": ngrams}, ensure_ascii=False).encode("utf-8")
    write_archive(to, parts)
    return True


def text_key(text: str) -> str:
    """What an answer to a text is kept under: its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def predictions(labels: Sequence[str], chances: Floats) -> list[Prediction]:
    """The likeliest label of each row of log-probabilities [n, labels], with its probability, and the next ones."""
    ranked = np.argsort(-chances, axis=1, kind="stable")[:, : 1 + ALTERNATIVES]
    return [
        Prediction(target=told[0][0], confidence=told[0][1], alternatives=tuple(told[1:]))
        for told in (
            [(labels[i], float(np.exp(row[i]))) for i in places] for places, row in zip(ranked, chances, strict=True)
        )
    ]
