"""What stands beside the report: the figures as JSON and Markdown, and the model card for who owns the model."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from evaluations import HALF, PLAIN, WHOLE
from pages import EVIL, Page, assert_inert

from inhouse.core import (
    Consistency,
    CurvePoint,
    CurveResult,
    Example,
    FieldCalibration,
    FieldReview,
    Parity,
    Provenance,
    ReliabilityBin,
    ReviewPoint,
    SliceResult,
    Task,
    TrainResult,
)
from inhouse.evaluate.card import CardData, card_html, card_markdown
from inhouse.evaluate.changes import CHANGES
from inhouse.evaluate.report import ReportData, render_report, report_markdown
from inhouse.evaluate.wrong import Near, WrongAnswer, WrongGroup

CARD = CardData(
    evaluation=WHOLE.model_copy(
        update={"slices": (SliceResult(by="language", value="de", metric=HALF, worst=True),), "warnings": ("a twin",)}
    ),
    task=Task(name="tickets", instruction="Sort the mails.", labels=("a", "b")),
    base="SmolLM2",
    limits="mostly English",
    counts={"train": 1234, "test": 100},
    again=("Every month: inhouse monitor tickets.",),
    created_at="2025-01-02",
)


# A browser that shows no window and asks nobody for anything.
BARE = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown page, as rows of cells."""
    found: list[list[list[str]]] = []
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([c.strip() for c in line.replace("\\|", "¦").strip("|").split("|")])
    return found


def test_markdown_has_every_part_that_was_measured_and_no_other():
    whole, plain = report_markdown(WHOLE), report_markdown(PLAIN)
    headings = [line.removeprefix("## ") for line in whole.splitlines() if line.startswith("## ")]
    assert headings == [
        "Contenders",
        "Left out",
        "Prompts tried",
        "Comparisons",
        "Review",
        "Calibration error",
        "Slices",
        "Consistency",
        "Hidden instructions obeyed",
        "Learned and forgotten",
        "Base models",
        "Warnings",
    ]
    assert [line for line in plain.splitlines() if line.startswith("## ")] == ["## Contenders"]
    assert "At most 2 % errors: 78% go straight through, 22% to a person." in whole


def test_tables_of_markdown_have_as_many_cells_in_every_row_whatever_names_hold():
    ugly = PLAIN.contenders[0].model_copy(update={"name": "a|b\nc *d* <script>"})
    known = WHOLE.model_copy(
        update={"contenders": (ugly,), "slices": (SliceResult(by="label", value=f"x|{EVIL}", metric=HALF),)}
    )
    found = tables(report_markdown(known))
    assert len(found) == 9
    assert all(len({len(row) for row in rows}) == 1 for rows in found)
    assert "<script" not in report_markdown(known).replace("\\<", "")


def test_the_card_says_what_how_good_what_not_and_when_again():
    text = card_markdown(CARD).replace("\u00a0", " ")
    parts = [line for line in text.splitlines() if line.startswith("## ")]
    assert [p.removeprefix("## ") for p in parts] == [
        "What it does",
        "How good it is",
        "What it cannot do",
        "What it costs",
        "When to look again",
    ]
    for told in (
        "Sort the mails.",
        "1,234 training examples",
        "Accuracy 50.0 %",
        "+20.0 points",
        "22% to a person",
        "mostly English",
        "worst where language is de",
        "Mind: a twin.",
        "50 requests a second",
        "Every month",
    ):
        assert told in text


def test_a_review_that_is_not_certain_says_so():
    doubtful = WHOLE.reviews[0].model_copy(update={"certain": False, "threshold": None, "more_examples": 140})
    known = CARD.evaluation.model_copy(update={"reviews": (doubtful,)})
    assert "about 140 more would do." in card_markdown(replace(CARD, evaluation=known))


def test_the_gain_is_that_of_the_fine_tuned_side_whoever_wins():
    lost = PLAIN.verdict.model_copy(
        update={
            "decision": "not_needed",
            "winner": "tfidf-linear",
            "against": "fine-tuned",
            "gain": -0.2,
            "low": -0.3,
            "high": -0.1,
        }
    )
    text = card_markdown(replace(CARD, evaluation=CARD.evaluation.model_copy(update={"verdict": lost})))
    assert re.search(r"fine-tuned \([^)]*\) against tfidf-linear \([^)]*\): \u221220.0 points", text)


