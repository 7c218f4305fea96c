"""Grammars that keep an answer to a JSON Schema: compact JSON, keys in the schema's order, nothing without an end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from inhouse.core.json_schema import compact, types_of
from inhouse.core.passages import Passages
from inhouse.engine.grammar import literal, literal_tree
from inhouse.engine.passage_grammar import passage_rules
from inhouse.engine.protocol import Grammar

# A rule for each character that may still come: xgrammar compiles about 150 of them a second, once for each engine, and
# none of it is felt in tokens a second. Longer texts are bounded by the number of tokens of an answer alone.
LONGEST_COUNTED = 1000
LONGEST_TEXT = 500
MOST_ITEMS = 200
DEEPEST_ANY = 6

# JSON of its own accord escapes no character that it need not, and neither do the training targets, so no answer may.
# Without \uXXXX for anything but control characters there is no half of a surrogate pair either.
_ESCAPED = r'"\\" ["\\/bfnrt] | "\\u00" [01] [0-9a-f]'
# What JSON takes as it is: everything but controls, `"` and `\\`. Told as ranges that end where a letter takes one byte
# more: of the shorter [^"\\\x00-\x1f] xgrammar makes bytes that are no UTF-8 (in 29 of 60 answers of a random model of
# bytes, and in none of 391 so).
_PLAIN = r"[ !#-\[\]-\x7f\u0080-\u07ff\u0800-\ud7ff\ue000-\uffff\U00010000-\U0010ffff]"
_LETTER = f"{_PLAIN} | {_ESCAPED}"
# As many digits as a double or a 64-bit integer has when Python writes it.
_INTEGER = r'"-"? ("0" | [1-9] [0-9]{0,18})'
_NUMBER = r'"-"? ("0" | [1-9] [0-9]{0,18}) ("." [0-9]{1,20})? ([eE] [-+]? [0-9]{1,2})?'
# What says that there is none, where an answer is held to what its input mentions.
_NOTHING: dict[str, list[Any]] = {"string": [""], "integer": [0], "number": [0, 0.0]}


Choices = Mapping[str, Sequence[Any] | Passages]


def schema_grammar(schema: Mapping[str, Any], choices: Choices | None = None) -> Grammar:
    """The grammar of the compact JSON that meets `schema` (see `core.json_schema.check_schema`).

    Every key in the schema's order, no white space between tokens, optional keys left out at will. A text without
    `maxLength` ends after 500 characters at the latest, a list without `maxItems` after 200 items: an untrained model
    repeats itself without end, and an answer that was cut off is no answer.

    Args:
        choices: the values that fields can have in one answer, by dotted path (see `scalar_fields`): some values, or
            the passages of a text. Such a grammar is used once, so it has to compile in no time: it counts neither the
            letters of a text nor the items of a list, so a passage may be longer or shorter than the schema has it. An
            answer that goes on without end in it, or breaks the schema's bounds, is one to ask again without the
            choices.
    """
    if choices:
        return Grammar(_Rules(choices).written(schema))
    return _schema_grammar(compact(schema))


@lru_cache(maxsize=64)
def _schema_grammar(schema: str) -> Grammar:
    return Grammar(_Rules({}).written(json.loads(schema)))


@lru_cache(maxsize=64)
def _wished_grammar(schema: str) -> Grammar:
    return Grammar(_Rules({}, bounded=False).written(json.loads(schema)))


def wished_grammar(schema: Mapping[str, Any]) -> Grammar:
    """The grammar of compact JSON that a request asks for: an object that meets `schema`, or any where it is empty.

    Others wait while it is compiled, so that only the bounds that the schema names are counted; an answer may go on
    until it is cut off.

    Args:
        schema: see `core.json_schema.check_wished`.
    """
    return _wished_grammar(compact(schema)) if schema else _ANY_OBJECT


def _any_object() -> Grammar:
    """Any JSON object, nested `DEEPEST_ANY` levels deep: without an end to that, a model may open brackets for ever."""
    scalar = 'text | number | "true" | "false" | "null"'
    rules = [f"letter ::= {_LETTER}", r'text ::= "\"" letter* "\""', f"number ::= {_NUMBER}", f"value0 ::= {scalar}"]
    for level in range(DEEPEST_ANY):
        value = f"value{level}"
        rules += [
            f'object{level} ::= "{{" (text ":" {value} ("," text ":" {value})*)? "}}"',
            f'list{level} ::= "[" ({value} ("," {value})*)? "]"',
            f"value{level + 1} ::= {scalar} | object{level} | list{level}",
        ]
    return Grammar("\n".join([f"root ::= object{DEEPEST_ANY - 1}", *rules]))


class _Rules:
    """The rules of one grammar, each written once.

    Args:
        bounded: whether a text or a list ends where the schema says nothing of that.
    """

    def __init__(self, choices: Choices, *, bounded: bool = True) -> None:
        self._choices, self._bounded = choices, bounded
        self._longest = LONGEST_TEXT if bounded else LONGEST_COUNTED + 1
        self._rules: dict[str, str] = {}
        self._values: dict[tuple[str, str], str] = {}
        self._lists: dict[tuple[str, ...], str] = {}
        self._passages: dict[Passages, str] = {}

    def written(self, schema: Mapping[str, Any]) -> str:
        """The text of the grammar."""
        root = self._value(schema)
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self._rules.items())])

    def _value(self, schema: Mapping[str, Any], path: str = "") -> str:
        """The name of the rule of one value; equal schemas share it, unless there are choices in them."""
        chosen = any(p == path or p.startswith(f"{path}.") for p in self._choices)
        key = (compact(schema), path if chosen else "")
        if key not in self._values:
            self._values[key] = self._written_value(schema, path)
        return self._values[key]

    def _written_value(self, schema: Mapping[str, Any], path: str) -> str:
        if "const" in schema:
            return self._listed([schema["const"]])
        if "enum" in schema:
            return self._listed(schema["enum"])
        kinds = [self._typed(name, schema, path) for name in types_of(schema)]
        return kinds[0] if len(kinds) == 1 else self._add("value", " | ".join(kinds))

    def _typed(self, name: str, schema: Mapping[str, Any], path: str) -> str:
        if name == "object":
            return self._object(schema, path)
        if name == "array":
            return self._array(schema, path)
        held_to = self._choices.get(path)
        if name == "string" and isinstance(held_to, Passages):
            return self._passage(held_to)
        if name != "null" and (values := self._chosen(name, held_to or ())):
            return self._listed(values)
        if name == "string":
            return self._text(schema.get("minLength", 0), schema.get("maxLength", self._longest))
        fixed = {"integer": _INTEGER, "number": _NUMBER, "boolean": '"true" | "false"', "null": '"null"'}
        return self._once(name, fixed[name])

    def _chosen(self, name: str, held_to: Sequence[Any] | Passages) -> list[Any]:
        """The values to choose from, and the one that says "none"; a whole number is written without a point."""
        if isinstance(held_to, Passages):
            return []
        values = [v for v in held_to if name != "integer" or isinstance(v, int)]
        written = {compact(value) for value in values}
        return [*values, *(v for v in _NOTHING.get(name, ()) if compact(v) not in written)] if values else []

    def _passage(self, passages: Passages) -> str:
        """A passage, or the text that says "none"; the fields of one input share its rules."""
        if passages not in self._passages:
            self._passages[passages] = name = f"passage{len(self._rules)}"
            self._rules[name] = rf'"\"" ("\"" | {name}from0)'
            self._rules.update(passage_rules(passages, f"{name}from"))
        return self._passages[passages]

    def _object(self, schema: Mapping[str, Any], path: str) -> str:
        """From left to right, one rule for each key with something before it and one without: commas need to know."""
        properties, required = schema.get("properties", {}), set(schema.get("required", ()))
        name = f"object{len(self._rules)}"
        self._rules[name] = ""
        first = then = '"}"'
        for place, (key, part) in reversed(list(enumerate(properties.items()))):
            pair = f"{literal(compact(key) + ':')} {self._value(part, f'{path}.{key}' if path else key)}"
            after = self._once(f"{name}then{place + 1}", then)
            skipped = "" if key in required else f" | {self._once(f'{name}first{place + 1}', first)}"
            first = f"{pair} {after}{skipped}"
            then = f'"," {pair} {after}' + (f" | {after}" if skipped else "")
        self._rules[name] = f'"{{" ({first})'
        return name

    def _array(self, schema: Mapping[str, Any], path: str) -> str:
        """One rule for each number of items that may still come."""
        item = self._value(schema["items"], path)
        least, most = schema.get("minItems", 0), schema.get("maxItems", max(MOST_ITEMS, schema.get("minItems", 0)))
        name = f"list{len(self._rules)}"
        self._rules[name] = ""
        if self._choices or not (self._bounded or "maxItems" in schema):
            more = self._once(f"{name}more", f'"," {item}')
            items = f"{item} {f'{more} ' * (least - 1)}{more}*"
            self._rules[name] = f'"[" {items} "]"' if least else f'"[" ({items})? "]"'
            return name
        rest = '"]"'
        for place in range(most - 1, 0, -1):
            end = ' | "]"' if place >= least else ""
            rest = self._once(f"{name}then{place}", f'"," {item} {rest}{end}')
        choices = ['"]"'] if least == 0 else []
        choices += [f"{item} {rest}"] if most else []
        self._rules[name] = f'"[" ({" | ".join(choices)})'
        return name

    def _text(self, least: int, most: int) -> str:
        """One rule for each character that may still come, shared by all texts: the longest is as dear as all."""
        letter = self._once("letter", _LETTER)
        must = f"{letter}{{{least}}} " if least else ""
        if most > LONGEST_COUNTED or self._choices:
            return self._once(f"text{least}to", rf'"\"" {must}{letter}* "\""')
        return self._once(f"text{least}to{most}", rf'"\"" {must}{self._letters(most - least)}')

    def _letters(self, most: int) -> str:
        name = self._once("end0", r'"\""')
        for left in range(1, most + 1):
            name = self._once(f"end{left}", rf'"\"" | letter end{left - 1}')
        return name

    def _listed(self, values: Sequence[Any]) -> str:
        texts = tuple(compact(value) for value in values)
        if texts not in self._lists:
            self._lists[texts] = prefix = f"listed{len(self._rules)}n"
            for rule in literal_tree(texts, prefix):
                name, body = rule.split(" ::= ", 1)
                self._rules[name] = body
        return f"{self._lists[texts]}0"

    def _once(self, name: str, body: str) -> str:
        self._rules.setdefault(name, body)
        return name

    def _add(self, stem: str, body: str) -> str:
        return self._once(f"{stem}{len(self._rules)}", body)


_ANY_OBJECT = _any_object()
