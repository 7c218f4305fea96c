"""What a model has forgotten: next tokens against its base's, on prompts of no task."""

from __future__ import annotations

import numpy as np
import pytest

from inhouse.engine import Generation
from inhouse.evaluate import divergence as module
from inhouse.evaluate.divergence import divergence, general_prompts

PROMPTS = [[n] for n in range(48)]


class Thinker:
    """Answers three tokens of five; its chances are those given, the same at every place."""

    def __init__(self, chances):
        self.chances = np.log(np.array(chances, dtype=np.float32))
        self.asked = []
        self.closed = False

    def generate(self, prompts, *, max_new_tokens):
        self.asked += prompts
        return [Generation([0, 0, 1], 0.0, True) for _ in prompts]

    def log_chances_along(self, answers):
        return [np.tile(self.chances, (len(ids), 1)) for _, ids in answers]

    def close(self):
        self.closed = True


def test_a_model_that_did_not_move_has_forgotten_nothing():
    base, tuned = Thinker([0.6, 0.4]), Thinker([0.6, 0.4])
    found = divergence(lambda: base, lambda: tuned, PROMPTS)
    assert (found.divergence, found.low, found.high, found.prompts) == (0, 0, 0, 48)
    assert found.loss_before == found.loss_after == pytest.approx(-(2 * np.log(0.6) + np.log(0.4)) / 3, abs=1e-6)
    assert found.same_choice.value == 1
    assert "100 of 100 places: it has kept nearly all" in found.sentence
    assert base.closed
    assert tuned.closed
    assert tuned.asked == [], "its base's answers are what both are asked about"


@pytest.mark.parametrize(
    ("chances", "says"), [([0.3, 0.7], "it has moved away"), ([0.01, 0.99], "it has forgotten much")]
)
def test_it_is_the_divergence_from_the_base(chances, says):
    found = divergence(lambda: Thinker([0.6, 0.4]), lambda: Thinker(chances), PROMPTS)
    expected = 0.6 * np.log(0.6 / chances[0]) + 0.4 * np.log(0.4 / chances[1])
    assert found.divergence == pytest.approx(expected, abs=1e-5)
    assert found.low == pytest.approx(found.high, abs=1e-5), "all prompts alike"
    assert found.same_choice.value == 0
    assert says in found.sentence


def test_little_is_forgotten_only_where_the_whole_interval_says_so():
    class Uneven(Thinker):
        def log_chances_along(self, answers):
            moved = np.log(np.array([0.1, 0.9], dtype=np.float32))
            return [np.tile(moved if i % 12 == 0 else self.chances, (3, 1)) for i, _ in enumerate(answers)]

    found = divergence(lambda: Thinker([0.6, 0.4]), lambda: Uneven([0.6, 0.4]), PROMPTS)
    assert found.divergence < module.LITTLE < found.high
    assert "it has moved away" in found.sentence


@pytest.mark.parametrize(("seconds", "asked"), [(1, 48), (12, 48), (16, 32), (100, 16)])
def test_as_many_prompts_are_asked_as_there_is_time_for(seconds, asked):
    times = iter(range(0, 1000 * seconds, seconds))
    found = divergence(lambda: Thinker([0.6, 0.4]), lambda: Thinker([0.5, 0.5]), PROMPTS, lambda: float(next(times)))
    assert found.prompts == asked


def test_there_are_forty_to_sixty_short_prompts():
    prompts = general_prompts()
    assert 40 <= len(prompts) <= 60
    assert len(set(prompts)) == len(prompts)
    assert max(map(len, prompts)) < 150


def test_torch_tells_all_chances_that_it_ranks(tiny_base):
    from inhouse.engine.torch_model import TorchEngine

    engine = TorchEngine(tiny_base.folder, None, rank=4, alpha=8, precision="float32", answer_ids=list)
    answers = [([5, 6, 7], [8, 9]), ([5], [7, 6, 5])] + [([n, 4], [3]) for n in range(3, 20)]
    chances, along = engine.log_chances_along(answers), engine.ranked_tokens_along(answers)
    engine.close()
    assert [len(c) for c in chances] == [len(ids) for _, ids in answers]
    together = np.concatenate(chances)
    assert np.allclose(np.exp(together).sum(1), 1, atol=1e-4)
    assert together.argmax(1).tolist() == [ids[0] for ids in along.ids]
    given = [c[i, token] for c, (_, ids) in zip(chances, answers, strict=True) for i, token in enumerate(ids)]
    assert np.allclose(given, along.given, atol=1e-4)
    assert module.TOKENS * module.AT_ONCE < 1000
