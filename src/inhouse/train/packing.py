"""Packing: the texts of a batch in one row of tokens, without padding, their common beginning once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inhouse.train.plan import Encoded

# A shared beginning of fewer tokens is not worth the joining of keys that it costs.
SHORTEST_PREFIX = 4
# Padded tokens of texts that attend to themselves side by side; the padding exists in the attention alone.
TOGETHER = 2048


@dataclass(frozen=True)
class Group:
    """Some texts of a packed batch, side by side for the attention.

    Attributes:
        rows: of each text's tokens, [texts x width], short texts padded with their first row; a slice for one text.
        texts, width: how many texts, and the tokens of the longest.
        real: [texts x width], false where a row is padding; None where none is.
        sees_prefix: whether the tokens attend to the shared beginning.
    """

    rows: Tensor | slice
    texts: int
    width: int
    real: Tensor | None
    sees_prefix: bool


@dataclass(frozen=True)
class Packed:
    """A batch in one row.

    Attributes:
        ids, positions: of each token, [tokens]; positions count within a text, as the rotation needs them.
        prefix: how many tokens at the beginning belong to every text.
        groups: which rows attend to each other.
        predicting: rows whose next token carries loss, [n], example by example as they were given.
        wanted: those tokens, [n].
    """

    ids: Tensor
    positions: Tensor
    prefix: int
    groups: tuple[Group, ...]
    predicting: Tensor
    wanted: Tensor


def pack(examples: Sequence[Encoded], *, share: bool = True) -> Packed:
    """The examples without padding, the shortest first; what all begin with is there once where `share`.

    The shared beginning computes the same for every text, as a token attends only to those before it, and its gradient
    is the sum of theirs: the result is that of each text alone.
    """
    texts = [[*e.prompt, *e.answer][:-1] for e in examples]  # the last token predicts nothing
    prefix = _common(examples) if share else 0
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    ids, positions = texts[0][:prefix], list(range(prefix))
    starts = [0] * len(texts)
    for i in order:
        starts[i] = len(ids)
        ids += texts[i][prefix:]
        positions += range(prefix, len(texts[i]))
    learned = [e.learned for e in examples]
    predicting = [start - prefix + p - 1 for start, (places, _) in zip(starts, learned, strict=True) for p in places]
    wanted = [token for _, tokens in learned for token in tokens]
    groups = _groups([starts[i] for i in order], [len(texts[i]) - prefix for i in order], sees_prefix=prefix > 0)
    if prefix:
        groups.insert(0, Group(slice(0, prefix), 1, prefix, None, sees_prefix=False))
    return Packed(
        torch.tensor(ids),
        torch.tensor(positions),
        prefix,
        tuple(groups),
        torch.tensor(predicting),
        torch.tensor(wanted),
    )


def _common(examples: Sequence[Encoded]) -> int:
    """How many tokens all begin with; none of them predicts one that carries loss, and no text ends within them."""
    if len(examples) < 2:
        return 0
    most = min(e.learned[0][0] for e in examples) - 1
    first = examples[0].prompt
    shared = 0
    while shared < most and all(e.prompt[shared] == first[shared] for e in examples):
        shared += 1
    return shared if shared >= SHORTEST_PREFIX else 0


def _groups(starts: Sequence[int], lengths: Sequence[int], *, sees_prefix: bool) -> list[Group]:
    """Texts in runs of `TOGETHER` padded tokens; lengths rise, so the last of a run is its width."""
    found: list[Group] = []
    begin = 0
    while begin < len(lengths):
        end = begin + 1
        while end < len(lengths) and lengths[end] * (end + 1 - begin) <= TOGETHER:
            end += 1
        width, texts = lengths[end - 1], end - begin
        if texts == 1:
            rows: Tensor | slice = slice(starts[begin], starts[begin] + width)
            found.append(Group(rows, 1, width, None, sees_prefix))
        else:
            start, length = torch.tensor(starts[begin:end])[:, None], torch.tensor(lengths[begin:end])[:, None]
            place = torch.arange(width)
            real = place < length
            rows = torch.where(real, start + place, start).reshape(-1)
            found.append(Group(rows, texts, width, None if bool(real.all()) else real.reshape(-1), sees_prefix))
        begin = end
    return found
