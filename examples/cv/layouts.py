"""Six ways in which people arrange a CV.

A CV is a list of blocks; ``text`` gives it as text, ``word.py`` writes it as a document.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import vocabulary as v
from cv import Month, Person, Position


@dataclass(frozen=True)
class Block:
    """A paragraph, or a row of a table with the cells in `cells`."""

    kind: Literal["name", "heading", "line", "bullet", "row"]
    cells: tuple[str, ...]

    @property
    def text(self) -> str:
        """The block as a line of text; a row's cells are parted by ` | `."""
        return " | ".join(self.cells)


Blocks: TypeAlias = list[Block]
Layout: TypeAlias = Callable[[Person], Blocks]


def text(blocks: Blocks) -> str:
    """A CV as text: an empty line above each heading, a dash before each bullet."""
    opening = {"heading": "\n", "bullet": "- "}
    return "\n".join(opening.get(block.kind, "") + block.text for block in blocks)


# --------------------------------------------------------------------------- parts


def name(person: Person) -> Block:
    """The name on top."""
    return Block("name", (person.name,))


def heading(words: str) -> Block:
    """The heading of a part."""
    return Block("heading", (words,))


def line(words: str) -> Block:
    """A line of its own."""
    return Block("line", (words,))


def bullets(lines: Iterable[str]) -> Blocks:
    """Bullets."""
    return [Block("bullet", (words,)) for words in lines]


def row(label: str, words: str) -> Block:
    """A row of a table of two columns."""
    return Block("row", (label, words))


def languages(person: Person) -> str:
    """The languages with their levels: `English (native), Dutch (fluent)`."""
    return ", ".join(f"{language} ({level})" for language, level in person.languages)


def born(person: Person) -> str:
    """The birth date in words."""
    return f"{person.born.day} {v.MONTHS[person.born.month - 1]} {person.born.year}"


def in_numbers(month: Month | None) -> str:
    """`03/2015`."""
    return f"{month[1]:02d}/{month[0]}" if month else "present"


def in_words(month: Month | None) -> str:
    """`March 2015`."""
    return f"{v.MONTHS[month[1] - 1]} {month[0]}" if month else "today"


def years(position: Position) -> str:
    """`2015 to 2019` or `since 2019`."""
    return f"{position.start[0]} to {position.end[0]}" if position.end else f"since {position.start[0]}"


def told(position: Position) -> list[str]:
    """What the CV says about a job: the duty, then what else there was."""
    return [position.told, position.other] if position.other else [position.told]


# --------------------------------------------------------------------------- the six layouts


def classic(person: Person) -> Blocks:
    """Contact, profile, jobs with bullets, the rest; headings in capitals."""
    jobs: Blocks = []
    for position in person.positions:
        jobs.append(line(f"{position.role}, {position.employer}, {position.town}"))
        jobs.append(line(f"{in_numbers(position.start)} - {in_numbers(position.end)}"))
        jobs += bullets(told(position))
    return [
        name(person),
        line(f"{person.street}, {person.town}, {person.phone}, {person.email}"),
        line(f"Born {born(person)}, {person.status}, {person.nationality}"),
        heading("PROFILE"),
        line(" ".join(person.profile)),
        heading("EMPLOYMENT"),
        *jobs,
        heading("EDUCATION"),
        line(f"{person.graduated} {person.degree}, {person.school}"),
        line(f"{person.graduated - 4} {person.secondary_school}"),
        *part("CERTIFICATES", bullets(person.certificates)),
        heading("SKILLS"),
        line(", ".join(person.skills)),
        *part("LANGUAGES", [line(languages(person))]),
        heading("INTERESTS"),
        line(", ".join(person.hobbies)),
        heading("AVAILABILITY"),
        line(person.start.told),
    ]


def part(title: str, blocks: Blocks) -> Blocks:
    """A heading with what is below it, or nothing where that is empty."""
    return [heading(title), *blocks] if any(block.text for block in blocks) else []


def dates_first(person: Person) -> Blocks:
    """The time before the job, everything on few lines."""
    jobs: Blocks = []
    for position in person.positions:
        when = f"{in_words(position.start)} - {in_words(position.end)}"
        jobs.append(line(f"{when}: {position.role} at {position.employer} in {position.town}"))
        jobs.append(line(" ".join(told(position))))
    return [
        line("Curriculum vitae"),
        name(person),
        line(f"Date of birth: {born(person)}"),
        line(f"Marital status: {person.status}"),
        line(f"Nationality: {person.nationality}"),
        line(f"Phone: {person.phone}"),
        heading("Work"),
        *jobs,
        heading("Training"),
        line(f"{person.graduated}: {person.degree} at {person.school}"),
        line(f"{person.graduated - 4}: school leaving certificate, {person.secondary_school}"),
        *labelled("Further certificates", ", ".join(person.certificates)),
        *labelled("Skills", ", ".join(person.skills)),
        *labelled("Languages", languages(person)),
        line(f"Hobbies: {', '.join(person.hobbies)}"),
        heading("When"),
        line(person.start.told),
        line(" ".join(person.profile)),
    ]


