"""`train --curve`: trainings on growing shares of the data, and what more examples would bring."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from statistics import fmean

import numpy as np

from inhouse.core import CurveResult, Recipe, Reporter, Silent, canonical_hash
from inhouse.errors import TooFewExamples, UsageError
from inhouse.pipeline.preparation import (
    Prepared,
    measured_speed,
    prepare_training,
    prepared_trunk,
    require_ready,
    validation_judge,
    wished,
)
from inhouse.scoring import LearningCurve, learning_curve
from inhouse.store import Workspace, disk_guard, write_bytes
from inhouse.train import MIN_PAIRS, finishing_the_step, make_recipe

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
# A training on fewer examples says nothing about one on many.
LEAST = 16
# Groups stay whole, so parts are only about as large as their shares; two that hardly differ would say nothing.
APART = 3 / 4
# The curve is read off at so many times the examples that there are: farther ahead a power law is a guess.
AHEAD = (2, 4)
# A smaller gain than this from doubling the data is not worth the work of collecting it.
WORTH = 0.01


def train_curve(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    minutes: float | None = None,
    model: str = "",
) -> CurveResult:
    """Train on an eighth, a quarter, a half and all of the training examples; say what more of them would bring.

    No version is made of these trainings. Ctrl-C ends the one it is at after the step; where two are done by then, they
    are the curve for now. The same call goes on with the training it was at.

    Args:
        minutes, model: for each training, instead of those in `task.toml`.

    Raises:
        UsageError: it is for the encoder, of which there is no curve.
        TooFewExamples: a half of them is too few to be trained on.
        KeyboardInterrupt: Ctrl-C ended it before two trainings were done.
        what `train` raises.
    """
    from inhouse.evaluate.report import curve_svg, require_chart_libraries

    reporter = reporter or Silent()
    task = wished(require_ready(workspace, name, model), minutes=minutes)
    if task.train.model == "encoder":
        raise UsageError(
            "--curve trains the causal model on growing shares, not the encoder",
            "`inhouse evaluate` says whether more examples would help an encoder; or give `--model causal`",
        )
    with workspace.lock(f"train-{name}", f"training {name!r}"), disk_guard(workspace.paths.root):
        prepared = prepare_training(workspace, task, reporter)
        shares = _shares(prepared, reporter)
        require_chart_libraries()
        folder = workspace.paths.run(
            f"curve-{name}-{canonical_hash(prepared.recipe.model_dump(mode='json', exclude={'precision'}))}"
        )
        for left in folder.parent.glob(f"curve-{name}-*"):
            if left != folder:  # of other data or another recipe
                shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        metric, scores = "", list[list[float]]()
        with finishing_the_step(reporter, "the trainings that are done are shown") as asked_to_stop:
            for share in shares:
                reporter.say(f"training on {len(share.learned)} of {len(prepared.learned)} examples")
                done = _scores(share, folder / f"{len(share.learned)}.safetensors", reporter, asked_to_stop)
                if done is None:
                    break
                metric, right = done
                reporter.say(f"{metric} of {len(right)} validation examples: {fmean(right):.1%}")
                scores.append(right)
        if len(scores) < 2:
            raise KeyboardInterrupt
        counts = [len(share.learned) for share in shares[: len(scores)]]
        found = learning_curve(counts, np.array(scores), [counts[-1] * times for times in AHEAD])
        chart = workspace.paths.curve(name)
        write_bytes(chart, curve_svg(found.points, metric).encode())
        if len(scores) == len(shares):
            shutil.rmtree(folder, ignore_errors=True)
    return CurveResult(
        task=name,
        metric=metric,
        validation_examples=len(scores[0]),
        power=found.power,
        gain=found.gain,
        low=found.low,
        high=found.high,
        points=found.points,
        reason=_told(found, metric, of=len(shares)),
        chart=str(chart),
        interrupted=len(scores) < len(shares),
    )


def _shares(prepared: Prepared, reporter: Reporter) -> list[Prepared]:
    """The training on growing parts of the examples, each within the next, each with the recipe for its size.

    Groups stay whole, as more data brings more of them: with some of each in the smallest part, the curve would tell
    what more examples of the same suppliers bring, and not what new ones do.
    """
    places: dict[str, list[int]] = {}
    for place, example in enumerate(prepared.learned):
        places.setdefault(example.group, []).append(place)
    groups = list(places.values())
    random.Random(f"{prepared.recipe.seed}:curve").shuffle(groups)
    order, ends = [place for group in groups for place in group], list(accumulate(map(len, groups)))
    counts = [len(order)]
    for share in reversed(SHARES):
        nearest = min(ends, key=lambda n: abs(n - share * len(order)))
        if LEAST <= nearest <= APART * counts[0]:
            counts.insert(0, nearest)
    if len(counts) < 2:
        raise TooFewExamples(
            f"task {prepared.task.name!r} has {len(order)} training examples in {len(groups)} groups: too few for a "
            "curve",
            f"add examples: {2 * LEAST} are the least, in groups of which none holds most of them",
        )
    parts = [sorted(order[:n]) for n in counts]
    prepared = _of_one_objective(prepared, parts, reporter)
    return [_part(prepared, places) for places in parts]


def _of_one_objective(prepared: Prepared, parts: Sequence[Sequence[int]], reporter: Reporter) -> Prepared:
    """The training as all its parts can be trained: points of two objectives would lie on no one curve.

    Where a part has too few rejected answers to learn from, all learn from the right answers alone, and that is told.
    """
    least = 1 if prepared.task.train.objective == "dpo" else MIN_PAIRS
    fewest = min(sum(bool(prepared.learned[i].rejected) for i in places) for places in parts)
    if prepared.recipe.objective == "sft" or fewest >= least:
        return prepared
    reporter.warn(
        f"the smallest part of the examples has {fewest} rejected answers, and {least} are the least to learn from: "
        "the curve is of trainings on the right answers alone, all of them"
    )
    plain = {"objective": "sft", "beta": None, "sft_weight": None}
    return replace(
        prepared,
        task=prepared.task.model_copy(update={"train": prepared.task.train.model_copy(update=plain)}),
        learned=[replace(e, rejected=()) for e in prepared.learned],
        validation=[replace(e, rejected=()) for e in prepared.validation],
    )


def _part(prepared: Prepared, places: Sequence[int]) -> Prepared:
    learned, of = [prepared.learned[i] for i in places], prepared.recipe
    recipe = make_recipe(
        prepared.task,
        prepared.dataset,
        learned,
        base_model=of.base_model,
        base_sha256=of.base_sha256,
        precision=of.precision,
    )
    return replace(prepared, learned=learned, recipe=recipe)


def _scores(
    prepared: Prepared, checkpoint: Path, reporter: Reporter, asked_to_stop: Callable[[], bool]
) -> tuple[str, list[float]] | None:
    """Train, and score the best step's answers to the validation examples; None where it was asked to stop before."""
    from inhouse.engine.lora import load_adapter_state
    from inhouse.train.loop import right_answers, run_loop

    with prepared_trunk(prepared) as (trunk, adapters):
        fitted = prepared.fitted(measured_speed(prepared, trunk, adapters, reporter))
        prepared = replace(prepared, recipe=_kept(fitted, checkpoint.with_suffix(".json")))
        judge = validation_judge(prepared, trunk) if prepared.judged else None
        try:
            outcome = run_loop(
                trunk,
                adapters,
                prepared.learned,
                prepared.validation,
                prepared.recipe,
                checkpoint,
                reporter,
                judge=judge,
                asked_to_stop=asked_to_stop,
            )
        except KeyboardInterrupt:
            if not asked_to_stop():
                raise
            return None
        if outcome.interrupted:
            return None
        load_adapter_state(adapters, outcome.state)
        if judge is None:
            return "accuracy", right_answers(trunk, prepared.validation)
        return judge.metric, list(judge.scores(range(len(prepared.validation))))


def _kept(recipe: Recipe, file: Path) -> Recipe:
    """The recipe of a training that goes on, or this one, kept: a schedule is fitted into minutes once."""
    if file.is_file():
        return Recipe.model_validate_json(file.read_bytes())
    write_bytes(file, recipe.model_dump_json().encode())
    return recipe


def _told(curve: LearningCurve, metric: str, *, of: int) -> str:
    """What the curve means, in a sentence.

    Args:
        of: so many trainings make the whole curve.
    """
    done = [p for p in curve.points if p.measured]
    now = done[-1]
    part = f"of {of} trainings {len(done)} are done (the same command goes on): " if len(done) < of else ""
    what = part + (
        f"{now.examples} more examples would bring {metric} about {100 * curve.gain:.1f} points up on the fitted curve "
        f"(95 % interval {100 * curve.low:.1f} to {100 * curve.high:.1f})"
    )
    if len(done) == 2:
        what += ", in which what chance did to the trainings is assumed, as two of them cannot show it"
    if curve.high < WORTH:
        return f"{what}: hardly worth collecting"
    if curve.low >= WORTH:
        return f"{what}: worth collecting"
    return f"{what}: these trainings cannot tell whether they are worth collecting"
