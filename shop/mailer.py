"""Mail to customers: through the provider where a sender is configured, else into a table that the shop shows."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shop.settings import Settings

if TYPE_CHECKING:
    from jobs.confirmation import Letter
    from shop.database import Database


async def send(settings: Settings, letter: Letter) -> None:
    """Hand the letter to the provider, once: whether a lost answer meant "sent" nobody knows, so nobody asks again."""
    content: Any = {"Simple": {"Subject": _utf8(letter.subject), "Body": {"Text": _utf8(letter.text)}}}
    rules = {"ConfigurationSetName": settings.mail_rules} if settings.mail_rules else {}
    await asyncio.to_thread(
        _provider(settings.region).send_email,
        FromEmailAddress=settings.mail_from,
        Destination={"ToAddresses": [letter.mailbox]},
        Content=content,
        **rules,
    )


async def keep(
    database: Database, *, event: str, kind: str, user: str, recipient: str, subject: str, body: str
) -> None:
    """What would have been sent, for the user to read on the mail page; the same event is kept once."""
    async with database.write() as connection:
        await connection.execute(
            "insert into mails (event_id, kind, user_id, recipient, subject, body)"
            " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
            (event, kind, user, recipient, subject, body),
        )


@cache
def _provider(region: str) -> Any:
    once = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1})
    return boto3.client("sesv2", region_name=region, config=once)


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
