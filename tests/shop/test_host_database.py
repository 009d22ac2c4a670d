"""What a host does to a database before the shop may use it: roles, rights and schema, on a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from workbench.lab.servers import LOOPBACK, Postgres
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

# As on RDS: the master is no superuser, and there is a role for logging in by token.
MASTER = """
create role rds_iam nologin;
create role master login createdb createrole;
grant rds_iam to master with admin option;
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    made = Postgres(tmp_path / "postgres")
    yield made
    made.stop()


def prepare(server: Postgres, user: str) -> str:
    """The two commands of app.sh and server.sh, with the same variables."""
    known = {"PGHOST": LOOPBACK, "PGPORT": str(server.port), "PGUSER": user}
    python = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}"}
    psql = [
        str(server._bin / "psql"),
        "-Xq",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        str(ROOT / "shop" / "host" / "database.sql"),
    ]
    migrate = [sys.executable, "-m", "shop", "migrate", "--role", "shop_owner"]
    for command, database in ((psql, "postgres"), (migrate, "shop")):
        done = subprocess.run(
            command, env={**os.environ, **python, **known, "PGDATABASE": database}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("user", ["postgres", "master"])
def test_the_shop_can_use_its_rows_but_not_change_its_tables(server: Postgres, user: str) -> None:
    if user == "master":
        server.sql(MASTER)
    assert "applied 0001_shop.sql" in prepare(server, user)
    again = prepare(server, user)
    assert "applied" not in again
    with psycopg.connect(server.url("shop", user="shop_app"), autocommit=True) as shop:
        shop.execute(
            "insert into products (name, description, category, price_cents, stock) values ('a', 'b', 'c', 1, 1)"
        )
        assert shop.execute("select count(*) from products").fetchone() == (1,)
        for forbidden in ("create table mine (id int)", "drop table products", "set role shop_owner"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
                shop.execute(forbidden)
    owners = server.sql("select distinct tableowner from pg_tables where schemaname = 'public'", database="shop")
    assert owners == "shop_owner"
