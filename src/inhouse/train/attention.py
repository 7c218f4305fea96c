"""Causal attention of packed texts on the CPU, with the gradient written by hand.

It goes over the texts of a batch one by one, or side by side, and in blocks of rows that stop at the diagonal: the half
of the scores that a causal mask throws away is hardly computed.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from inhouse.train.needs import KEPT_UP_TO
from inhouse.train.packing import Group, Packed

# Rows of scores at once: they stay in the processor's cache, and the last block of a row is half masked.
BLOCK = 64
# What autograd hands to a function's two passes: tensors to save, and whatever else is set on it.
Context = Any
# Begin and end of a run of rows, and the number of keys that its last row sees.
Block = tuple[int, int, int]


class Attention(Function):
    """Rotation and causal attention of packed texts: q, k and v in one, [tokens, (heads + 2 key heads) x size].

    A key head serves several query heads, whose rows stand under each other in one product.
    """

    @staticmethod
    def forward(
        ctx: Context, qkv: Tensor, cos: Tensor, sin: Tensor, packed: Packed, heads: int, key_heads: int
    ) -> Tensor:
        parts = qkv.view(len(qkv), heads + 2 * key_heads, -1)
        q, k, v = (part.contiguous() for part in torch.split(parts, [heads, key_heads, key_heads], 1))
        _rotate(q, cos, sin)
        _rotate(k, cos, sin)
        k.mul_(q.shape[-1] ** -0.5)  # once for each key instead of each score
        context = torch.empty_like(q)
        kept: list[Tensor] = []
        for group in packed.groups:
            queries = _side_by_side(q, group, key_heads)
            keys, values = (_with_prefix(part, group, packed.prefix) for part in (k, v))
            found = torch.empty_like(queries)
            kept += [queries, keys, values]
            split = _split(len(keys))
            keys, values = (_repeated(part, split) for part in (keys, values))
            for begin, end, seen in _blocks(group, packed.prefix):
                rows, every = _spread(_rows(queries, begin, end), split)
                chances = _chances(rows, keys[every, :seen], end - begin)
                found[:, :, begin:end] = torch.bmm(chances, values[every, :seen]).view_as(found[:, :, begin:end])
                if group.width <= KEPT_UP_TO:
                    kept.append(chances)
            _put_back(context, group, found)
        ctx.packed, ctx.heads, ctx.key_heads = packed, heads, key_heads
        ctx.save_for_backward(cos, sin, *kept)
        return context.flatten(1)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        packed, heads, key_heads = ctx.packed, ctx.heads, ctx.key_heads
        cos, sin, *saved = ctx.saved_tensors
        kept = iter(saved)
        grad_context = grad.view(len(grad), heads, -1)
        grad_q = torch.empty_like(grad_context)
        grad_k, grad_v = (grad.new_zeros(len(grad), key_heads, grad_context.shape[-1]) for _ in range(2))
        for group in packed.groups:
            queries, keys, values = next(kept), next(kept), next(kept)
            outer = _side_by_side(grad_context, group, key_heads, padding_is_zero=True)
            split = _split(len(keys))
            keys, values = (_repeated(part, split) for part in (keys, values))
            to_queries, to_keys, to_values = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(values)
            for begin, end, seen in _blocks(group, packed.prefix):
                rows, every = _spread(_rows(queries, begin, end), split)
                seen_keys, seen_values = keys[every, :seen], values[every, :seen]
                chances = _chances(rows, seen_keys, end - begin) if group.width > KEPT_UP_TO else next(kept)
                grads, _ = _spread(_rows(outer, begin, end), split)
                to_values[every, :seen] += torch.bmm(chances.transpose(1, 2), grads)
                to_chances = torch.bmm(grads, seen_values.transpose(1, 2))
                to_scores = torch._softmax_backward_data(to_chances, chances, -1, chances.dtype)
                block = torch.bmm(to_scores, seen_keys)
                to_queries[:, :, begin:end] = block.view_as(to_queries[:, :, begin:end])
                to_keys[every, :seen] += torch.bmm(to_scores.transpose(1, 2), rows)
            _put_back(grad_q, group, to_queries)
            for target, part in ((grad_k, to_keys), (grad_v, to_values)):
                joined = part if split == 1 else part.view(-1, split, *part.shape[1:]).sum(1)
                _add_with_prefix(target, group, packed.prefix, joined)
        grad_k.mul_(grad_q.shape[-1] ** -0.5)
        _rotate(grad_q, cos, -sin)
        _rotate(grad_k, cos, -sin)
        return torch.cat([grad_q, grad_k, grad_v], 1).flatten(1), None, None, None, None, None


def _split(pairs: int) -> int:
    """In how many products the rows of each pair of a text and a key head are taken, so that no thread is left without.

    Three products on two threads take as long as four; torch shares out whole ones.
    """
    threads = torch.get_num_threads()
    return 1 if pairs >= 4 * threads else threads // math.gcd(pairs, threads)


def _repeated(keys: Tensor, split: int) -> Tensor:
    """Each pair's keys (or values) once for each of its products."""
    return keys if split == 1 else keys.repeat_interleave(split, 0)


