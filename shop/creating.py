"""Making things once, however often a client asks, and then having done what follows from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from jobs.events import Event
from shop.idempotency import Answer, once
from shop.ports import Shop

if TYPE_CHECKING:
    from shop.database import Connection

Thing = TypeVar("Thing")


class Made(msgspec.Struct, Generic[Thing]):
    """What was made, what happened by that, the facts that jobs need, and what the cache should forget."""

    thing: Thing
    event: Event | None = None
    document: dict[str, Any] | None = None
    stale: list[str] = []


async def create(
    shop: Shop,
    kind: type[Thing],
    make: Callable[[Connection], Awaitable[Made[Thing]]],
    *,
    scope: str,
    key: str,
    request: object,
) -> Thing:
    """`make` runs in one transaction with its event and its key; asked again, the same thing comes and nothing else."""
    done: list[Made[Thing]] = []  # nothing, if the key was used before

    async def effect(connection: Connection) -> Answer:
        made = await make(connection)
        if made.event is not None:
            await shop.work.record(connection, made.event, made.document)
        done.append(made)
        return Answer(201, msgspec.json.encode(made.thing))

    answer, _ = await once(shop.database, scope=scope, key=key, request=msgspec.json.encode(request), effect=effect)
    for made in done:
        if made.stale:
            await shop.cache.forget(*made.stale)
        if made.event is not None:
            await shop.work.do(made.event, made.document)
    return msgspec.json.decode(answer.body, type=kind)
