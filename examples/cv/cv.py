"""A person's career, and the rules by which the house sums it up."""

from dataclasses import dataclass
from datetime import date

import vocabulary as v

LONGEST_BULLET = 14  # words
SECTIONS = ("Key qualifications", "Relevant experience", "Availability")
SKILLS, CERTIFICATES, POSITIONS = 3, 2, 3  # how many of each a summary names

Month = tuple[int, int]  # year and month


@dataclass(frozen=True)
class Duty:
    """What somebody did: a verb of `VERBS` in its base form, and the words behind it."""

    verb: str
    rest: str

    @property
    def base(self) -> str:
        """As in `I supervise 14 bridge repairs`."""
        return f"{self.verb} {self.rest}"

    @property
    def past(self) -> str:
        """As in `supervised 14 bridge repairs`."""
        return f"{v.VERBS[self.verb][0]} {self.rest}"

    @property
    def gerund(self) -> str:
        """As in `supervising 14 bridge repairs`."""
        return f"{v.VERBS[self.verb][1]} {self.rest}"

    @property
    def third(self) -> str:
        """As in `supervises 14 bridge repairs`."""
        return f"{v.VERBS[self.verb][2]} {self.rest}"


@dataclass(frozen=True)
class Position:
    """One job. `end` is None while it lasts; `told` is the duty as the CV words it; `other` what else it says."""

    role: str
    employer: str
    town: str
    start: Month
    end: Month | None
    duty: Duty
    told: str
    other: str


@dataclass(frozen=True)
class Start:
    """When work can begin: on a day, after a notice period, or at once (neither); `told` as the CV words it."""

    hours: str
    day: date | None
    notice: str
    told: str


@dataclass(frozen=True)
class Person:
    """All that a CV tells; positions stand newest first, languages with their level (empty for the mother tongue)."""

    name: str
    street: str
    town: str
    phone: str
    born: date
    status: str
    nationality: str
    profile: tuple[str, ...]
    degree: str
    school: str
    graduated: int
    secondary_school: str
    certificates: tuple[str, ...]
    skills: tuple[str, ...]
    languages: tuple[tuple[str, str], ...]
    hobbies: tuple[str, ...]
    positions: tuple[Position, ...]
    start: Start

    @property
    def email(self) -> str:
        """An address in a reserved domain."""
        return f"{self.name.lower().replace(' ', '.')}@example.com"


def summary(person: Person) -> str:
    """The summary in the house style."""
    qualifications = bullets(qualification_lines(person))
    experience = bullets([experience_line(position) for position in person.positions[:POSITIONS]])
    return joined(dict(zip(SECTIONS, (qualifications, experience, availability(person.start)), strict=True)))


def joined(sections: dict[str, str]) -> str:
    """Sections below their headings, an empty line between two."""
    return "\n\n".join(f"{heading}\n{body}" for heading, body in sections.items())


def bullets(lines: list[str]) -> str:
    """One bullet a line."""
    return "\n".join(f"- {line}" for line in lines)


def qualification_lines(person: Person) -> list[str]:
    """The degree; the first certificates; the first skills; the languages but for the basic ones."""
    spoken = [name for name, level in person.languages if level != "basic"]
    lines = [f"{person.degree}, {person.school} ({person.graduated})"]
    if person.certificates:
        lines.append(f"Certificates: {', '.join(person.certificates[:CERTIFICATES])}")
    lines.append(f"Skills: {', '.join(person.skills[:SKILLS])}")
    if spoken:
        lines.append(f"Languages: {', '.join(spoken)}")
    return lines


def experience_line(position: Position) -> str:
    """Role, employer, years, and the first duty: in the past, or for a job that lasts in the third person."""
    if position.end:
        return f"{position.role}, {position.employer} ({position.start[0]}-{position.end[0]}): {position.duty.past}"
    return f"{position.role}, {position.employer} (since {position.start[0]}): {position.duty.third}"


def availability(start: Start) -> str:
    """One sentence."""
    if start.day:
        return f"Available from {start.day.day} {v.MONTHS[start.day.month - 1]} {start.day.year}, {start.hours}."
    if start.notice:
        return f"Available after {start.notice} of notice, {start.hours}."
    return f"Available immediately, {start.hours}."
