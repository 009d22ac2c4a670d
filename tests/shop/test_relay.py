"""The relay against a real PostgreSQL and a local AWS: what is in the outbox reaches every queue, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest
from psycopg.types.json import Jsonb

from jobs.events import decode, encode, happened
from shop import aws, relay
from shop.settings import BadSetting, load
from workbench.lab.servers import LocalAws, Process
from workbench.synth import ROOT

pytestmark = pytest.mark.slow


@dataclass
class Outside:
    """A topic with one queue behind it, a bucket, and what the relay has to know."""

    topic: str
    queue: str
    bucket: str
    variables: dict[str, str]

    def received(self) -> list[dict[str, Any]]:
        """Every message, in order of arrival; none is left."""
        sqs, found = boto3.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
            found += [json.loads(message["Body"]) for message in messages]
            entries = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
            sqs.delete_message_batch(QueueUrl=self.queue, Entries=entries)
        return found


@pytest.fixture
def outside(local_aws: LocalAws, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    for name, value in local_aws.variables.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    sns, sqs, name = boto3.client("sns"), boto3.client("sqs"), f"outside-{uuid4()}"
    boto3.client("s3").create_bucket(Bucket=name)
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    variables = {"DATABASE_URL": database_url, "EVENTS_TOPIC": topic, "FILES_BUCKET": name, "SHOP_NAME": "trial"}
    yield Outside(topic, queue, name, variables)
    aws.client.cache_clear()


def put(database_url: str, count: int) -> list[str]:
    """Fill the outbox, as orders would; the ids of the events in order."""
    events = [happened("order.placed", order_id=uuid4(), trace=f"Root=1-{number}") for number in range(count)]
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into outbox (event, document) values (%s::jsonb, %s)",
            [(encode(event), Jsonb({"order": {"id": event.ids["order_id"]}})) for event in events],
        )
    return [event.id for event in events]


def waiting(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(*) from outbox where sent_at is null").fetchone()
    assert row is not None
    return int(row[0])


def until(happens: Callable[[], bool], seconds: float = 30) -> None:
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path, outside: Outside) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start_relay() -> Process:
        paths = f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}"
        log = tmp_path / f"relay-{len(started)}.log"
        variables = {**outside.variables, "PYTHONPATH": paths}
        started.append(Process([sys.executable, "-m", "shop", "relay"], log=log, variables=variables))
        return started[-1]

    yield start_relay
    for process in started:
        process.stop()


def leads(process: Process) -> bool:
    return "this relay leads" in process.log.read_text()


def test_events_arrive_once_in_order_with_their_facts_in_the_bucket(outside: Outside, database_url: str) -> None:
    wanted = put(database_url, 25)
    one = relay.Relay(load(outside.variables))
    with relay.connect(load(outside.variables)) as connection:
        assert one.tell(connection) == 25
        assert one.tell(connection) == 0
    told = outside.received()
    assert [event["id"] for event in told] == wanted
    assert decode(json.dumps(told[3])).trace == "Root=1-3", "a worker understands it"
    body = boto3.client("s3").get_object(Bucket=outside.bucket, Key=f"events/{wanted[3]}.json")["Body"].read()
    assert json.loads(body) == {"order": {"id": told[3]["order_id"]}}


def test_what_the_topic_does_not_take_waits_and_the_rest_goes_on(
    outside: Outside, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = put(database_url, 12)
    real = aws.client("sns")

    class Choosy:
        """Takes all but one of each ten, as a topic under pressure may."""

        def publish_batch(self, **request: Any) -> Any:
            entries = request["PublishBatchRequestEntries"]
            answer = real.publish_batch(TopicArn=request["TopicArn"], PublishBatchRequestEntries=entries[1:])
            return {**answer, "Failed": [{"Id": entries[0]["Id"], "Code": "InternalError", "SenderFault": False}]}

    one = relay.Relay(load(outside.variables))
    with relay.connect(load(outside.variables)) as connection:
        with monkeypatch.context() as trouble:
            trouble.setattr(aws, "client", lambda name: Choosy() if name == "sns" else boto3.client(name))
            assert one.tell(connection) == 10
        assert waiting(database_url) == 2
        assert one.tell(connection) == 2
    assert Counter(event["id"] for event in outside.received()) == Counter(wanted)


def test_two_batches_at_once_never_tell_the_same(outside: Outside, database_url: str) -> None:
    wanted = put(database_url, 5)
    settings = load(outside.variables)
    with relay.connect(settings) as other, other.transaction():
        other.execute("select from outbox where event ->> 'id' = %s for update", [wanted[2]])
        with relay.connect(settings) as connection:
            assert relay.Relay(settings).tell(connection) == 4
    assert [event["id"] for event in outside.received()] == wanted[:2] + wanted[3:]


def test_the_next_relay_takes_over_when_the_leader_is_killed_and_nothing_is_lost(
    outside: Outside, database_url: str, start: Callable[[], Process]
) -> None:
    leader = start()
    until(lambda: leads(leader))
    follower = start()
    wanted = put(database_url, 600)
    until(lambda: 0 < waiting(database_url) < 600)  # in the middle of its work
    assert not leads(follower), "one at a time"
    os.kill(leader.pid, signal.SIGKILL)
    until(lambda: leads(follower))
    wanted += put(database_url, 50)
    told = Counter[str]()

    def all_told() -> bool:
        """Read meanwhile: a local AWS takes long over a queue that is long."""
        done = waiting(database_url) == 0
        told.update(event["id"] for event in outside.received())
        return done

    until(all_told)
    assert set(told) == set(wanted), "nothing lost, nothing made up"
    assert sum(told.values()) - len(told) <= relay.BATCH, "at most the batch of the dead leader came twice"


def test_a_relay_that_is_told_to_stop_finishes_its_batch(
    outside: Outside, database_url: str, start: Callable[[], Process]
) -> None:
    process = start()
    until(lambda: leads(process))
    wanted = put(database_url, 400)
    until(lambda: waiting(database_url) < 400)
    assert process.stop() == 0
    left = waiting(database_url)
    assert Counter(event["id"] for event in outside.received()) == Counter(wanted[: 400 - left])


def test_a_relay_outlives_a_database_that_goes_away(
    outside: Outside, database_url: str, start: Callable[[], Process]
) -> None:
    process = start()
    until(lambda: leads(process))
    name = database_url.rpartition("/")[2]
    with psycopg.connect(database_url.replace("shop_app", "postgres"), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and usename = 'shop_app'", [name]
        )
    wanted = put(database_url, 3)
    until(lambda: waiting(database_url) == 0)
    assert [event["id"] for event in outside.received()] == wanted
    assert process.running


def test_without_a_topic_there_is_nothing_to_relay(database_url: str) -> None:
    with pytest.raises(BadSetting, match="EVENTS_TOPIC is missing"):
        relay.Relay(load({"DATABASE_URL": database_url}))
