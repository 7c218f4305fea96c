"""The rules of the advice, in their order; the first that holds decides. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from inhouse.core import Metric, Verdict, counted
from inhouse.evaluate.advice.known import FLOOR, GROUNDED, REMOTE, Choice, Evidence, family, figures

# With fewer examples to learn from, or to judge by, figures say next to nothing: the interval of a share of 20 is up to
# 40 points wide.
LEAST_EXAMPLES = 50
LEAST_JUDGED = 20
# Where more than this share of the answers tells what neither the input nor the training answers hold, no model can
# know it: it must be looked up.
OUTSIDE = 0.2
# With more than this share of examples whose input has another answer elsewhere, no model can be right.
CONTRADICTING = 0.2
# Of answers of which fewer keep the form of the task, nothing can learn one form.
STABLE = 0.8
# With fewer examples than this, a model that is no better than the floor has not shown that there is nothing to learn.
ENOUGH_TO_DOUBT = 200
# A curve rises where twice as many examples bring so much at the lower end of the interval: then there is something to
# learn, though nothing has learned it yet.
RISES = 0.01
# A month-long wait beyond this for the work to pay is no plan.
MOST_MONTHS = 36.0


class Found(NamedTuple):
    """The choice, the contender to use (empty where none is), why in a sentence, and the command to go on with."""

    choice: Choice
    use: str
    reason: str
    next: str


def _evaluate(given: Evidence) -> str:
    return given.clean_first or f"inhouse evaluate {given.task}"


def decide(given: Evidence) -> Found:
    """What the first rule says that holds."""
    return next(found for rule in RULES if (found := rule(given)) is not None)


def _looked_up(given: Evidence) -> Found | None:
    """Only passages of documents can hold what stands in no input: similar examples hold the facts of others."""
    outside, shown = given.facts_outside, given.contenders.get(GROUNDED)
    adopted = given.verdict is not None and given.verdict.decision == "adopt"
    if outside is None or outside.low < OUTSIDE or (adopted and shown is not None):
        return None
    told = (
        f"{outside.value:.0%} of the answers tell what neither the input nor other answers hold: it must be looked up, "
        "whichever model writes the answer"
    )
    folder = f"tasks/{given.task}/documents"
    again = given.clean_first or given.go_on if given.stale else _evaluate(given)
    if shown is None:
        told += f". Put the documents that hold it into {folder}, and `{GROUNDED}` shows each request their passages"
    elif given.judged is not None and given.judged.winner == GROUNDED:
        told += f"; with the passages of {folder} {GROUNDED} is the best choice: {given.metric} {figures(shown)}"
        again = f"inhouse promote {given.task} --contender {GROUNDED}"
        return _served(given, Found("retrieval", GROUNDED, told, again))
    elif given.enough == GROUNDED:
        return _use(given, GROUNDED, f"{told}; with the passages of {folder} {GROUNDED} is the best choice")
    else:
        told += f"; with the passages of {folder} as they are {GROUNDED} has {given.metric} {figures(shown)}"
    return Found("retrieval", GROUNDED, told, again)


def _judged(given: Evidence) -> Found | None:
    """As the verdict of the evaluation has it."""
    verdict = given.judged
    if verdict is None:
        return None
    if also := next((name for name in verdict.also if name in given.contenders), ""):
        told = f"{also} is the best choice on the test examples: {given.metric} {figures(given.contenders[also])}"
        command = f"inhouse promote {given.task} --contender {also}"
        return _served(given, Found(family(also), also, told, command))
    if verdict.decision == "collect_more":
        told = f"the evaluation of {given.version} could not decide. {verdict.reason}".strip()
        return Found("collect_more", "", told, given.go_on)
    if verdict.decision == "reject":
        told = f"the evaluation of {given.version} rejects every contender. {verdict.reason}".strip()
        return Found("leave_it", "", told, given.go_on)
    return _served(given, _winner(given, verdict)) if verdict.winner in given.contenders else None


def _served(given: Evidence, found: Found) -> Found:
    """The same, where it is promoted already."""
    if found.use != given.serves:
        return found
    return found._replace(reason=f"{found.reason}; it is the champion already", next="inhouse serve")


def _winner(given: Evidence, verdict: Verdict) -> Found:
    winner = verdict.winner
    value, choice = given.contenders[winner], family(winner)
    told = f"{winner} is the best choice on the test examples: {given.metric} {figures(value)}"
    if choice == "fine_tune" and given.facts_outside is not None and given.facts_outside.low >= OUTSIDE:
        told += (
            f"; {given.facts_outside.value:.0%} of its answers tell what it cannot know, which a person must fill in"
        )
    if winner.startswith(REMOTE):
        return Found(choice, winner, f"{told}; it is used where it is", given.go_on)
    own = verdict.decision == "adopt" and choice == "fine_tune"
    return Found(choice, winner, told, given.go_on if own else f"inhouse promote {given.task} --contender {winner}")


def _too_few(given: Evidence) -> Found | None:
    if given.train_examples >= LEAST_EXAMPLES and given.judged_examples >= LEAST_JUDGED:
        return None
    told = (
        f"{counted(given.train_examples, 'example')} to learn from and {given.judged_examples} to judge by "
        f"are too few to tell (at least {LEAST_EXAMPLES} and {LEAST_JUDGED})"
    )
    return Found("collect_more", "", told, f"inhouse add {given.task} FILE")


def _contradictory(given: Evidence) -> Found | None:
    share = given.contradicting
    if share is None or share.low <= CONTRADICTING:
        return None
    told = f"{share.value:.0%} of the examples have an input that is answered otherwise elsewhere"
    return Found(
        "leave_it",
        "",
        f"{told}: no model can be right on both; agree on the answers first",
        f"inhouse clean {given.task}",
    )


def _formless(given: Evidence) -> Found | None:
    share = given.form_kept
    if share is None or share.high >= STABLE:
        return None
    told = (
        f"{share.value:.0%} of the training answers keep the form of the task, which are too few to learn one form: "
        "mend those that do not, or collect answers that do"
    )
    return Found("collect_more", "", told, f"inhouse clean {given.task}")


def _stale(given: Evidence) -> Found | None:
    """What was known before the data changed, until it is judged again."""
    verdict = given.verdict
    if not given.stale or verdict is None:
        return None
    if verdict.decision in ("adopt", "not_needed") and verdict.winner in given.contenders:
        told = (
            f"there {verdict.winner} was the best choice ({given.metric} {figures(given.contenders[verdict.winner])})"
        )
        told += ", and what is best now the next evaluation says"
        return Found(family(verdict.winner), verdict.winner, told, given.clean_first or given.go_on)
    told = f"there the verdict was {verdict.decision}, which is open again: train on the data as it is, and evaluate"
    return Found("fine_tune", "", told, given.clean_first or given.go_on)


def _nothing_asked(given: Evidence) -> Found | None:
    if given.asked:
        return None
    return Found("collect_more", "", "nothing was asked that could be compared", f"inhouse advise {given.task}")


def _best(given: Evidence) -> tuple[str, Metric, str]:
    """The best contender, its value, and both in words."""
    best = given.enough or max(given.asked, key=lambda name: given.asked[name].value)
    value = given.asked[best]
    return best, value, f"{best} has {given.metric} {figures(value)} without fine-tuning"


def _use(given: Evidence, best: str, told: str) -> Found:
    """A contender that needs no training; whether it does as well on the test, an evaluation says."""
    if best.startswith(REMOTE) and best == given.enough:
        return Found(family(best), best, f"{told}; it is used where it is", "")
    if best.startswith(REMOTE):
        name = best.removeprefix(REMOTE)
        told += f'; with `remotes = ["{name}"]` in tasks/{given.task}/task.toml `evaluate` asks it too'
    promote = f"inhouse promote {given.task} --contender {best}"
    return _served(given, Found(family(best), best, told, promote if best == given.enough else _evaluate(given)))


def _good_enough(given: Evidence) -> Found | None:
    best, value, told = _best(given)
    if given.minimum is not None and value.low >= given.minimum:
        return _use(given, best, f"{told}, which meets the bar of {given.minimum:.1%}")
    if value.value > 1 - given.min_gain:
        return _use(given, best, f"{told}: less than the {100 * given.min_gain:g} points asked for are left to gain")
    return None


def _nothing_follows(given: Evidence) -> Found | None:
    """Nothing that learns is beyond the floor, though there are examples enough."""
    best, value, _ = _best(given)
    floor = given.contenders.get(FLOOR)
    learned = any(family(name) == "classical" for name in given.asked)
    if floor is None or not learned or value.low > floor.value or given.train_examples < ENOUGH_TO_DOUBT:
        return None
    told = f"the best, {best}, is not beyond {FLOOR} ({figures(value)} against {floor.value:.1%})"
    if given.curve is not None and given.curve.low >= RISES:
        told += (
            f", but the learning curve rises: twice as many examples would bring {100 * given.curve.gain:.1f} points"
        )
        return Found("collect_more", "", told, f"inhouse add {given.task} FILE")
    told += ": the answers do not seem to follow from the inputs"
    return Found("leave_it", "", told, f"inhouse clean {given.task}")


def _never_pays(given: Evidence) -> Found | None:
    best, _, told = _best(given)
    paid = given.paid
    if paid is None or not best.startswith(REMOTE):
        return None
    if paid.requests is not None and (paid.months or 0) <= MOST_MONTHS:
        return None
    return _use(given, best, f"{told}, and an own model would not pay for itself within {MOST_MONTHS:.0f} months")


def _documents_help(given: Evidence) -> Found | None:
    """Passages of the documents do more than anything else that is on this machine.

    No fine-tuned model is shown passages, so what they hold is lost to it.
    """
    shown = given.contenders.get(GROUNDED)
    others = [m for name, m in given.asked.items() if name != GROUNDED and not name.startswith(REMOTE)]
    if shown is None or not others or shown.low <= max(m.high for m in others):
        return None
    best = max(others, key=lambda m: m.value)
    told = f"the documents hold what is needed: with their passages {figures(shown)}, without {figures(best)}"
    return _use(given, GROUNDED, told)


def _not_by_its_curve(given: Evidence) -> Found | None:
    """Trainings on today's examples, of the learning curve, came to less than would be worth it."""
    now, curve = given.tuned_now, given.curve
    if now is None or curve is None or now.high >= given.needed:
        return None
    best, value, told = _best(given)
    promised = now.score + curve.gain
    learned = f"fine-tuned on today's examples it comes to {figures(now)}, and {given.needed:.1%} would be worth it"
    if promised >= given.needed:
        learned += f"; twice as many examples promise {promised:.1%}"
        return Found("collect_more", "", f"{told}; {learned}", f"inhouse add {given.task} FILE")
    learned += f"; twice as many examples promise no more than {promised:.1%}"
    floor = given.contenders.get(FLOOR)
    least = max(given.minimum or 0.0, floor.value if floor else 0.0)
    if value.value < least:
        learned += f". Neither comes to {least:.1%}: make the answers consistent, or give more input fields"
        return Found("leave_it", "", f"{told}; {learned}", f"inhouse clean {given.task}")
    return _use(given, best, f"{told}; {learned}")


def _fine_tune(given: Evidence) -> Found:
    _, value, told = _best(given)
    told += f", which leaves up to {100 * (1 - value.low):.0f} points to gain; training costs machine time"
    return Found("fine_tune", "", f"{told} and is judged by `evaluate`", given.clean_first or given.go_on)


RULES: tuple[Callable[[Evidence], Found | None], ...] = (
    _looked_up,
    _judged,
    _too_few,
    _contradictory,
    _formless,
    _stale,
    _nothing_asked,
    _good_enough,
    _nothing_follows,
    _never_pays,
    _documents_help,
    _not_by_its_curve,
    _fine_tune,
)