def labelled(label: str, words: str) -> Blocks:
    """A line behind its label, or nothing where it is empty."""
    return [line(f"{label}: {words}")] if words else []


def prose(person: Person) -> Blocks:
    """Whole sentences, as in a letter."""
    jobs = [
        line(
            f"{sentence_of(position)} as {position.role} for {position.employer} in {position.town}. "
            f"{' '.join(told(position))}"
        )
        for position in person.positions
    ]
    certificates = f" I also hold: {', '.join(person.certificates)}." if person.certificates else ""
    spoken = f" Languages: {languages(person)}." if person.languages else ""
    return [
        name(person),
        line(f"{person.street}, {person.town} - {person.email} - {person.phone}"),
        heading("About me"),
        line(f"{person.profile[0]} I was born on {born(person)} and am {person.status}. {person.profile[1]}"),
        line(
            f"In {person.graduated} I finished my {person.degree} at {person.school}, after {person.secondary_school}."
            f"{certificates}"
        ),
        heading("What I have done"),
        *jobs,
        heading("What I can do"),
        line(f"My skills: {', '.join(person.skills)}.{spoken}"),
        line(f"In my free time: {', '.join(person.hobbies)}."),
        line(person.start.told),
    ]


def sentence_of(position: Position) -> str:
    """`From March 2015 to June 2019 I worked` or `Since April 2019 I have worked`."""
    if position.end:
        return f"From {in_words(position.start)} to {in_words(position.end)} I worked"
    return f"Since {in_words(position.start)} I have worked"


def table(person: Person) -> Blocks:
    """A table of two columns."""
    jobs: Blocks = []
    for position in person.positions:
        when = f"{in_numbers(position.start)} - {in_numbers(position.end)}"
        jobs.append(row(when, f"{position.role}, {position.employer}, {position.town}"))
        jobs.append(row("", " ".join(told(position))))
    return [
        name(person),
        row("Address", f"{person.street}, {person.town}"),
        row("Phone", person.phone),
        row("Born", f"{born(person)}, {person.nationality}, {person.status}"),
        row("Start", person.start.told),
        row("Degree", f"{person.degree}, {person.school}, {person.graduated}"),
        row("School", f"{person.secondary_school}, {person.graduated - 4}"),
        *jobs,
        *([row("Certificates", ", ".join(person.certificates))] if person.certificates else []),
        row("Skills", ", ".join(person.skills)),
        *([row("Languages", languages(person))] if person.languages else []),
        row("Hobbies", ", ".join(person.hobbies)),
        row("Profile", " ".join(person.profile)),
    ]


def oldest_first(person: Person) -> Blocks:
    """From school to the present job."""
    jobs: Blocks = []
    for position in reversed(person.positions):
        jobs.append(line(f"{years(position)} {position.employer}, {position.town}: {position.role}"))
        jobs += bullets(told(position))
    return [
        name(person),
        line(f"{person.phone} / {person.email}"),
        heading("Personal"),
        line(f"{person.status}, born on {born(person)}, {person.nationality}"),
        line(" ".join(person.profile)),
        heading("Education"),
        line(f"{person.graduated - 4}: {person.secondary_school}"),
        line(f"{person.graduated}: {person.school}, {person.degree}"),
        heading("Career"),
        *jobs,
        *part("Certificates", bullets(person.certificates)),
        *part("Languages", bullets([f"{language}: {level}" for language, level in person.languages])),
        heading("Skills"),
        *bullets(person.skills),
        heading("Leisure"),
        line(", ".join(person.hobbies)),
        heading("Starting date"),
        line(person.start.told),
    ]


def skills_first(person: Person) -> Blocks:
    """What somebody can do comes before what they have done."""
    jobs: Blocks = []
    for position in person.positions:
        jobs.append(line(f"{position.employer} ({position.town}) - {position.role} - {years(position)}"))
        jobs.append(line(" ".join(told(position))))
    return [
        name(person),
        line(person.start.told),
        heading("Skills"),
        line("; ".join(person.skills)),
        *part("Certificates", [line("; ".join(person.certificates))]),
        *part("Languages", [line(languages(person))]),
        heading("Experience"),
        *jobs,
        heading("Degree"),
        line(f"{person.degree} ({person.school}, {person.graduated}); {person.secondary_school}"),
        heading("Personal details"),
        line(f"{person.street}, {person.town}. Tel. {person.phone}"),
        line(f"{born(person)}; {person.status}; {person.nationality}; likes {' and '.join(person.hobbies)}"),
        line(" ".join(person.profile)),
    ]


LAYOUTS: dict[str, Layout] = {
    "classic": classic,
    "dates first": dates_first,
    "prose": prose,
    "table": table,
    "oldest first": oldest_first,
    "skills first": skills_first,
}