def test_parts_of_the_test_are_told_in_the_metric_that_they_were_judged_by():
    known = WHOLE.model_copy(
        update={
            "primary_metric": "macro_f1",
            "contenders": tuple(
                c.model_copy(update={"metrics": {"accuracy": HALF, "macro_f1": HALF}}) for c in WHOLE.contenders
            ),
        }
    )
    markdown = report_markdown(known)
    assert "| by | value | Accuracy |" in markdown
    assert "| contender | Macro-F1 |" in markdown
    page = Page(render_report(replace(full(), evaluation=known.model_copy(update={"test_examples": 400}), scores={})))
    assert "Slice Accuracy" in page.plain
    assert "Accuracy: 50.0" in page.plain.replace("\u00a0", " ")
    assert "worst where language is de: Accuracy 50.0" in card_markdown(replace(CARD, evaluation=known))


def test_the_card_page_is_inert_and_says_the_same():
    evil = replace(CARD, limits=EVIL, again=(EVIL,))
    page = Page(card_html(evil))
    assert_inert(page)
    assert page.plain.count("<script>alert('1')</script>") == 2
    assert all(word in Page(card_html(CARD)).plain for word in ("Sort the mails.", "mostly English", "a twin"))


TRAIN = TrainResult(
    task="tickets",
    run="run-1",
    model_version="tickets@1",
    recipe={"base_sha256": "b179c952", "seed": 7, "rank": 16, "dataset_fingerprint": "f00d"},
    trained_tokens=1000,
    truncated_examples=2,
    seconds=30.0,
    tokens_per_second=33.3,
    best_step=20,
    steps=30,
    stopped_because="the planned epochs were done",
    validation_loss=0.5,
    resumed=False,
    parity=Parity(
        passed=True,
        tokens=64,
        top1_agreement=0.99,
        mean_logprob_difference=0.003,
        worst_logprob_difference=0.08,
        trainer_accuracy=0.75,
        served_accuracy=0.74,
        paired_p_value=1.0,
        validation_examples=40,
    ),
)
EXAMPLES = tuple(
    Example({"text": f"message {n} " + "of some length " * 12}, f"label_{n % 30}", f"g{n}", Provenance("m.csv", n))
    for n in range(400)
)
CURVE = CurveResult(
    task="tickets",
    metric="accuracy",
    validation_examples=40,
    power=0.4,
    gain=0.03,
    low=0.01,
    high=0.05,
    points=tuple(
        CurvePoint(examples=n, score=s, low=s - 0.05, high=s + 0.05, measured=n < 800)
        for n, s in ((100, 0.5), (200, 0.6), (400, 0.7), (800, 0.75))
    ),
    reason="400 more examples would bring accuracy about 5.0 points up",
    chart="",
)


def full() -> ReportData:
    """A report in which figures of everything were measured, of twelve contenders."""
    names = ("fine-tuned", *(f"contender-{n}" for n in range(11)))
    first = WHOLE.contenders[0]
    points = tuple(
        ReviewPoint(threshold=n / 10, straight=1 - n / 10, errors=0.1 - n / 100, errors_high=0.15 - n / 100, n=100)
        for n in range(10)
    )
    review = WHOLE.reviews[0]
    bins = tuple(ReliabilityBin(confidence=n / 10, right=HALF) for n in range(1, 10))
    known = WHOLE.model_copy(
        update={
            "test_examples": 400,
            "contenders": tuple(
                first.model_copy(update={"name": n, "prompt_tokens": 100.0, "cost_per_thousand": 1.25}) for n in names
            ),
            "reviews": tuple(
                # The curve stands at the task's own share of errors, which need not be the first.
                review.model_copy(update={"contender": n, "target_errors": e, "curve": points if e == 0.05 else ()})
                for n in names
                for e in (0.02, 0.05)
            ),
            "calibrations": tuple(
                WHOLE.calibrations[0].model_copy(update={"contender": n, "bins": bins}) for n in names
            ),
            "slices": tuple(SliceResult(by="label", value=f"label_{n}", metric=HALF) for n in range(20)) + WHOLE.slices,
            "consistency": tuple(
                Consistency(contender=n, change=c, same=HALF) for n in names[:3] for c in ("case", "typos", "repeat")
            ),
            "warnings": ("3 test examples have a twin in training",),
        }
    )
    answers = [f"label_{(n + (n % 3 == 0)) % 30}" for n in range(400)]
    return ReportData(
        evaluation=known,
        task=CARD.task,
        train=TRAIN,
        base_description="SmolLM2",
        base_limits="English",
        base_sha256="b1" * 32,
        examples=EXAMPLES,
        predictions={name: answers if name == "fine-tuned" else [e.target for e in EXAMPLES] for name in names},
        history=[{"step": 1, "train_loss": 2.0}, {"step": 2, "train_loss": 1.0}],
        dataset_number=1,
        counts={"train": 1234, "validation": 40, "test": 400},
        packages={"torch": "2.13.0"},
        created_at="2025-01-02",
        learning_curve=CURVE,
        learning_curve_of="As it was drawn last",
    )


