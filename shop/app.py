"""The shop as one ASGI application: what it stands on is opened here, in order, and closed in the other order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shop import api, environment, files, housekeeping, observe, pages, work
from shop.cache import Cache
from shop.database import Database
from shop.limiter import Limiter
from shop.middleware import Door, handlers
from shop.ports import Shop
from shop.problems import Problem
from shop.settings import Settings
from shop.views import Views

STATIC = Path(__file__).parent / "static"
# Long enough for a database that is there, so that a new worker takes requests only when it can answer them.
SECONDS_TO_OPEN = 5.0
HOUR = 3600.0


def create(settings: Settings | None = None) -> Starlette:
    """The application. Without settings it reads those of this process; they are bad at the latest here."""
    chosen = settings or environment.settings(keep=True)
    observe.environment = chosen.name
    load = observe.Load()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as ports:
            opening = asyncio.create_task(_open(app, chosen, load, ports))
            await asyncio.wait({opening}, timeout=SECONDS_TO_OPEN)
            yield
            await _ended(opening)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Mount("/api/v1", routes=api.routes),
            Mount("/static", StaticFiles(directory=STATIC)),
            *pages.routes,
        ],
        middleware=[Middleware(Door, settings=chosen, load=load)],
        exception_handlers=handlers,
        lifespan=lifespan,
    )


async def _open(app: Starlette, settings: Settings, load: observe.Load, ports: AsyncExitStack) -> None:
    """Try until it works: while the database does not answer, visitors wait and no host is given up for that."""
    while not hasattr(app.state, "shop"):
        try:
            async with AsyncExitStack() as opened:
                shop = await _shop(settings, opened)
                app.state.views = views = Views(settings, shop.work)
                watching = load.watch(partial(gauges, shop), observe.MINUTE)
                for beside in (watching, views.flush_for_ever(), _clean(shop.database)):
                    opened.push_async_callback(_ended, asyncio.create_task(beside))
                app.state.shop = shop
                ports.push_async_exit(opened.pop_all())
        except Exception as error:
            observe.log("not open yet", level="warning", reason=repr(error.__cause__ or error))
            await asyncio.sleep(1)
    observe.log("open", replicas=len(settings.replicas), cache=settings.cache is not None)


async def _shop(settings: Settings, opened: AsyncExitStack) -> Shop:
    database = await Database.connect(settings)
    opened.push_async_callback(database.close)
    cache = await Cache.connect(settings)
    opened.push_async_callback(cache.close)
    (secret,) = await database.read_primary("select value from secrets where name = 'cursor'")
    storage = files.choose(settings)
    return Shop(
        settings=settings,
        database=database,
        cache=cache,
        limiter=Limiter(cache, database),
        files=storage,
        work=work.choose(settings, database, storage),
        secret=bytes(secret["value"]),
    )


async def _clean(database: Database) -> None:
    while True:
        await asyncio.sleep(HOUR)
        try:
            await housekeeping.clean(database)
        except Exception as error:
            observe.log("housekeeping failed", level="warning", **observe.reason(error))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def gauges(shop: Shop) -> dict[str, float]:
    return {**shop.database.gauges(), **shop.cache.gauges()}


async def healthz(_: Request) -> JSONResponse:
    """This process answers. Not the database: a sick one would take every host out of service."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> JSONResponse:
    """Whether visitors would get what they came for, and in what state all that is; for us, never for the public."""
    shop: Shop | None = getattr(request.app.state, "shop", None)
    try:
        if shop is None:
            raise Problem(503, "not-open-yet", "The shop is not open yet.")
        await shop.database.read_primary("select 1")
    except Problem as problem:
        return JSONResponse({"status": "not ready", "reason": problem.detail}, 503)
    return JSONResponse({"status": "ready", **gauges(shop)})
