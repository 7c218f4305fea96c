"""A training pass over packed texts for Llama-shaped models, with the gradients written by hand.

The layers are those of transformers, computed in five pieces each, of which only what the gradient needs is kept: the
rest is cheap to compute again. Projections of one input are one product. LoRA's low-rank part is added into the same
result (`W x + s B A x`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from inhouse.engine.lora import LoraLinear
from inhouse.engine.torch_model import settle_for_answers
from inhouse.train.attention import Attention
from inhouse.train.packing import Packed, pack
from inhouse.train.plan import Encoded

# What autograd hands to a function's two passes: tensors to save, and whatever else is set on it.
Context = Any
_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


class FusedTrunk:
    """A transformers model with adapters, trained on packed texts. Its weights are joined where an input is shared.

    Args:
        model: of a family that `can_fuse` takes, with `LoraLinear` in place of every linear layer of its layers.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - a transformers model
        self.model = model
        settle_for_answers(model)
        config = model.config
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._head_size = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._layers = [_Layer(layer) for layer in model.model.layers]

    def logits(self, examples: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Logits [n, vocabulary] in float32 where tokens that carry loss are to be predicted, and those tokens [n]."""
        packed = pack(examples)
        logits: Tensor = self.model.lm_head(self.model.model.norm(self._hidden(packed)))
        return logits.float(), packed.wanted

    def _hidden(self, packed: Packed) -> Tensor:
        """What the last layer leaves where tokens are to be predicted, [n, hidden]; no one reads it elsewhere."""
        x: Tensor = self.model.model.embed_tokens(packed.ids)
        cos, sin = self._rotation(packed.positions, x)
        for layer in self._layers:
            qkv = layer.qkv(x)
            context = _apply(Attention, qkv, cos, sin, packed, self._heads, self._key_heads)
            if layer is self._layers[-1]:
                context, x = context[packed.predicting], x[packed.predicting]
            x = layer.out(context, x)
            x = layer.down(layer.gate_up(x), x)
        return x

    def _rotation(self, positions: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [tokens, 1, half a head], as the model's own module computes them."""
        cos, sin = self.model.model.rotary_emb(like, positions[None])
        half = self._head_size // 2
        return cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()


def can_fuse(model: Any, longest: int) -> bool:  # noqa: ANN401 - a transformers model
    """Whether a model is computed here as transformers does, on texts of up to `longest` tokens.

    Not on a GPU, where its own attention is faster.
    """
    return next(model.parameters()).device.type == "cpu" and fuses(model.config, longest)


def fuses(config: Any, longest: int) -> bool:  # noqa: ANN401 - transformers' settings of a model
    """Whether models of these settings are. Not with a window that ends before the text begins."""
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return config.model_type in _FAMILIES and config.hidden_act == "silu" and (window is None or window >= longest)


class _Layer:
    """The pieces of one layer, with joined weights of which the model's own become views."""

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - a transformers layer
        attention, mlp = layer.self_attn, layer.mlp
        self._attention = attention
        self._before, self._between = layer.input_layernorm, layer.post_attention_layernorm
        self._qkv = _Joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self._out = _Joined(attention.o_proj)
        self._gate_up = _Joined(mlp.gate_proj, mlp.up_proj)
        self._down = _Joined(mlp.down_proj)

    def qkv(self, x: Tensor) -> Tensor:
        qkv = _apply(_NormedProduct, x, self._before.weight, self._before.variance_epsilon, *self._qkv.parts())
        return _with_head_norms(qkv, self._attention) if hasattr(self._attention, "q_norm") else qkv

    def out(self, context: Tensor, x: Tensor) -> Tensor:
        return _apply(_AddedProduct, context, x, *self._out.parts())

    def gate_up(self, x: Tensor) -> Tensor:
        return _apply(_NormedProduct, x, self._between.weight, self._between.variance_epsilon, *self._gate_up.parts())

    def down(self, gate_up: Tensor, x: Tensor) -> Tensor:
        return _apply(_GatedProduct, gate_up, x, *self._down.parts())


def _apply(function: type[Function], *inputs: Any) -> Tensor:  # noqa: ANN401 - as the function takes them
    found: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]
    return found


