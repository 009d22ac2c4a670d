"""The five shapes of the shop, as processes on real servers, chosen by environment variables and nothing else.

The same walk goes through all of them: somebody signs up and buys, staff add a product with a picture and ship. What
follows from it is there at once, except in the fifth shape, where it waits until the six workers have been at it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest

from jobs import aws as jobs_aws
from jobs import batch
from tests.conftest import Templates
from tests.lambdas.world import Clock, Context, Output, load
from tests.shop.running import PICTURE
from workbench.lab.servers import LOOPBACK, LocalAws, Postgres, Process, Valkey, free_port
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

JOBS = ("analytics", "confirmation_email", "image_resize", "invoice", "notification", "search_index")
SENDER = "shop@example.com"
READS = 200
SHOP = [sys.executable, "-m", "shop"]
SHAPES = {
    1: "one host with everything",
    2: "a database elsewhere",
    3: "two hosts, a replica, a bucket",
    4: "and a cache",
    5: "and workers",
}


@dataclass
class Workers:
    """The topic, a queue for each job, and the handlers that Lambda would call."""

    topic: str
    queues: dict[str, str]
    variables: dict[str, str]
    mail_sent: Callable[[], int]

    def work(self) -> int:
        """Deliver until all queues are empty; how many messages there were."""
        done = 0
        for job, queue in self.queues.items():
            handler = load(job).handler
            while messages := self.received(queue):
                with pytest.MonkeyPatch.context() as patched:
                    for name, value in {**self.variables, "POWERTOOLS_SERVICE_NAME": job, "QUEUE_URL": queue}.items():
                        patched.setenv(name, value)
                    for logging in batch.logger.handlers:
                        patched.setattr(logging, "stream", Output())
                    clock = Clock()
                    answer = handler({"Records": messages}, Context(clock, clock.now + 30))
                assert answer["batchItemFailures"] == [], job
                done += len(messages)
        return done

    def received(self, queue: str) -> list[dict[str, Any]]:
        sqs = boto3.client("sqs")
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=5, AttributeNames=["All"])
        messages = answer.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "awsRegion": "us-east-1",
            }
            for message in messages
        ]


@dataclass
class Visitor:
    """A client who asks the next host with each request and carries the position of his last write along."""

    hosts: Iterator[str]
    headers: dict[str, str] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False, timeout=30))

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        answer = self.client.request(method, f"{next(self.hosts)}/api/v1{path}", headers=headers, **more)
        if position := answer.headers.get("x-read-after"):
            self.headers["X-Read-After"] = position
        return answer

    def create(self, path: str, key: str = "", **more: Any) -> Any:
        answer = self("POST", path, headers={"Idempotency-Key": key or str(uuid4())} | more.pop("headers", {}), **more)
        assert answer.status_code in (200, 201), (path, answer.status_code, answer.text)
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def sign_up(self) -> str:
        """His e-mail address, once he has signed in."""
        email, password = f"{uuid4()}@example.com", "a long enough password"
        self.create("/users", json={"email": email, "name": "A customer", "password": password})
        token = self("POST", "/sessions", json={"email": email, "password": password}).json()["token"]
        self.headers["Authorization"] = f"Bearer {token}"
        return email


@dataclass
class Shop:
    """The processes of one shape, and the ways to look behind them."""

    hosts: list[str]
    database: str
    variables: dict[str, str]
    replica: Postgres | None = None
    workers: Workers | None = None

    def visitor(self) -> Visitor:
        return Visitor(cycle(self.hosts))

    def staff(self) -> Visitor:
        staff = self.visitor()
        email = staff.sign_up()
        self.sql("update users set is_staff = true where email = %s", email)
        return staff

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            done = connection.execute(text, values)
            return done.fetchall() if done.description else []

    def files(self) -> set[str]:
        """The kinds of files that there are: `invoices`, `thumbnails`."""
        if "FILES_BUCKET" in self.variables:
            found = boto3.client("s3").list_objects_v2(Bucket=self.variables["FILES_BUCKET"]).get("Contents", [])
            return {each["Key"].partition("/")[0] for each in found}
        return {path.name for path in Path(self.variables["FILES_FOLDER"]).iterdir() if any(path.iterdir())}

    def mails(self) -> int:
        """Sent by the provider, or kept where there is none."""
        if self.workers is not None:
            return self.workers.mail_sent()
        return int(self.sql("select count(*) from mails where kind = 'mail'")[0][0])


@pytest.fixture(scope="module")
def replica(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("replica"), copy_of=postgres)
    yield server
    server.stop()


@pytest.fixture
def aws(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Clients of this process ask the local AWS."""
    for name, value in local_aws.variables.items():
        monkeypatch.setenv(name, value)
    jobs_aws.client.cache_clear()
    yield local_aws.variables
    jobs_aws.client.cache_clear()


