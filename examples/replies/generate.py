"""Write the example of replies: ``mails.jsonl``, ``test_mails.jsonl`` and the key of the faults in both.

Run ``python examples/replies/generate.py`` from anywhere. The same seed gives the same bytes on every Python from 3.11
on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

import sys
from pathlib import Path

import vocabulary as v

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import planting
from planting import Dice
from rows import Files, Row, fresh, number_rows, plant_copies, plant_leaks, plant_near_copies, plant_wrong, written

SEED = 20260921
ROWS, TESTS, LEAKS = 380, 80, 20
COPIES = NEAR_COPIES = 10
WRONG_EACH = 8  # letters with a phrase that the house never writes, without a closing, and with a fact that is wrong
CLOSING = "Kind regards,\nCustomer care, Halma Bikes"
SORRY = "We are sorry for the trouble."


def day(dice: Dice) -> str:
    """A day as the house writes it, without a year: `4 March`."""
    return f"{dice.number(1, 28)} {dice.pick(v.MONTHS)}"


def fact(dice: Dice, name: str) -> str:
    """What the systems of the house know under a name."""
    if name in ("order", "contract", "reference"):
        return dice.digits({"order": "B######", "contract": "SC-####", "reference": "Q##-###"}[name])
    if name in ("amount", "price"):
        return f"EUR {dice.number(19, 2_400)}.{dice.digits('##')}"
    if name == "return label":
        return dice.digits("RL####")
    choices = {"product": v.PRODUCTS, "bike": v.BIKES, "carrier": v.CARRIERS, "workshop": v.WORKSHOPS}
    return dice.pick(choices[name]) if name in choices else day(dice)


def new_row(dice: Dice) -> Row:
    """A mail, the facts that belong to it, and the letter of the house."""
    subject = v.SUBJECTS[dice.pick(tuple(v.SUBJECTS))]
    title, name = dice.pick(v.TITLES)
    angry = subject.complaint and dice.chance(0.5)
    known = {part: fact(dice, part) for part in subject.facts}
    asked = dice.pick(subject.asked).format(**known)
    lines = [dice.pick(v.OPENINGS), asked, dice.pick(v.ANGRY) if angry else ""]
    ending = f"{dice.pick(v.ENDINGS)}\n{dice.pick(v.FIRST[title])} {name}"
    mail = "\n".join([line for line in lines if line] + [ending])
    facts = {"customer": f"{title} {name}", **known}
    return Row(
        {
            "mail": mail,
            "facts": "\n".join(f"{part}: {value}" for part, value in facts.items()),
            "letter": letter(subject, facts, sorry=angry),
        }
    )


def letter(subject: v.Subject, facts: dict[str, str], *, sorry: bool) -> str:
    """The letter by the rules of the house; `sorry`: the mail complains in a sentence of its own."""
    thanks = f"Thank you for your message about {subject.title}."
    body = " ".join(part.format(**facts) for part in subject.answer)
    parts = [f"Dear {facts['customer']},", f"{thanks} {SORRY}" if sorry else thanks, body, CLOSING]
    return "\n\n".join(parts)


def forbidden(dice: Dice, row: Row) -> str:
    """The letter with a sentence that the house never writes."""
    parts = row.values["letter"].split("\n\n")
    return "\n\n".join([*parts[:2], f"{dice.pick(v.FORBIDDEN)} {parts[2]}", parts[3]])


def unsigned(dice: Dice, row: Row) -> str:
    """The letter without its closing."""
    return row.values["letter"].removesuffix(f"\n\n{CLOSING}")


def invented(dice: Dice, row: Row) -> str:
    """The letter with another product than that of the facts."""
    right = next(product for product in v.PRODUCTS if product in row.values["facts"])
    wrong = dice.pick([product for product in v.PRODUCTS if product != right])
    return row.values["letter"].replace(right, wrong)


def build(seed: int) -> Files:
    """All rows in order with their ids, and the faults in them."""
    dice = Dice(seed)
    taken: set[str] = set()
    rows = fresh(lambda: new_row(dice), "mail", ROWS, taken)
    files = Files(rows, fresh(lambda: new_row(dice), "mail", TESTS, taken))
    names = [name for _, name in v.TITLES]
    plant_copies(dice, files, COPIES)
    plant_near_copies(dice, files, NEAR_COPIES, "mail", names)
    plant_wrong(dice, files, "forbidden_phrase", WRONG_EACH, "letter", forbidden)
    plant_wrong(dice, files, "missing_closing", WRONG_EACH, "letter", unsigned)
    plant_wrong(dice, files, "invented_fact", WRONG_EACH, "letter", invented)
    plant_leaks(dice, files, LEAKS, "mail", names)
    number_rows(files, "mail")
    return files


def make(seed: int, out: Path) -> dict[str, str]:
    """The rows and the key."""
    return dict(written(build(seed), "mails.jsonl", "test_mails.jsonl"))


if __name__ == "__main__":
    planting.write(__doc__, SEED, Path(__file__).resolve().parent, make)
