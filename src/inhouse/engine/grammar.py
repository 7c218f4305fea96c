"""Grammars in the dialect that xgrammar and llama.cpp (GBNF) share, and the one that keeps an answer to the labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from inhouse.engine.protocol import Grammar

# Between a letter that xgrammar writes as two hexadecimal digits and what could be a third.
_READ_ON = re.compile(r"(?<=[\x7f-\xff])(?=[0-9a-fA-F])|(?<=\\x[01][0-9a-f])(?=[0-9a-fA-F])")


def labels_grammar(labels: Sequence[str]) -> Grammar:
    """The grammar whose language is exactly `labels`."""
    return _labels_grammar(tuple(labels))


@lru_cache(maxsize=64)
def _labels_grammar(labels: tuple[str, ...]) -> Grammar:
    return Grammar("\n".join(["root ::= n0", *literal_tree(labels)]), labels)


def literal_tree(texts: Sequence[str], prefix: str = "n") -> list[str]:
    """Rules whose first, `{prefix}0`, has exactly `texts` as its language.

    Written as an explicit prefix tree with a rule per branching: given a plain alternation, xgrammar (as of the
    openvino-genai pinned here) merges states that share a suffix and then lets through answers such as
    `cancel_card_payment` that are in no label set. A tree has no two paths to merge.
    """
    rules: list[str] = []

    def branch(endings: list[str]) -> str:
        name = f"{prefix}{len(rules)}"
        rules.append("")
        place = len(rules) - 1
        by_letter: dict[str, list[str]] = {}
        for ending in endings:
            by_letter.setdefault(ending[:1], []).append(ending)
        rules[place] = f"{name} ::= " + " | ".join(alternative(group) for _, group in sorted(by_letter.items()))
        return name

    def alternative(group: list[str]) -> str:
        shared = shared_beginning(group)
        rest = [ending[len(shared) :] for ending in group]
        return literal(shared) if rest == [""] else f"{literal(shared)} {branch(rest)}"

    branch(sorted(set(texts)))
    return rules


def literal(text: str) -> str:
    """`text` as literals of the dialect; control characters as the escapes that both engines know.

    xgrammar writes a letter below U+0100 as `\\xHH` to itself and reads it back with all the hexadecimal digits that
    follow: of `größe` it makes `gr\\xf6\\xdfe`, and of that `grö` and U+0DFE. So a new literal begins between the two.
    """
    return '"' + _READ_ON.sub('" "', "".join(_escaped(letter) for letter in text)) + '"'


def _escaped(letter: str) -> str:
    known = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if letter in known:
        return known[letter]
    return f"\\x{ord(letter):02x}" if letter < " " else letter


def shared_beginning(texts: Sequence[str]) -> str:
    """What all of the texts begin with."""
    low, high = min(texts), max(texts)
    length = next((i for i, letter in enumerate(low) if letter != high[i]), len(low))
    return low[:length]
