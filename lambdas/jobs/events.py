"""What happened, as one piece of JSON: ids only. What a job must know beyond them lies in the files bucket."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

VERSION = 1
# The ids that each type of event carries.
TYPES = {
    "order.placed": ("order_id",),
    "order.shipped": ("order_id",),
    "product.changed": ("product_id",),
    "product.viewed": ("product_id",),
    "image.uploaded": ("product_id", "image_id"),
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NUMBER = re.compile(r"[0-9]{1,19}")
TRACE = re.compile(r"[ -~]{0,256}")


class Refused(Exception):
    """No attempt will ever succeed; the text says why, for whoever looks at what was set aside."""


class Later(Exception):
    """Not now; nothing is wrong, and nothing has to be tried before so many seconds have passed."""

    def __init__(self, reason: str, seconds: float = 0) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True)
class Event:
    """Something that happened, once. The same id always means the same event."""

    id: str
    type: str
    ids: dict[str, str]
    at: str
    trace: str = ""
    version: int = field(default=VERSION)

    @property
    def document_key(self) -> str:
        """Where in the files bucket the facts of this event lie, if it has any."""
        return f"events/{self.id}.json"


def happened(kind: str, *, trace: str = "", **ids: object) -> Event:
    """A new event of a known type, with exactly the ids of that type."""
    if set(ids) != set(TYPES[kind]):
        raise ValueError(f"{kind} carries {TYPES[kind]}, not {tuple(ids)}")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Event(
        id=str(uuid.uuid4()), type=kind, ids={name: str(value) for name, value in ids.items()}, at=now, trace=trace
    )


def encode(event: Event) -> str:
    """One line of JSON, the same bytes for the same event."""
    facts = {"id": event.id, "type": event.type, "version": event.version, "at": event.at, "trace": event.trace}
    return json.dumps({**facts, **event.ids}, sort_keys=True, separators=(",", ":"))


def decode(text: str) -> Event:
    """The event of a message; raises Refused for anything that this code does not understand."""
    try:
        facts: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(facts, dict):
        raise Refused("not a JSON object")
    if type(facts.get("version")) is not int:
        raise Refused("version is not a whole number")
    if facts["version"] != VERSION:
        raise Refused(f"version {facts['version']}; this code understands {VERSION} only")
    for name in ("id", "type", "at"):
        if not isinstance(facts.get(name), str):
            raise Refused(f"{name} is not a text")
    if not UUID.fullmatch(facts["id"]):
        raise Refused("id is not a UUID")
    try:
        datetime.fromisoformat(facts["at"])
    except ValueError:
        raise Refused("at is not a time") from None
    if facts["type"] not in TYPES:
        raise Refused(f"unknown type {facts['type'][:50]!r}")
    ids = {}
    for name in TYPES[facts["type"]]:
        value = facts.get(name)
        # Ids become parts of keys in a bucket, so they are looked at before anything else is done.
        if not isinstance(value, str) or not (UUID.fullmatch(value) or NUMBER.fullmatch(value)):
            raise Refused(f"{name} is not an id")
        ids[name] = value
    trace = facts.get("trace")
    # It goes into the log, and no event is refused for it.
    known = trace if isinstance(trace, str) and TRACE.fullmatch(trace) else ""
    return Event(facts["id"], facts["type"], ids, facts["at"], known)
