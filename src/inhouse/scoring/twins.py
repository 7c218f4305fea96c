"""Near-twins: pairs of texts that say almost the same, found without comparing each with each.

Candidates come from MinHash (Broder 1997, "On the resemblance and containment of documents") over the 4-character
stretches of words, in sorted trees as in LSH Forest (Bawa, Condie, Ganesan 2005): in each tree the texts are sorted by
eight of their hashes and compared with the next few, so that the work grows with the texts and not with the pairs.
Each candidate is then verified, and what a pair carries is the verified likeness.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

# Two texts of this likeness or more are near-twins: the cosine of their TF-IDF vectors over stretches of 3 to 5
# characters, the higher one of stretches within words and across them. At 0.90 texts differ by a filler word or the
# word order ("can I ..." and "how can I ..."). Chosen while looking at banking77's training and test files.
NEAR = 0.90
# Likeness by chance: word frequencies are learned from a sample, and a pair on the line may fall to either side of it.
_SLACK = 0.005
# A typing error in a word of so many letters makes no other word.
_TYPO_LETTERS = 5

_HASHES = 64
_TREES = 24
_PER_TREE = 8  # hashes, a byte of each, in a 64-bit key
_NEIGHBOURS = 3
_PREFIX = 3  # hashes that two neighbours in a tree share at least
_LEAST_SHARED = 0.55  # of the hashes of two candidates
# Of 100: near-twins whose words are sorted share at least so much, those of over `_LONG` characters, where a single
# word is less of the whole, more; to see it takes a hundredth of what the likeness takes.
_ROUGH, _ROUGH_LONG, _LONG = 68, 85, 150
_ACROSS = 0.15  # what the likeness across words is above that within words, at most
_FREQUENCIES_FROM = 20_000
_MOST_BUCKETS = 1 << 22
_TOKENS = 100
_SEED = 20261127
_CHUNK = 1 << 17  # characters, or pairs, at a time

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SIGN = re.compile(r"(?<!\w)[-+]")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Near-twins by their positions, `left` < `right`, and how alike each pair is, from 0 to 1."""

    left: Ints
    right: Ints
    likeness: Floats

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return zip(self.left.tolist(), self.right.tolist(), self.likeness.tolist(), strict=True)


def near_twins(texts: Sequence[str]) -> Pairs:
    """The near-twins among texts that are folded (see `inhouse.core.folded`) and all different.

    Of a set of texts that are all alike some pairs are given that join all of them; of two alone, that pair.
    """
    import numpy as np

    if len(texts) < 2:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    left, right = _candidates(_signatures(texts))
    return _verified(texts, left, right)


