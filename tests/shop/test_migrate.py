"""The schema comes up to date once, in order, whoever begins, and never by a file that has changed since."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from shop.migrate import FOLDER, CannotMigrate, migrate
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex}"
    postgres.sql(f"create database {name}")
    yield postgres.url(name)
    postgres.sql(f"drop database {name} with (force)")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three migrations, each of which fails when it is applied a second time or too early."""
    (tmp_path / "0001_a.sql").write_text("create table a (id int); select pg_sleep(0.2);")
    (tmp_path / "0002_b.sql").write_text("alter table a add column name text; insert into a values (1, 'é %s')")
    (tmp_path / "0010_c.sql").write_text("alter table a drop column id")
    return tmp_path


def applied(url: str) -> list[tuple[str, int]]:
    with psycopg.connect(url) as connection:
        sql = "select name, count(*) from schema_migrations group by name order by name"
        return list(connection.execute(sql).fetchall())


NAMES = ["0001_a.sql", "0002_b.sql", "0010_c.sql"]


def test_files_are_applied_in_order_and_only_once(empty: str, files: Path) -> None:
    assert migrate(empty, folder=files) == NAMES
    assert migrate(empty, folder=files) == []
    (files / "0011_d.sql").write_text("create table d ()")
    assert migrate(empty, folder=files) == ["0011_d.sql"]


def test_eight_hosts_at_once_apply_every_file_exactly_once(empty: str) -> None:
    """With the real files, from processes as on hosts."""
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as hosts:
        done = list(hosts.map(migrate, [empty] * 8))
    names = sorted(file.name for file in FOLDER.glob("*.sql"))
    assert sorted(name for names_of_one in done for name in names_of_one) == names
    assert applied(empty) == [(name, 1) for name in names]


def test_eight_threads_at_once_wait_for_the_one_that_migrates(empty: str, files: Path) -> None:
    gate = threading.Barrier(8)

    def host(_: int) -> list[str]:
        gate.wait()
        return migrate(empty, folder=files)

    with ThreadPoolExecutor(8) as hosts:
        done = list(hosts.map(host, range(8)))
    assert sorted(map(len, done)) == [0] * 7 + [3]
    assert applied(empty) == [(name, 1) for name in NAMES]


def test_a_file_that_has_changed_is_refused_and_nothing_behind_it_is_applied(empty: str, files: Path) -> None:
    migrate(empty, folder=files)
    (files / "0002_b.sql").write_text("alter table a add column name varchar")
    (files / "0011_d.sql").write_text("create table d ()")
    with pytest.raises(CannotMigrate, match=r"0002_b\.sql has changed .* restore it"):
        migrate(empty, folder=files)
    assert applied(empty) == [(name, 1) for name in NAMES]


def test_a_file_that_fails_leaves_nothing_of_itself_and_all_before_it(empty: str, files: Path) -> None:
    broken = files / "0002_b.sql"
    text = broken.read_text()
    broken.write_text("create table half (id int); select * from missing")
    with pytest.raises(psycopg.errors.UndefinedTable):
        migrate(empty, folder=files)
    assert applied(empty) == [("0001_a.sql", 1)]
    with psycopg.connect(empty) as connection:
        assert connection.execute("select to_regclass('half')").fetchone() == (None,)
    broken.write_text(text)
    assert migrate(empty, folder=files) == NAMES[1:]


def test_a_release_that_goes_back_finds_later_files_applied_and_is_content(empty: str, files: Path) -> None:
    migrate(empty, folder=files)
    (files / "0010_c.sql").unlink()
    assert migrate(empty, folder=files) == []


def test_a_table_in_use_is_not_waited_for_without_end(empty: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a table holds up everybody behind him."""
    monkeypatch.setattr("shop.migrate.LOCK_SECONDS", 1)
    (files / "0010_c.sql").rename(files / "0010_c.waits")
    migrate(empty, folder=files)
    (files / "0010_c.waits").rename(files / "0010_c.sql")
    with psycopg.connect(empty) as reader:
        reader.execute("select * from a")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(empty, folder=files)
    assert migrate(empty, folder=files) == ["0010_c.sql"]


def test_what_is_created_belongs_to_the_role(empty: str, files: Path, postgres: Postgres) -> None:
    role = f"owner_{uuid4().hex}"
    postgres.sql(f"create role {role}")
    postgres.sql(f"grant create on schema public to {role}", database=empty.rpartition("/")[2])
    migrate(empty, role, folder=files)
    with psycopg.connect(empty) as connection:
        owners = connection.execute("select distinct tableowner from pg_tables where schemaname = 'public'").fetchall()
    assert owners == [(role,)]
