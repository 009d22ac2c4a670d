"""Brings the schema up to date: files in order, each once, whoever of several hosts comes first."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
from psycopg import sql

FOLDER = Path(__file__).parent / "migrations"
LOCK = 20260103
# Whoever waits for a table lets nobody else pass; rather try again later than stop the shop.
LOCK_SECONDS = 10
TABLE = """
create table if not exists schema_migrations (
    name text primary key,
    checksum text not null,
    applied_at timestamptz not null default now()
)
"""


class CannotMigrate(Exception):
    """The database is not what the files say; the text says which file and what to do."""


def migrate(conninfo: str, role: str | None = None, *, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing and say what that was; `role` owns what is created.

    A file that has been applied must never change: the next change is another file.
    """
    applied = []
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=5, application_name="shop-migrate") as connection:
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))  # until the connection ends
        connection.execute("select set_config('lock_timeout', %s, false)", (f"{LOCK_SECONDS}s",))
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        connection.execute(TABLE)
        known: dict[str, str] = dict(connection.execute("select name, checksum from schema_migrations").fetchall())
        for file in sorted(folder.glob("*.sql")):
            content = file.read_bytes()
            checksum = hashlib.sha256(content).hexdigest()
            if file.name not in known:
                with connection.transaction():
                    connection.execute(content)
                    connection.execute(
                        "insert into schema_migrations (name, checksum) values (%s, %s)", (file.name, checksum)
                    )
                applied.append(file.name)
            elif known[file.name] != checksum:
                raise CannotMigrate(
                    f"{file.name} has changed since it was applied to this database; restore it, and put the change "
                    "into a new file behind it"
                )
    return applied
