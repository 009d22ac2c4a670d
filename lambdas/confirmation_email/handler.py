"""Confirms a placed order by mail, at most once, and hears from the provider what became of it.

The provider's notices come through the same queue. They settle what nobody knows after a crash or a lost answer, and
tell which addresses want no more mail.
"""

from __future__ import annotations

import os
import random
from time import sleep

from botocore.exceptions import BotoCoreError, ClientError

from jobs import confirmation, notices
from jobs.aws import CONNECT_SECONDS, READ_SECONDS, client, never_accepted
from jobs.batch import Message, count, document, for_each_message, logger
from jobs.confirmation import Letter
from jobs.events import Event, Later, Refused
from jobs.ledger import MARGIN_SECONDS, Ledger, Unknown

SEND_SECONDS = CONNECT_SECONDS + READ_SECONDS
# The queue gives up after the fifth attempt and says no reason, so the fourth is the last that can.
LAST_ATTEMPT = 4
PAUSE_SECONDS = 900
TOO_FAST = {"TooManyRequestsException", "ThrottlingException", "Throttling"}
# About us and not about the letter: every further one would be refused as well.
STOPPED = {
    "LimitExceededException",
    "AccountSuspendedException",
    "SendingPausedException",
    "MailFromDomainNotVerifiedException",
    "NotFoundException",
}
ABOUT_THE_LETTER = {"MessageRejected", "BadRequestException"}

ledger = Ledger("confirmation_email")


def attend(message: Message) -> None:
    notice = notices.read(message.body)
    if notice is None:
        confirm(message.event(), message)
        return
    logger.append_keys(event=notice.event, type=f"mail.{notice.kind}")
    for address in notice.unwanted:
        ledger.suppress(address)
    if notice.event is not None and ledger.noticed(notice.event):
        logger.info("settled by the provider's notice")


def confirm(event: Event, message: Message) -> None:
    if event.type != "order.placed":
        raise Refused(f"{event.type} is not confirmed by mail")
    if not os.environ.get("MAIL_FROM"):
        logger.info("skipped: there is no sender")
        return
    if ledger.paused():
        message.put_back(PAUSE_SECONDS)
        return
    facts = document(event)
    letter = confirmation.compose(facts)
    if facts["order"]["id"] != event.ids.get("order_id"):
        raise Refused("the document is about another order")
    if ledger.suppressed(letter.recipient):
        logger.info("skipped: the address is suppressed")
        return
    try:
        attempt = ledger.begin(event.id, message.seconds_left())
    except Unknown as unknown:
        if message.receives >= LAST_ATTEMPT:
            raise Refused(str(unknown)) from None
        raise
    if attempt is None:
        return
    if message.seconds_left() < SEND_SECONDS:
        ledger.not_sent(event.id, attempt)
        raise Later("too little time left to send")
    if send(letter, event, attempt, message):
        # If this fails, or we are gone before it, the provider's notice says the same.
        ledger.sent(event.id)


def send(letter: Letter, event: Event, attempt: str, message: Message) -> bool:
    """Whether the provider has it. If it takes no mail of ours at all, the message waits and nobody sends meanwhile."""
    wait = 0.2
    while True:
        try:
            hand_over(letter, event)
            return True
        except (ClientError, BotoCoreError) as error:
            if not never_accepted(error):
                # When it comes again the row is nobody's, and the notice may have settled it.
                raise Later(f"no clear answer: {error!r}", message.seconds_left() + MARGIN_SECONDS) from error
            # Without an answer there was no connection.
            answer = error.response["Error"] if isinstance(error, ClientError) else {}
            code, text = answer.get("Code", type(error).__name__), answer.get("Message", "")
            stopped = code in STOPPED or "daily" in text.lower()
            if code in TOO_FAST and not stopped and message.seconds_left() > wait + SEND_SECONDS:
                sleep(random.uniform(0.5, 1) * wait)
                wait *= 2
                continue
            ledger.not_sent(event.id, attempt)
            if stopped:
                ledger.pause(PAUSE_SECONDS)
                count("MailPaused")
                logger.error("no mail for a while", code=code, reason=text)
                message.put_back(PAUSE_SECONDS)
                return False
            if code in ABOUT_THE_LETTER:
                if code == "BadRequestException" and letter.recipient in text:
                    ledger.suppress(letter.recipient)
                raise Refused(f"{code}: {text.replace(letter.recipient, 'the recipient')}") from None
            raise Later(f"not taken: {code}") from error


def hand_over(letter: Letter, event: Event) -> None:
    rules = {"ConfigurationSetName": os.environ["MAIL_RULES"]} if os.environ.get("MAIL_RULES") else {}
    subject, text = ({"Data": part, "Charset": "UTF-8"} for part in (letter.subject, letter.text))
    # One attempt: botocore would ask again after a lost answer, and so send twice.
    client("sesv2", attempts=1).send_email(
        FromEmailAddress=os.environ["MAIL_FROM"],
        Destination={"ToAddresses": [letter.mailbox]},
        Content={"Simple": {"Subject": subject, "Body": {"Text": text}}},
        EmailTags=[{"Name": notices.TAG, "Value": event.id}],
        **rules,
    )


handler = for_each_message(attend)