@pytest.fixture
def open_shop(
    database_url: str,
    postgres: Postgres,
    replica: Postgres,
    aws: dict[str, str],
    templates: Templates,
    tmp_path: Path,
) -> Iterator[Callable[..., Shop]]:
    with ExitStack() as running:

        def start(shape: int, cache: Valkey | None) -> Shop:
            variables = {"DATABASE_URL": database_url, "FILES_FOLDER": str(tmp_path / "files"), "SHOP_NAME": "trial"}
            variables |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}", "PROCESSES": "1", **aws}
            workers = None
            if shape >= 3:
                database = database_url.rpartition("/")[2]
                variables["REPLICA_URLS"] = replica.url(database, user="shop_app")
                variables["FILES_BUCKET"] = f"files-{uuid4()}"
                boto3.client("s3").create_bucket(Bucket=variables["FILES_BUCKET"])
            if shape >= 4:
                assert cache is not None
                variables["CACHE_NODES"] = cache.nodes
            if shape >= 5:
                workers = fan_out(templates("production", 5)["workers"], variables)
                variables["EVENTS_TOPIC"] = workers.topic
            hosts = []
            for number in range(2 if shape >= 3 else 1):
                host = f"{LOOPBACK}:{free_port()}"
                log = tmp_path / f"host-{number}.log"
                process = Process(
                    [sys.executable, "-m", "shop", "serve"], log=log, variables={**variables, "LISTEN": host}
                )
                running.callback(process.stop)
                process.wait_until(lambda host=host: _ready(host))  # type: ignore[misc]
                hosts.append(f"http://{host}")
            if workers is not None:
                relay = Process(
                    [sys.executable, "-m", "shop", "relay"], log=tmp_path / "relay.log", variables=variables
                )
                running.callback(relay.stop)
            return Shop(hosts, postgres.url(database_url.rpartition("/")[2]), variables, replica, workers)

        yield start


def _ready(host: str) -> bool:
    try:
        return httpx.get(f"http://{host}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def fan_out(template: dict[str, Any], variables: dict[str, str]) -> Workers:
    """A topic and a queue for each job, each with the filter that the template of stage 5 gives it."""
    sns, sqs, name = boto3.client("sns"), boto3.client("sqs"), f"trial-{uuid4()}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    subscriptions = {
        logical_id: body["Properties"]
        for logical_id, body in template["Resources"].items()
        if body["Type"] == "AWS::SNS::Subscription" and body["Properties"]["Protocol"] == "sqs"
    }
    queues = {}
    for job in JOBS:
        (given,) = (
            body for key, body in subscriptions.items() if key.startswith(job.title().replace("_", "") + "Queue")
        )
        queues[job] = sqs.create_queue(QueueName=f"{job}-{name}"[:80])["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queues[job], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {
            "RawMessageDelivery": str(given["RawMessageDelivery"]).lower(),
            "FilterPolicyScope": given["FilterPolicyScope"],
            "FilterPolicy": json.dumps(given["FilterPolicy"]),
        }
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    dead = sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    boto3.client("firehose").create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/stream",
            "BucketARN": f"arn:aws:s3:::{variables['FILES_BUCKET']}",
            "Prefix": "analytics/",
        },
    )
    before = _sent()
    given = {
        "STATE_TABLE": name,
        "FILES_BUCKET": variables["FILES_BUCKET"],
        "DEAD_LETTERS_URL": dead,
        "MAIL_FROM": SENDER,
        "MAIL_RULES": "",
        "STREAM": name,
        "DATABASE_URL": variables["DATABASE_URL"],
        "SHOP_NAME": "trial",
    }
    return Workers(topic, queues, given, lambda: _sent() - before)


