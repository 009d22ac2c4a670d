"""The whole shop behind a real port, in a thread, for tests that are its visitors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import uvicorn

from shop import seed
from shop.app import create
from shop.settings import Settings, load
from workbench.lab.servers import LOOPBACK, Postgres, free_port

SECONDS_TO_START = 20


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Where it is, once it answers."""
    port = free_port()
    config = uvicorn.Config(create(settings), host=LOOPBACK, port=port, log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + SECONDS_TO_START
    while not server.started:
        assert thread.is_alive(), "the shop ended while it started"
        assert time.monotonic() < deadline, "the shop did not start"
        time.sleep(0.01)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class Furnished:
    """A shop that is open for many tests, and as new for each: sixty products, and nobody has been there."""

    address: str
    database: psycopg.Connection
    files: Path

    def renew(self) -> None:
        """Not by `truncate`, which takes longer than all the rest."""
        with self.database.transaction():
            self.database.execute("set local session_replication_role = replica")  # no foreign keys
            for (table,) in self.database.execute("select tablename from pg_tables where schemaname = 'public'"):
                if table != "secrets":
                    self.database.execute(f"delete from {table}")
            self.database.execute("alter table products alter id restart")
        seed.fill(self.database, 60)


@contextmanager
def furnished(postgres: Postgres, folder: Path, **variables: str) -> Iterator[Furnished]:
    name, files = f"furnished_{uuid4().hex}", folder / "files"
    postgres.sql(f"create database {name} template template")
    given = {"DATABASE_URL": postgres.url(name, user="shop_app"), "FILES_FOLDER": str(files), **variables}
    with (
        psycopg.connect(postgres.url(name), autocommit=True) as database,
        serving(load(given)) as address,
    ):
        yield Furnished(address, database, files)
