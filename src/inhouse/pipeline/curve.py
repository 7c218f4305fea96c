"""`train --curve`: trainings on growing shares of the data, and what more examples would bring."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from pydantic import ValidationError

from inhouse.core import AnyRecipe, CurveResult, Reporter, Silent, Task, canonical_hash
from inhouse.pipeline.curve_shares import AskedToStop, Share, causal_shares, encoder_shares
from inhouse.pipeline.preparation import require_ready, tell_left_out, wished
from inhouse.scoring import LearningCurve, learning_curve
from inhouse.store import Workspace, disk_guard, write_bytes
from inhouse.train import finishing_the_step

# The curve is read off at so many times the examples that there are: farther ahead a power law is a guess.
AHEAD = (2, 4)
# A smaller gain than this from doubling the data is not worth the work of collecting it.
WORTH = 0.01
# A curve that ends at fewer of the training examples than this share was drawn when there were fewer.
_OF_TODAY = 0.9


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
        TooFewExamples: a half of them is too few to be trained on.
        KeyboardInterrupt: Ctrl-C ended it before two trainings were done.
        what `train` raises.
    """
    from inhouse.evaluate.report import curve_svg, require_chart_libraries

    reporter = reporter or Silent()
    task = wished(require_ready(workspace, name, model), minutes=minutes)
    tell_left_out(workspace, name, model, reporter)
    shares_of = encoder_shares if task.train.model == "encoder" else causal_shares
    with workspace.lock(f"train-{name}", f"training {name!r}"), disk_guard(workspace.paths.root):
        shares = shares_of(workspace, task, reporter)
        require_chart_libraries()
        folder = _folder(workspace, task, shares[-1].recipe)
        with finishing_the_step(reporter, "the trainings that are done are shown") as asked_to_stop:
            metric, scores = _scores(shares, folder, reporter, asked_to_stop)
        if len(scores) < 2:
            raise KeyboardInterrupt
        counts = [share.examples for share in shares[: len(scores)]]
        found = learning_curve(counts, np.array(scores), [counts[-1] * times for times in AHEAD])
        chart = workspace.paths.curve(name)
        write_bytes(chart, curve_svg(found.points, metric).encode())
        result = CurveResult(
            task=name,
            metric=metric,
            validation_examples=len(scores[0]),
            power=found.power,
            gain=found.gain,
            low=found.low,
            high=found.high,
            points=found.points,
            reason=curve_told(found, metric, of=len(shares)),
            chart=str(chart),
            interrupted=len(scores) < len(shares),
        )
        write_bytes(workspace.paths.curve_result(name), result.model_dump_json(indent=1).encode())
        if not result.interrupted:
            shutil.rmtree(folder.parent, ignore_errors=True)
    return result


def kept_curve(workspace: Workspace, name: str) -> CurveResult | None:
    """The newest learning curve of a task; None where none was drawn, or another release kept it."""
    try:
        return CurveResult.model_validate_json(workspace.paths.curve_result(name).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def curve_of_today(workspace: Workspace, name: str, train_examples: int) -> CurveResult | None:
    """The whole curve of about as many training examples as there are now; None where it was drawn of others."""
    kept = kept_curve(workspace, name)
    if kept is None or kept.interrupted:
        return None
    learned = max((p.examples for p in kept.points if p.measured), default=0)
    return kept if _OF_TODAY * train_examples <= learned <= train_examples / _OF_TODAY else None


def _folder(workspace: Workspace, task: Task, recipe: AnyRecipe) -> Path:
    """For checkpoints of the curve that is whole with this recipe; those of other data or another recipe go."""
    curves = workspace.paths.curve_run(task.name, task.train.model)
    folder = curves / canonical_hash(recipe.model_dump(mode="json", exclude={"precision", "four_bit"}))
    folder.mkdir(parents=True, exist_ok=True)
    for left in curves.iterdir():
        if left != folder:
            shutil.rmtree(left, ignore_errors=True)
    return folder


def _scores(
    shares: Sequence[Share], folder: Path, reporter: Reporter, asked_to_stop: AskedToStop
) -> tuple[str, list[list[float]]]:
    """The metric, and the scores of the validation examples by each training, up to where it was asked to stop."""
    metric, scores = "", list[list[float]]()
    for share in shares:
        if asked_to_stop():
            break
        reporter.say(f"training on {share.examples} of {shares[-1].examples} examples")
        own = folder / str(share.examples)
        own.mkdir(exist_ok=True)
        try:
            done = share.scores(own, reporter, asked_to_stop)
        except KeyboardInterrupt:  # before its first step
            if not asked_to_stop():
                raise
            done = None
        if done is None:
            break
        metric, right = done
        reporter.say(f"{metric} of {len(right)} validation examples: {fmean(right):.1%}")
        scores.append(right)
    return metric, scores


def curve_told(curve: LearningCurve, metric: str, *, of: int) -> str:
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
