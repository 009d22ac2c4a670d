"""The few words that a telephone shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.events import Event, Refused

WORDS = {
    "order.placed": ("Thank you", "We have your order {number}."),
    "order.shipped": ("On its way", "Your order {number} has left."),
}


@dataclass(frozen=True)
class Message:
    """What is pushed to each device of a customer."""

    subject: str
    text: str


def compose(event: Event, document: Mapping[str, Any]) -> Message:
    """The message for an event; raises Refused when there is nothing to say about it."""
    if event.type not in WORDS:
        raise Refused(f"nobody is told about {event.type}")
    if not isinstance(document, Mapping) or not isinstance(document.get("order"), Mapping):
        raise Refused("not the document of an order")
    subject, text = WORDS[event.type]
    return Message(subject, text.format(number=event.ids["order_id"][:8]))
