"""Analytics: what is kept of an event, and that each one arrives at least once."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from jobs import analytics
from jobs.events import Event, decode, encode, happened
from tests.lambdas.world import Call, Calls, World, between, world

EVENT = Event(
    "5f6b8a52-0000-4000-8000-000000000000", "product.viewed", {"product_id": "7"}, "2026-03-04T05:06:07.000+00:00", "t"
)


@contextmanager
def analytics_world() -> Iterator[World]:
    with world("analytics", STREAM="views") as job:
        job.client("firehose").create_delivery_stream(
            DeliveryStreamName="views",
            DeliveryStreamType="DirectPut",
            S3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::123456789012:role/firehose",
                "BucketARN": f"arn:aws:s3:::{job.bucket}",
                "Prefix": "views/",
            },
        )
        yield job


def arrived(job: World) -> list[dict[str, Any]]:
    """Every line that the stream has delivered."""
    s3 = job.client("s3")
    lines: list[bytes] = []
    for item in s3.list_objects_v2(Bucket=job.bucket, Prefix="views/").get("Contents", []):
        data = s3.get_object(Bucket=job.bucket, Key=item["Key"])["Body"].read()
        lines += (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).splitlines()
    return [json.loads(line) for line in lines]


def test_a_record_is_one_line_with_ids_and_times_and_no_person() -> None:
    assert analytics.record(EVENT) == (
        b'{"at":"2026-03-04T05:06:07.000+00:00","id":"5f6b8a52-0000-4000-8000-000000000000",'
        b'"product_id":"7","type":"product.viewed","version":1}\n'
    )


def test_a_record_is_the_same_for_each_delivery_of_its_event() -> None:
    assert analytics.record(decode(encode(EVENT))) == analytics.record(EVENT)


def test_every_event_in_the_queue_arrives_once_when_nothing_fails() -> None:
    with analytics_world() as job:
        sent = [happened("product.viewed", product_id=number) for number in range(12)]
        for event in sent:
            job.send(event)
        job.work()
        assert Counter(line["id"] for line in arrived(job)) == Counter(event.id for event in sent)
        assert job.dead_letters() == []


def test_only_what_the_stream_does_not_take_comes_again() -> None:
    with analytics_world() as job:
        sent = [happened("product.viewed", product_id=number) for number in range(5)]
        for event in sent:
            job.send(event)
        refused = Counter[str]()

        def moody(original: Call) -> Call:
            def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
                if operation == "PutRecord":
                    product = json.loads(arguments["Record"]["Data"])["product_id"]
                    if product in "13" and refused[product] < 2:
                        refused[product] += 1
                        raise ClientError({"Error": {"Code": "ServiceUnavailableException"}}, operation)
                return original(client, operation, arguments)

            return call

        with between(moody):
            job.work()
        assert refused == {"1": 2, "3": 2}
        assert Counter(line["id"] for line in arrived(job)) == Counter(event.id for event in sent)


@pytest.mark.parametrize("body", ["no json", json.dumps({**json.loads(encode(EVENT)), "version": 2})])
def test_what_is_no_event_is_set_aside_and_holds_nobody_up(body: str) -> None:
    with analytics_world() as job:
        job.send(body)
        job.send(EVENT)
        job.work()
        [(kept, reason)] = job.dead_letters()
        assert kept == body
        assert reason
        assert [line["id"] for line in arrived(job)] == [EVENT.id]


def test_a_crash_at_any_moment_loses_nothing_and_repeats_at_most_what_was_not_deleted() -> None:
    with analytics_world() as job:
        job.send(EVENT)
        job.work(calls := Calls())
    assert "before firehose.PutRecord" in calls.points
    seen = set()
    for moment in range(len(calls.points)):
        with analytics_world() as job:
            job.send(EVENT)
            job.work(Calls(kill=moment))
            lines = [json.dumps(line) for line in arrived(job)]
            assert len(set(lines)) == 1  # whoever keeps one line for each id sees it once
            seen.add(len(lines))
    assert seen == {1, 2}
