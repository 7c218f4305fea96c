"""Does one arm of the traffic have more events than the other? Asked again and again, with one error over all looks.

A fixed test that is repeated until it is significant is significant in the end. Here the evidence is a wealth that bets
on "more": without more events it is expected not to grow, so it reaches 1/alpha with a probability of alpha at most, at
whatever moment one looks (Ville's inequality).

It is a mixture sequential test, as of Johari, Pekelis and Walsh (Always valid inference, Operations Research 70, 2022),
on the e-variables for two proportions of Turner, Ly and Grünwald (Generic e-variables for exact sequential k-sample
tests that allow for optional stopping, Journal of Statistical Planning and Inference 230, 2024). These need no normal
approximation, which rare errors would not bear, nor a known share of the traffic, which a few busy users would change.
`docs/design/release.md` has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

# What is bet on: the odds of an event in the tried arm, as multiples of those in the usual one. An equal part on each.
ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# Requests of each arm that are weighed together: in fewer the arms would be too unlike in size.
BLOCK = 10


@dataclass(frozen=True, slots=True)
class Count:
    """Requests, and how many of them had the event."""

    requests: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class MoreEvents:
    """What is known so far of "the tried arm has more events than the usual one".

    Attributes:
        usual, tried: the requests that were weighed, all of them from the beginning.
        logs: the logarithm of the wealth of each bet of `ODDS`.
    """

    usual: Count = Count()
    tried: Count = Count()
    logs: tuple[float, ...] = (0.0,) * len(ODDS)

    @property
    def evidence(self) -> float:
        """The wealth: 40 or more has a probability of 1/40 at most where there are not more events."""
        return sum(map(exp, self.logs)) / len(self.logs)

    def after(self, usual: Count, tried: Count) -> MoreEvents:
        """What is known with the requests until now; the same where too few are new.

        Args:
            usual, tried: all requests from the beginning. Fewer than before: some were erased, and it is counted anew.
        """
        new = _since(self.usual, usual), _since(self.tried, tried)
        if any(one is None for one in new):
            return MoreEvents(usual, tried, self.logs)
        more_usual, more_tried = (one or Count() for one in new)
        if min(more_usual.requests, more_tried.requests) < BLOCK:
            return self
        if not self.usual.requests:  # the first requests only tell how frequent the event is
            return MoreEvents(usual, tried, self.logs)
        rate = (self.usual.events + 0.5) / (self.usual.requests + 1)
        won = (_won(rate, odds, more_usual, more_tried) for odds in ODDS)
        return MoreEvents(usual, tried, tuple(before + gain for before, gain in zip(self.logs, won, strict=True)))


def _since(before: Count, now: Count) -> Count | None:
    requests, events = now.requests - before.requests, now.events - before.events
    return Count(requests, events) if 0 <= events <= requests else None


def _won(rate: float, odds: float, usual: Count, tried: Count) -> float:
    """The logarithm of what a bet on that odds ratio multiplies its wealth by: how much likelier the events of a block
    are under it than under one rate for both arms.

    Args:
        rate: of events in the usual arm, known before the block.
    """
    higher = odds * rate / (1 - rate + odds * rate)
    both = (usual.requests * rate + tried.requests * higher) / (usual.requests + tried.requests)
    return _gain(usual, rate, both) + _gain(tried, higher, both)


def _gain(count: Count, rate: float, than: float) -> float:
    return count.events * log(rate / than) + (count.requests - count.events) * log((1 - rate) / (1 - than))
