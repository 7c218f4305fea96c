"""Five lines on what data is fit for, and the card of each version: true numbers, no text of examples, no script."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from conftest import write_csv

from inhouse.clean import CHECKS, Subject
from inhouse.clean.card import Change, as_html, as_markdown, fit_for, make_card, next_step
from inhouse.core import Dataset, Example, Finding, Provenance, input_key

VERSIONS = (
    Change(1, "added a.csv", "2026-11-27T10:00:00", 3),
    Change(2, "cleaned", "2026-11-27T11:00:00", 2, "1 removed"),
)


def dataset(*rows, file="d.csv"):
    """Rows of (text, target, split)."""
    examples = [
        Example({"text": t}, y, input_key({"text": t}), Provenance(file, i)) for i, (t, y, _) in enumerate(rows)
    ]
    return Dataset("tickets", 2, tuple(examples), tuple(s for _, _, s in rows))


def rows(train=30, test=10):
    return [
        *((f"text {i}", "refund" if i % 3 else "delivery", "train") for i in range(train)),
        *((f"other {i}", "refund" if i % 2 else "delivery", "test") for i in range(test)),
    ]


def found(check, severity="warning", **more):
    return Finding(id=check, check=check, severity=severity, examples=(), reason="r", action="a", **more)


def lines(data, findings=(), kind="classify", checked=CHECKS):
    made = fit_for(data, kind, findings, checked)
    assert [line.partition(":")[0] for line in made] == ["size", "balance", "cleanliness", "privacy", "verdict"]
    return dict(line.split(": ", 1) for line in made)


def test_size_and_balance():
    told = lines(dataset(*rows()))
    assert told["size"] == (
        "40 examples of 2 labels (30 training, 0 validation, 10 test); inputs of about 7 characters"
    )
    assert told["balance"] == "from 20 examples to learn from (refund) to 10 (delivery)"
    assert lines(dataset(*rows(train=9)))["balance"].endswith("; 2 labels have fewer than 10")


def test_cleanliness_counts_by_severity_and_what_safe_would_do():
    safe = found("exact_duplicate", drop=(1, 2), safe=True)
    told = lines(dataset(*rows()), [safe, found("leakage", "error", drop=(2, 3), safe=True), found("text", "info")])
    assert told["cleanliness"] == "1 error, 1 warning, 1 note; `--apply safe` would drop 3 examples"
    assert lines(dataset(*rows()), [found("text")])["cleanliness"].endswith(
        "nothing of it can be applied without a look"
    )
    assert lines(dataset(*rows()))["cleanliness"] == "nothing was found"
    assert lines(dataset(*rows()), checked=())["cleanliness"] == "not looked at yet"


def test_privacy():
    looked = [*CHECKS, "personal_data", "secret"]
    data = dataset(*rows())
    assert lines(data, checked=["text"])["privacy"] == "personal data was not looked for"
    assert lines(data, checked=looked)["privacy"] == "no personal data and no secret was found"
    both = [found("personal_data", count=4), found("personal_data", count=3), found("secret", count=1)]
    assert "stands in 7 places, and secrets in 1" in lines(data, both, checked=looked)["privacy"]


def test_the_verdict_says_what_the_test_can_tell_and_what_comes_next():
    assert "not to prove it: 10 test examples" in lines(dataset(*rows()))["verdict"]
    assert "its test tells gains of 5 points and more" in lines(dataset(*rows(test=500)))["verdict"]
    gather = found("representativeness").model_copy(update={"action": "gather 40 of 'x'"})
    assert lines(dataset(*rows()), [gather])["verdict"].endswith(
        "; gather 40 of 'x'; next: `inhouse clean tickets --show all`, then `inhouse train tickets`"
    )
    assert "not fit for a fair test" in lines(dataset(*rows()), [found("leakage", "error")])["verdict"]
    one_row = [found("contradiction", positions=(1, 2)), found("suspect_target", positions=(2,))]
    assert "up to 2 targets are in doubt" in lines(dataset(*rows()), one_row)["verdict"]
    assert "up to 1 target is in doubt" in lines(dataset(*rows()), one_row[1:])["verdict"]
    assert lines(dataset(*rows()), checked=())["verdict"].startswith("look before training")


def test_the_next_step_is_what_the_open_findings_ask_for():
    safe, look, note = found("leakage", safe=True, drop=(1,)), found("contradiction", drop=(2,)), found("text", "info")
    for findings, step in (
        ([look, safe], "inhouse clean tickets --apply safe"),
        ([look, note], "inhouse clean tickets --show all"),
        ([note], "inhouse train tickets"),
        ([], "inhouse train tickets"),
    ):
        assert next_step("tickets", findings) == step
        assert f"next: `{step}`" in lines(dataset(*rows()), findings)["verdict"]


def card(data, findings=(), kind="classify", checked=CHECKS):
    return make_card(data, kind, findings, checked, VERSIONS, "2026-11-27T12:00:00")


class Page(HTMLParser):
    """Tags that are open, all tags with their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "rect", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_offline_without_script_and_can_be_read_aloud():
    data = dataset(*rows(), ("<script>alert(1)</script>", "<b>odd|label</b>", "train"))
    page = Page(as_html(card(data, [found("text", count=2)]), "body { color: black; }"))
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not any(key in ("src", "href") for _, attrs in page.tags for key in attrs)
    assert any("default-src 'none'" in attrs.get("content", "") for tag, attrs in page.tags if tag == "meta")
    assert ("html", {"lang": "en"}) in page.tags
    assert all(attrs.get("aria-hidden") == "true" for tag, attrs in page.tags if tag == "svg")  # numbers stand beside
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    assert "<b>odd|label</b>" in page.text
    assert "`" not in page.text


