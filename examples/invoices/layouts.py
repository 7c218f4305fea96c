"""Ten ways in which suppliers arrange the page of an invoice.

A page is a list of rows, a row the cells that stand beside each other; an empty row is white space. ``text`` gives the
page as text extraction does, ``pdf.py`` draws it.
"""

from collections.abc import Callable
from typing import TypeAlias

import vocabulary as v
from invoice import Invoice, Item, figures, money, quantity, rate, written_date

Row: TypeAlias = tuple[str, ...]
Page: TypeAlias = list[Row]
Layout: TypeAlias = Callable[[Invoice], Page]

BLANK: Row = ()
# What stands between two cells of a row, where it is not a single space.
GAPS = {"letterhead": "  ", "window": "   ", "stacked": "  ", "receipt": "    "}


def text(page: Page, layout: str) -> str:
    """A page as text."""
    return "\n".join(GAPS.get(layout, " ").join(row) for row in page)


# --------------------------------------------------------------------------- parts of a page


def labelled(invoice: Invoice, *names: str) -> Page:
    """Lines such as `Date: 14.03.2026`; those without a value are left out."""
    values = field_values(invoice)
    return [(f"{invoice.label(name)}: {values[name]}",) for name in names if values[name]]


def field_values(invoice: Invoice) -> dict[str, str]:
    """The values of the head of an invoice as written, by the name of their label."""
    return {
        "number": invoice.number,
        "date": written_date(invoice, invoice.day),
        "customer": invoice.customer,
        "order": invoice.order,
        "due": written_date(invoice, invoice.due),
    }


def tax_label(invoice: Invoice) -> str:
    """The tax with its rate: `Btw 21%`."""
    return f"{invoice.label('vat')} {rate(invoice)}"


def totals(invoice: Invoice) -> Page:
    """Net sum, tax and total, one below the other."""
    return [
        (invoice.label("net"), figures(invoice, invoice.net)),
        (tax_label(invoice), figures(invoice, invoice.tax)),
        (invoice.label("total"), money(invoice, invoice.total)),
    ]


def columns(invoice: Invoice, *names: str) -> Row:
    """The heads of a table."""
    return tuple(invoice.label(name) for name in names)


def address(invoice: Invoice) -> Page:
    """The supplier with street and town, a line each."""
    supplier = invoice.supplier
    return [(supplier.name,), (supplier.street,), (supplier.city,)]


def buyer(invoice: Invoice) -> Page:
    """The buyer with street and town, a line each."""
    return [(line,) for line in v.BUYERS[invoice.supplier.lang]]


def bank(invoice: Invoice) -> str:
    """The account to pay to."""
    return f"{invoice.label('bank')} {invoice.habits.account}"


def tax_id(invoice: Invoice) -> str:
    """The supplier's tax number."""
    return f"{invoice.label('tax_id')} {invoice.habits.tax_id}"


def note(invoice: Invoice) -> Page:
    """The closing note, if there is one."""
    return [(invoice.note,)] if invoice.note else []


def unit(invoice: Invoice, item: Item) -> str:
    """Pieces or hours."""
    return invoice.label("hours" if item.hours else "pieces")


# --------------------------------------------------------------------------- the ten layouts


def letterhead(invoice: Invoice) -> Page:
    """Supplier on top, labelled lines, a table with heads, totals below it."""
    rows = [
        (item.description, quantity(invoice, item), figures(invoice, item.price), figures(invoice, item.cents))
        for item in invoice.items
    ]
    return [
        *address(invoice),
        BLANK,
        (invoice.label("title"),),
        *labelled(invoice, "number", "date", "customer", "order"),
        (f"{invoice.label('bill_to')}: {v.BUYERS[invoice.supplier.lang][0]}",),
        BLANK,
        columns(invoice, "description", "quantity", "price", "amount"),
        *rows,
        *totals(invoice),
        BLANK,
        *note(invoice),
        (f"{bank(invoice)} - {tax_id(invoice)}",),
    ]


