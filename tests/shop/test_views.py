"""Views of products: told soon, in bulk, and never at a visitor's expense."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import boto3
import pytest

from jobs.events import decode
from shop import aws, views
from shop.database import Database
from shop.files import choose as choose_files
from shop.settings import Settings, load
from shop.views import Views
from shop.work import choose
from workbench.lab.servers import LocalAws

pytestmark = pytest.mark.slow


def views_of(settings: Settings) -> Views:
    return Views(settings, choose(settings, Database(settings), choose_files(settings)))


async def told(settings: Settings, seen: int) -> None:
    collected = views_of(settings)
    for number in range(seen):
        collected.seen(str(number), "Root=1-abc")
    await collected.flush()
    await collected.flush()


def test_without_a_topic_each_view_is_a_line_of_the_log_once(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(told(load({"DATABASE_URL": database_url}), 3))
    records = [json.loads(json.loads(line)["record"]) for line in capsys.readouterr().out.splitlines()]
    assert [(record["type"], record["product_id"]) for record in records] == [
        ("product.viewed", "0"),
        ("product.viewed", "1"),
        ("product.viewed", "2"),
    ]


@pytest.fixture
def topic(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in local_aws.variables.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    yield boto3.client("sns").create_topic(Name=f"views-{uuid4()}")["TopicArn"]
    aws.client.cache_clear()


def test_with_a_topic_they_are_published_as_events_that_workers_understand(database_url: str, topic: str) -> None:
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=f"views-{uuid4()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    raw = {"RawMessageDelivery": "true"}
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    asyncio.run(told(load({"DATABASE_URL": database_url, "EVENTS_TOPIC": topic, "FILES_BUCKET": "bucket"}), 25))
    found = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            found.append(decode(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert {event.ids["product_id"] for event in found} == {str(number) for number in range(25)}
    assert len(found) == 25
    assert {(event.type, event.trace) for event in found} == {("product.viewed", "Root=1-abc")}


def test_when_telling_does_not_keep_up_the_oldest_go(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST_WAITING", 5)
    asyncio.run(told(load({"DATABASE_URL": database_url}), 12))
    records = [json.loads(json.loads(line)["record"]) for line in capsys.readouterr().out.splitlines()]
    assert [record["product_id"] for record in records] == ["7", "8", "9", "10", "11"]


def test_a_topic_that_does_not_answer_costs_views_and_nothing_else(
    database_url: str, topic: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PERIOD", 0.05)
    missing = topic + "-gone"
    settings = load({"DATABASE_URL": database_url, "EVENTS_TOPIC": missing, "FILES_BUCKET": "bucket"})

    async def story() -> None:
        collected = views_of(settings)
        telling = asyncio.create_task(collected.flush_for_ever())
        collected.seen("1")
        await asyncio.sleep(1.5)
        assert not telling.done(), "it goes on"
        telling.cancel()

    asyncio.run(story())
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["message"], line["level"]) == ("views were lost", "warning")


def test_a_process_that_ends_in_peace_tells_the_rest(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        collected = views_of(load({"DATABASE_URL": database_url}))
        telling = asyncio.create_task(collected.flush_for_ever())
        await asyncio.sleep(0)
        collected.seen("1")
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)

    asyncio.run(story())
    assert capsys.readouterr().out.count("product.viewed") == 1
