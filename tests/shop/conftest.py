"""What the shop's tests stand on, made in the fastest way there is: nearly all of them want a database of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from redis import Redis

from tests.shop.storing import NewPostgres
from workbench.lab import servers
from workbench.lab.servers import LOOPBACK, Postgres, Valkey


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """An empty shop of a test's own, as the application's role sees it."""
    name = f"shop_{uuid4().hex}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template template strategy file_copy")
    yield postgres.url(name, user="shop_app")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def new_postgres(tmp_path_factory: pytest.TempPathFactory) -> NewPostgres:
    """Makes servers that a test may stop, or do worse to: copies of one to which nothing has happened."""
    blank = Postgres(tmp_path_factory.mktemp("blank"))
    blank.stop()

    def make(folder: Path) -> Postgres:
        folder.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(blank.data), str(folder)], check=True)
        servers._let_through(folder)
        return Postgres(folder)

    return make


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where how fast the cache answers is not in question: a busy machine is no failure."""
    for limit in ("BUDGET", "PATIENCE"):
        monkeypatch.setattr(f"shop.cache.{limit}", 5.0)


@pytest.fixture(scope="session")
def mortal_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    cluster = Valkey(tmp_path_factory.mktemp("mortal"))
    yield cluster
    cluster.stop(signal.SIGKILL)


@pytest.fixture
def own_valkey(mortal_valkey: Valkey) -> Iterator[Valkey]:
    """A cluster that a test may stop; for the next one it is whole again, and empty."""
    for port in mortal_valkey.ports:
        client: Any = Redis(host=LOOPBACK, port=port, decode_responses=True)
        while (info := client.cluster("info"))["cluster_state"] != "ok" or info["cluster_slots_ok"] != "16384":
            time.sleep(0.05)
        client.flushall()
        client.close()
    yield mortal_valkey
    for port, process in mortal_valkey._processes.items():
        if process.running:
            os.kill(process.pid, signal.SIGCONT)
        else:
            mortal_valkey.start(port)
