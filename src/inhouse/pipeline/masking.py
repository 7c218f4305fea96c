"""Masks of personal data and secrets: the same person or number has the same placeholder in every row and version."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from inhouse.clean.personal import PLACEHOLDER, placeholder
from inhouse.core import Dataset, Example, Finding, Masked, Reporter, folded
from inhouse.scoring.values import date_of
from inhouse.store import Workspace
from inhouse.store.settings import KEY_VARIABLE
from inhouse.store.vault import MaskKey, mask_key, read_map, write_map

# Written before an original in the map, as a name and a street may be the same word.
_BETWEEN = ":"

# A shorter one without its separators is part of too many.
LEAST_ORIGINAL = 3


@dataclass
class Masks:
    """The placeholders of a task, and the file that keeps them; no file where they are to be forgotten.

    Attributes:
        originals: by kind and normalised original, the placeholder.
        counts: the highest number that a kind has.
    """

    file: Path
    key: MaskKey | None
    originals: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, workspace: Workspace, dataset: Dataset, *, keep: bool) -> Masks:
        """The masks that the task has so far; numbers that the dataset holds are not given again.

        Raises:
            InputError: the map was made with another key.
            ConfigError: there is no usable key.
        """
        file = workspace.paths.mask_map(dataset.task)
        key = mask_key(workspace.paths.root, make=not file.is_file()) if keep else None
        masks = cls(file, key, read_map(file, key) if key else {})
        used = (text for example in dataset.examples for text in _texts(example))
        for text in (*masks.originals.values(), *used):
            for kind, number in PLACEHOLDER.findall(text) if "_" in text else ():
                masks.counts[kind] = max(masks.counts.get(kind, 0), int(number))
        return masks

    def mask(self, kind: str, original: str) -> str:
        """The placeholder of an original, a new one where it has none yet."""
        name = f"{kind}{_BETWEEN}{normalised(kind, original)}"
        if name not in self.originals:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.originals[name] = placeholder(kind, self.counts[kind])
        return self.originals[name]

    def alias(self, kind: str, original: str, mask: str) -> str:
        """The placeholder of an original that is known to mean the same as another one has."""
        return self.originals.get(f"{kind}{_BETWEEN}{normalised(kind, original)}", mask)

    def save(self, reporter: Reporter) -> None:
        """Write the map, or remove it where it is not kept; say where the key lies when it was made just now.

        Raises:
            DiskFull
        """
        if self.key is None:
            self.file.unlink(missing_ok=True)
            return
        write_map(self.file, self.key, self.originals)
        if self.key.made:
            reporter.warn(
                f"the map of masks is encrypted with a new key in {self.key.source}: keep a copy of it; without it "
                f"(or {KEY_VARIABLE}) nobody can tell what a placeholder stands for"
            )


def hides_more(masked: Example, other: Example) -> bool:
    """Whether an example has placeholders that another reading of its row does not have."""

    def placeholders(example: Example) -> set[str]:
        return {found[0] for text in _texts(example) for found in PLACEHOLDER.finditer(text)}

    return not placeholders(masked) <= placeholders(other)


def numbered(dataset: Dataset, findings: Sequence[Finding], masks: Masks) -> list[Finding]:
    """The findings with a numbered placeholder in every mask."""
    by_position: defaultdict[int, set[Masked]] = defaultdict(set)
    for finding in findings:
        for position, stretches in finding.mask.items():
            by_position[position].update(stretches)
    texts = {
        position: _numbered_in(dataset.examples[position], stretches, masks)
        for position, stretches in sorted(by_position.items())
    }
    return [
        finding.model_copy(
            update={
                "mask": {
                    position: tuple(m.model_copy(update={"text": texts[position][m]}) for m in stretches)
                    for position, stretches in finding.mask.items()
                }
            }
        )
        for finding in findings
    ]


def without_names(dataset: Dataset, masks: Masks) -> Dataset:
    """The dataset with placeholders for groups and keys that are masked originals themselves, such as a name."""
    known = {tuple(name.split(_BETWEEN, 1)): mask for name, mask in masks.originals.items()}
    kinds = sorted({kind for kind, _ in known})

    def hidden(value: str) -> str:
        found = (known.get((kind, normalised(kind, value))) for kind in kinds if value)
        return next((mask for mask in found if mask), value)

    return replace(dataset, examples=tuple(_renamed(e, hidden(e.group), hidden(e.key)) for e in dataset.examples))


def _renamed(example: Example, group: str, key: str) -> Example:
    same = (group, key) == (example.group, example.key)
    return example if same else replace(example, group=group, key=key)


def kept_originals(workspace: Workspace, task: str) -> dict[str, str]:
    """The placeholders of a task by kind and normalised original; empty where no map is kept.

    Raises:
        InputError: the map was made with another key.
        ConfigError: there is no usable key.
    """
    file = workspace.paths.mask_map(task)
    return read_map(file, mask_key(workspace.paths.root, make=False)) if file.is_file() else {}


def forget_originals(workspace: Workspace, task: str, gone: Collection[str]) -> None:
    """Take originals out of the map of a task: nobody can tell any more what their placeholders stand for.

    Raises:
        InputError, ConfigError: see `kept_originals`.
        DiskFull
    """
    known, file = kept_originals(workspace, task), workspace.paths.mask_map(task)
    left = {name: mask for name, mask in known.items() if name not in gone}
    if known and not left:
        file.unlink()
    elif left != known:
        write_map(file, mask_key(workspace.paths.root, make=False), left)


def stands_for(name: str, text: str) -> bool:
    """Whether an original of the map holds a text, in whatever writing.

    Args:
        name: kind and normalised original.
        text: folded.
    """
    kind, original = name.split(_BETWEEN, 1)
    same = normalised(kind, text)
    return text in folded(original) or (len(same) >= LEAST_ORIGINAL and same in original)


def placeholders_in(example: Example) -> set[str]:
    """The placeholders that stand in an example."""
    return {m[0] for text in _texts(example) if "_" in text for m in PLACEHOLDER.finditer(text)}


def _numbered_in(example: Example, stretches: set[Masked], masks: Masks) -> dict[Masked, str]:
    """What replaces each stretch of one example. A last name alone is the person whose whole name stands there too."""
    originals = {m: _original(example, m) for m in stretches}
    whole: dict[str, str] = {}
    texts: dict[Masked, str] = {}
    for stretch in sorted(stretches, key=lambda m: (-len(originals[m]), m.field, m.rejected, m.start)):
        kind = stretch.text.strip('"[]')
        original = originals[stretch]
        words = normalised(kind, original).split()
        if kind == "PERSON" and len(words) == 1 and words[0] in whole:
            text = masks.alias(kind, original, whole[words[0]])
        else:
            text = masks.mask(kind, original)
            if kind == "PERSON":
                whole |= {word: text for word in words if word not in whole}
        texts[stretch] = stretch.text.replace(placeholder(kind), text)
    return texts


def _original(example: Example, stretch: Masked) -> str:
    answer = example.rejected if stretch.rejected else example.target
    return (example.inputs[stretch.field] if stretch.field else answer)[stretch.start : stretch.end]


def normalised(kind: str, original: str) -> str:
    """What two writings of the same thing share: case, spaces and separators do not count; a date is a day."""
    folded = " ".join(original.split()).casefold()
    if kind == "BIRTH_DATE":
        day = date_of(original)
        return day.isoformat() if day else folded
    if kind == "PHONE":
        return re.sub(r"\D", "", folded.replace("(0)", "")).removeprefix("00")
    if kind in ("IBAN", "CARD", "NATIONAL_ID", "VAT"):
        return re.sub(r"[\W_]", "", folded)
    if kind in ("PERSON", "ADDRESS"):
        return re.sub(r"[\W_]+", " ", folded).strip()
    return original if kind in ("PASSWORD", "TOKEN", "API_KEY", "PRIVATE_KEY") else folded


def _texts(example: Example) -> tuple[str, ...]:
    return (*example.inputs.values(), example.target, example.rejected, example.group, example.key)