def test_the_report_shows_what_was_measured_in_order_and_nothing_else():
    html = render_report(full())
    page = Page(html)
    assert_inert(page)
    headings = re.findall(r"<h2>([^<]+)</h2>", html)
    assert headings[1:] == [
        "The comparison",
        "The prompts that were tried",
        "What may go straight through",
        "How far its confidence can be trusted",
        "What more examples would bring",
        "Where it goes wrong",
        "Slices",
        "How steady it is",
        "The base model",
        "Examples",
        "Every label",
        "Every test example",
        "How it learned",
        "Data",
        "How to check this",
    ]
    for told in (
        "At most 2 % errors: 78% go straight through, 22% to a person.",
        "At most 5 % errors",
        "off by 50.0 % on average",
        "language: de the worst",
        "retrieval: no time was left (about 12 minutes)",
        "The best one answers the test as prompted-best",
        "the instruction first; in brief chosen",
        "3 test examples have an answer that is probably wrong",
        "moved 0.100 nats",
        "400 more examples would bring accuracy about 5.0 points up",
        "1.25",
    ):
        assert told in page.plain.replace("\u00a0", " "), told
    bare = replace(full(), evaluation=PLAIN.model_copy(update={"test_examples": 400}), learning_curve=None)
    left = re.findall(r"<h2>([^<]+)</h2>", render_report(bare))
    assert left[1:] == [
        "The comparison",
        "Where it goes wrong",
        "The base model",
        "Every label",
        "Every test example",
        "How it learned",
        "Data",
        "How to check this",
    ]


def test_only_the_two_sides_are_drawn_and_the_others_are_told():
    html = render_report(full())
    drawn = [html.count(f'aria-label="{what}') for what in ("Wrong answers by share", "Share of right answers by")]
    assert drawn == [2 * 2, 2 * 2], "both widths of fine-tuned and of contender-0"
    assert html.count('<th scope="row">contender-10</th><td class="n" data-label="Errors allowed">') == 2
    assert "Others: contender-1 50.0" in Page(html).plain


def test_every_test_example_can_be_browsed_and_narrowed_without_a_script():
    html = render_report(full())
    rows = re.findall(r'<tr class="([^"]*)"><td data-label="Input"[^>]*>message (\d+) ', html)
    assert [int(n) for _, n in rows] == list(range(400))
    assert {marks for marks, n in rows if int(n) % 3 == 0} == {" ".join(["wrong", *(f"lost-{k}" for k in range(11))])}
    assert {marks for marks, n in rows if int(n) % 3} == {""}
    inputs = [attributes for tag, attributes in Page(html).tags if tag == "input"]
    narrowing = ["only-all", "only-wrong", "only-won", "only-lost"]
    assert [i["id"] for i in inputs] == [*narrowing, *(f"other-{k}" for k in range(11))]
    assert [i["id"] for i in inputs if "checked" in i] == ["only-all", "other-0"]
    assert {i["type"] for i in inputs} == {"radio"}
    for mark in ("wrong", "suspect", "person"):
        assert f".browser:has(#only-{mark}:checked) tbody tr:not(.{mark})" in html


def test_flips_can_be_looked_at_against_each_other_contender():
    answers = dict(full().predictions)
    answers["contender-7"] = [None] * 400
    html = render_report(replace(full(), predictions=answers))
    rivals = re.findall(r'for="other-(\d+)">([^<]+)<', html)
    number = next(n for n, name in rivals if name == "contender-7")
    rows = re.findall(r'<tr class="([^"]*)"><td data-label="Input"[^>]*>message (\d+) ', html)
    assert {int(n) for marks, n in rows if f"won-{number}" in marks.split()} == {n for n in range(400) if n % 3}
    rule = (
        f".browser:has(#only-won:checked):has(#other-{number}:checked) tbody tr:not(.won-{number}) {{ display: none; }}"
    )
    assert rule in html