def _spread(rows: Tensor, split: int) -> tuple[Tensor, slice]:
    """[pairs, rows, size] to [pairs x split, rows / split, size] where that comes out even, and which of the keys that
    were repeated as often each takes."""
    if rows.shape[1] % split:
        return rows, slice(None, None, split)
    return rows.reshape(len(rows) * split, -1, rows.shape[2]), slice(None)


def _chances(rows: Tensor, keys: Tensor, own: int) -> Tensor:
    """How much each of some rows attends to each key that the last one sees, [products, rows, seen].

    Args:
        rows: of one query head after another, `own` of each.
    """
    scores = torch.bmm(rows, keys.transpose(1, 2))
    diagonal = scores.view(-1, own, scores.shape[2])[..., -own:]
    diagonal.masked_fill_(_later(own), float("-inf"))
    return torch.softmax(scores, -1)


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn [tokens, heads, size] by each token's angle, in place; with `-sin` back again."""
    one, other = heads.chunk(2, -1)
    turned = (one * cos).addcmul_(other, sin, value=-1)
    other.mul_(cos).addcmul_(one, sin)
    one.copy_(turned)


def _blocks(group: Group, prefix: int) -> list[Block]:
    """Runs of rows, each with the number of keys that its last row sees."""
    before = prefix if group.sees_prefix else 0
    ends = [min(begin + BLOCK, group.width) for begin in range(0, group.width, BLOCK)]
    return [(end - ((end - 1) % BLOCK + 1), end, before + end) for end in ends]


@lru_cache(maxsize=2 * BLOCK)
def _later(rows: int) -> Tensor:
    """True where a key comes after its query, [rows, rows]."""
    return torch.ones(rows, rows, dtype=torch.bool).triu_(1)


def _take(part: Tensor, group: Group) -> Tensor:
    return part[group.rows] if isinstance(group.rows, slice) else part.index_select(0, group.rows)


def _side_by_side(heads: Tensor, group: Group, key_heads: int, *, padding_is_zero: bool = False) -> Tensor:
    """[tokens, heads, size] to [texts x key heads, query heads of each, width, size]."""
    rows = _take(heads, group)
    if padding_is_zero and group.real is not None:
        rows = rows * group.real[:, None, None]
    shared = heads.shape[1] // key_heads
    apart = rows.view(group.texts, group.width, key_heads, shared, -1).permute(0, 2, 3, 1, 4)
    return apart.reshape(group.texts * key_heads, shared, group.width, -1)


def _with_prefix(keys: Tensor, group: Group, prefix: int) -> Tensor:
    """[tokens, key heads, size] to [texts x key heads, prefix + width, size]."""
    own = _take(keys, group).view(group.texts, group.width, keys.shape[1], -1).transpose(1, 2)
    if group.sees_prefix:
        own = torch.cat([keys[:prefix].transpose(0, 1).expand(group.texts, -1, -1, -1), own], 2)
    return own.reshape(group.texts * keys.shape[1], own.shape[2], -1)


def _rows(apart: Tensor, begin: int, end: int) -> Tensor:
    """Some rows of every query head under each other, [texts x key heads, query heads x rows, size]."""
    return apart[:, :, begin:end].reshape(len(apart), -1, apart.shape[-1])


def _put_back(heads: Tensor, group: Group, apart: Tensor) -> None:
    """The reverse of `_side_by_side`, into [tokens, heads, size]; padding is left out."""
    key_heads = len(apart) // group.texts
    rows = apart.view(group.texts, key_heads, apart.shape[1], group.width, -1).permute(0, 3, 1, 2, 4)
    _write(heads, group, rows.reshape(group.texts * group.width, heads.shape[1], -1), add=False)


def _add_with_prefix(keys: Tensor, group: Group, prefix: int, apart: Tensor) -> None:
    """The reverse of `_with_prefix`, added: every text tells the shared beginning."""
    parts = apart.view(group.texts, keys.shape[1], apart.shape[1], -1)
    if group.sees_prefix:
        keys[:prefix] += parts[:, :, :prefix].sum(0).transpose(0, 1)
        parts = parts[:, :, prefix:]
    _write(keys, group, parts.transpose(1, 2).reshape(group.texts * group.width, keys.shape[1], -1), add=True)


def _write(target: Tensor, group: Group, rows: Tensor, *, add: bool) -> None:
    if isinstance(group.rows, slice):
        if add:
            target[group.rows] += rows
        else:
            target[group.rows] = rows
        return
    places = group.rows
    if group.real is not None:
        places, rows = places[group.real], rows[group.real]
    if add:
        target.index_add_(0, places, rows)
    else:
        target.index_copy_(0, places, rows)
