"""Who looked at which product: counted, not kept safe. What a process has not told yet when it dies is lost."""

from __future__ import annotations

import asyncio
from collections import deque

from jobs.events import Event, encode, happened
from shop import observe, relay
from shop.settings import Settings
from shop.work import Work

# More would mean that telling does not keep up; then the oldest go, and no request waits.
MOST_WAITING = 10_000
PERIOD = 1.0


class Views:
    """Collected while requests go on, told once a second. Pages that the edge answers are never seen here."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self._topic, self._work = settings.events_topic, work
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)

    def seen(self, product_id: str, trace: str = "") -> None:
        self._waiting.append(happened("product.viewed", trace=trace, product_id=product_id))

    async def flush(self) -> None:
        told = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if self._topic is not None:
            await asyncio.to_thread(relay.publish, self._topic, [(event.id, encode(event)) for event in told])
            return
        for event in told:
            await self._work.do(event, None)

    async def flush_for_ever(self) -> None:
        try:
            while True:
                await asyncio.sleep(PERIOD)
                await self._try()
        finally:
            await self._try()

    async def _try(self) -> None:
        try:
            await self.flush()
        except Exception as error:
            observe.log("views were lost", level="warning", **observe.reason(error))
