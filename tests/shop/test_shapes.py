"""The five shapes of the shop, as processes on real servers, chosen by environment variables and nothing else.

The same walk goes through all of them: staff sell something new, somebody signs up and buys it, and staff ship. What
follows from that is there at once, except in the fifth shape, where it waits until the six workers have been at it.
"""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis

from jobs import aws as jobs_aws
from shop.migrate import migrate
from tests.conftest import Template, Templates
from tests.lambdas.world import SENDER
from tests.shop.running import PICTURE
from tests.shop.shapes import Visitor, Workers, gauges, opened, told
from tests.shop.storing import NewPostgres
from workbench.lab.servers import LocalAws, Postgres, Valkey, listens
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

NAMES = ["one host", "a database elsewhere", "two hosts, a replica and a bucket", "a cache", "workers"]
LAMP: dict[str, Any] = {
    "name": "A heron lamp",
    "description": "Stands.",
    "category": "lamps",
    "price_cents": 990,
    "stock": 1000,
}
# How often each job hears of one walk; analytics is told of visits as well.
HEARD = {"confirmation_email": 1, "image_resize": 1, "invoice": 1, "notification": 2, "search_index": 1}
READS, CHECKOUTS = 100, 20


@dataclass
class Ground:
    """What a shape may stand on: each is the one before and a few more variables."""

    steps: list[dict[str, str]]
    managed: Postgres
    replica: Postgres
    workers: Workers
    folder: Path

    def variables(self, shape: int) -> dict[str, str]:
        return {name: value for step in self.steps[:shape] for name, value in step.items()}

    def open(self, shape: int, **more: str) -> AbstractContextManager[list[str]]:
        given = {**self.variables(shape), **more}
        return opened(given, self.folder / f"shape-{shape}", hosts=1 if shape < 3 else 2, relay=shape == 5)

    def sql(self, shape: int, text: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.variables(shape)["DATABASE_URL"]) as connection:
            done = connection.execute(text, values)
            return done.fetchall() if done.description else []

    def fill(self, products: int) -> None:
        """By hand: what the shop itself has just added is kept out of the cache for a while."""
        columns = "insert into products (name, description, category, price_cents, stock) "
        self.sql(2, columns + "select 'A cup', '-', 'cups', 250, 1000000 from generate_series(1, %s)", products)


@pytest.fixture(scope="module")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One of its own: what other tests leave behind cannot always be told by a local AWS."""
    server = LocalAws(tmp_path_factory.mktemp("aws"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def template(templates: Templates) -> Template:
    """The workers' stack in production."""
    return templates("production", 5)["workers"]


@pytest.fixture(scope="module")
def servers(new_postgres: NewPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    """A database server that is not the host's own, made as the shop makes it, and its replica."""
    folder = tmp_path_factory.mktemp("servers")
    managed = new_postgres(folder / "managed")
    managed.sql((ROOT / "shop" / "host" / "database.sql").read_text(encoding="utf-8"))
    migrate(managed.url(), role="shop_owner")
    replica = Postgres(folder / "replica", copy_of=managed)
    yield managed, replica
    replica.stop()
    managed.stop()


@pytest.fixture
def ground(
    servers: tuple[Postgres, Postgres],
    database_url: str,
    valkey: Valkey,
    local_aws: LocalAws,
    template: Template,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ground]:
    for name, value in local_aws.variables.items():
        monkeypatch.setenv(name, value)
    jobs_aws.client.cache_clear()
    managed, replica = servers
    database = database_url.rpartition("/")[2]
    managed.sql(f"create database {database} template shop")
    until(lambda: replica.sql(f"select 1 from pg_database where datname = '{database}'") == "1")
    for port in valkey.ports:  # another test's products have the same ids
        redis.Redis(port=port).flushall()
    workers = Workers(template, managed.url(database, user="shop_app"))
    steps = [
        {"DATABASE_URL": database_url, "FILES_FOLDER": str(tmp_path / "files"), "FRONT_HOPS": "1"},
        {"DATABASE_URL": managed.url(database, user="shop_app")},
        {
            "REPLICA_URLS": replica.url(database, user="shop_app"),
            "FILES_BUCKET": workers.name,
            "MAIL_FROM": SENDER,
            "MAIL_RULES": workers.name,
        },
        {"CACHE_NODES": valkey.nodes},
        {"EVENTS_TOPIC": workers.topic},
    ]
    yield Ground(steps, managed, replica, workers, tmp_path)
    jobs_aws.client.cache_clear()


@pytest.fixture
def paused_replica(ground: Ground) -> Iterator[Postgres]:
    """It stays where it is, so that nobody sees what he has just written by luck."""
    ground.replica.sql("select pg_wal_replay_pause()")
    yield ground.replica
    ground.replica.sql("select pg_wal_replay_resume()")


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.05)


