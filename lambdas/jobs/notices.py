"""What the mail provider tells about a mail, in a message of its own, some time after it was sent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from jobs.events import Refused

TAG = "event_id"  # sent with a mail, and comes back with each notice about it


@dataclass(frozen=True)
class Notice:
    """Whatever the kind, the mail was accepted. `unwanted` are addresses that cannot be reached, or complain."""

    kind: str
    event: str | None
    unwanted: tuple[str, ...]


def read(body: str) -> Notice | None:
    """None when the message is not from the provider; raises Refused when it is, and says nothing about a mail."""
    try:
        facts = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or facts.get("source") != "aws.ses":
        return None
    try:
        told = facts["detail"]
        kind, unwanted = told["eventType"], []
        # Other bounces pass, such as a full mailbox.
        if kind == "Bounce" and told["bounce"]["bounceType"] == "Permanent":
            unwanted = told["bounce"]["bouncedRecipients"]
        elif kind == "Complaint" and told["complaint"].get("complaintFeedbackType") != "not-spam":
            unwanted = told["complaint"]["complainedRecipients"]
        # Mail that was sent by others has no such tag.
        [event] = told["mail"].get("tags", {}).get(TAG, [None])
        return Notice(str(kind), event and str(event), tuple(str(who["emailAddress"]) for who in unwanted))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused(f"not a notice about a mail: {error!r}") from None