def label_row(invoice: Invoice) -> Page:
    """The labels of the head in one row, the values in the next; so for the totals."""
    values = field_values(invoice)
    names = [name for name in ("customer", "number", "date", "due") if values[name]]
    rows = [(item.description, quantity(invoice, item), figures(invoice, item.cents)) for item in invoice.items]
    return [
        (invoice.supplier.name,),
        (f"{invoice.supplier.street}, {invoice.supplier.city}",),
        (invoice.label("title"),),
        *buyer(invoice),
        columns(invoice, *names),
        tuple(values[name] for name in names),
        columns(invoice, "description", "quantity", "amount"),
        *rows,
        (invoice.label("net"), tax_label(invoice), invoice.label("total")),
        (figures(invoice, invoice.net), figures(invoice, invoice.tax), money(invoice, invoice.total)),
        (bank(invoice),),
        (tax_id(invoice),),
        *note(invoice),
    ]


def window(invoice: Invoice) -> Page:
    """For a window envelope: the supplier in one small line above the buyer; quantity first in the table."""
    supplier = invoice.supplier
    rows = [
        (quantity(invoice, item), item.description, figures(invoice, item.price), figures(invoice, item.cents))
        for item in invoice.items
    ]
    return [
        (f"{supplier.name} · {supplier.street} · {supplier.city}",),
        *buyer(invoice),
        BLANK,
        *labelled(invoice, "date", "customer"),
        (f"{invoice.label('number')} {invoice.number}",),
        BLANK,
        columns(invoice, "quantity", "description", "price", "amount"),
        *rows,
        BLANK,
        *totals(invoice),
        *note(invoice),
        (bank(invoice),),
        (tax_id(invoice),),
    ]


def plain_list(invoice: Invoice) -> Page:
    """No table: `3 x description` and the amount; the total comes before the tax that it holds."""
    rows = [(f"{quantity(invoice, item)} x {item.description}", money(invoice, item.cents)) for item in invoice.items]
    return [
        (f"{invoice.label('title')} {invoice.number}",),
        (invoice.supplier.name,),
        (f"{invoice.supplier.street}, {invoice.supplier.city}",),
        *labelled(invoice, "date", "order"),
        (f"{invoice.label('bill_to')}: {', '.join(v.BUYERS[invoice.supplier.lang])}",),
        *rows,
        (invoice.label("total"), money(invoice, invoice.total)),
        (tax_label(invoice), money(invoice, invoice.tax)),
        *note(invoice),
        (bank(invoice),),
        (tax_id(invoice),),
    ]


def positions(invoice: Invoice) -> Page:
    """Numbered positions with units; buyer first, supplier beside the title."""
    rows = [
        (
            f"{number}",
            item.description,
            f"{quantity(invoice, item)} {unit(invoice, item)}",
            figures(invoice, item.price),
            figures(invoice, item.cents),
        )
        for number, item in enumerate(invoice.items, start=1)
    ]
    return [
        *buyer(invoice),
        (invoice.label("title"), invoice.supplier.name),
        *labelled(invoice, "customer", "number", "order", "date", "due"),
        columns(invoice, "position", "description", "quantity", "price", "amount"),
        *rows,
        *totals(invoice),
        (f"{invoice.supplier.name}, {invoice.supplier.street}, {invoice.supplier.city}",),
        (bank(invoice), tax_id(invoice)),
    ]


def stacked(invoice: Invoice) -> Page:
    """Each line of the invoice in two rows: the description, then the sum as it is worked out."""
    rows: Page = []
    for item in invoice.items:
        worked_out = f"{quantity(invoice, item)} {unit(invoice, item)} x {figures(invoice, item.price)}"
        rows += [(item.description,), (worked_out, figures(invoice, item.cents))]
    values = field_values(invoice)
    return [
        (invoice.supplier.name, invoice.label("title")),
        (invoice.supplier.street, f"{invoice.label('number')} {invoice.number}"),
        (invoice.supplier.city, f"{invoice.label('date')} {values['date']}"),
        (tax_id(invoice),),
        BLANK,
        *buyer(invoice),
        BLANK,
        *rows,
        BLANK,
        *totals(invoice),
        *note(invoice),
        (bank(invoice),),
    ]


