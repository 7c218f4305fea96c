"""Grammars that keep an answer inside the task's labels."""

from __future__ import annotations

import json
from collections.abc import Sequence


def labels_grammar(labels: Sequence[str]) -> str:
    """An EBNF grammar whose language is exactly `labels`.

    Written as an explicit prefix tree with a rule per branching: given a plain alternation, xgrammar (as of the
    openvino-genai pinned here) merges states that share a suffix and then lets through answers such as
    `cancel_card_payment` that are in no label set. A tree has no two paths to merge.
    """
    rules: list[str] = []

    def branch(endings: list[str]) -> str:
        name = f"n{len(rules)}"
        rules.append("")
        place = len(rules) - 1
        by_letter: dict[str, list[str]] = {}
        for ending in endings:
            by_letter.setdefault(ending[:1], []).append(ending)
        rules[place] = f"{name} ::= " + " | ".join(alternative(group) for _, group in sorted(by_letter.items()))
        return name

    def alternative(group: list[str]) -> str:
        shared = _shared_beginning(group)
        rest = [ending[len(shared) :] for ending in group]
        return _literal(shared) if rest == [""] else f"{_literal(shared)} {branch(rest)}"

    first = branch(sorted(set(labels)))
    return "\n".join([f"root ::= {first}", *rules])


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _shared_beginning(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    length = next((i for i, letter in enumerate(low) if letter != high[i]), len(low))
    return low[:length]
