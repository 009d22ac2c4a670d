"""Brings the search index up to date with a changed product. The only job that reads the database.

It remembers nothing of what it did: the row is made of the product as it is now, so every repetition ends the same.
"""

from __future__ import annotations

import os
import time
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from jobs.aws import client
from jobs.batch import for_each_event
from jobs.events import Event, Refused
from jobs.search import UPSERT

USER, DATABASE = "shop_app", "shop"
# A connection stays for the next invocations, but not for ever: another database may become the active one.
SECONDS_TO_KEEP = 600

_kept: psycopg.Connection[Any] | None = None
_until = 0.0


def index(event: Event) -> None:
    try:
        product = {"product_id": int(event.ids["product_id"])}
    except ValueError:
        raise Refused("product_id is not a number") from None
    used = _kept is not None
    try:
        connection().execute(UPSERT, product)
    except psycopg.OperationalError:
        forget()
        if not used:
            raise
        # Whatever closed an idle connection has nothing to say about a new one.
        connection().execute(UPSERT, product)


def connection() -> psycopg.Connection[Any]:
    """The one that was kept, or a new one."""
    global _kept, _until
    if _kept is not None and time.monotonic() > _until:
        forget()
    if _kept is None:
        # Five events have to fail within the time of one invocation when the database does not answer.
        _kept = psycopg.connect(
            address(),
            autocommit=True,
            connect_timeout=3,
            application_name="search_index",
            options="-c statement_timeout=5000",
        )
        _until = time.monotonic() + SECONDS_TO_KEEP
    return _kept


def forget() -> None:
    global _kept
    if _kept is not None:
        _kept.close()
    _kept = None


def address() -> str:
    """On AWS the active database by its published address, with a token of 15 minutes; elsewhere DATABASE_URL."""
    if url := os.environ.get("DATABASE_URL"):
        return url
    path = os.environ["DATABASE_PARAMETERS"]
    pages = client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
    found = {item["Name"].removeprefix(f"{path}/"): item["Value"] for page in pages for item in page["Parameters"]}
    active = found["active"]
    host, port = found[f"{active}/endpoint"], int(found.get(f"{active}/port", 5432))
    token = client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=USER)
    return make_conninfo(host=host, port=port, user=USER, dbname=DATABASE, password=token, sslmode="require")


handler = for_each_event(index)
