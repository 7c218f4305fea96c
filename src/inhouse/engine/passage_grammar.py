"""The rules of a grammar whose language is every passage of a text, as a JSON text goes on after its opening quote.

A text of n words has n (n + 1) / 2 runs of words. Its suffix automaton over words (Blumer et al. 1985, "The smallest
automaton recognizing the subwords of a text") has at most 2n states and takes each run on one way only, so an engine
follows one state at a time, and 150 words compile in less than 40 ms (docs/design/grammar.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from inhouse.core.json_schema import compact
from inhouse.core.passages import Passages
from inhouse.engine.grammar import literal, shared_beginning

# What a state is followed by, each with the next state.
Steps = list[tuple[str, int]]
_END = r'"\""'


def passage_rules(passages: Passages, prefix: str) -> Iterator[tuple[str, str]]:
    """Names and bodies of the rules; the first, `{prefix}0`, takes a passage and the quote that ends it."""
    states = _suffix_automaton(passages.pieces)
    spaces = {state for steps in states for piece, state in steps.items() if piece == " "}
    for number, steps in enumerate(states):
        if number in spaces:
            continue  # part of the states before it: no passage ends in white space
        ways: Steps = []
        for piece, after in steps.items():
            if piece != " ":
                ways.append((_in_json(piece), after))
            elif number:  # nor does one begin with it
                ways += [(" " + _in_json(word), state) for word, state in states[after].items()]
        body, more = _tree(ways, prefix, f"{prefix}{number}n") if ways else ("", [])
        yield f"{prefix}{number}", " | ".join(filter(None, [_END if number else "", body]))
        yield from more


def _tree(ways: Steps, prefix: str, inner: str) -> tuple[str, list[tuple[str, str]]]:
    """The body that takes one of the ways and goes on in its state, as a prefix tree, and the rules of its branchings.

    Where one word begins another, what follows the shorter is white space, a sign or the end, never a letter or a mark.
    """
    rules: list[tuple[str, str]] = []

    def branch(group: Steps) -> str:
        by_letter: defaultdict[str, Steps] = defaultdict(list)
        for text, state in group:
            by_letter[text[0]].append((text, state))
        return " | ".join(alternative(alike) for _, alike in sorted(by_letter.items()))

    def alternative(alike: Steps) -> str:
        shared = shared_beginning([text for text, _ in alike])
        if len(alike) == 1:
            return f"{literal(shared)} {prefix}{alike[0][1]}"
        ends = [f"{prefix}{state}" for text, state in alike if text == shared]
        longer = branch([(text[len(shared) :], state) for text, state in alike if text != shared])
        name = f"{inner}{len(rules)}"
        rules.append((name, " | ".join([*ends, longer])))
        return f"{literal(shared)} {name}"

    return branch(ways), rules


def _in_json(piece: str) -> str:
    return compact(piece)[1:-1]


def _suffix_automaton(pieces: Sequence[str]) -> list[dict[str, int]]:
    """The steps of each state, by piece; the first state begins anywhere in the text, and every state may end."""
    steps: list[dict[str, int]] = [{}]
    link, length, last = [-1], [0], 0
    for piece in pieces:
        new, before = len(steps), last
        steps.append({})
        length.append(length[last] + 1)
        link.append(0)
        while before >= 0 and piece not in steps[before]:
            steps[before][piece] = new
            before = link[before]
        if before >= 0:
            known = steps[before][piece]
            if length[before] + 1 < length[known]:  # it stands for longer runs too: the shorter ones get their own
                own = len(steps)
                steps.append(dict(steps[known]))
                length.append(length[before] + 1)
                link.append(link[known])
                while before >= 0 and steps[before].get(piece) == known:
                    steps[before][piece] = own
                    before = link[before]
                link[known] = own
                known = own
            link[new] = known
        last = new
    return steps
