"""Keys and passwords: known shapes, assignments, and long words without an order in them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from inhouse.clean.personal.found import PLACEHOLDER, Found

_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9 ]+ )?PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END (?:[A-Z0-9 ]+ )?PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
# As the services document them: AWS, GitHub, GitLab, Slack, Stripe, OpenAI and Anthropic, Google, npm, PyPI, SendGrid,
# Hugging Face, Twilio, DigitalOcean, Shopify, Azure storage.
_API_KEY = re.compile(
    r"(?<![\w-])(?:(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|"
    r"glpat-[\w-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}|"
    r"sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{36}|"
    r"pypi-[\w-]{50,}|SG\.[\w-]{16,}\.[\w-]{16,}|hf_[A-Za-z0-9]{30,}|SK[0-9a-f]{32}|do[opr]_v1_[0-9a-f]{64}|"
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|AccountKey=[A-Za-z0-9+/]{60,}={0,2})(?![\w])"
)
_JWT = re.compile(r"(?<![\w.-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*")
_WORD_FOR_SECRET = (
    r"(?:pass(?:word|phrase|code|wd|wort)?|pwd|wachtwoord|kennwort|mot de passe|mdp|parola(?: d'ordine)?|contraseña|"
    r"palavra-passe|senha|hasło|heslo|lösenord|adgangskode|passord|salasana|secret(?:[_ -]?key)?|client[_-]?secret|"
    r"api[_ -]?(?:key|secret|token)|access[_ -]?(?:key|token)|auth[_ -]?token|bearer[_ -]?token|private[_ -]?key|"
    r"encryption[_ -]?key|pin(?:[ -]?code)?)"
)
_ASSIGNED = re.compile(
    rf"(?<![^\W_]){_WORD_FOR_SECRET}[\"'`]?[ \t]*(?P<sign>[:=]|=>|"
    rf":=)[ \t]*(?P<quote>[\"'`]?)(?P<value>[^\s\"'`,;<>{{}}]{{4,200}})",
    re.IGNORECASE,
)
_IS = re.compile(
    rf"(?<![^\W_]){_WORD_FOR_SECRET}[ ](?:is|was|ist|lautet|est|è|es|"
    rf"luidt)[ ]+[\"'`]?(?P<value>[^\s\"'`,;<>{{}}]{{4,200}})",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{1,100}:(?P<value>[^\s/@]{3,100})@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?:bearer|basic)[ ]+(?P<value>[A-Za-z0-9_\-.~+/]{16,}={0,2})", re.IGNORECASE)
_LONG_WORD = re.compile(r"(?<![\w+/=.@#&?%-])[A-Za-z0-9+/_-]{24,200}={0,2}(?![\w+/.@-])")
_CAMEL = re.compile(r"[a-z][A-Z]")
# Bits per character of a word drawn at random; of 24 drawn characters it is 4.2 on average, of words put together 3.6.
ENTROPY = 4.0


def secrets(text: str) -> Iterator[Found]:
    """Keys, tokens and passwords, the surest kind of a stretch first."""
    for kind, pattern in (("PRIVATE_KEY", _PRIVATE_KEY), ("API_KEY", _API_KEY), ("TOKEN", _JWT)):
        yield from (Found(kind, m.start(), m.end()) for m in pattern.finditer(text))
    for m in _IN_ADDRESS.finditer(text):
        yield Found("PASSWORD", m.start("value"), m.end("value"))
    for m in _ASSIGNED.finditer(text):
        if _may_be_secret(m["value"], quoted=bool(m["quote"])):
            yield Found("PASSWORD", m.start("value"), m.start("value") + len(_trimmed(m["value"])))
    for m in _IS.finditer(text):
        if _is_odd(_trimmed(m["value"])):
            yield Found("PASSWORD", m.start("value"), m.start("value") + len(_trimmed(m["value"])))
    for m in _BEARER.finditer(text):
        if _is_odd(m["value"]):
            yield Found("TOKEN", m.start("value"), m.end("value"))
    for m in _LONG_WORD.finditer(text):
        if _without_order(m[0]):
            yield Found("TOKEN", m.start(), m.end())


def _trimmed(value: str) -> str:
    return value.rstrip(".)]?") if not PLACEHOLDER.search(value) else value


def _may_be_secret(value: str, *, quoted: bool) -> bool:
    """Whether what is assigned can be a password: no placeholder, no variable, no plain word unless it is quoted."""
    bare = _trimmed(value)
    if len(bare) < 4 or value[0] in "$%[(" or set(bare) <= set("*xX.•-_#?"):
        return False
    return quoted or _is_odd(bare)


def _is_odd(value: str) -> bool:
    """Whether a word holds what words of a language do not: a digit, a sign, a capital behind a small letter."""
    if len(value) < 4 or PLACEHOLDER.match(value):
        return False
    inner = value.rstrip("!:")
    return any(c.isdigit() or (not c.isalnum() and c not in "-'’/.") for c in inner) or _CAMEL.search(value) is not None


def _without_order(word: str) -> bool:
    """Whether capitals, small letters and digits are mixed in a word as chance mixes them.

    The entropy of its characters (Shannon) is that of a random word, and it changes between the three kinds of
    characters often; file paths, words joined by hyphens and UUIDs do not.
    """
    bare = word.rstrip("=")
    kinds = [0 if c.isdigit() else 1 if c.isupper() else 2 for c in bare if c.isalnum()]
    if len(set(kinds)) < 3 or bare.count("/") > len(bare) / 12 or bare.count("-") + bare.count("_") > len(bare) / 12:
        return False
    changes = sum(a != b for a, b in pairwise(kinds)) / len(kinds)
    counts = Counter(bare)
    bits = -sum(n / len(bare) * math.log2(n / len(bare)) for n in counts.values())
    return bits >= ENTROPY and changes >= 0.35