def test_what_an_answer_was_shown_stands_beside_it():
    cited = [("chapter-39.txt#3", "a<b>.txt#1") if n % 2 else () for n in range(len(EXAMPLES))]
    html = render_report(replace(full(), sources={"contender-1": cited}))
    page = Page(html)
    assert_inert(page)
    assert page.plain.count("contender-1 was shown chapter-39.txt#3, a<b>.txt#1") == len(EXAMPLES) // 2
    assert "was shown" not in Page(render_report(full())).plain


def test_suspect_examples_and_those_for_a_person_can_be_picked_out():
    to_a_person = {"fine-tuned": [n % 7 == 0 for n in range(400)]}
    html = render_report(replace(full(), suspects={5: f"models say {EVIL}"}, to_a_person=to_a_person))
    marks = {
        int(n): set(m.split())
        for m, n in re.findall(r'<tr class="([^"]*)"><td data-label="Input"[^>]*>message (\d+) ', html)
    }
    assert {n for n, m in marks.items() if "suspect" in m} == {5}
    assert {n for n, m in marks.items() if "person" in m} == set(range(0, 400, 7))
    page = Page(html)
    assert_inert(page)
    narrowing = [a["id"] for tag, a in page.tags if tag == "input" and a["name"] == "only"]
    assert narrowing[-2:] == ["only-suspect", "only-person"]
    assert "suspect: models say" in page.plain


NEAR = Near(text="a message like it", answer="label_2", place="m.csv:9", likeness=0.75)
WRONG = (
    WrongGroup(
        "label_1 answered as label_2",
        7,
        (WrongAnswer("message 31", "label_1", f"label_2 {EVIL}", 0.97, "m.csv:31", "models say label_2", (NEAR,)),),
    ),
)


def test_wrong_answers_stand_with_the_training_examples_nearest_to_them():
    html = render_report(replace(full(), wrong=WRONG))
    page = Page(html)
    assert_inert(page)
    for told in (
        "label_1 answered as label_2 (7)",
        "97.0 % sure",
        "suspect: models say label_2",
        "a message like it (0.75, m.csv:9)",
    ):
        assert told in page.plain.replace("\u00a0", " "), told
    markdown = report_markdown(WHOLE, WRONG)
    assert "## Wrong: label\\_1 answered as label\\_2 (7)" in markdown
    assert len({len(row) for row in tables(markdown)[-1]}) == 1
    assert "<script" not in markdown.replace("\\<", "")


def test_what_suspect_answers_change_and_how_sure_it_is_of_fields_is_told():
    known = WHOLE.model_copy(
        update={
            "without_suspects": {"fine-tuned": HALF.model_copy(update={"value": 0.55})},
            "field_review": FieldReview(
                contender="fine-tuned",
                fields=(FieldCalibration(field="total", method="logistic", ece_before=0.2, ece=HALF),),
                pointed=HALF,
                by_chance=0.25,
            ),
        }
    )
    page = Page(render_report(replace(full(), evaluation=known.model_copy(update={"test_examples": 400}))))
    plain = page.plain.replace("\u00a0", " ")
    assert "Without them Accuracy would be: fine-tuned 55.0 % in place of 50.0 %." in plain
    assert "the field that fine-tuned is least sure of is a wrong one in 50.0 %" in plain
    markdown = report_markdown(known).replace("\u00a0", " ")
    assert "| fine-tuned | 50.0 % | 55.0 % |" in markdown
    assert "| total | logistic | 20.0 % | 50.0 % |" in markdown


def test_thousands_of_examples_stay_within_three_megabytes_those_that_matter_first():
    many = tuple(
        Example({"text": f"message {n} " + "long " * 60}, f"label_{n % 77}", f"g{n}", Provenance("m.csv", n))
        for n in range(6000)
    )
    wrong = [e.target if n % 4 else None for n, e in enumerate(many)]
    right = [e.target for e in many]
    names = full().predictions
    data = replace(full(), examples=many, predictions={n: wrong if n == "fine-tuned" else right for n in names})
    begun = time.perf_counter()
    html = render_report(data)
    assert time.perf_counter() - begun < 30
    assert 2_000_000 < len(html.encode()) < 3_000_000
    shown = {int(n) for n in re.findall(r'data-label="Input"[^>]*>message (\d+) ', html)}
    assert shown >= set(range(0, 6000, 4))
    assert len(shown) < 6000
    assert "of 6,000 have room here" in html