@dataclass(frozen=True)
class Consequences:
    """What follows from a picture and an order that was shipped."""

    mails: int = 1
    notifications: int = 2
    invoice: bool = True
    thumbnails: tuple[bool, ...] = (True, True)
    found: bool = True


NOTHING = Consequences(0, 0, invoice=False, thumbnails=(False, False), found=False)


@pytest.mark.parametrize("shape", range(1, 6), ids=NAMES)
@pytest.mark.usefixtures("paused_replica")
def test_the_same_walk_goes_through_every_shape(shape: int, ground: Ground, local_aws: LocalAws) -> None:
    with ground.open(shape) as hosts:
        staff, customer, stranger, device = Visitor(hosts), Visitor(hosts), Visitor(hosts), ground.workers.device()
        staff.sign_up()
        ground.sql(shape, "update users set is_staff = true")
        product = staff("POST", "/staff/products", json=LAMP)["id"]
        kind = {"Content-Type": "image/png"}
        image = staff("POST", f"/staff/products/{product}/images", content=PICTURE, headers=kind)["id"]
        customer.sign_up()
        customer("POST", "/devices", json={"endpoint": device})
        assert customer("GET", f"/products/{product}")["image"] == image
        customer("PUT", f"/cart/lines/{product}", json={"quantity": 3})
        key = str(uuid4())
        order = customer("POST", "/orders", key=key, json={})
        assert order["total_cents"] == 3 * LAMP["price_cents"]
        assert customer("GET", f"/orders/{order['id']}") == order, "at once, on the other host"
        assert customer("GET", f"/products/{product}")["stock"] == LAMP["stock"] - 3
        assert customer("POST", "/orders", key=key, json={}) == order, "on the other host as well"
        assert customer("GET", "/orders")["items"] == [order]
        assert customer("GET", f"/products/{product}")["stock"] == LAMP["stock"] - 3, "not bought twice"
        assert staff("POST", f"/staff/orders/{order['id']}/shipment")["status"] == "shipped"
        lamps = [item["id"] for item in stranger("GET", "/products?category=lamps")["items"]]
        assert lamps == ([product] if shape < 3 else []), "strangers ask the replica, which has not heard of it yet"

        def consequences() -> Consequences:
            mails, messages = told(local_aws, customer.email, device)
            kept = [row[0] for row in ground.sql(shape, "select kind from mails")]
            pictures = (customer.ask("GET", f"/images/{image}/{size}") for size in ("small", "medium"))
            return Consequences(
                mails + kept.count("mail"),
                messages + kept.count("notification"),
                invoice=customer.ask("GET", f"/api/v1/orders/{order['id']}/invoice").content.startswith(b"%PDF-"),
                thumbnails=tuple(picture.headers["Content-Type"] == "image/webp" for picture in pictures),
                found=[item["id"] for item in customer("GET", "/search?q=heron")["items"]] == [product],
            )

        if shape < 5:
            assert consequences() == Consequences(), "at once"
            assert ground.workers.work() == {}
            return
        for before in (NOTHING, Consequences()):  # what is told again is not done again
            until(lambda: ground.sql(shape, "select count(*) from outbox where sent_at is null") == [(0,)])
            assert consequences() == before
            heard = ground.workers.work()
            assert heard.pop("analytics") >= 2
            assert heard == HEARD
            assert consequences() == Consequences()
            ground.sql(shape, "update outbox set sent_at = null")