class _Joined:
    """Linear layers of one input as one: weights under each other, adapters with a block for each."""

    def __init__(self, *layers: LoraLinear) -> None:
        self._layers = layers
        self._weight = layers[0].linear.weight.detach()
        self._bias = None if layers[0].linear.bias is None else layers[0].linear.bias.detach()
        if len(layers) > 1:
            self._weight = torch.cat([layer.linear.weight.detach() for layer in layers])
            self._bias = None if self._bias is None else torch.cat([layer.linear.bias.detach() for layer in layers])
            for layer, view in zip(
                layers, torch.split(self._weight, [la.linear.out_features for la in layers]), strict=True
            ):
                layer.linear.weight = nn.Parameter(view, requires_grad=False)  # no second copy in memory

    def parts(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Weight, bias, and the adapters' `down` and scaled `up` in the weight's type; autograd knows the way back."""
        kind = self._weight.dtype
        down = torch.cat([layer.down for layer in self._layers]).to(kind)
        ups = [layer.up * layer.scale for layer in self._layers]
        up = (torch.block_diag(*ups) if len(ups) > 1 else ups[0]).to(kind)  # type: ignore[no-untyped-call]
        return self._weight, self._bias, down, up


def _with_head_norms(qkv: Tensor, attention: Any) -> Tensor:  # noqa: ANN401 - a transformers module
    """Each head of q and k normed by itself, as Qwen3 does."""
    size = attention.head_dim
    counts = [layer.linear.out_features // size for layer in (attention.q_proj, attention.k_proj, attention.v_proj)]
    q, k, v = torch.split(qkv.view(len(qkv), -1, size), counts, 1)
    return torch.cat([attention.q_norm(q), attention.k_norm(k), v], 1).flatten(1)


# ---------------------------------------------------------------------- the pieces


def _root_mean_square(x: Tensor, eps: float) -> Tensor:
    """What RMSNorm multiplies each row by, [tokens, 1] in float32."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    scale: Tensor = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return scale


def _outer(grad: Tensor, low: Tensor) -> Tensor:
    """`grad.t() @ low`, [out, rank], as its transpose: with few rows instead of few columns it takes a third."""
    return (low.t() @ grad).t()


class _NormedProduct(Function):
    """`RMSNorm(x)` times joined weights and their adapters; the normed input is computed again for the gradient."""

    @staticmethod
    def forward(
        ctx: Context, x: Tensor, norm: Tensor, eps: float, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor
    ) -> Tensor:
        scale = _root_mean_square(x, eps)
        normed = (x * scale).to(x.dtype).mul_(norm)
        low = normed @ down.t()
        ctx.save_for_backward(x, scale, norm, weight, down, up, low)
        return functional.linear(normed, weight, bias).addmm_(low, up.t())

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, norm, weight, down, up, low = ctx.saved_tensors
        even = (x * scale).to(x.dtype)
        grad_low = grad @ up
        grad_down, grad_up = grad_low.t() @ (even * norm), _outer(grad, low)
        if not ctx.needs_input_grad[0]:  # the first layer's input is an embedding, which learns nothing
            return None, None, None, None, None, grad_down, grad_up
        grad_normed = (grad @ weight).addmm_(grad_low, down).mul_(norm)
        along = (grad_normed * even).sum(-1, keepdim=True, dtype=torch.float32).div_(-x.shape[-1])
        grad_x = (torch.addcmul(grad_normed, even, along) * scale).to(x.dtype)
        return grad_x, None, None, None, None, grad_down, grad_up


class _AddedProduct(Function):
    """`x + W inputs`: what attention found, brought back into the stream."""

    @staticmethod
    def forward(
        ctx: Context, inputs: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor
    ) -> Tensor:
        low = inputs @ down.t()
        ctx.save_for_backward(inputs, weight, down, up, low)
        return functional.linear(inputs, weight, bias).addmm_(low, up.t()).add_(x)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, down, up, low = ctx.saved_tensors
        grad_low = grad @ up
        grad_inputs = (grad @ weight).addmm_(grad_low, down)
        return grad_inputs, grad, None, None, grad_low.t() @ inputs, _outer(grad, low)


class _GatedProduct(Function):
    """`x + W (silu(gate) * up)`."""

    @staticmethod
    def forward(
        ctx: Context, gate_up: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor
    ) -> Tensor:
        gate, value = gate_up.chunk(2, -1)
        inner = functional.silu(gate).mul_(value)
        low = inner @ down.t()
        ctx.save_for_backward(gate_up, weight, down, up, low)
        return functional.linear(inner, weight, bias).addmm_(low, up.t()).add_(x)

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        gate_up, weight, down, up, low = ctx.saved_tensors
        gate, value = gate_up.chunk(2, -1)
        opened = functional.silu(gate)
        grad_low = grad @ up
        grad_down, grad_up = grad_low.t() @ (opened * value), _outer(grad, low)
        grad_inner = (grad @ weight).addmm_(grad_low, down)
        grad_gate_up = torch.empty_like(gate_up)
        grad_gate, grad_value = grad_gate_up.chunk(2, -1)
        torch.mul(grad_inner, opened, out=grad_value)
        torch.ops.aten.silu_backward.grad_input(grad_inner.mul_(value), gate, grad_input=grad_gate)
        return grad_gate_up, grad, None, None, grad_down, grad_up
