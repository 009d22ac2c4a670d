"""Passes events on to the analytics stream.

As yet it checks each event and logs it, the same as all jobs: a stand-in until the job gets its own work.
"""

import json
from typing import Any


def handler(batch: dict[str, Any], _context: object) -> dict[str, list[dict[str, str]]]:
    """Take a batch from the queue; name the events that failed, so that only those come again."""
    failed = []
    for record in batch["Records"]:
        try:
            event = accept(json.loads(record["body"]))
            print(json.dumps({"level": "info", "message": "event accepted", **event}))
        except (ValueError, RecursionError) as error:
            failed.append({"itemIdentifier": record["messageId"]})
            print(json.dumps({"level": "error", "message": str(error), "message_id": record["messageId"]}))
    return {"batchItemFailures": failed}


def accept(event: Any) -> dict[str, str | int]:
    """What is logged of an event; raises ValueError when it is none that this code understands."""
    if not isinstance(event, dict):
        raise ValueError("an event is a JSON object")
    for field in ("id", "type"):
        if not isinstance(event.get(field), str) or not event[field]:
            raise ValueError(f"an event has a text as its {field}")
    if type(event.get("version")) is not int or event["version"] != 1:
        raise ValueError("this code understands version 1 only")
    return {field: event[field] for field in ("id", "type", "version")}
