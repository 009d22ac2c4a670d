"""The application as a whole: what it opens, what it says about its health, and that it leaves nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from shop import app
from shop.settings import BadSetting, load
from tests.shop.storing import NewPostgres
from workbench.lab.servers import Postgres, Valkey
from workbench.synth import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(new_postgres: NewPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database server of these tests' own, to be stopped and started."""
    server = new_postgres(tmp_path_factory.mktemp("own") / "server")
    server.sql("create database shop")
    for migration in sorted((ROOT / "shop" / "migrations").glob("*.sql")):
        server.sql(migration.read_text(encoding="utf-8"), database="shop")
    yield server
    server.stop()


def until(happens: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def opened(url: str, tmp_path: Path, **variables: str) -> TestClient:
    return TestClient(app.create(load({"DATABASE_URL": url, "FILES_FOLDER": str(tmp_path), **variables})))


def connections(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_pages_the_api_and_files_are_under_one_roof(database_url: str, tmp_path: Path) -> None:
    with opened(database_url, tmp_path) as client:
        assert client.get("/").headers["content-type"].startswith("text/html")
        assert client.get("/api/v1/products").json()["items"] == []
        assert client.get("/api/v1/openapi.json").json()["openapi"].startswith("3.1")
        assert client.get("/static/shop.css").headers["cache-control"] == "public, max-age=3600"
        assert client.get("/static/../app.py").status_code == 404
        assert client.get("/static/%2e%2e/app.py").status_code == 404


def test_ready_means_that_visitors_get_what_they_came_for(database_url: str, valkey: Valkey, tmp_path: Path) -> None:
    with opened(database_url, tmp_path, REPLICA_URLS=database_url, CACHE_NODES=valkey.nodes) as client:
        told = client.get("/readyz").json()
    assert told["status"] == "ready"
    assert {"PoolUsed", "ReplicaFallbacks", "CacheBreakerOpen"} <= set(told)


def test_a_dead_database_makes_a_host_unready_but_not_unhealthy(own: Postgres, tmp_path: Path) -> None:
    with opened(own.url(), tmp_path) as client:
        assert client.get("/readyz").status_code == 200
        own.stop()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert client.get("/healthz").status_code == 200
        page = client.get("/api/v1/products")
        assert (page.status_code, page.json()["code"]) == (503, "database-unavailable")
        own.start()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/api/v1/products").status_code == 200


def test_the_shop_starts_without_its_database_and_opens_when_it_comes(
    own: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "SECONDS_TO_OPEN", 0.5)
    own.stop()
    with opened(own.url(), tmp_path) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        answer = client.get("/api/v1/products")
        assert (answer.status_code, answer.json()["code"]) == (503, "not-open-yet")
        until(lambda: '"not open yet"' in capsys.readouterr().out)
        own.start()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/api/v1/products").status_code == 200


def test_a_database_without_a_schema_is_waited_for_as_well(
    own: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new host may be faster than the migration; the reason is in the log until it has run."""
    monkeypatch.setattr(app, "SECONDS_TO_OPEN", 0.5)
    own.sql("alter table secrets rename to secrets_away", database="shop")
    with opened(own.url(), tmp_path) as client:
        assert client.get("/readyz").status_code == 503
        own.sql("alter table secrets_away rename to secrets", database="shop")
        until(lambda: client.get("/readyz").status_code == 200)
    assert 'relation \\"secrets\\" does not exist' in capsys.readouterr().out


def test_a_shop_that_has_closed_holds_no_connection(own: Postgres, tmp_path: Path) -> None:
    with opened(own.url(), tmp_path, DATABASE_POOL_MIN="3") as client:
        until(lambda: connections(own.url()) >= 3)
        assert client.get("/api/v1/products").status_code == 200
    until(lambda: connections(own.url()) == 0, seconds=5)


def test_who_looked_is_told_before_it_closes(own: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.sql(
        "insert into products (id, name, description, category, price_cents, stock)"
        " values (7, 'Mug', '', 'Kitchen', 1, 1)",
        database="shop",
    )
    with opened(own.url(), tmp_path) as client:
        assert client.get("/api/v1/products/7").status_code == 200
        assert client.get("/api/v1/products/8").status_code == 404
        assert client.head("/products/7").status_code in (200, 405)
    records = [line["record"] for line in map(json.loads, capsys.readouterr().out.splitlines()) if "record" in line]
    assert [json.loads(record)["product_id"] for record in records] == ["7"]


def test_settings_that_make_no_sense_are_refused_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://nowhere")
    with pytest.raises(BadSetting):
        app.create()