def test_a_dying_cache_and_a_dead_replica_cost_no_visitor_an_answer(ground: Ground, own_valkey: Valkey) -> None:
    over, answered, broken = threading.Event(), Counter[int](), list[str]()
    ground.fill(20)
    looks = [("GET", f"/products/{number}", None) for number in range(1, 21)] + [("GET", "/products", None)]
    buys = [("PUT", "/cart/lines/1", {"quantity": 1}), ("POST", "/orders", {}), ("GET", "/orders", None)]

    def visit(visitor: Visitor, requests: list[tuple[str, str, Any]], pause: float) -> None:
        while not over.wait(pause):  # nobody asks more than he may in a minute
            for method, path, body in requests:
                try:
                    answer = visitor.ask(method, f"/api/v1{path}", json=body)
                except httpx.HTTPError as problem:
                    broken.append(f"{method} {path}: {problem!r}")
                    continue
                answered[answer.status_code] += 1
                if not answer.is_success:
                    broken.append(f"{method} {path}: {answer.status_code} {answer.text}")

    def watch() -> Counter[str]:
        """Who has answered in the next second and a half."""
        before = gauges(hosts)
        time.sleep(1.5)
        return gauges(hosts) - before

    with ground.open(4, CACHE_NODES=own_valkey.nodes) as hosts:
        visitors = [Visitor(hosts) for _ in range(4)]
        for buyer in visitors[:2]:
            buyer.sign_up()
        threads = [threading.Thread(target=visit, args=(buyer, buys, 0.1)) for buyer in visitors[:2]]
        threads += [threading.Thread(target=visit, args=(other, looks, 0.4)) for other in visitors[2:]]
        for thread in threads:
            thread.start()
        try:
            well = watch()
            own_valkey._processes[own_valkey.ports[0]].stop(signal.SIGKILL)
            one_node_gone = watch()
            ground.replica.stop(signal.SIGQUIT)
            replica_gone = watch()
            own_valkey.stop(signal.SIGKILL)
            all_gone = watch()
            ground.replica.start()
            until(lambda: broken != [] or watch()["ReplicaReads"] > 0)
        finally:
            over.set()
            for thread in threads:
                thread.join()
            if not listens(ground.replica.port):
                ground.replica.start()
    print(f"{answered.total()} answers: {dict(answered)}, {len(broken)} broken")
    assert broken == []
    # Not because nothing had stopped, or nobody had asked.
    assert well["CacheHits"] > 0 < well["ReplicaReads"]
    assert one_node_gone["CacheHits"] > 0 < one_node_gone["CacheFailures"]
    assert replica_gone["ReplicaFallbacks"] > 0 == replica_gone["ReplicaReads"]
    assert all_gone["CacheMisses"] > 0 == all_gone["CacheHits"]


def test_what_a_cache_and_a_queue_take_away(ground: Ground, record_property: Callable[[str, object], None]) -> None:
    """Statements for a product page without a cache and with one; a checkout with its jobs inside and outside."""
    database = ground.variables(2)["DATABASE_URL"].rpartition("/")[2]
    ground.managed.sql(f"alter database {database} set log_statement = 'all'")

    def statements() -> int:
        logs = [(server.folder / "postgresql.log").read_text() for server in (ground.managed, ground.replica)]
        return sum(log.count("LOG:  execute") + log.count("LOG:  statement") for log in logs)

    asked, checkout = {}, {}
    ground.fill(1)
    for shape in (3, 4, 5):
        with ground.open(shape) as hosts:
            anybody, customer, took = Visitor(hosts), Visitor(hosts), []
            customer.sign_up()
            before = statements()
            for _ in range(READS):
                anybody("GET", "/products/1")
            asked[shape] = (statements() - before) / READS
            for _ in range(CHECKOUTS):
                customer("PUT", "/cart/lines/1", json={"quantity": 1})
                began = time.perf_counter()
                customer("POST", "/orders", json={})
                took.append(1000 * (time.perf_counter() - began))
            checkout[shape] = statistics.median(took)
    figures = {
        "statements of a product page without a cache": asked[3],
        "statements of a product page with a cache": asked[4],
        "p50 of a checkout with its jobs inside, ms": round(checkout[4], 1),
        "p50 of a checkout with its jobs outside, ms": round(checkout[5], 1),
    }
    for name, value in figures.items():
        record_property(name, value)
        print(f"{name}: {value}")
    assert asked[4] < asked[3] / 2
    assert checkout[5] < checkout[4]
