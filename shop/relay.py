"""Tells the topic what the outbox holds: every event at least once, by one process at a time.

A session's advisory lock makes the leader: when it dies, so does its connection, and the next one takes over. Rows are
marked only after the topic has taken them; whoever dies in between has told them twice, with the same id.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.conninfo import make_conninfo

from shop import aws, observe
from shop.database import login
from shop.settings import BadSetting, Server, Settings

LEADER = 20260104
BATCH = 100
AT_ONCE = 10  # what one call of the topic takes, and how many documents are put at the same time
SECONDS_TO_LOOK_AGAIN = 0.5
# A leader whose host is gone without a word is noticed within ten seconds, and its lock is free.
NOTICE_A_DEAD_LEADER = "set tcp_keepalives_idle = 4; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3"


def publish(topic: str, messages: Sequence[tuple[str, str]]) -> list[str]:
    """Publish (id, text) in this order; the ids that the topic has taken. What it has not is logged."""
    taken: list[str] = []
    for start in range(0, len(messages), AT_ONCE):
        some = messages[start : start + AT_ONCE]
        entries = [{"Id": message_id, "Message": text} for message_id, text in some]
        answer = aws.client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        taken += [success["Id"] for success in answer.get("Successful", ())]
        for failure in answer.get("Failed", ()):
            observe.log("not published", level="warning", event=failure["Id"], code=failure.get("Code"))
    return taken


class Relay:
    """One process that tells, or waits until it may."""

    def __init__(self, settings: Settings) -> None:
        if settings.events_topic is None or settings.files_bucket is None:
            raise BadSetting("EVENTS_TOPIC is missing: without a topic there is nobody to tell")
        self._settings, self._topic, self._bucket = settings, settings.events_topic, settings.files_bucket
        self._stopping = threading.Event()
        self._reported = -math.inf

    def stop(self, *_: object) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until stopped; a batch that has begun is finished first."""
        for wanted in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # started again, it reads the settings again
            signal.signal(wanted, self.stop)
        while not self._stopping.is_set():
            try:
                with connect(self._settings) as connection:
                    self._lead(connection)
            except (psycopg.Error, BotoCoreError, ClientError) as error:
                observe.log("the relay tries again", level="warning", **observe.reason(error))
                self._stopping.wait(1)

    def _lead(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(NOTICE_A_DEAD_LEADER)
        while not connection.execute("select pg_try_advisory_lock(%s)", [LEADER]).fetchone()[0]:  # type: ignore[index]
            if self._stopping.wait(SECONDS_TO_LOOK_AGAIN):
                return
        observe.log("this relay leads")
        while not self._stopping.is_set():
            self.report(connection)
            if not self.tell(connection):
                self._stopping.wait(SECONDS_TO_LOOK_AGAIN)

    def tell(self, connection: psycopg.Connection[Any]) -> int:
        """One batch: the facts first, then the event, then the mark. How many were told."""
        with connection.transaction():
            rows = connection.execute(
                "select id, event, document from outbox where sent_at is null order by id limit %s"
                " for update skip locked",
                [BATCH],
            ).fetchall()
            if not rows:
                return 0
            with ThreadPoolExecutor(AT_ONCE) as threads:
                list(threads.map(lambda row: self._put(row[1]["id"], row[2]), rows))
            taken = publish(self._topic, [(event["id"], _line(event)) for _, event, _ in rows])
            sent = [row_id for row_id, event, _ in rows if event["id"] in taken]
            connection.execute("update outbox set sent_at = now() where id = any(%s)", [sent])
        return len(sent)

    def _put(self, event: str, document: object) -> None:
        if document is not None:
            body = json.dumps(document, sort_keys=True).encode()
            about = {"Key": f"events/{event}.json", "ContentType": "application/json"}
            aws.client("s3").put_object(Bucket=self._bucket, Body=body, **about)

    def report(self, connection: psycopg.Connection[Any]) -> None:
        """Once a minute: how old the oldest is that waits. It grows when nobody tells, or the topic does not take."""
        if time.monotonic() - self._reported < observe.MINUTE:
            return
        self._reported = time.monotonic()
        row = connection.execute(
            "select coalesce(extract(epoch from now() - min(created_at)), 0)::float from outbox where sent_at is null"
        ).fetchone()
        observe.measure("outbox", observe.RELAY, {"OutboxAge": row[0]})  # type: ignore[index]


def _line(event: Any) -> str:
    """As `jobs.events.encode` writes it; jsonb has kept the facts, not the order."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"))


def conninfo(server: Server) -> str:
    """How to log in once, outside the pools of the requests and without their time limits."""
    return make_conninfo(**{**login(server), "application_name": "shop-beside"})


def connect(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(conninfo(settings.primary), autocommit=True)
