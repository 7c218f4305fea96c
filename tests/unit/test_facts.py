"""Facts: kept in any writing, invented where the input does not hold them, and few false alarms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from inhouse.scoring import FactFinder
from inhouse.scoring.facts import structured_values

PLAIN = FactFinder.learn(["the invoice came late and we paid it in full", "please send the goods to the office"])
INPUT = "On 12/01/2019 Maria Keller ordered 1,234.50 EUR of goods from Bolt & Co. Her code is XK12."


@pytest.mark.parametrize(
    "answer",
    [
        "We thank Maria Keller for her order of 12 January 2019.",
        "The order of January 2019 is worth 1.234,50 euros.",
        "In 2019 she ordered goods, code XK12.",
        "I think I'd pay. It came late; The office is fine",
        "Dear Maria,\nThe goods came.\n- Please pay in full",
    ],
)
def test_what_the_input_says_in_another_writing_is_not_invented(answer: str) -> None:
    assert PLAIN.invented(INPUT, answer) == ()


@pytest.mark.parametrize(
    ("answer", "invented"),
    [
        ("The order of 13 January 2019 came.", ("13 january 2019",)),
        ("The order of February 2019 came.", ("february 2019",)),
        ("We paid 1,234.05 EUR.", ("1,234.05",)),
        ("We paid 50 times.", ("50",)),
        ("Please ask Peter about XK13.", ("peter", "xk13")),
        ("We thank Maria Kellner.", ("kellner",)),
        ("Between 2015-2018 she came.", ("2015", "2018")),
    ],
)
def test_what_it_does_not_say_is(answer: str, invented: tuple[str, ...]) -> None:
    assert PLAIN.invented(INPUT, answer) == invented


def test_spans_of_years_are_found_in_months() -> None:
    assert PLAIN.invented("03/2015 to 06/2019 clerk", "Clerk (2015-2019), since March 2015") == ()


def test_kept_counts_what_the_expected_answer_keeps_and_nothing_else() -> None:
    expected = "Maria Keller ordered for 1.234,50."
    assert PLAIN.kept(INPUT, expected, expected) == 1.0
    assert PLAIN.kept(INPUT, expected, "maria keller: EUR 1234.50") == 1.0
    assert PLAIN.kept(INPUT, expected, "Maria ordered.") == pytest.approx(1 / 3)
    assert PLAIN.kept(INPUT, expected, "") == 0.0
    assert PLAIN.kept("nothing to see here", "nothing", "nothing") is None


@pytest.mark.parametrize(
    "text",
    [
        "name[The Aroma], food[Thai], price[less than £20], familyFriendly[yes]",
        "name: The Aroma\nfood: Thai\nprice: less than £20\nopen: yes",
        json.dumps({"name": "The Aroma", "about": {"food": ["Thai"], "price": "less than £20"}, "open": True}),
    ],
)
def test_all_values_of_a_structured_input_must_be_kept_but_not_yes_and_no(text: str) -> None:
    answer = "At the Aroma Thai food is less than £20."
    assert PLAIN.kept(text, "", answer) == 1.0
    assert PLAIN.kept(text, "", answer.replace("Thai ", "")) == pytest.approx(2 / 3)


def test_letters_with_colons_are_not_attributes() -> None:
    assert structured_values("Dear Sir,\nplease note: we moved.\nThe new address: 1 High Street\nBye") == []
    assert structured_values("{not json") == []


@pytest.mark.parametrize(
    "text",
    [
        "Dear [NAME], your order 4711 of 3 May 2024 is late. Maria Keller will see to it, see note [1].",
        "The capital is Berlin[1]. In 2024 it had 4711 streets, which Maria Keller counted[2].",
        "see note [1]",
    ],
)
def test_brackets_in_prose_are_not_attributes(text: str) -> None:
    assert structured_values(text) == []
    expected = "Maria Keller saw to 4711."
    assert PLAIN.kept(text, expected, expected) == (None if text == "see note [1]" else 1.0)
    assert PLAIN.kept(text, expected, "NAME 1 2") in (0.0, None)


@pytest.mark.parametrize(
    "text", ["inform(name[The Aroma], eat-type[pub], of[])", " name[The Aroma];\n eat type[pub]\n"]
)
def test_attributes_may_have_little_beside_them(text: str) -> None:
    assert [v for v in structured_values(text) if v] == ["The Aroma", "pub"]


BODY = "On 12/01/2019 Maria Keller ordered 1,234.50 EUR of goods, code XK12, and they never came to Berlin."


@pytest.mark.parametrize(
    "text", [f"sender: Bolt\nremark: \nbody: {BODY}", json.dumps({"sender": "Bolt", "remark": None, "body": BODY})]
)
def test_a_long_value_has_the_facts_of_a_text(text: str) -> None:
    assert structured_values(text) == ["Bolt"]
    expected = "Bolt says: the order of Maria Keller of 12 January 2019 over 1.234,50 euros, XK12, is missing."
    assert PLAIN.kept(text, expected, expected) == 1.0
    assert PLAIN.kept(text, expected, "Bolt says: goods are missing.") == pytest.approx(1 / 6)
    assert PLAIN.kept(text, "Bolt.", "Bolt.") == 1.0


def test_attributes_within_a_column_are_values_too() -> None:
    text = "facts: name[The Aroma], food[Thai], price[less than £20]\nstyle: short"
    assert structured_values(text) == ["The Aroma", "Thai", "less than £20", "short"]


def test_values_of_other_inputs_are_found_in_any_place_without_a_look_at_each() -> None:
    looks = 0

    class Lexicon(frozenset[str]):
        def __iter__(self):
            nonlocal looks
            looks += 1
            return super().__iter__()

    finder = FactFinder(Lexicon(["the aroma", "less than£20", "crowne plaza-hotel by the sea", "c++", "thai"]))
    answer = "We like the Aroma (less than £20) near Crowne Plaza - Hotel by the sea. Ask about thai and c++."
    for _ in range(3):
        found = finder.invented("thai food", answer)
    values = {"the aroma", "less than£20", "crowne plaza-hotel by the sea", "c++"}
    assert set(found) == values | {"aroma", "20", "crowne", "plaza", "hotel"}
    assert finder.invented("", "the aromas of thailand, less than £200 in c+") == ("200",)
    assert looks <= 1


def test_a_chat_is_what_was_said_in_it() -> None:
    chat = json.dumps([{"role": "user", "content": "It was Peter on 3.4.2024\\nwith 12 nails"}])
    assert structured_values(chat) == []
    assert PLAIN.invented(chat, "So Peter brought 12 nails on 3 April 2024.") == ()
    assert PLAIN.invented(chat, "So Paul brought 13 nails.") == ("13", "paul")


def test_what_training_answers_add_by_habit_is_not_invented() -> None:
    inputs = [f"order {n} is late" for n in range(20)]
    answers = [
        f"We regret that order {n} is late, and we will see to it that it comes soon. Yours, Anna Schmidt, Bolt Ltd"
        for n in range(20)
    ]
    answers[3] += " PS: ask Tom"
    finder = FactFinder.learn(inputs, answers)
    assert finder.invented("order 77 is late", answers[0].replace("order 0", "order 77")) == ()
    assert finder.invented("order 77 is late", "We regret it. Yours, Anna Schmidt. Now ask Tom") == ("tom",)
    assert finder.invented("order 77 is late", "We regret that order 78 is late.") == ("78",)


def test_german_nouns_are_no_names() -> None:
    inputs = [
        "Die Rechnung für den Auftrag liegt der Lieferung bei, und der Kunde hat die Ware im Lager geprüft.",
        "Bitte senden Sie das Angebot an die Abteilung, da der Einkauf den Preis der Maschine noch prüft.",
    ]
    finder = FactFinder.learn(inputs)
    assert not finder.capitals_are_names
    assert finder.invented(inputs[0], "Der Kunde zahlt die Summe nach dem Termin.") == ()
    assert finder.invented(inputs[0], "Sie wurde von Petra Müller und der IHK bezahlt.") == ("ihk", "müller", "petra")
    assert FactFinder.learn(["the customer has paid the invoice", "we sent it to Berlin"]).capitals_are_names


def test_gold_texts_keep_nearly_all_and_invent_nearly_nothing() -> None:
    file = Path(__file__).parents[3] / "shared" / "data" / "e2e" / "devel.csv"
    if not file.is_file():
        pytest.skip("the e2e data is not on this machine")
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    inputs = list(dict.fromkeys(row["mr"] for row in rows))
    known = set(inputs[: len(inputs) // 2])
    train, test = ([r for r in rows if (r["mr"] in known) == side] for side in (True, False))
    finder = FactFinder.learn([r["mr"] for r in train], [r["ref"] for r in train])
    kept = [finder.kept(r["mr"], r["ref"], r["ref"]) for r in test]
    assert sum(k or 0.0 for k in kept) / len(kept) >= 0.9
    assert sum(bool(finder.invented(r["mr"], r["ref"])) for r in test) / len(test) <= 0.05
    shifted = zip(test, [*test[200:], *test[:200]], strict=True)
    caught = [bool(finder.invented(one["mr"], other["ref"])) for one, other in shifted if one["mr"] != other["mr"]]
    assert sum(caught) / len(caught) >= 0.9
