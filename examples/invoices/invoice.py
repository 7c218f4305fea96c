"""An invoice, its sums, and how its supplier writes dates and money."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import vocabulary as v


@dataclass(frozen=True)
class Item:
    """One line of an invoice; the quantity is in halves, so that half hours stay whole numbers."""

    description: str
    halves: int
    price: int
    hours: bool

    @property
    def cents(self) -> int:
        """The amount of the line."""
        return self.halves * self.price // 2


@dataclass(frozen=True)
class Habits:
    """What a supplier keeps from one invoice to the next, beside what the table of suppliers says."""

    labels: dict[str, str]
    date_form: str
    money_form: str
    account: str
    tax_id: str


@dataclass(frozen=True)
class Invoice:
    """One invoice. `note`, `order` and `customer` are what stands around the facts; each may be empty."""

    supplier: v.Supplier
    habits: Habits
    number: str
    day: date
    items: tuple[Item, ...]
    note: str = ""
    order: str = ""
    customer: str = ""

    @property
    def net(self) -> int:
        """The sum of the lines, in cents."""
        return sum(item.cents for item in self.items)

    @property
    def tax(self) -> int:
        """The tax in cents, rounded half up."""
        return (self.net * self.supplier.rate + 500) // 1000

    @property
    def total(self) -> int:
        """What is to be paid, in cents."""
        return self.net + self.tax

    @property
    def due(self) -> date:
        """The day by which to pay."""
        return self.day + timedelta(days=30)

    def label(self, name: str) -> str:
        """What the supplier calls a field."""
        return self.habits.labels[name]


def written_date(invoice: Invoice, day: date) -> str:
    """A day as the supplier writes it."""
    month = v.MONTHS[invoice.supplier.lang][day.month - 1]
    return invoice.habits.date_form.format(
        d=f"{day.day:02d}", j=day.day, m=f"{day.month:02d}", month=month, mon=month[:3], y=day.year, yy=f"{day:%y}"
    )


def figures(invoice: Invoice, cents: int) -> str:
    """A sum without its currency: `1.234,50`."""
    supplier = invoice.supplier
    thousands, point = v.NUMBER_FORMS.get(supplier.country) or v.NUMBER_FORMS[supplier.lang]
    return f"{cents // 100:,}".replace(",", thousands) + f"{point}{cents % 100:02d}"


def money(invoice: Invoice, cents: int) -> str:
    """A sum with its currency: `€ 1.234,50`."""
    return invoice.habits.money_form.format(figures(invoice, cents))


def quantity(invoice: Invoice, item: Item) -> str:
    """A quantity: `3` or `2,5`."""
    return str(item.halves // 2) if item.halves % 2 == 0 else figures(invoice, item.halves * 50)[:-1]


def rate(invoice: Invoice) -> str:
    """The rate of the tax: `21%`, in German and French with a space."""
    whole, tenth = divmod(invoice.supplier.rate, 10)
    number = f"{whole}" if not tenth else figures(invoice, whole * 100 + tenth * 10)[:-1]
    return f"{number} %" if invoice.supplier.lang in ("de", "fr") else f"{number}%"


def fields(invoice: Invoice) -> dict[str, Any]:
    """The facts of an invoice: what the task asks for."""
    return {
        "supplier": invoice.supplier.name,
        "invoice_number": invoice.number,
        "date": invoice.day.isoformat(),
        "currency": invoice.supplier.currency,
        "total": invoice.total / 100,
        "vat": invoice.tax / 100,
        "items": [
            {
                "description": item.description,
                "quantity": item.halves / 2 if item.halves % 2 else item.halves // 2,
                "amount": item.cents / 100,
            }
            for item in invoice.items
        ],
    }
