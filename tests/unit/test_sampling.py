"""Answers by chance: they follow the model's own distribution, and a seed gives the same again."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stderr

import numpy as np
import pytest
from conftest import THREADS
from scipy.stats import chisquare

from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import open_engine
from inhouse.engine.protocol import Sampling, Wishes
from inhouse.engine.quiet import settle_transformers
from inhouse.errors import InputError

DRAWS = 1500


@pytest.fixture(scope="module")
def template(tiny_base):
    return ChatTemplate(tiny_base.folder)


@pytest.fixture(scope="module")
def prompt(template):
    return template.prompt_ids([{"role": "user", "content": "where is my card"}])


@pytest.fixture(scope="module")
def engine(tiny_base, template):
    engine = open_engine("openvino-genai", tiny_base.gguf, template.end_of_turn, threads=THREADS, exact=True)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def logprobs(tiny_base, prompt):
    """Of every first token, from torch."""
    import torch

    settle_transformers()
    from transformers import AutoModelForCausalLM

    with redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(tiny_base.folder, gguf_file="base.gguf", dtype=torch.float32)
    with torch.inference_mode():
        return torch.log_softmax(model(input_ids=torch.tensor([prompt])).logits[0, -1].double(), -1).numpy()


def first_tokens(engine, prompt, temperature, top_p):
    boxes = []
    for seed in range(DRAWS):
        box = []
        boxes.append(box)
        engine.submit(prompt, Wishes(1, sampling=Sampling(temperature, top_p, seed)), box.append, every_token=False)
    # The last one in is the last one out: a request behind all of them waits for them.
    list(engine.stream(prompt, max_new_tokens=30))
    return [box[0] for box in boxes]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.0, 0.5)])
def test_tokens_are_drawn_as_the_model_has_them(engine, prompt, logprobs, temperature, top_p):
    chances = np.exp(logprobs / temperature)
    chances /= chances.sum()
    order = np.argsort(-chances)
    kept = order[: int(np.searchsorted(np.cumsum(chances[order]), top_p)) + 1]
    counts = Counter(one.ids[0] for one in first_tokens(engine, prompt, temperature, top_p))
    edge = kept[-1] if top_p < 1 else -1  # a sum that comes out a hair higher leaves the last one out
    assert set(counts) <= set(kept.tolist())
    often = [token for token in kept if DRAWS * chances[token] >= 10 and token != edge]
    expected = np.array([chances[token] for token in often]) * DRAWS
    seen = np.array([counts[token] for token in often], float)
    if top_p < 1:
        expected *= seen.sum() / expected.sum()
    else:
        expected, seen = np.append(expected, DRAWS - expected.sum()), np.append(seen, DRAWS - seen.sum())
    assert len(often) > 8
    assert chisquare(seen, expected).pvalue > 1e-4


def test_logprobs_are_of_the_model_itself_whatever_the_temperature(engine, prompt, logprobs):
    for temperature in (0.5, 1.5):
        for one in first_tokens(engine, prompt, temperature, 1.0)[:200]:
            assert one.logprobs[0] == pytest.approx(logprobs[one.ids[0]], abs=0.05)


def test_the_same_seed_gives_the_same_answer_alone_and_among_others(engine, prompt):
    def answer(seed):
        return [*engine.stream(prompt, max_new_tokens=16, sampling=Sampling(1.0, 1.0, seed))][-1].ids

    alone = [answer(seed) for seed in (1, 2, 3, 2**63 - 1)]
    assert len({tuple(ids) for ids in alone}) == 4
    boxes = []
    for seed in (1, 2, 3, 2**63 - 1) * 8:
        box = []
        boxes.append(box)
        engine.submit(prompt, Wishes(16, sampling=Sampling(1.0, 1.0, seed)), box.append, every_token=False)
    answer(1)
    same = [box[0].ids == alone[n % 4] for n, box in enumerate(boxes)]
    assert sum(same) >= 28  # arithmetic in another batch may tip a near tie


def test_without_sampling_it_is_the_likeliest(engine, prompt, logprobs):
    (one,) = engine.stream(prompt, max_new_tokens=1, every_token=False)
    assert one.ids[0] == int(np.argmax(logprobs))


def test_an_engine_that_cannot_says_so(tiny_base, template, prompt):
    engine = open_engine("xllamacpp", tiny_base.gguf, template.end_of_turn, threads=THREADS, exact=True)
    try:
        with pytest.raises(InputError, match=r"a temperature of 0\.7 cannot be had: the engine xllamacpp"):
            list(engine.stream(prompt, max_new_tokens=1, sampling=Sampling(0.7, 1.0, 1)))
    finally:
        engine.close()
