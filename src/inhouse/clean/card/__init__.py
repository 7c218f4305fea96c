"""What a dataset version is fit for, in five lines, and the data card that goes with it."""

from inhouse.clean.card.contents import Card, Change, make_card
from inhouse.clean.card.fitness import fit_for, next_step
from inhouse.clean.card.pages import as_html, as_markdown

__all__ = ["Card", "Change", "as_html", "as_markdown", "fit_for", "make_card", "next_step"]
