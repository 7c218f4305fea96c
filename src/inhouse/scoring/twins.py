"""Near-twins: pairs of texts that say almost the same, found without comparing each with each.

Candidates come from MinHash (Broder 1997, "On the resemblance and containment of documents") over the 4-character
stretches of words, in sorted trees as in LSH Forest (Bawa, Condie, Ganesan 2005): in each tree the texts are sorted by
five of their hashes and compared with the next few, so that the work grows with the texts and not with the pairs.
Each candidate is then verified, and what a pair carries is the verified likeness.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from inhouse.core.cores import MANY, over_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    _Number = TypeVar("_Number", bound=np.integer[Any])

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
_PER_TREE = 5  # hashes, a byte of each, in a 64-bit key; fewer where the place of the text takes more than what is left
_NEIGHBOURS = 3
_PREFIX = 3  # hashes that two neighbours in a tree share at least
_LEAST_SHARED, _LEAST_SHARED_LONG = 36, 41  # of the hashes of two candidates; of two of over `_LONG` characters
# Of 100: near-twins whose words are sorted share at least so much, those of over `_LONG` characters, where a single
# word is less of the whole, more; to see it takes a hundredth of what the likeness takes.
_ROUGH, _ROUGH_LONG, _LONG = 68, 85, 150
_ACROSS = 0.15  # what the likeness across words is above that within words, at most
_FREQUENCIES_FROM, _LETTERS_FROM = 20_000, 2_000_000  # texts and letters, whichever is less
_MOST_BUCKETS = 1 << 20
_MANY_NUMBERS = 20
_TOKENS = 100
_SEED = 20261127
_CHUNK = 1 << 17  # characters, or pairs, at a time
_PART = 20_000  # texts, or pairs, that a process is given at a time

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


class _Signatures(NamedTuple):
    """What texts are told apart by before they are compared, a row for each.

    Attributes:
        hashes: [texts, `_HASHES`], the low bytes of the MinHash; zeros where no word has a stretch.
        numbers: what texts of the same numbers share, see `_number_sums`.
        digits: how many digits there are.
        length: in characters.
    """

    hashes: NDArray[np.uint8]
    numbers: NDArray[np.uint64]
    digits: Ints
    length: Ints


def _signatures(texts: Sequence[str]) -> _Signatures:
    """The signatures of all texts.

    Hashed are about `_TOKENS` stretches of a text, a rare one more likely than a common one, and the same ones in all
    texts of about the same length: what most texts share would make candidates of all of them.
    """
    import numpy as np

    rarity = _rarity(texts[:: _step(texts)], _buckets(texts))
    parts = (texts[at : at + _PART] for at in range(0, len(texts), _PART))
    signed = list(over_cores(partial(_signed, rarity=rarity), parts, many=len(texts) > MANY))
    return _Signatures(*(np.concatenate(column) for column in zip(*signed, strict=True)))


def _signed(texts: Sequence[str], rarity: NDArray[np.float32]) -> _Signatures:
    """The signatures of a part of the texts."""
    import numpy as np
    from rensa import RMinHash

    length = np.fromiter(map(len, texts), np.int64, len(texts))
    found = _Signatures(
        np.zeros((len(texts), _HASHES), np.uint8), np.zeros(len(texts), np.uint64), np.zeros_like(length), length
    )
    for start, end in _stretches(texts):
        codes, begins = _codes(texts[start:end])
        valid, hashes = _windows(codes, 4, within_words=True)
        upto = np.concatenate(([0], np.cumsum(valid)))[np.append(begins, len(codes))]
        weights = rarity[hashes & np.uint64(len(rarity) - 1)]
        totals = np.diff(np.concatenate(([0.0], np.cumsum(weights, dtype=np.float64)))[upto])
        chances = weights * np.repeat((_TOKENS / np.maximum(totals, 1e-9)).astype(np.float32), np.diff(upto))
        kept = (hashes >> np.uint64(40)).astype(np.float32) < chances * np.float32(1 << 24)
        offsets = np.concatenate(([0], np.cumsum(kept)))[upto].astype(np.uint64)
        digest = RMinHash.digest_matrix_from_flat_token_hashes(hashes[kept], offsets, _HASHES, _SEED).to_rows()
        rows = np.fromiter(chain.from_iterable(digest), np.uint32, (end - start) * _HASHES)
        found.hashes[start:end] = ((rows * np.uint32(2654435761)) >> np.uint32(24)).reshape(-1, _HASHES)
        found.hashes[start:end][np.diff(upto) == 0] = 0
        found.numbers[start:end], found.digits[start:end] = _number_sums(codes, begins)
    return found


def _number_sums(codes: NDArray[np.uint16], begins: Ints) -> tuple[NDArray[np.uint64], Ints]:
    """For each text the sum of a hash of every digit with the digits beside it, and how many digits there are.

    The sum is the same where the same numbers are, in any order; a sign or a separator does not count.
    """
    import numpy as np

    at = np.flatnonzero((codes >= 48) & (codes <= 57))
    digit = np.zeros(len(codes) + 2, np.uint64)
    digit[at + 1] = codes[at] - 47
    hashes = (digit[at] * np.uint64(121) + digit[at + 1] * np.uint64(11) + digit[at + 2]) * np.uint64(
        0x9E3779B97F4A7C15
    )
    hashes ^= hashes >> np.uint64(29)
    hashes *= np.uint64(0xD6E8FEB86659FD93)
    upto = np.searchsorted(at, np.append(begins, len(codes)))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(hashes)))[upto]
    return np.diff(sums), np.diff(upto)


def _rarity(sample: Sequence[str], buckets: int) -> NDArray[np.float32]:
    """The squared inverse document frequency of stretches of 4 characters, by the low bits of their hash."""
    import numpy as np

    seen = []
    for start, end in _stretches(sample):
        codes, begins = _codes(sample[start:end])
        valid, hashes = _windows(codes, 4, within_words=True)
        text_of = np.repeat(np.arange(end - start, dtype=np.uint64), np.diff(np.append(begins, len(codes))))[valid]
        once = _different(text_of * np.uint64(buckets) | hashes & np.uint64(buckets - 1))
        seen.append((once & np.uint64(buckets - 1)).astype(np.int32))
    shown = np.bincount(np.concatenate(seen), minlength=buckets)
    return ((np.log((1 + len(sample)) / (1 + shown)) + 1) ** 2).astype(np.float32)


def _buckets(texts: Sequence[str]) -> int:
    """So many columns, a power of two, that few stretches of the texts that frequencies are learned from share one."""
    letters = sum(map(len, texts[:: _step(texts)]))
    return min(_MOST_BUCKETS, max(1 << 10, 1 << (8 * letters).bit_length()))


def _step(texts: Sequence[str]) -> int:
    """Every how-manieth text is enough to learn frequencies from."""
    some = texts[:: max(1, len(texts) // 1000)]
    length = sum(map(len, some)) / len(some)
    return max(1, int(len(texts) / min(_FREQUENCIES_FROM, max(1000, _LETTERS_FROM / max(1.0, length)))))


def _stretches(texts: Sequence[str], *, even: bool = False) -> Iterator[tuple[int, int]]:
    """Runs of texts of about `_CHUNK` characters, which is what the caches of a core hold; of an `even` number each."""
    start = size = 0
    for i, text in enumerate(texts):
        size += len(text) + 3
        if size >= _CHUNK and not (even and (i - start) % 2 == 0):
            yield start, i + 1
            start, size = i + 1, 0
    if start < len(texts):
        yield start, len(texts)


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint16], Ints]:
    """The UTF-16 units of all texts, each with a 1 before and behind it and a 0 at the end, and where each begins.

    Behind the last one are zeros enough for a stretch of 5 to begin at each of its units.
    """
    import numpy as np

    joined = "\x01" + "\x01\x00\x01".join(text.replace("\x00", " ") for text in texts) + "\x01" + "\x00" * 6
    codes = np.frombuffer(joined.encode("utf-16-le", "surrogatepass"), np.uint16)
    return codes, np.concatenate(([0], np.flatnonzero(codes == 0)[: len(texts) - 1] + 1))


def _windows(codes: NDArray[np.uint16], size: int, *, within_words: bool) -> tuple[NDArray[np.bool_], Any]:
    """Which positions begin a stretch of 3 to 5 characters of one text, and the hashes of these stretches.

    Within words a stretch holds a space at its ends alone, and the ends of a text are such; across them it does not
    hold the ends.
    """
    import numpy as np

    outside = codes <= 1
    last = len(codes) - 5
    barred = np.zeros(last, np.bool_)
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
    four = np.ndarray((last,), np.dtype("<u8"), np.ascontiguousarray(codes), strides=(2,))[~barred]
    if size == 3:
        four &= np.uint64(0xFFFFFFFFFFFF)
    four *= np.uint64(0x9E3779B97F4A7C15)
    four ^= four >> np.uint64(32)
    if size == 5:
        four += codes[4 : 4 + last][~barred]
    four *= np.uint64(0xD6E8FEB86659FD93)
    four ^= four >> np.uint64(29)
    return valid, four


def _candidates(signatures: _Signatures) -> tuple[Ints, Ints]:
    """Pairs that stand beside each other in a tree and may be near-twins by their signatures; each once."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    count = len(signatures.length)
    rng = np.random.default_rng(_SEED)
    columns = [rng.permutation(_HASHES)[:_PER_TREE] for _ in range(_TREES)]
    tree = partial(_neighbours, signatures, np.ascontiguousarray(signatures.hashes.T))
    found = np.empty(0, np.int64)
    # Sorting and comparing is done outside of Python's lock.
    with ThreadPoolExecutor(2) as threads:
        for pairs in threads.map(tree, columns):
            found = _different(np.concatenate((found, pairs)))
    left, right = found // count, found % count
    has_words: NDArray[np.bool_] = np.any(signatures.hashes, axis=1)  # what has none is like all that has none
    return left[has_words[left]], right[has_words[left]]


