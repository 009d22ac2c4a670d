"""What a host does to a database before the shop may use it: roles, rights and schema, on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.shop.storing import NewPostgres
from workbench.lab.servers import LOOPBACK, Postgres
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

# As on RDS: the master is no superuser, and there is a role for logging in by token.
MASTER = """
create role rds_iam nologin;
create role master login createdb createrole;
grant rds_iam to master with admin option;
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it lies on a host, but for the packages."""
    folder = tmp_path_factory.mktemp("current")
    for name, source in {"shop": ROOT / "shop", "jobs": ROOT / "lambdas" / "jobs"}.items():
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "lib").mkdir()
    return folder


@pytest.fixture
def server(new_postgres: NewPostgres, tmp_path: Path) -> Iterator[Postgres]:
    made = new_postgres(tmp_path / "postgres")
    yield made
    made.stop()


def prepare(server: Postgres, release: Path, user: str) -> str:
    """The two commands of app.sh and server.sh, in the same folder and with the same variables."""
    known = {"PGHOST": LOOPBACK, "PGPORT": str(server.port), "PGUSER": user, "PYTHONPATH": str(release / "lib")}
    psql = [str(server._bin / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f", "shop/host/database.sql"]
    migrate = [sys.executable, "-m", "shop", "migrate", "--role", "shop_owner"]
    for command, database in ((psql, "postgres"), (migrate, "shop")):
        variables = {**os.environ, **known, "PGDATABASE": database}
        done = subprocess.run(command, cwd=release, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("user", ["postgres", "master"])
def test_the_shop_can_use_its_rows_but_not_change_its_tables(server: Postgres, release: Path, user: str) -> None:
    if user == "master":
        server.sql(MASTER)
    assert "applied 0001_shop.sql" in prepare(server, release, user)
    again = prepare(server, release, user)
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
