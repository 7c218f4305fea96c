"""Languages: which ones the data is in, and what is in another one (py3langid: Lui and Baldwin, ACL 2012)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from inhouse.clean.findings import TEST_STAYS, finding, places
from inhouse.clean.registry import Subject, check
from inhouse.core import Dataset, Finding, render_input

# Texts that are judged have so many characters, and a language of such a probability: at this, 99.7 % of the judged
# sentences of xSID (en, de, nl, it; a few words each) were right, and none of banking77's English ones wrong. What
# stands beyond the first characters changes the language no more.
MIN_CHARACTERS, SURE, READ = 20, 0.8, 400
# A main language is that of so many of the judged texts; of fewer texts than these nothing is told.
MAIN_SHARE, MIN_JUDGED = 0.1, 20
_NO_LANGUAGE = "zxx"
_NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "hr": "Croatian",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mt": "Maltese",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovene",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}


def language_name(code: str) -> str:
    """The English name of a language, or its code where it is none of the frequent ones."""
    return _NAMES.get(code, code)


def language_of(text: str) -> str | None:
    """The ISO 639 code of the language of a text; None where that is not sure, or there is too little text."""
    if len(text) < MIN_CHARACTERS:
        return None
    code, probability = classified(text[:READ])
    return code if probability >= SURE and code != _NO_LANGUAGE else None


def classified(text: str) -> tuple[str, float]:
    """The ISO 639 code of the likeliest language of a text, and its probability."""
    code, probability = _identifier().classify(text)
    return str(code), float(probability)


@cache
def _identifier() -> Any:  # noqa: ANN401 - py3langid has no types
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@check("language", cost="model")
def language(subject: Subject) -> Iterator[Finding]:
    """Inputs, and texts to be written, in another language than most; what the base says of languages other than
    English."""
    dataset = subject.dataset
    yield from _of(subject, [render_input(e.inputs) for e in dataset.examples], "input")
    if subject.kind == "generate":
        yield from _of(subject, [e.target for e in dataset.examples], "target")


def _of(subject: Subject, texts: Sequence[str], part: str) -> Iterator[Finding]:
    spoken = {i: code for i, text in enumerate(texts) if (code := language_of(text)) is not None}
    if len(spoken) < MIN_JUDGED:
        return
    counts = Counter(spoken.values())
    main = [code for code, n in counts.most_common() if n >= MAIN_SHARE * len(spoken)]
    if others := [i for i, code in spoken.items() if code not in main]:
        yield _others(subject.dataset, spoken, others, main, part)
    if part == "input" and main != ["en"]:
        yield _mixed(subject, spoken, counts, main)


def _others(dataset: Dataset, spoken: dict[int, str], others: Sequence[int], main: Sequence[str], part: str) -> Finding:
    drop = tuple(i for i in others if dataset.splits[i] != "test")
    counts = Counter(language_name(spoken[i]) for i in others)
    told = ", ".join(f"{name} ({n})" for name, n in counts.most_common(5))
    number = f"one {part} is" if len(others) == 1 else f"{len(others):,} {part}s are"
    return finding(
        dataset,
        "language",
        "warning",
        others,
        f"{number} in another language than the {_listed(main)} of most: {told}, at {places(dataset, others)}",
        f"drop {len(drop)} of the train side, or add more of the language if requests come in it"
        if drop
        else TEST_STAYS,
        about=part,
        notes={i: language_name(spoken[i]) for i in others[:20]},
        cost="too few to learn the language from, and what they teach is not asked for",
        drop=drop,
    )


def _mixed(subject: Subject, spoken: dict[int, str], counts: Counter[str], main: Sequence[str]) -> Finding:
    shares = ", ".join(f"{language_name(code)} {counts[code] / len(spoken):.0%}" for code in main)
    limits = subject.limits
    reads = f"{limits.title} reads {limits.languages}" if limits.languages else "look which languages the base reads"
    return finding(
        subject.dataset,
        "language",
        "info",
        [i for i, code in spoken.items() if code in main],
        f"inputs are in {shares}, as far as their language is clear ({len(spoken):,} of "
        f"{len(subject.dataset.examples):,}); {reads}",
        "nothing is changed: take a base_model for these languages (`inhouse models list`), and test each of them",
        about="main",
        cost="a base that does not know a language learns it from your examples alone",
    )


def _listed(codes: Sequence[str]) -> str:
    names = [language_name(code) for code in codes]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
