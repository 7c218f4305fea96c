"""Every contender of a task is asked the same questions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from inhouse.core import LeftOut, Task
from inhouse.errors import ModelUnavailable
from inhouse.evaluate.contenders.registry import CONTENDERS, Answers, Contender, Field, NotCompared
from inhouse.evaluate.contenders.remote import remote


def contenders_of(task: Task) -> list[Contender]:
    """Those that can answer the task: the registered ones of its kind, and the remote models that it names."""
    remotes = [Contender(f"remote:{name}", partial(remote, name=name), remote=True) for name in task.remotes]
    return [*(c for c in CONTENDERS.values() if task.kind in c.kinds), *remotes]


def ask_all(given: Field, names: Sequence[str] = ()) -> list[Answers]:
    """Ask every contender (or the named ones) every question.

    What takes no part is left out, with the reason; a remote one that fails too, with a note.
    """
    answers = []
    for one in contenders_of(given.task):
        if (names and one.name not in names) or _is_other(given, one):
            continue
        begun = time.perf_counter()
        try:
            found = one.ask(given)
        except NotCompared as error:
            given.left_out.append(LeftOut(contender=one.name, reason=str(error)))
            continue
        except ModelUnavailable as error:
            if not one.remote:
                raise
            given.notes.append(f"{one.name} was not compared: {error.what}")
            continue
        seconds = time.perf_counter() - begun - given.fits.get(one.name, 0.0)
        asked = given.asked.get(one.name)
        if asked:  # the speed is that of answering, whenever that was
            seconds += asked.seconds_before
        edge = len(given.validation)
        answers.append(Answers(one.name, one.fine_tuned, found[:edge], found[edge:], seconds, asked))
    return answers


def _is_other(given: Field, one: Contender) -> bool:
    """Whether it is a trained model that is not the version under test."""
    return one.name in ("fine-tuned", "fine-tuned-encoder") and one.name != given.tuned_name
