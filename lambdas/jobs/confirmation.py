"""The letter that confirms an order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr
from typing import Any

from jobs.events import Refused

# What a mail server would take for one address and nothing else.
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
LONGEST_ADDRESS = 254
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Letter:
    """What is sent, and to whom. Recipient and subject become headers: neither holds a line break."""

    recipient: str
    name: str
    subject: str
    text: str

    @property
    def mailbox(self) -> str:
        """The recipient with the name, as a header holds it: quoted, or encoded if it is not ASCII (RFC 2047)."""
        if self.name.isascii():
            return formataddr((self.name, self.recipient))
        return f"{Header(self.name, 'utf-8', maxlinelen=75).encode(linesep='')} <{self.recipient}>"


def compose(document: Mapping[str, Any]) -> Letter:
    """The letter for an order's document; raises Refused when it is none, or would smuggle in a header."""
    try:
        order, customer = document["order"], document["customer"]
        recipient, name, number = customer["email"], customer["name"], order["id"]
        lines = [(line["name"], int(line["quantity"]), int(line["price_cents"])) for line in order["lines"]]
        total = int(order["total_cents"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"not the document of an order: {error!r}") from None
    if not isinstance(recipient, str) or len(recipient) > LONGEST_ADDRESS or not ADDRESS.fullmatch(recipient):
        raise Refused("the customer's address is not one e-mail address")
    for text in (name, number, *(what for what, _, _ in lines)):
        if not isinstance(text, str) or CONTROL.search(text):
            raise Refused("a name in the order holds a line break or another control character")
    bought = "\n".join(f"{quantity} x {what}, {_money(quantity * cents)}" for what, quantity, cents in lines)
    text = (
        f"Dear {name},\n\nthank you. This is what you bought:\n\n{bought}\n\nTotal: {_money(total)}\nOrder: {number}\n"
    )
    return Letter(recipient, name, f"Your order {number[:8]}", text)


def _money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02}"
