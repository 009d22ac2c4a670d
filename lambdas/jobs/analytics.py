"""What the analytics keep of an event: ids and times, nothing about a person."""

from __future__ import annotations

import json

from jobs.events import Event


def record(event: Event) -> bytes:
    """One line of JSON, the same for each delivery of the event: a query keeps one line for each `id`."""
    facts = {"id": event.id, "type": event.type, "at": event.at, "version": event.version, **event.ids}
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode() + b"\n"
