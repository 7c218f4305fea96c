"""What was written for a program and not for a reader: tokens of a chat template, instructions to a model, HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from inhouse.core import Masked

# Tokens that begin and end turns in the chat templates of the common families of models.
COMMON_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|channel|>",
    "<|message|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<eos>",
    "<s>",
    "</s>",
    "<<SYS>>",
    "<</SYS>>",
    "[INST]",
    "[/INST]",
    "<think>",
    "</think>",
)

_HTML = re.compile(
    r"</?(?:html|head|body|title|style|script|div|span|p|br|hr|a|b|i|u|em|strong|font|ul|ol|li|table|thead|tbody|tr|td"
    r"|th|img|h[1-6]|center|blockquote|pre|form|input|button|meta|link)(?:\s[^<>]*)?/?>"
    r"|&(?:nbsp|amp|lt|gt|quot|apos|[aouAOU]uml|szlig|[aeiou](?:acute|grave|circ)|ccedil|ntilde|euro|[lr]squo|[lr]dquo"
    r"|[mn]dash|hellip|copy|reg|#\d{2,6}|#x[0-9a-f]{2,5});",
    re.IGNORECASE,
)
_INVISIBLE_STYLE = re.compile(
    r"style\s*=[^>]*?(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])"
    r"|opacity\s*:\s*0(?![.\d]*[1-9])|[^-]color\s*:\s*(?:#fff(?:fff)?|white)\b)",
    re.IGNORECASE,
)
# An instruction holds one of these in lower case; texts without are not looked at more closely.
NEEDLES = (
    "instru",
    "prompt",
    "you are now",
    "if you are a",
    "classify this",
    "label this",
    "rate this",
    "score this",
    "mark this",
    "categori",
    "the user",
    "guideline",
    "anweisung",
    "vorgaben",
    "consigne",
    "istruzion",
    "indicazion",
    "indicacion",
    "aanwijzing",
    "polecen",
)
_GAP = r"[^.!?\n]{0,40}?"
_INSTRUCTIONS = re.compile(
    "|".join(
        (
            rf"\b(?:ignore|disregard|forget|override|bypass)\b{_GAP}\b(?:previous|prior|above|earlier|preceding|all|any"
            rf"|your|these|those|other)\b{_GAP}\b(?:instructions?|prompts?|guidelines|directives)\b",
            rf"\b(?:reveal|print|show|repeat|output|leak|tell me)\b{_GAP}\b(?:system|initial|hidden|original|secret)"
            r" (?:prompt|instructions)\b",
            r"\bnew (?:system )?instructions?\s*:",
            r"\byou are now (?:a|an|in|the|no longer|free|dan)\b",
            r"\bif you are an? (?:ai|llm|large language model|language model|chatbot|assistant|bot)\b",
            rf"\b(?:do not|don't|never) (?:tell|inform|mention{_GAP}to|reveal{_GAP}to) the user\b",
            r"\b(?:classify|label|categori[sz]e|rate|score|mark) this "
            r"(?:message|e-?mail|ticket|document|invoice|text|cv|resume|candidate|application|request) as\b",
            rf"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*)\b{_GAP}\b(?:vorherig\w*|bisherig\w*|obig\w*"
            rf"|vorangeh\w*|alle\w*|deine|ihre|sämtliche\w*)\b{_GAP}(?:anweisung\w*|instruktion\w*|vorgaben|prompts?)\b",
            rf"\b(?:ignore[zr]?|oublie[zr]?)\b{_GAP}\b(?:instructions|consignes|directives)\b{_GAP}"
            r"(?:précédent|ci-dessus|antérieur)",
            rf"\b(?:ignora|olvida|ignore|olvide)\b{_GAP}\b(?:instrucciones|indicaciones)\b",
            rf"\b(?:ignora|dimentica|ignorate)\b{_GAP}\b(?:istruzioni|indicazioni)\b",
            rf"\b(?:negeer|vergeet)\b{_GAP}\b(?:instructies|aanwijzingen)\b",
            rf"\b(?:zignoruj|pomiń|zapomnij)\b{_GAP}\b(?:instrukcje|polecenia)\b",
            rf"\b(?:ignore|esqueça|desconsidere)\b{_GAP}\binstruções\b",
        )
    )
)


def tokens_pattern(special: Iterable[str]) -> re.Pattern[str]:
    """Finds the common tokens and those of a base. Of one that looks like an HTML tag or a word, the brackets count."""
    tokens = {t for t in (*COMMON_TOKENS, *special) if not t.isalnum() and len(t) > 2}
    return re.compile("|".join(re.escape(t) for t in sorted(tokens, key=lambda t: (-len(t), t))))


def mend_tokens(text: str, field: str, pattern: re.Pattern[str]) -> Iterator[Masked]:
    """Stretches without special tokens."""
    for found in pattern.finditer(text):
        yield Masked(field=field, start=found.start(), end=found.end(), text="")


def instruction(text: str) -> str:
    """The words in a text that tell a model what to do, or the style that hides them; empty where there are none."""
    found = _INSTRUCTIONS.search(text.lower()) or _INVISIBLE_STYLE.search(text)
    return found[0] if found else ""


def markup(text: str) -> str:
    """The first HTML tag or entity in a text; empty where there is none. A lone `<i>` may be no tag."""
    for found in _HTML.finditer(text):
        tag = found[0].lower()
        if len(tag) != 3 or f"</{tag[1]}>" in text.lower():
            return found[0]
    return ""
