"""The reasons of the advice with their figures, and what would change it, which is tried. Pure.

A reason says "changes if" only where the choice is another one once its figure, and nothing else, is moved over a bound
of the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from inhouse.core import Metric, Verdict, counted
from inhouse.evaluate.advice.known import FLOOR, REMOTE, Choice, Evidence, Money, Reason, figures
from inhouse.evaluate.advice.rules import (
    CONTRADICTING,
    ENOUGH_TO_DOUBT,
    LEAST_EXAMPLES,
    LEAST_JUDGED,
    MOST_MONTHS,
    OUTSIDE,
    RISES,
    STABLE,
    decide,
)

# Beyond a bound is so far from it.
HAIR = 0.001
# What would have to come about, and the evidence if it did.
Moves = Iterable[tuple[str, Evidence]]
WORDS: dict[Choice, str] = {
    "prompt": "prompting alone",
    "retrieval": "prompting with what is looked up",
    "classical": "a classical model",
    "fine_tune": "fine-tuning",
    "fine_tune_with_retrieval": "fine-tuning with what is looked up",
    "leave_it": "always the most frequent answer",
}


def reasons_of(given: Evidence) -> Iterator[Reason]:
    """Every reason that has a figure, those of a verdict and of contenders first."""
    yield from _of_verdict(given)
    yield from _of_contenders(given)
    yield from _of_examples(given)
    yield from _of_shares(given)
    yield from _of_curve(given)
    yield from _of_money(given)
    yield _of_remotes(given)


def _changes(given: Evidence, moves: Moves) -> str:
    """The first of the moves after which another choice, or another machine, is advised; empty where none is."""
    here = _advised(given)
    return next((what for what, moved in moves if _advised(moved) != here), "")


def _advised(given: Evidence) -> tuple[Choice, bool]:
    found = decide(given)
    return found.choice, found.use.startswith(REMOTE)


def _with(given: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - whatever a field holds
    return given.model_copy(update=changes)


def _in_json(key: str) -> str:
    return f"--json: evidence.{key}"


# ---------------------------------------------------------------------- the verdict and the contenders


def _of_verdict(given: Evidence) -> Iterator[Reason]:
    verdict = given.verdict
    if verdict is None:
        return
    if given.stale:
        fresh = _with(given, stale="")
        moves: Moves = [("the data goes back to what was evaluated (`inhouse undo`)", fresh)]
    else:
        others = ("reject", "collect_more")
        moves = [("another evaluation comes to another verdict", _with(given, verdict=_as(verdict, d))) for d in others]
    yield Reason(
        says=f"verdict of {given.version}: {verdict.decision} ({verdict.winner})",
        number=_gain(given, verdict),
        source=f"{given.report}: verdict" if given.report else _in_json("verdict"),
        changes_if=_changes(given, moves),
    )


def _as(verdict: Verdict, decision: str) -> Verdict:
    return verdict.model_copy(update={"decision": decision, "also": ()})


def _gain(given: Evidence, verdict: Verdict) -> str:
    if verdict.gain is None or verdict.low is None or verdict.high is None:
        return counted(given.judged_examples, "test example")
    return f"{100 * verdict.gain:+.1f} points ({100 * verdict.low:+.1f} to {100 * verdict.high:+.1f})"


def _of_contenders(given: Evidence) -> Iterator[Reason]:
    for kind, what in WORDS.items():
        if name := given.best(kind):
            metric = given.contenders[name]
            place = f"contenders[{name}]"
            source = f"{given.report}: {place}.metrics.{given.metric}" if given.report else _in_json(place)
            yield Reason(
                says=f"{what}, at its best {name}",
                number=figures(metric),
                source=f"{source}; {counted(metric.n, f'{given.judged_on} example')}",
                changes_if=_changes(given, _crossed(given, name)) if kind != "leave_it" else "",
            )


def _crossed(given: Evidence, name: str) -> Moves:
    """A contender on the other side of each bound, the nearest first."""
    metric = given.contenders[name]
    lows = [max((m.high for other, m in given.asked.items() if other != name), default=0.0)]
    lows += [given.contenders[FLOOR].value] if FLOOR in given.contenders else []
    lows += [given.minimum] if given.minimum is not None else []
    moves = [(abs(low - metric.low), *_low_over(given, name, low)) for low in lows if 0 < low < 1]
    moves.append((abs(1 - given.min_gain - metric.value), *_value_over(given, name)))
    for _, what, moved in sorted(moves, key=lambda one: one[0]):
        yield f"{name} {what}", _with(given, contenders={**given.contenders, name: moved})


def _low_over(given: Evidence, name: str, bound: float) -> tuple[str, Metric]:
    metric = given.contenders[name]
    up = metric.low <= bound
    what = f"{'comes to more than' if up else 'falls under'} {bound:.1%} at the lower end of its interval"
    return what, _low_at(metric, bound + HAIR if up else bound - HAIR)


def _value_over(given: Evidence, name: str) -> tuple[str, Metric]:
    """Over, or no longer over, what leaves less to gain than is asked for."""
    metric, bound = given.contenders[name], 1 - given.min_gain
    up = metric.value <= bound
    value = min(1.0, bound + HAIR) if up else max(0.0, bound - HAIR)
    what = f"{'comes to more than' if up else 'falls under'} {bound:.1%}"
    return what, Metric(value=value, low=min(metric.low, value), high=max(metric.high, value), n=metric.n)


def _low_at(metric: Metric, low: float) -> Metric:
    low = min(1.0, max(0.0, low))
    return Metric(value=max(metric.value, low), low=low, high=max(metric.high, low), n=metric.n)


# ---------------------------------------------------------------------- the data


def _of_examples(given: Evidence) -> Iterator[Reason]:
    whence = f"{given.card}: counts" if given.card else _in_json("train_examples")
    moves = _counted(given, "train_examples", (LEAST_EXAMPLES, ENOUGH_TO_DOUBT), "to learn from")
    number = f"{given.train_examples:,}"
    yield Reason(says="examples to learn from", number=number, source=whence, changes_if=_changes(given, moves))
    moves = _counted(given, "judged_examples", (LEAST_JUDGED,), "to judge by")
    yield Reason(
        says=f"{given.judged_on} examples to judge by",
        number=f"{given.judged_examples:,}",
        source=_in_json("judged_examples"),
        changes_if=_changes(given, moves),
    )


def _counted(given: Evidence, key: str, bounds: Iterable[int], what: str) -> Moves:
    """A count on the other side of each bound, the nearest first."""
    now = getattr(given, key)
    for bound in sorted(bounds, key=lambda one: abs(one - now)):
        fewer = now >= bound
        told = f"there are {'fewer than' if fewer else 'at least'} {bound} examples {what}"
        yield told, _with(given, **{key: bound - 1 if fewer else bound})


def _of_shares(given: Evidence) -> Iterator[Reason]:
    looked_up = "of the answers tell what must be looked up"
    contradict = "of the examples contradict each other"
    shares = (
        ("facts_outside", OUTSIDE, f"{looked_up}: it stands neither in the input nor in other answers", looked_up),
        ("contradicting", CONTRADICTING, "of the examples have an input that has another answer elsewhere", contradict),
    )
    for key, bound, says, what in shares:
        metric: Metric | None = getattr(given, key)
        if metric is not None:
            over = metric.low > bound
            told = f"{'no more than' if over else 'more than'} {bound:.0%} {what}, at the lower end of the interval"
            moved = _with(given, **{key: _low_at(metric, bound - HAIR if over else bound + HAIR)})
            yield _share(given, key, metric, says, [(told, moved)])
    if (kept := given.form_kept) is not None:
        under = kept.high < STABLE
        high = STABLE + HAIR if under else STABLE - HAIR
        mended = Metric(value=min(kept.value, high), low=min(kept.low, high), high=high, n=kept.n)
        told = f"{'at least' if under else 'fewer than'} {STABLE:.0%} of the training answers keep the form of the task"
        moves = [(f"{told}, at the upper end of the interval", _with(given, form_kept=mended))]
        yield _share(given, "form_kept", kept, "of the training answers keep the form of the task", moves)


def _share(given: Evidence, key: str, metric: Metric, says: str, moves: Moves) -> Reason:
    source = f"{_in_json(key)}; {counted(metric.n, 'training example')}"
    return Reason(says=says, number=figures(metric), source=source, changes_if=_changes(given, moves))


def _of_curve(given: Evidence) -> Iterator[Reason]:
    curve, now = given.curve, given.tuned_now
    if curve is None:
        return
    whence = f"{given.curve_file}: " if given.curve_file else _in_json("curve.")
    judged = counted(curve.validation_examples, "validation example")
    if now is not None:
        up = now.high < given.needed
        high = given.needed + HAIR if up else given.needed - HAIR
        moved = now.model_copy(update={"score": min(now.score, high), "low": min(now.low, high), "high": high})
        points = tuple(moved if p is now else p for p in curve.points)
        verb = "comes to" if up else "does not come to"
        told = f"fine-tuning {verb} {given.needed:.1%} at the upper end of its interval"
        yield Reason(
            says="fine-tuning on today's examples, by its own learning curve",
            number=figures(now),
            source=f"{whence}points; {judged}",
            changes_if=_changes(given, [(told, _with(given, curve=curve.model_copy(update={"points": points})))]),
        )
    yield Reason(
        says=f"twice as many examples would bring ({given.curve_of or 'the learning curve'})",
        number=f"{100 * curve.gain:+.1f} points ({100 * curve.low:+.1f} to {100 * curve.high:+.1f})",
        source=f"{whence}gain; {judged}",
        changes_if=_changes(given, _gains(given)),
    )


def _gains(given: Evidence) -> Moves:
    """Other gains from twice as many examples: what fine-tuning lacks, or a curve that rises."""
    curve, now = given.curve, given.tuned_now
    if curve is None:
        return
    if now is not None:
        lacks = given.needed - now.score
        less = curve.gain >= lacks
        gain = lacks - HAIR if less else lacks + HAIR
        told = f"twice as many examples bring {'less than' if less else 'at least'} {100 * lacks:.1f} points"
        yield told, _with(given, curve=curve.model_copy(update={"gain": gain}))
    rises = curve.low >= RISES
    low = RISES - HAIR if rises else RISES + HAIR
    told = f"twice as many examples bring {'less than' if rises else 'at least'} {100 * RISES:.0f} point"
    moved = curve.model_copy(update={"low": low, "gain": max(curve.gain, low), "high": max(curve.high, low)})
    yield f"{told} at the lower end of the interval", _with(given, curve=moved)


# ---------------------------------------------------------------------- money and privacy


def _of_money(given: Evidence) -> Iterator[Reason]:
    paid, money = given.paid, given.money
    if given.requests_per_month is not None:
        source = f"{given.requests_from}; {_in_json('requests_per_month')}"
        moves = _volumes(given)
        number = f"{given.requests_per_month:,.0f}"
        yield Reason(says="requests a month", number=number, source=source, changes_if=_changes(given, moves))
    if paid is None or money is None:
        return
    often = f", {paid.months:.1f} months" if paid.months is not None else ""
    says = f"an own model has paid for its {paid.once:,.2f}, saving {paid.saved_per_thousand:.2f} a thousand"
    if money.free:
        says += f"; this machine counts as free here, as {money.free}"
    yield Reason(
        says=says,
        number="never" if paid.requests is None else f"{paid.requests:,.0f} requests{often}",
        source=f"{money.price_from}; {_in_json('money')}",
        changes_if=_changes(given, _prices(given, money)),
    )


def _volumes(given: Evidence) -> Moves:
    paid, often = given.paid, given.requests_per_month
    if paid is None or not paid.requests or often is None:
        return
    bound = paid.requests / MOST_MONTHS
    fewer = often >= bound
    told = f"there are {'fewer than' if fewer else 'more than'} {bound:,.0f} requests a month"
    yield told, _with(given, requests_per_month=bound * (1 - HAIR if fewer else 1 + HAIR))


def _prices(given: Evidence, money: Money) -> Moves:
    """The remote price at which an own model has just paid for itself in time."""
    paid, often = given.paid, given.requests_per_month
    assert paid is not None
    bound = money.local_per_thousand + (1000 * paid.once / (MOST_MONTHS * often) if often else 0.0)
    if not bound:
        return
    pays = paid.requests is not None and (paid.months or 0.0) <= MOST_MONTHS
    told = f"a thousand requests to the remote model cost {'less' if pays else 'more'} than {bound:,.2f}"
    price = bound * (1 - HAIR) if pays else bound * (1 + HAIR) + HAIR
    yield told, _with(given, money=money.model_copy(update={"remote_per_thousand": price}))


def _of_remotes(given: Evidence) -> Reason:
    asked = ", ".join(given.remotes) or "none"
    if given.remotes:
        here = {name: m for name, m in given.contenders.items() if not name.startswith(REMOTE)}
        moves: Moves = [("inputs may not leave this machine", _with(given, contenders=here))]
    else:
        over = min(1.0, given.bar + HAIR)
        there = Metric(value=over, low=over, high=1.0, n=given.judged_examples)
        what = f"inputs may leave this machine, and a remote model comes to more than {given.bar:.1%}"
        moves = [(what, _with(given, contenders={**given.contenders, REMOTE: there}))]
    return Reason(
        says="remote models were asked; to use one, each input leaves this machine. All else stays here",
        number=f"{len(given.remotes)} ({asked})",
        source=f"--remote; {_in_json('remotes')}",
        changes_if=_changes(given, moves),
    )
