"""Sentence encoders in torch: token ids in, unit vectors out; and the same as an OpenVINO model for serving."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from inhouse.engine.encoder_facts import Pooling
from inhouse.engine.quiet import settle, settle_transformers


def load_encoder(folder: Path) -> nn.Module:
    """The encoder of a folder in float32, ready to answer; eager attention is the faster at a sentence's length."""
    settle_transformers()
    from transformers import AutoModel

    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True, trust_remote_code=False
    )
    assert isinstance(model, nn.Module)
    return model.eval()


def pooled(model: nn.Module, ids: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Unit vectors [n, width] of texts.

    Args:
        ids, mask: [n, length]; right-padded, mask 1 where there is a token.
    """
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    if pooling == "cls":
        return nn.functional.normalize(hidden[:, 0], dim=1)
    weight = mask[:, :, None].to(hidden.dtype)
    return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)


def padded_texts(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and mask [n, length] of token ids."""
    width = max(map(len, rows))
    ids = torch.tensor([[*r, *[pad] * (width - len(r))] for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
    return ids, mask


class PooledEncoder(nn.Module):
    """An encoder as it was published, with what makes one vector of its tokens'."""

    def __init__(self, model: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.model, self.pooling = model, pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors [n, width]."""
        return pooled(self.model, input_ids, attention_mask, self.pooling)


class TwinEncoder(nn.Module):
    """A tuned encoder beside the one that it came from: what it learned, and what it knew before.

    Few examples bend an encoder towards their labels, and some of what it knew gets lost; a head that sees both vectors
    does better than with either (see docs/design/encoder.md).
    """

    def __init__(self, tuned: nn.Module, original: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.tuned, self.original, self.pooling = tuned, original, pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit vectors of both, [n, 2 width]: the tuned one's first."""
        both = (pooled(m, input_ids, attention_mask, self.pooling) for m in (self.tuned, self.original))
        return torch.cat(list(both), dim=1)


def write_openvino(encoder: nn.Module, pad: int, file: Path, *, half: bool = True) -> None:
    """Write an encoder as OpenVINO IR: `file` and a `.bin` beside it, the same bytes every time.

    Args:
        encoder: from ids and mask to vectors.
        pad: the id that fills short texts up.
        half: keep its weights in half precision, not in float32.
    """
    settle()
    import openvino
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    ids, mask = padded_texts([[1, 2, 3, 4], [1, 2]], pad)
    shape = openvino.PartialShape([-1, -1])
    with _traced_silently(), torch.no_grad():
        example = {"input_ids": ids, "attention_mask": mask}
        # Without torch's own look at the trace, which traces all of it once more: the parity gate looks.
        traced = TorchScriptPythonDecoder(encoder.eval(), example_input=example, trace_kwargs={"check_trace": False})
        model = openvino.convert_model(
            traced,
            example_input=example,
            input=[(name, shape, openvino.Type.i64) for name in ("input_ids", "attention_mask")],
        )
    # The converter numbers what has no name by all that the process ever converted.
    model.set_friendly_name("encoder")
    for place, operation in enumerate(model.get_ordered_ops()):
        if operation.get_type_name() not in ("Parameter", "Result"):
            operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
    model.outputs[0].set_names({"vectors"})
    model.outputs[0].get_node().set_friendly_name("vectors")
    openvino.save_model(model, file, compress_to_fp16=half)


@contextmanager
def _traced_silently() -> Iterator[None]:
    """torch warns of every shape that a trace takes as given, and transformers of itself; the parity gate looks."""
    import logging

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("openvino").setLevel(logging.ERROR)
        yield
