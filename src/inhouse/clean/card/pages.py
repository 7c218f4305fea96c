"""A card as Markdown and as one HTML file that asks for nothing, runs no script, and can be read aloud.

Every chart is a table with a bar in each row, so the numbers stand beside what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from inhouse.clean.card.contents import Card, Chart
from inhouse.core import SPLITS

_COLOURS = ("#2a78b5", "#d9822b", "#7d8792")
_BLOCKS = 20
_CSS = """
.bar { display: block; width: 100%; min-width: 5rem; height: .9rem; }
.chart th[scope="row"] { width: 34%; font-weight: 400; }
.chart td.n { width: 11%; }
th[scope="col"] { overflow-wrap: normal; }
.dot { display: inline-block; width: .8rem; height: .8rem; margin: 0 .35rem 0 1rem; border-radius: 2px; }
"""
_CHECK_HEAD = ("check", "errors", "warnings", "notes", "examples", "can be applied without a look")
_VERSION_HEAD = ("version", "made by", "examples", "what changed", "when")
_NOT_LOOKED = "Nobody has looked yet: `inhouse clean` does."
_NOTHING = "Nothing was found."
_NO_TEXT = "This card holds counts and names of labels, fields and files, and no text of an example."


def as_markdown(card: Card) -> str:
    """The card in Markdown (GitHub's tables)."""
    parts = [f"# {_plain(card.task)}: data card of version {card.number}", _about(card), "## Fit for", _bullets(card)]
    for chart in card.charts:
        parts += [f"## {chart.title}", *([chart.note] if chart.note else []), _markdown_chart(chart)]
    parts += ["## Findings", _table(_CHECK_HEAD, _check_rows(card)) if card.checks else _found_nothing(card)]
    parts += ["## Versions", _table(_VERSION_HEAD, _version_rows(card)), _NO_TEXT]
    return "\n\n".join(parts) + "\n"


def as_html(card: Card, style: str) -> str:
    """The card as HTML; `style` is the CSS that reports share."""
    title = escape(f"{card.task}: data card of version {card.number}")
    body = [
        f'<header><h1>{title}</h1><p class="sub">{escape(_about(card))}</p></header>\n<main>',
        f"<h2>Fit for</h2>\n<ul>{''.join(f'<li>{_with_code(line)}</li>' for line in card.lines)}</ul>",
    ]
    body += [_html_chart(chart) for chart in card.charts]
    body.append("<h2>Findings</h2>")
    body.append(
        _html_table(_CHECK_HEAD, _check_rows(card), "Findings by check", numbers=(1, 2, 3, 4, 5))
        if card.checks
        else f"<p>{_with_code(_found_nothing(card))}</p>"
    )
    versions = _html_table(_VERSION_HEAD, _version_rows(card), "Versions, the newest first", numbers=(2,))
    body.append(f'<h2>Versions</h2>\n{versions}\n<p class="note">{_NO_TEXT}</p>\n</main>')
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n<title>{title}</title>\n<style>\n{style}{_CSS}</style>\n</head>'
    )
    page = f"{head}\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    return page.encode("utf-8", "replace").decode("utf-8")


def _about(card: Card) -> str:
    return f"Task of the kind {card.kind} · fingerprint {card.fingerprint} · card made {card.created_at}"


def _found_nothing(card: Card) -> str:
    return _NOTHING if card.looked else _NOT_LOOKED


def _bullets(card: Card) -> str:
    return "\n".join(f"- {_plain(line)}" for line in card.lines)


def _check_rows(card: Card) -> list[tuple[str, ...]]:
    return [
        (c.check.replace("_", " "), *(f"{n:,}" for n in (c.error, c.warning, c.info, c.examples, c.safe)))
        for c in card.checks
    ]


def _version_rows(card: Card) -> list[tuple[str, ...]]:
    return [
        (str(v.number), v.reason, f"{v.examples:,}", v.change, v.created_at[:16].replace("T", " "))
        for v in reversed(card.versions)
    ]


# --- Markdown


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\*_[]<>|#" else c for c in line)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_chart(chart: Chart) -> str:
    most = max(sum(counts) for _, counts in chart.rows) or 1
    rows = [
        (name, "█" * max(round(_BLOCKS * sum(counts) / most), sum(counts) > 0), *_numbers(chart, counts))
        for name, counts in chart.rows
    ]
    return _table((chart.what, "", *_number_head(chart)), rows)


def _number_head(chart: Chart) -> tuple[str, ...]:
    return ("examples", *SPLITS) if chart.split else ("examples",)


def _numbers(chart: Chart, counts: Sequence[int]) -> list[str]:
    """What stands beside a bar, below `_number_head`."""
    return [f"{n:,}" for n in ((sum(counts), *counts) if chart.split else (sum(counts),))]


# --- HTML


def _with_code(text: str) -> str:
    """Text, escaped, with what stands between backticks as code."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:  # one that has no other half
        return escape(text)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _html_chart(chart: Chart) -> str:
    most = max(sum(counts) for _, counts in chart.rows) or 1
    legend = "".join(
        f'<span class="dot" style="background:{colour}"></span>{split}'
        for split, colour in zip(SPLITS, _COLOURS, strict=True)
    )
    head = "".join(f'<th scope="col" class="n">{name}</th>' for name in _number_head(chart))
    rows = "\n".join(
        f'<tr><th scope="row" dir="auto">{escape(name)}</th><td>{_bar(counts, most)}</td>'
        + "".join(f'<td class="n">{n}</td>' for n in _numbers(chart, counts))
        + "</tr>"
        for name, counts in chart.rows
    )
    note = f'<p class="note">{escape(chart.note)}</p>\n' if chart.note else ""
    return (
        f'<h2>{escape(chart.title)}</h2>\n{note}<p class="legend" aria-hidden="true">{legend}</p>\n'
        f'<table class="chart"><thead><tr><th scope="col">{escape(chart.what)}</th><td></td>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>"
    )


def _bar(counts: Sequence[int], most: int) -> str:
    """The counts, side by side; what is drawn stands beside it in numbers."""
    drawn, place = [], 0.0
    for number, colour in zip(counts, _COLOURS, strict=True):
        width = 100 * number / most
        if number:
            drawn.append(f'<rect x="{place:.2f}" width="{max(width, 0.4):.2f}" height="10" fill="{colour}"/>')
        place += width
    return f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(drawn)}</svg>'


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str]], label: str, *, numbers: Sequence[int]) -> str:
    def cell(place: int, text: str) -> str:
        if place == 0:
            return f'<th scope="row">{escape(text)}</th>'
        return f'<td{classes[place]} dir="auto">{escape(text)}</td>'

    classes = [' class="n"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(classes, head, strict=True))
    body = "\n".join(f"<tr>{''.join(cell(i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    return f'<table aria-label="{escape(label)}"><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'