def _neighbours(signatures: _Signatures, by_hash: NDArray[np.uint8], columns: Ints) -> Ints:
    """The pairs that stand beside each other where texts are sorted by some of their hashes, each as one number."""
    import numpy as np

    count = len(signatures.length)
    used = columns[: (64 - count.bit_length()) // 8]
    place_bits = 64 - 8 * len(used)
    keys = np.zeros(count, np.uint64)
    for column in used:
        keys = keys << np.uint64(8) | by_hash[column].astype(np.uint64)
    # The place is a part of what is sorted: that takes a tenth of sorting places by their keys.
    keys = np.sort(keys << np.uint64(place_bits) | np.arange(count, dtype=np.uint64))
    order = (keys & np.uint64((1 << place_bits) - 1)).astype(np.int64)
    pairs = []
    for step in range(1, min(_NEIGHBOURS, count - 1) + 1):
        near = np.flatnonzero((keys[step:] ^ keys[:-step]) < np.uint64(1 << (64 - 8 * _PREFIX)))
        pairs.append(_alike(signatures, order[near], order[near + step]))
    return np.concatenate(pairs)


def _alike(signatures: _Signatures, one: Ints, other: Ints) -> Ints:
    """Which of the pairs have the same numbers and share enough of all their hashes, each as one number."""
    import numpy as np

    numbers, digits, length = signatures.numbers, signatures.digits, signatures.length
    may_differ = np.minimum(digits[one], digits[other]) >= _MANY_NUMBERS  # a number of many digits is many at most
    same = (numbers[one] == numbers[other]) | may_differ
    one, other = one[same], other[same]
    kept = []
    for start in range(0, len(one), _CHUNK // 4):
        a, b = one[start : start + _CHUNK // 4], other[start : start + _CHUNK // 4]
        shared = np.count_nonzero(signatures.hashes[a] == signatures.hashes[b], axis=1)
        is_long = np.minimum(length[a], length[b]) > _LONG
        good = shared >= np.where(is_long, _LEAST_SHARED_LONG, _LEAST_SHARED)
        a, b = a[good], b[good]
        kept.append(np.minimum(a, b) * len(length) + np.maximum(a, b))
    return np.concatenate(kept) if kept else np.empty(0, np.int64)


def _verified(texts: Sequence[str], left: Ints, right: Ints) -> Pairs:
    """The candidates that are near-twins."""
    import numpy as np

    if not len(left):
        return Pairs(left, right, np.empty(0))
    likeness = Likeness(texts).of(left, right, at_least=NEAR - _SLACK)
    near = likeness >= NEAR - _SLACK
    return Pairs(left[near], right[near], likeness[near])


def _same_numbers(one: str, other: str) -> bool:
    """Whether the same numbers stand in both, in any order; of many one in twenty may differ, as in a misread scan."""
    a, b = _numbers(one), _numbers(other)
    if a == b:
        return True
    if min(len(a), len(b)) < _MANY_NUMBERS:
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
        sample, buckets = texts[:: _step(texts)], _buckets(texts)
        parts = [(sample, buckets, within_words) for within_words in (True, False)]
        self._weights = _Weights(*over_cores(_rareness, parts, many=len(texts) > MANY))

    def of(self, left: Ints, right: Ints, *, at_least: float = 0.0) -> Floats:
        """The likeness of each pair of texts, given by position.

        Args:
            at_least: what is wanted; 0 is given for pairs that cheaper signs tell are less alike, or whose numbers
                differ.
        """
        import numpy as np

        judge = partial(_near_likeness if at_least else _likeness, weights=self._weights)
        parts = (
            (self._of(left[at : at + _PART]), self._of(right[at : at + _PART])) for at in range(0, len(left), _PART)
        )
        return np.concatenate(list(over_cores(judge, parts, many=len(left) > MANY // 2)))

    def _of(self, positions: Ints) -> list[str]:
        return [self._texts[i] for i in positions.tolist()]


class _Weights(NamedTuple):
    """The smoothed inverse document frequency of stretches within words and across them, by the bits of their hash."""

    within: NDArray[np.float32]
    across: NDArray[np.float32]


def _near_likeness(pair: tuple[list[str], list[str]], weights: _Weights) -> Floats:
    """The likeness of texts, one by one of two lists; 0 where they are no near-twins by cheaper signs.

    A typing error in one word makes near-twins whatever the likeness.
    """
    import numpy as np
    from rapidfuzz import fuzz, process

    ones, others = pair
    ratios = process.cpdist(ones, others, scorer=fuzz.token_sort_ratio, score_cutoff=_ROUGH, dtype=np.float32)
    lengths = np.fromiter(map(len, ones), np.int64, len(ones))
    rough = np.flatnonzero(ratios >= np.where(lengths > _LONG, _ROUGH_LONG, _ROUGH)).tolist()
    kept = [at for at in rough if _same_numbers(ones[at], others[at])]
    found = np.zeros(len(ones))
    if kept:
        found[kept] = _likeness(([ones[at] for at in kept], [others[at] for at in kept]), weights)
    for at in kept:
        if found[at] < NEAR - _SLACK and _is_typing_error(ones[at], others[at]):
            found[at] = NEAR
    return found


def _likeness(pair: tuple[list[str], list[str]], weights: _Weights) -> Floats:
    """The likeness of texts, one by one of two lists."""
    import numpy as np

    ones, others = pair
    found = _cosines(ones, others, weights.within, within_words=True)
    open_ones = np.flatnonzero((found < NEAR) & (found >= NEAR - _ACROSS)).tolist()
    if open_ones:
        left, right = [ones[at] for at in open_ones], [others[at] for at in open_ones]
        across = _cosines(left, right, weights.across, within_words=False)
        found[open_ones] = np.maximum(found[open_ones], across)
    return found


def _cosines(ones: list[str], others: list[str], weights: NDArray[np.float32], *, within_words: bool) -> Floats:
    """The cosine of the two texts of each pair: one sort brings together what both hold."""
    import numpy as np

    texts = list(chain.from_iterable(zip(ones, others, strict=True)))
    found: list[Floats] = []
    for start, end in _stretches(texts, even=True):
        keys, counts = _counted(_stretch_keys(texts[start:end], len(weights), within_words=within_words))
        values = counts * weights[keys >> np.uint64(1) & np.uint64(len(weights) - 1)]
        text_of = _text_of(keys, len(weights))
        norms = np.bincount(text_of, values * values, minlength=end - start)
        both = np.flatnonzero(keys[1:] ^ keys[:-1] == np.uint64(1))
        both = both[keys[both] & np.uint64(1) == np.uint64(0)]
        products = np.bincount(text_of[both] >> 1, values[both] * values[both + 1], minlength=(end - start) // 2)
        found.append(products / np.sqrt(np.maximum(norms[::2] * norms[1::2], 1e-18)))
    cosines: Floats = np.concatenate(found)
    return np.minimum(cosines, 1.0, out=cosines)


def _rareness(part: tuple[Sequence[str], int, bool]) -> NDArray[np.float32]:
    """The smoothed inverse document frequency of each stretch in a sample of texts."""
    import numpy as np

    sample, buckets, within_words = part
    seen = []
    for start, end in _stretches(sample, even=True):
        keys, _ = _counted(_stretch_keys(sample[start:end], buckets, within_words=within_words))
        seen.append((keys >> np.uint64(1) & np.uint64(buckets - 1)).astype(np.int32))
    shown = np.bincount(np.concatenate(seen), minlength=buckets)
    return (np.log((1 + len(sample)) / (1 + shown)) + 1).astype(np.float32)


def _stretch_keys(texts: Sequence[str], buckets: int, *, within_words: bool) -> NDArray[np.uint64]:
    """For every stretch of 3 to 5 characters its pair of texts, the bits of its hash, and which of the two holds it.

    The first and the second text are a pair, the third and the fourth, and so on.
    """
    import numpy as np

    codes, begins = _codes(texts)
    text_of = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(np.append(begins, len(codes))))
    place = (text_of >> np.uint64(1)) * np.uint64(2 * buckets) | text_of & np.uint64(1)
    keys = []
    for size in (3, 4, 5):
        valid, hashes = _windows(codes, size, within_words=within_words)
        keys.append(place[valid] | (hashes & np.uint64(buckets - 1)) << np.uint64(1))
    return np.concatenate(keys)


def _text_of(keys: NDArray[np.uint64], buckets: int) -> Ints:
    """The text of each key of `_stretch_keys`."""
    import numpy as np

    pair = keys >> np.uint64(buckets.bit_length())
    return (pair << np.uint64(1) | keys & np.uint64(1)).astype(np.int64)


def _different(numbers: NDArray[_Number]) -> NDArray[_Number]:
    """The different numbers, sorted: by a sort, which takes a fifth of what hashing them in `np.unique` does."""
    import numpy as np

    numbers = np.sort(numbers)
    return numbers[_firsts(numbers)]


def _counted(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """The different keys, sorted, and how often each is there."""
    import numpy as np

    keys = np.sort(keys)
    first = _firsts(keys)
    return keys[first], np.diff(np.append(first, len(keys))).astype(np.float32)


def _firsts(ordered: NDArray[Any]) -> Ints:
    """Where in sorted numbers another one begins."""
    import numpy as np

    begin = np.zeros(min(1, len(ordered)), np.int64)
    return np.concatenate((begin, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