def fullest() -> ReportData:
    """The same with everything that texts of examples are shown in, and the longest sentences."""
    known = full().evaluation
    sentence = "accuracy 99.1% on 100 examples it learned from, 71.0% on the test: 28 points do not carry over; " * 3
    return replace(
        full(),
        evaluation=known.model_copy(
            update={
                "without_suspects": {c.name: HALF for c in known.contenders},
                "consistency": tuple(
                    Consistency(contender=c.name, change=change, same=HALF)
                    for c in known.contenders
                    for change in CHANGES
                ),
                "field_review": FieldReview(
                    contender="fine-tuned",
                    fields=tuple(
                        FieldCalibration(field=f"stops.field_{n}", method="logistic", ece_before=0.2, ece=HALF)
                        for n in range(20)
                    ),
                    pointed=HALF,
                    by_chance=0.25,
                ),
                "gap": WHOLE.gap.model_copy(update={"sentence": sentence}) if WHOLE.gap else None,
                "forgetting": WHOLE.forgetting.model_copy(update={"sentence": sentence}) if WHOLE.forgetting else None,
            }
        ),
        wrong=WRONG * 8,
        suspects=dict.fromkeys(range(0, 400, 9), "models that have not seen it give 'a' a chance of 0.1%"),
        to_a_person={"fine-tuned": [n % 2 == 0 for n in range(400)]},
    )


def test_the_report_prints_on_two_sheets(tmp_path: Path, browser: str):
    assert printed(render_report(fullest()), tmp_path, browser) == 2


def measured(html: str, width: int, what: str, folder: Path, browser: str) -> int:
    """A number that a browser tells of a page in a frame of some width; `page` is its document."""
    (folder / "page.html").write_text(html, "utf-8")
    (folder / "frame.html").write_text(
        f'<iframe id="frame" src="page.html" width="{width}" height="800" style="border: 0"></iframe><script>'
        "frame.onload = () => { const page = frame.contentDocument; "
        f"document.body.dataset.told = {what} }}</script>"
    )
    asked = ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom", str(folder / "frame.html")]
    done = subprocess.run(
        [browser, *BARE, f"--user-data-dir={folder / 'profile'}", *asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    told = re.search(r'data-told="(\d+)"', done.stdout)
    assert told is not None
    return int(told[1])


@pytest.mark.parametrize("width", [360, 1000])
def test_the_report_is_as_wide_as_a_phone_or_a_screen(width: int, tmp_path: Path, browser: str):
    """Nothing stands out to the right: the page is not wider than the frame that it is shown in."""
    wide = "page.documentElement.scrollWidth"
    assert measured(render_report(fullest()), width, wide, tmp_path, browser) <= width


def test_the_names_of_contenders_are_not_torn_into_letters(tmp_path: Path, browser: str):
    names = ("top_3", "top_5", "macro_f1", "valid")
    known = fullest().evaluation
    many = tuple(c.model_copy(update={"metrics": c.metrics | dict.fromkeys(names, HALF)}) for c in known.contenders)
    html = render_report(replace(fullest(), evaluation=known.model_copy(update={"contenders": many})))
    narrowest = "Math.min(...[...page.querySelectorAll('.comparison tbody th')].map(cell => cell.offsetWidth))"
    assert measured(html, 1000, narrowest, tmp_path, browser) >= 140


def printed(html: str, folder: Path, browser: str) -> int:
    """How many sheets chromium prints a page on."""
    (folder / "page.html").write_text(html, "utf-8")
    subprocess.run(
        [
            browser,
            *BARE,
            f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={folder / 'page.pdf'}",
            str(folder / "page.html"),
        ],
        capture_output=True,
        check=False,
        timeout=120,
    )
    return len(pypdfium2.PdfDocument(folder / "page.pdf"))


def test_the_card_prints_on_one_sheet(tmp_path: Path, browser: str):
    many = tuple(
        f"{n} test examples have a twin in the training examples, which makes it look better" for n in range(6)
    )
    known = CARD.evaluation.model_copy(update={"warnings": many})
    assert printed(card_html(replace(CARD, evaluation=known)), tmp_path, browser) == 1


@pytest.fixture(scope="module")
def browser() -> str:
    """A browser that prints."""
    import shutil

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine")
    return found