def _signatures(texts: Sequence[str]) -> NDArray[np.uint8]:
    """A row of `_HASHES` bytes for each text: the low bytes of its MinHash; zeros where a text has no word.

    Hashed are about `_TOKENS` stretches of a text, a rare one more likely than a common one, and the same ones in all
    texts of about the same length: what most texts share would make candidates of all of them.
    """
    import numpy as np
    from rensa import RMinHash

    found = np.zeros((len(texts), _HASHES), np.uint8)
    buckets = min(_buckets(texts), _MOST_BUCKETS // 4)
    rarity = _rarity(texts[:: _step(texts)], buckets)
    for start, end in _stretches(texts):
        codes, begins = _codes(texts[start:end])
        valid, hashes = _windows(codes, 4, within_words=True)
        upto = np.concatenate(([0], np.cumsum(valid)))[np.append(begins, len(codes))]
        weights = rarity[hashes & np.uint64(buckets - 1)]
        totals = np.diff(np.concatenate(([0.0], np.cumsum(weights, dtype=np.float64)))[upto])
        chances = weights * np.repeat((_TOKENS / np.maximum(totals, 1e-9)).astype(np.float32), np.diff(upto))
        kept = (hashes >> np.uint64(40)).astype(np.float32) < chances * np.float32(1 << 24)
        offsets = np.concatenate(([0], np.cumsum(kept)))[upto].astype(np.uint64)
        digest = RMinHash.digest_matrix_from_flat_token_hashes(hashes[kept], offsets, _HASHES, _SEED).to_rows()
        rows = np.fromiter(chain.from_iterable(digest), np.uint32, (end - start) * _HASHES)
        found[start:end] = ((rows * np.uint32(2654435761)) >> np.uint32(24)).reshape(-1, _HASHES)
    return found


def _rarity(sample: Sequence[str], buckets: int) -> NDArray[np.float32]:
    """The squared inverse document frequency of stretches of 4 characters, by the low bits of their hash."""
    import numpy as np

    seen = []
    for start, end in _stretches(sample):
        codes, begins = _codes(sample[start:end])
        valid, hashes = _windows(codes, 4, within_words=True)
        text_of = np.repeat(np.arange(end - start, dtype=np.int64), np.diff(np.append(begins, len(codes))))[valid]
        once = np.unique(text_of * buckets + (hashes & np.uint64(buckets - 1)).astype(np.int64))
        seen.append(once & (buckets - 1))
    shown = np.bincount(np.concatenate(seen), minlength=buckets)
    return ((np.log((1 + len(sample)) / (1 + shown)) + 1) ** 2).astype(np.float32)


def _buckets(texts: Sequence[str]) -> int:
    """So many columns, a power of two, that few stretches of the texts that frequencies are learned from share one."""
    letters = sum(map(len, texts[:: _step(texts)]))
    return min(_MOST_BUCKETS, max(1 << 10, 1 << (8 * letters).bit_length()))


def _step(texts: Sequence[str]) -> int:
    """Every how-manieth text is enough to learn frequencies from."""
    return max(1, len(texts) // _FREQUENCIES_FROM)


def _stretches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Runs of texts of about `_CHUNK` characters, which is what the caches of a core hold."""
    start = size = 0
    for i, text in enumerate(texts):
        size += len(text) + 3
        if size >= _CHUNK:
            yield start, i + 1
            start, size = i + 1, 0
    if start < len(texts):
        yield start, len(texts)


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint16], Ints]:
    """The UTF-16 units of all texts, each with a 1 before and behind it and a 0 at the end, and where each begins."""
    import numpy as np

    joined = "\x01" + "\x01\x00\x01".join(text.replace("\x00", " ") for text in texts) + "\x01\x00"
    codes = np.frombuffer(joined.encode("utf-16-le", "surrogatepass"), np.uint16)
    return codes, np.concatenate(([0], np.flatnonzero(codes == 0)[:-1] + 1))


def _windows(codes: NDArray[np.uint16], size: int, *, within_words: bool) -> tuple[NDArray[np.bool_], Any]:
    """Which positions begin a stretch of 3 to 5 characters of one text, and the hashes of these stretches.

    Within words a stretch holds a space at its ends alone, and the ends of a text are such; across them it does not
    hold the ends.
    """
    import numpy as np

    outside = codes <= 1
    last = len(codes) - 5  # the units of a last stretch of 5, and a 0, are there for all
    barred = np.zeros(max(0, last), np.bool_)
    if within_words:
        apart = outside | (codes == 32)
        codes = np.where(codes == 1, np.uint16(32), codes)
        for i in range(1, size - 1):
            barred |= apart[i : i + last]
        barred |= codes[:last] == 0
        barred |= codes[size - 1 : size - 1 + last] == 0
    else:
        for i in range(size):
            barred |= outside[i : i + last]
    valid = np.zeros(len(codes), np.bool_)
    valid[:last] = ~barred
    four = np.ndarray((max(0, last),), np.dtype("<u8"), np.ascontiguousarray(codes), strides=(2,))[~barred]
    if size == 3:
        four &= np.uint64(0xFFFFFFFFFFFF)
    four *= np.uint64(0x9E3779B97F4A7C15)
    four ^= four >> np.uint64(32)
    if size == 5:
        four += codes[4 : 4 + last][~barred]
    four *= np.uint64(0xD6E8FEB86659FD93)
    four ^= four >> np.uint64(29)
    return valid, four


def _candidates(signatures: NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Pairs that stand beside each other in a tree and share enough of all their hashes; each once."""
    import numpy as np

    count = len(signatures)
    rng = np.random.default_rng(_SEED)
    found = np.empty(0, np.int64)
    for _ in range(_TREES):
        columns = rng.permutation(_HASHES)[:_PER_TREE]
        keys = np.ascontiguousarray(signatures[:, columns]).view(">u8").ravel().astype(np.uint64)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        pairs = [found]
        for step in range(1, min(_NEIGHBOURS, count - 1) + 1):
            near = np.flatnonzero((keys[step:] ^ keys[:-step]) < np.uint64(1 << (64 - 8 * _PREFIX)))
            pairs.append(_alike(signatures, order[near], order[near + step]))
        found = np.unique(np.concatenate(pairs))
    return found // count, found % count


def _alike(signatures: NDArray[np.uint8], one: Ints, other: Ints) -> Ints:
    """Which of the pairs share enough of their hashes, each as one number."""
    import numpy as np

    kept = []
    for start in range(0, len(one), _CHUNK // 4):
        a, b = one[start : start + _CHUNK // 4], other[start : start + _CHUNK // 4]
        shared = np.count_nonzero(signatures[a] == signatures[b], axis=1)
        good = shared >= _LEAST_SHARED * _HASHES
        a, b = a[good], b[good]
        kept.append(np.minimum(a, b) * len(signatures) + np.maximum(a, b))
    return np.concatenate(kept) if kept else np.empty(0, np.int64)


def _verified(texts: Sequence[str], left: Ints, right: Ints) -> Pairs:
    """The candidates that are near-twins."""
    import numpy as np
    from rapidfuzz import fuzz, process

    ones, others = [texts[i] for i in left.tolist()], [texts[i] for i in right.tolist()]
    ratios = process.cpdist(
        ones, others, scorer=fuzz.token_sort_ratio, score_cutoff=_ROUGH, dtype=np.float32, workers=-1
    )
    long_ones = np.fromiter((len(one) > _LONG for one in ones), np.bool_, len(ones))
    rough = ratios >= np.where(long_ones, _ROUGH_LONG, _ROUGH)
    left, right = left[rough], right[rough]
    same = np.fromiter(
        (_same_numbers(texts[i], texts[j]) for i, j in zip(left.tolist(), right.tolist(), strict=True)),
        np.bool_,
        len(left),
    )
    left, right = left[same], right[same]
    if not len(left):
        return Pairs(left, right, np.empty(0))
    likeness = Likeness(texts).of(left, right)
    for at in np.flatnonzero(likeness < NEAR - _SLACK).tolist():
        if _is_typing_error(texts[left[at]], texts[right[at]]):
            likeness[at] = max(likeness[at], NEAR)
    near = likeness >= NEAR - _SLACK
    return Pairs(left[near], right[near], likeness[near])


def _same_numbers(one: str, other: str) -> bool:
    """Whether the same numbers stand in both, in any order; of twenty one may differ, as where a scan was misread."""
    a, b = _numbers(one), _numbers(other)
    if a == b:
        return True
    if min(len(a), len(b)) < 20:
        return False
    from collections import Counter

    return sum((Counter(a) & Counter(b)).values()) >= 0.95 * max(len(a), len(b))


def _numbers(text: str) -> list[str]:
    """The numbers of a text with their signs, sorted."""
    return sorted(
        m[0] if not m.start() or not _SIGN.match(text, m.start() - 1) else text[m.start() - 1 : m.end()]
        for m in _NUMBER.finditer(text)
    )


def _is_typing_error(one: str, other: str) -> bool:
    """Whether one word differs, by a letter or by two that changed places (Damerau 1964)."""
    from rapidfuzz.distance import OSA

    a, b = one.split(), other.split()
    if len(a) != len(b):
        return False
    odd = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    if len(odd) != 1:
        return False
    x, y = odd[0]
    return max(len(x), len(y)) >= _TYPO_LETTERS and bool(OSA.distance(x, y, score_cutoff=1) <= 1)


class Likeness:
    """How alike texts are: the higher of two cosines of TF-IDF vectors over stretches of 3 to 5 characters.

    The one is of stretches within words, a space before and behind each, as scikit-learn's `char_wb`; the other of
    stretches across words, its `char`. Stretches that many texts share weigh little, so what all of a template's texts
    have says little on whether two of them are alike.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._buckets = _buckets(texts)
        self._weights = {within_words: self._learned(within_words=within_words) for within_words in (True, False)}

    def _learned(self, *, within_words: bool) -> NDArray[np.float32]:
        """The smoothed inverse document frequency of each stretch."""
        import numpy as np

        sample = self._texts[:: _step(self._texts)]
        seen = [
            _stretch_counts(sample[a:b], self._buckets, within_words=within_words).indices
            for a, b in _stretches(sample)
        ]
        shown = np.bincount(np.concatenate(seen), minlength=self._buckets)
        return (np.log((1 + len(sample)) / (1 + shown)) + 1).astype(np.float32)

    def of(self, left: Ints, right: Ints) -> Floats:
        """The likeness of each pair of texts, given by position."""
        import numpy as np

        found = self._cosines(left, right, within_words=True)
        open_ones = np.flatnonzero((found < NEAR) & (found >= NEAR - _ACROSS))
        across = self._cosines(left[open_ones], right[open_ones], within_words=False)
        found[open_ones] = np.maximum(found[open_ones], across)
        return found

    def _cosines(self, left: Ints, right: Ints, *, within_words: bool) -> Floats:
        import numpy as np

        found = np.zeros(len(left))
        for start, end in self._runs(left, right):
            here, at = np.unique(np.concatenate((left[start:end], right[start:end])), return_inverse=True)
            vectors = self._vectors([self._texts[i] for i in here.tolist()], within_words=within_words)
            products = vectors[at[: end - start]].multiply(vectors[at[end - start :]])
            found[start:end] = np.minimum(np.asarray(products.sum(axis=1)).ravel(), 1.0)
        return found

    def _runs(self, left: Ints, right: Ints) -> Iterator[tuple[int, int]]:
        """Runs of pairs with a few million characters."""
        import numpy as np

        sizes = np.fromiter((len(self._texts[i]) + len(self._texts[j]) for i, j in zip(left, right, strict=True)), int)
        begins = np.flatnonzero(np.diff(np.cumsum(sizes) // _CHUNK)) + 1
        edges = [0, *begins.tolist(), len(left)]
        return ((a, b) for a, b in pairwise(edges) if b > a)

    def _vectors(self, texts: Sequence[str], *, within_words: bool) -> Any:  # noqa: ANN401 - a sparse matrix
        import numpy as np
        from scipy.sparse import diags

        counts = _stretch_counts(texts, self._buckets, within_words=within_words)
        counts.data *= self._weights[within_words][counts.indices]
        norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        return diags(1 / np.maximum(norms, 1e-9)) @ counts


def _stretch_counts(texts: Sequence[str], buckets: int, *, within_words: bool) -> Any:  # noqa: ANN401 - a sparse matrix
    """How often each text holds each stretch of 3 to 5 characters, as a sparse matrix of hashed columns."""
    import numpy as np
    from scipy.sparse import csr_matrix

    codes, begins = _codes(texts)
    rows, columns = [], []
    text_of = np.repeat(np.arange(len(texts)), np.diff(np.append(begins, len(codes))))
    for size in (3, 4, 5):
        valid, hashes = _windows(codes, size, within_words=within_words)
        rows.append(text_of[valid])
        columns.append((hashes & np.uint64(buckets - 1)).astype(np.int32))
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(len(texts), buckets))
    matrix.sum_duplicates()
    return matrix