def _sent() -> int:
    return int(boto3.client("ses").get_send_quota()["SentLast24Hours"])


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.1)


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPES.get)
def test_one_walk_goes_through_every_shape(shape: int, open_shop: Callable[..., Shop], valkey: Valkey) -> None:
    shop = open_shop(shape, valkey)
    staff, customer = shop.staff(), shop.visitor()
    customer.sign_up()

    new = {"name": "A heron lamp", "description": "Stands.", "category": "lamps", "price_cents": 990, "stock": 10}
    product = staff.create("/staff/products", json=new)["id"]
    staff.create(f"/staff/products/{product}/images", content=PICTURE, headers={"Content-Type": "image/png"})
    customer("PUT", f"/cart/lines/{product}", json={"quantity": 3})
    key = str(uuid4())
    order = customer.create("/orders", key, json={})
    assert customer.create("/orders", key, json={}) == order, "the same request has the same answer on the other host"
    assert order["total_cents"] == 2_970
    assert customer.get(f"/orders/{order['id']}")["id"] == order["id"], "and is seen at once, wherever one reads"
    assert [each["id"] for each in customer.get("/orders")["items"]] == [order["id"]]
    assert staff.get(f"/products/{product}")["stock"] == 7
    assert staff.create(f"/staff/orders/{order['id']}/shipment", json={})["status"] == "shipped"

    def followed() -> bool:
        found = [each["id"] for each in staff.get("/search?q=heron")["items"]]
        invoice = customer("GET", f"/orders/{order['id']}/invoice").content[:5]
        return found == [product] and invoice == b"%PDF-" and "thumbnails" in shop.files() and shop.mails() == 1

    if shop.workers is None:
        assert followed(), "within the request"
        return
    assert shop.mails() == 0
    assert staff.get("/search?q=heron")["items"] == []
    assert "thumbnails" not in shop.files()
    assert customer("GET", f"/orders/{order['id']}/invoice").status_code == 404
    until(lambda: shop.sql("select count(*) from outbox where sent_at is null") == [(0,)])
    assert shop.workers.work() >= 8, "events of orders, products and pictures, each to all that listen"
    until(followed)
    again = shop.sql("update outbox set sent_at = null returning 1")
    until(lambda: shop.sql("select count(*) from outbox where sent_at is null") == [(0,)])
    assert shop.workers.work() >= len(again)
    assert shop.mails() == 1, "what comes twice is done once"


def test_a_dying_cache_and_a_dead_replica_cost_no_visitor_an_answer(
    open_shop: Callable[..., Shop], replica: Postgres, tmp_path: Path
) -> None:
    cache = Valkey(tmp_path / "valkey")
    shop = open_shop(4, cache)
    staff = shop.staff()
    new = {"description": "For tea.", "category": "cups", "price_cents": 100, "stock": 1_000_000}
    products = [staff.create("/staff/products", json={"name": f"Cup {n}", **new})["id"] for n in range(5)]
    over, answers, failed = threading.Event(), [0], list[str]()

    def visit() -> None:
        visitor = shop.visitor()
        visitor.sign_up()
        for number in cycle(range(len(products))):
            if over.is_set():
                return
            asked = [
                ("GET", f"/products/{products[number]}", None),
                ("GET", "/products", None),
                ("PUT", f"/cart/lines/{products[number]}", {"quantity": 1}),
                ("POST", "/orders", {}),
                ("GET", "/orders", None),
            ]
            for method, path, body in asked:
                try:
                    answer = visitor(method, path, json=body, headers={"Idempotency-Key": str(uuid4())})
                    if answer.status_code >= 500:
                        failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                except httpx.HTTPError as problem:
                    failed.append(f"{method} {path}: {problem!r}")
                answers[0] += 1

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for thread in visitors:
        thread.start()
    try:
        time.sleep(1.5)
        replica.stop()
        time.sleep(1.5)
        cache.stop()
        time.sleep(2.5)
        replica.start()
        time.sleep(1.5)
    finally:
        over.set()
        for thread in visitors:
            thread.join()
        cache.stop()
    assert failed == []
    assert answers[0] > 200


def test_what_a_cache_and_a_queue_take_off_the_database_and_the_checkout(
    open_shop: Callable[..., Shop],
    database_url: str,
    postgres: Postgres,
    replica: Postgres,
    valkey: Valkey,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Statements for each product page without a cache and with one; a checkout with its jobs inside and outside."""
    postgres.sql(f"alter database {database_url.rpartition('/')[2]} set log_statement = 'all'")

    def statements() -> int:
        logs = ((server.folder / "postgresql.log").read_text(errors="replace") for server in (postgres, replica))
        return sum(log.count("LOG:  execute") for log in logs)

    asked, checkout, product = {}, {}, ""
    for shape in (3, 4, 5):
        shop = open_shop(shape, valkey)
        customer = shop.visitor()
        customer.sign_up()
        if not product:  # before there is a cache, which keeps away from what has just changed
            new = {"name": "A cup", "description": "For tea.", "category": "cups", "price_cents": 100, "stock": 1_000}
            product = shop.staff().create("/staff/products", json=new)["id"]
        anybody, before = shop.visitor(), statements()
        for _ in range(READS):
            anybody.get(f"/products/{product}")
        asked[shape] = (statements() - before) / READS
        took = []
        for _ in range(20):
            customer("PUT", f"/cart/lines/{product}", json={"quantity": 1})
            started = time.perf_counter()
            customer.create("/orders", json={})
            took.append(time.perf_counter() - started)
        checkout[shape] = statistics.median(took)
    with capsys.disabled():
        print(f"\nstatements for a product page: {asked[3]:.2f} without a cache, {asked[4]:.2f} with it")
        print(f"a checkout: {checkout[4] * 1000:.0f} ms with its jobs inside, {checkout[5] * 1000:.0f} ms without")
    assert asked[4] < asked[3] / 2
    assert checkout[5] < checkout[4]