def test_bars_are_as_long_as_their_numbers():
    html = as_html(card(dataset(*rows(train=30, test=10))), "")
    labels = html[html.index("<h2>Labels") : html.index("<h2>Length of inputs")]
    widths = [float(w) for w in re.findall(r'width="([\d.]+)"', labels)]
    assert widths == [80.0, 20.0, 40.0, 20.0]  # refund 20 + 5, delivery 10 + 5, of 25
    assert re.findall(r'class="n">(\d+)</td>', labels) == ["25", "20", "0", "5", "15", "10", "0", "5"]


def test_the_splits_are_counted_once_each_and_headings_keep_their_words_whole():
    made = card(dataset(*rows(train=30, test=10)))
    html = as_html(made, "")
    splits = html[html.index("<h2>Splits") : html.index("<h2>Labels")]
    assert re.findall(r'class="n">([\w,]+)</t[dh]>', splits) == ["examples", "30", "0", "10"]
    assert "| train | ████████████████████ | 30 |\n" in as_markdown(made)
    assert 'th[scope="col"] { overflow-wrap: normal; }' in html


def test_markdown_has_the_same_numbers_and_escapes():
    text = as_markdown(
        card(
            dataset(*rows(), ("x", "a|b_c", "train")),
            [found("near_duplicate", positions=(1, 2)), found("near_duplicate", positions=(2, 3))],
        )
    )
    assert "| refund | ████████████████████ | 25 | 20 | 0 | 5 |" in text
    assert "a\\|b\\_c" in text
    assert "| near duplicate | 0 | 2 | 0 | 3 | 0 |" in text
    assert text.index("| 2 | cleaned") < text.index("| 1 | added")


def test_no_text_of_an_example_is_in_a_card():
    secret = "Erika Mustermann DE89370400440532013000"
    examples = [(f"{secret} {i}", json.dumps({"name": secret, "total": i}), "train") for i in range(30)]
    for kind in ("extract", "generate"):
        made = card(dataset(*examples), kind=kind)
        assert "Mustermann" not in as_html(made, "") + as_markdown(made)
    made = card(dataset(*examples), list(CHECKS["text"](Subject(dataset(*examples), "extract"))), kind="extract")
    assert "| name | ████████████████████ | 30 |" in as_markdown(made)
    assert "Mustermann" not in as_markdown(made)


def test_many_sources_are_not_named():
    data = dataset(*rows())
    examples = [
        Example(e.inputs, e.target, e.group, Provenance(f"erika_{i}.pdf", 1)) for i, e in enumerate(data.examples)
    ]
    text = as_markdown(card(Dataset("tickets", 1, tuple(examples), data.splits)))
    assert "erika" not in text
    assert "| .pdf files | ████████████████████ | 40 | 30 | 0 | 10 |" in text


def test_of_many_labels_the_most_frequent_and_the_rarest_are_shown():
    data = [(f"{label} {i}", f"label {label:02}", "train") for label in range(40) for i in range(label + 1)]
    text = as_markdown(card(dataset(*data)))
    assert "the 10 between have 155 in all" in text
    assert "| label 39 | ████████████████████ | 40 |" in text
    assert "| label 00 | █ | 1 |" in text
    assert "label 15" not in text


def test_large_data_is_sampled_for_lengths_alone_and_says_so():
    data = dataset(*[(f"text {i}", "ab"[i % 2], "train") for i in range(25_000)])
    text = as_markdown(card(data))
    assert "Of 8,334 examples, evenly spread." in text
    assert "| a | ████████████████████ | 12,500 |" in text


# ---------------------------------------------------------------------- with the commands


@pytest.fixture
def tickets(tmp_path, cli):
    data = [{"text": f"I want help number {i} with my order", "category": "ab"[i % 2]} for i in range(60)]
    write_csv(tmp_path / "t.csv", [*data, data[0]])
    cli(tmp_path, "init", "tickets", "--kind", "classify")
    return tmp_path


def test_every_version_has_its_card(tickets, cli):
    cards = tickets / "tasks" / "tickets" / "cards"
    added = cli(tickets, "add", "tickets", tickets / "t.csv", "--json").json
    assert added["card"] == str(cards / "tickets-v1.html")
    assert "Nobody has looked yet" in (cards / "tickets-v1.md").read_text("utf-8")
    cleaned = cli(tickets, "clean", "tickets", "--json").json
    assert cleaned["card"] == added["card"]
    assert len(cleaned["fit_for"]) == 5
    assert "exact duplicate" in (cards / "tickets-v1.md").read_text("utf-8")
    applied = cli(tickets, "clean", "tickets", "--apply", "safe")
    assert f"card: {cards / 'tickets-v2.html'}" in applied.out
    assert "size: 60 examples of 2 labels" in applied.out
    text = (cards / "tickets-v2.md").read_text("utf-8")
    assert "0 added, 1 removed, 0 changed, against version 1" in text
    assert "exact duplicate" not in text
    cli(tickets, "undo", "tickets")
    assert "1 added, 0 removed" in (cards / "tickets-v3.md").read_text("utf-8")
    assert sorted(f.name for f in cards.iterdir()) == [f"tickets-v{n}.{e}" for n in (1, 2, 3) for e in ("html", "md")]
