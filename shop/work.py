"""What has to be done besides answering: within the request, or by workers that the outbox tells.

A request calls `record` inside its transaction and `do` after it, at every stage; here it is chosen which of the two
does something.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from psycopg.types.json import Jsonb

from jobs.events import Event, encode
from shop import aws, mailer, observe
from shop.files import Files
from shop.settings import Settings

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from shop.database import Database

Document = dict[str, Any] | None
# A visitor waits for one job after the other: each has this long, and all of them what is left of the request's time.
JOB_SECONDS = 4.0
deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)  # by the clock of the loop; the door sets it


class Work(Protocol):
    """Both shapes look the same to whoever has something to tell."""

    async def record(self, connection: AsyncConnection[Any], event: Event, document: Document) -> None: ...

    async def do(self, event: Event, document: Document) -> None: ...


def choose(settings: Settings, database: Database, files: Files) -> Work:
    return Inline(settings, database, files) if settings.events_topic is None else Queued()


class Queued:
    """The event commits or rolls back with what it tells of; the relay publishes it."""

    async def record(self, connection: AsyncConnection[Any], event: Event, document: Document) -> None:
        await connection.execute(
            "insert into outbox (event, document) values (%s::jsonb, %s)",
            (encode(event), None if document is None else Jsonb(document)),
        )

    async def do(self, event: Event, document: Document) -> None:
        """Others do it, later."""


class Inline:
    """Everything at once, while the visitor waits. What is committed stands: a failed job is logged and counted."""

    def __init__(self, settings: Settings, database: Database, files: Files) -> None:
        self._settings, self._database, self._files = settings, database, files
        self._jobs: dict[str, tuple[Callable[[Event, Any], Awaitable[None]], ...]] = {
            "order.placed": (self.confirmation, self.invoice, self.notification, self.analytics),
            "order.shipped": (self.notification,),
            "product.changed": (self.search, self.analytics),
            "product.viewed": (self.analytics,),
            "image.uploaded": (self.thumbnails,),
        }

    async def record(self, connection: AsyncConnection[Any], event: Event, document: Document) -> None:
        """Nothing to remember: `do` follows in the same request."""

    async def do(self, event: Event, document: Document) -> None:
        for job in self._jobs[event.type]:
            try:
                async with asyncio.timeout_at(min(deadline.get(), asyncio.get_running_loop().time() + JOB_SECONDS)):
                    await job(event, document)
            except Exception as error:
                observe.job_failed(job.__name__, event, error)

    async def confirmation(self, event: Event, document: Any) -> None:
        from jobs import confirmation

        letter = confirmation.compose(document)
        if self._settings.mail_from is not None:
            await mailer.send(self._settings, letter)
        else:
            await self._keep(event, document, "mail", letter.recipient, letter.subject, letter.text)

    async def invoice(self, event: Event, document: Any) -> None:
        from jobs import invoice

        pdf = await asyncio.to_thread(invoice.render, document)
        await self._files.put(f"invoices/{event.ids['order_id']}.pdf", pdf, "application/pdf")

    async def notification(self, event: Event, document: Any) -> None:
        from jobs import notification

        message = notification.compose(event, document)
        if self._settings.mail_from is None:  # then nothing leaves this machine
            recipient = document["customer"]["email"]
            await self._keep(event, document, "notification", recipient, message.subject, message.text)
            return
        words = {"Subject": message.subject, "Message": message.text}
        told = (asyncio.to_thread(aws.client("sns").publish, TargetArn=to, **words) for to in document["devices"])
        for failure in await asyncio.gather(*told, return_exceptions=True):
            if isinstance(failure, BaseException):  # all others have been told
                raise failure

    async def thumbnails(self, event: Event, _: Any) -> None:
        from jobs import thumbnails

        image = event.ids["image_id"]
        data = await self._files.get(f"images/{image}")
        for size, small in (await asyncio.to_thread(thumbnails.make, data or b"")).items():
            await self._files.put(f"thumbnails/{image}/{size}.webp", small, "image/webp")

    async def search(self, event: Event, _: Any) -> None:
        from jobs import search

        async with self._database.write() as connection:
            await connection.execute(search.UPSERT, {"product_id": int(event.ids["product_id"])})

    async def analytics(self, event: Event, _: Any) -> None:
        from jobs import analytics

        observe.log("event", record=analytics.record(event).decode().strip())

    async def _keep(self, event: Event, document: Any, kind: str, recipient: str, subject: str, text: str) -> None:
        await mailer.keep(
            self._database,
            event=event.id,
            kind=kind,
            user=document["customer"]["id"],
            recipient=recipient,
            subject=subject,
            body=text,
        )