def footer(invoice: Invoice) -> Page:
    """The supplier's name stands in the footer only."""
    rows = [(item.description, quantity(invoice, item), figures(invoice, item.cents)) for item in invoice.items]
    return [
        (invoice.label("title"),),
        *labelled(invoice, "number", "date", "due", "customer"),
        *buyer(invoice),
        columns(invoice, "description", "quantity", "amount"),
        *rows,
        *totals(invoice),
        *note(invoice),
        BLANK,
        (f"{invoice.supplier.name} | {invoice.supplier.street} | {invoice.supplier.city}",),
        (f"{bank(invoice)} | {tax_id(invoice)}",),
    ]


def totals_first(invoice: Invoice) -> Page:
    """What is to be paid stands on top; the lines that explain it follow."""
    rows = [
        (item.description, f"{quantity(invoice, item)} {unit(invoice, item)}", figures(invoice, item.cents))
        for item in invoice.items
    ]
    values = field_values(invoice)
    return [
        (invoice.supplier.name,),
        (f"{invoice.label('title')} {invoice.number}", values["date"]),
        (invoice.label("total"), money(invoice, invoice.total)),
        (invoice.label("due"), values["due"]),
        (bank(invoice),),
        BLANK,
        *buyer(invoice),
        BLANK,
        columns(invoice, "description", "quantity", "amount"),
        *rows,
        (invoice.label("net"), figures(invoice, invoice.net)),
        (tax_label(invoice), figures(invoice, invoice.tax)),
        BLANK,
        (f"{invoice.supplier.street}, {invoice.supplier.city}",),
        (tax_id(invoice),),
    ]


def letter(invoice: Invoice) -> Page:
    """A letter: the lines in a list, the sums in a sentence, the supplier's name as the signature too."""
    words = v.LETTER[invoice.supplier.lang]
    values = field_values(invoice)
    sums = words["sum"].format(
        net=money(invoice, invoice.net),
        rate=rate(invoice),
        vat=invoice.label("vat"),
        tax=money(invoice, invoice.tax),
        total=money(invoice, invoice.total),
    )
    rows = [
        (f"- {item.description} ({quantity(invoice, item)}): {money(invoice, item.cents)}",) for item in invoice.items
    ]
    return [
        *address(invoice),
        BLANK,
        *buyer(invoice),
        BLANK,
        (values["date"],),
        (f"{invoice.label('number')} {invoice.number}",),
        BLANK,
        (words["greeting"],),
        (words["opening"],),
        *rows,
        (sums,),
        (words["paying"].format(due=values["due"], bank=bank(invoice)),),
        BLANK,
        (words["closing"],),
        (invoice.supplier.name,),
        (tax_id(invoice),),
    ]


def receipt(invoice: Invoice) -> Page:
    """Narrow as from a till: quantity and price below the description, number and date at the bottom."""
    rows: Page = []
    for item in invoice.items:
        sum_of_line = figures(invoice, item.cents)
        rows += [(item.description,), (f"{quantity(invoice, item)} @ {figures(invoice, item.price)}", sum_of_line)]
    values = field_values(invoice)
    rule = ("-" * 32,)
    return [
        *address(invoice),
        (tax_id(invoice),),
        rule,
        *rows,
        rule,
        (invoice.label("net"), figures(invoice, invoice.net)),
        (invoice.label("total").upper(), money(invoice, invoice.total)),
        (tax_label(invoice), figures(invoice, invoice.tax)),
        rule,
        (v.BUYERS[invoice.supplier.lang][0],),
        (f"{invoice.label('number')} {invoice.number}", values["date"]),
        *note(invoice),
    ]


LAYOUTS: dict[str, Layout] = {
    "letterhead": letterhead,
    "label row": label_row,
    "window": window,
    "plain list": plain_list,
    "positions": positions,
    "stacked": stacked,
    "footer": footer,
    "totals first": totals_first,
    "letter": letter,
    "receipt": receipt,
}
