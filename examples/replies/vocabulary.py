"""The words of the replies example: who writes, what about, and how the house answers."""

from typing import NamedTuple


class Subject(NamedTuple):
    """What a mail is about: its name in the letter, ways to ask, names of facts, the answer, if it complains."""

    title: str
    asked: tuple[str, ...]
    facts: tuple[str, ...]
    answer: tuple[str, ...]  # its sentences; {names} are facts
    complaint: bool


SUBJECTS = {
    "delay": Subject(
        "your delivery",
        (
            "my order {order} was to be here last week and NOTHING has come. Where is it??",
            "could you tell me when order {order} arrives? I have been waiting for days.",
            "still no parcel. Order number is {order}. This is getting annoying.",
        ),
        ("order", "product", "delivery date", "carrier"),
        (
            "Your {product} of order {order} is with {carrier}.",
            "It will be delivered on {delivery date}.",
        ),
        True,
    ),
    "refund": Subject(
        "your refund",
        (
            "I sent back the item from order {order} ages ago and have not seen my money.",
            "when do I get my refund for order {order}? Please hurry.",
            "returned order {order}, no refund yet, why does this take so long?",
        ),
        ("order", "product", "amount", "paid by"),
        (
            "We received the {product} of order {order}.",
            "You will have {amount} back on your account by {paid by}.",
        ),
        True,
    ),
    "damage": Subject(
        "your damaged item",
        (
            "the thing I ordered ({order}) arrived broken!!! I want a new one.",
            "order {order} came with a big scratch. What can be done about it?",
            "unpacked my parcel today, it is damaged. Order {order}.",
        ),
        ("order", "product", "replacement sent", "return label"),
        (
            "A new {product} for order {order} leaves our house on {replacement sent}.",
            "Send the damaged one back with label {return label}; this costs you nothing.",
        ),
        True,
    ),
    "service": Subject(
        "your service appointment",
        (
            "the brakes squeak, I need somebody to look at it. My contract is {contract}.",
            "I would like to have my bike serviced, contract number {contract}.",
            "hi, service please! Contract {contract}. Mornings are best.",
        ),
        ("contract", "bike", "appointment", "workshop"),
        (
            "We have planned the service of your {bike} under contract {contract}.",
            "Please bring it to {workshop} on {appointment}.",
        ),
        False,
    ),
    "price": Subject(
        "your quotation",
        (
            "what would it cost to lease for our office? Reference {reference}.",
            "could you send me a price, my reference is {reference}.",
            "how much for the one we talked about on the phone? Ref {reference}",
        ),
        ("reference", "product", "price", "valid until"),
        (
            "For the {product} under reference {reference} our price is {price}.",
            "The quotation is valid until {valid until}.",
        ),
        False,
    ),
}

PRODUCTS = (
    "city bike Halma 3", "cargo bike Dreven", "folding bike Pim", "child seat Loft", "battery pack 500", "helmet Vire",
    "pannier set Oste", "e-bike Tarn", "lock Kette 85", "light set Lumo",
)  # fmt: skip
BIKES = tuple(product for product in PRODUCTS if "bike" in product)
CARRIERS = ("Postwaard", "Kurierdienst Elmau", "Parcelhaven")
WORKSHOPS = ("our workshop in Oosterlek", "our workshop in Niederau", "our workshop in Calderwick")
TITLES = (
    ("Ms", "Oudeland"), ("Mr", "Larkhill"), ("Ms", "Tiesing"), ("Mr", "Hoogwolde"), ("Ms", "Quintmoor"),
    ("Mr", "Moorkamp"), ("Ms", "Wiltenaar"), ("Mr", "Dijkerman"), ("Ms", "Zandlust"), ("Mr", "Overstege"),
)  # fmt: skip
FIRST = {"Ms": ("Fenna", "Lotte", "Grace", "Nora"), "Mr": ("Bram", "Daniel", "Pieter", "Jonas")}
OPENINGS = ("Hello,", "Hi there,", "Good morning,", "To whom it may concern,", "")
ENDINGS = ("Thanks", "Regards", "Greetings", "Sent from my phone", "Bye")
ANGRY = ("I am very disappointed.", "This is the second time.", "I expected better of you.")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
# What the house never writes; the faults have it.
FORBIDDEN = ("Unfortunately, this took a while.", "No worries!", "We will come back to you ASAP.")
