"""Tells each device of a customer about an order, at most once.

Unlike with mail, nobody says later whether a push was taken. So what is unknown is set aside as soon as it is found,
after the customer's other devices had theirs.
"""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from jobs import notification
from jobs.aws import CONNECT_SECONDS, READ_SECONDS, client, never_accepted
from jobs.batch import Message, document, for_each_message, logger
from jobs.events import Event, Later, Refused
from jobs.ledger import MARGIN_SECONDS, Ledger, Unknown

# The device is not there any more, or does not want to hear.
GONE = {"EndpointDisabled", "NotFound", "InvalidParameter", "PlatformApplicationDisabled"}

ledger = Ledger("notification")


def attend(message: Message) -> None:
    event = message.event()
    facts = document(event)
    push = notification.compose(event, facts)
    later: Later | None = None
    unknown = 0
    for device in devices(facts):
        try:
            tell(device, push, event, message)
        except Unknown:
            unknown += 1
        except Later as reason:
            later = reason
    if later is not None:
        raise later
    if unknown:
        raise Refused(f"unknown: {unknown} of {len(facts['devices'])} devices may have been told")


def tell(device: str, push: notification.Message, event: Event, message: Message) -> None:
    """Has a row for each device, so that one that is in doubt does not keep the others from it."""
    key = f"{event.id}#{hashlib.sha256(device.encode()).hexdigest()[:16]}"
    attempt = ledger.begin(key, message.seconds_left())
    if attempt is None:
        return
    if message.seconds_left() < CONNECT_SECONDS + READ_SECONDS:
        ledger.not_sent(key, attempt)
        raise Later("too little time left to push")
    try:
        # One attempt: botocore would ask again after a lost answer, and so push twice.
        client("sns", attempts=1).publish(TargetArn=device, Subject=push.subject, Message=push.text)
    except (ClientError, BotoCoreError) as error:
        if not never_accepted(error):
            raise Later(f"no clear answer: {error!r}", message.seconds_left() + MARGIN_SECONDS) from error
        ledger.not_sent(key, attempt)
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in GONE:
            logger.warning("skipped: a device is gone", reason=error.response["Error"]["Code"])
            return
        raise Later(f"not taken: {error!r}") from error
    ledger.sent(key)


def devices(facts: Any) -> list[str]:
    found = facts.get("devices")
    if not isinstance(found, list) or not all(isinstance(device, str) for device in found):
        raise Refused("the document does not say which devices")
    return found


handler = for_each_message(attend)
