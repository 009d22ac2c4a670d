"""What the shop stands on, as one value that every page and every endpoint is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shop.cache import Cache
    from shop.database import Database
    from shop.files import Files
    from shop.limiter import Limiter
    from shop.settings import Settings
    from shop.work import Work


@dataclass(frozen=True)
class Shop:
    """The same names at every stage; what stands behind them is chosen in `app.create`."""

    settings: Settings
    database: Database
    cache: Cache
    limiter: Limiter
    files: Files
    work: Work
    secret: bytes
