"""The jobs' surroundings under moto: a queue with redrive, its dead letters, bucket, table, mail and push.

Time stands still until something waits for it, so a redelivery that takes minutes costs nothing. What a handler asks of
AWS can be counted, killed or made to fail at each call that leaves the process.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from botocore.client import BaseClient
from moto import mock_aws
from moto.sqs.models import sqs_backends

from jobs import aws
from jobs.batch import logger
from jobs.events import Event, encode

LAMBDAS = Path(__file__).parents[2] / "lambdas"
REGION, ACCOUNT = "us-east-1", "123456789012"
TIMEOUT_SECONDS, VISIBILITY_SECONDS, ATTEMPTS, BATCH = 30, 180, 5, 5
SENDER, RULES = "shop@example.com", "rules"

Call = Callable[[BaseClient, str, dict[str, Any]], Any]


class Killed(BaseException):
    """The process is gone: nothing in it runs any further."""


@dataclass
class Calls:
    """Every call that leaves the process, with a point before it and one after its effect; dies at point `kill`."""

    kill: int | None = None
    points: list[str] = field(default_factory=list)

    def pass_point(self, name: str) -> None:
        self.points.append(name)
        if len(self.points) - 1 == self.kill:
            raise Killed(name)

    def __call__(self, original: Call) -> Call:
        def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
            name = f"{client.meta.service_model.service_name}.{operation}"
            self.pass_point(f"before {name}")
            answer = original(client, operation, arguments)
            self.pass_point(f"after {name}")
            return answer

        return call


@contextmanager
def between(wrap: Callable[[Call], Call]) -> Iterator[None]:
    """Stand between every boto3 client and AWS."""
    with patch.object(BaseClient, "_make_api_call", wrap(BaseClient._make_api_call)):
        yield


@dataclass
class Clock:
    """The only time there is."""

    now: float = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    def milliseconds(self) -> float:
        return self.now * 1000

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Output:
    """Wherever standard output goes now; the logger was made when it went elsewhere."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@dataclass
class Context:
    """What Lambda hands to a handler."""

    clock: Clock
    deadline: float
    function_name: str = "job"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:job"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - self.clock.now) * 1000))


@dataclass
class World:
    """One job and all that it touches."""

    job: str
    clock: Clock
    queue: str
    dead_letters_queue: str
    bucket: str
    table: str
    handler: Callable[[dict[str, Any], Any], Any]
    module: ModuleType
    invocations: int = 0
    provider_tells: bool = True
    mails: list[dict[str, Any]] = field(default_factory=list)
    pushes: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return aws.client(service)

    def send(self, what: Event | str) -> None:
        """A message in the job's queue."""
        body = encode(what) if isinstance(what, Event) else what
        self.client("sqs").send_message(QueueUrl=self.queue, MessageBody=body)

    def put(self, key: str, data: bytes | dict[str, Any]) -> None:
        """A file in the bucket, such as an event's document."""
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=content)

    def receive(self) -> list[dict[str, Any]]:
        """The next batch, as Lambda hands it over."""
        answer = self.client("sqs").receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=BATCH, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.job}",
                "awsRegion": REGION,
            }
            for message in answer.get("Messages", [])
        ]

    def invoke(self, batch: list[dict[str, Any]]) -> set[str]:
        """Which messages of the batch have failed; a handler that dies leaves all of them where they were."""
        self.invocations += 1
        answer = self.handler({"Records": batch}, Context(self.clock, self.clock.now + TIMEOUT_SECONDS))
        return {item["itemIdentifier"] for item in answer["batchItemFailures"]}

    def work(self, calls: Calls | None = None) -> None:
        """Deliver until the queue is empty, as Lambda's poller does, waiting for whatever is hidden."""
        for _ in range(200):
            batch = self.receive()
            if batch:
                told = len(self.mails)
                try:
                    with between(calls or Calls()):
                        failed = self.invoke(batch)
                except Killed:
                    failed = {message["messageId"] for message in batch}
                for message in batch:
                    if message["messageId"] not in failed:
                        self.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=message["receiptHandle"])
                for mail in self.mails[told:] if self.provider_tells else []:
                    self.send(notice(mail["EmailTags"][0]["Value"], "Send"))
            elif (due := self.next_due()) is not None:
                self.clock.now = due
            else:
                return
        raise AssertionError("the queue never gets empty")

    def next_due(self) -> float | None:
        """When the next hidden message can be received; SQS does not tell, moto knows."""
        queue = sqs_backends[ACCOUNT][REGION].queues[self.queue.rpartition("/")[2]]
        times = [max(message.visible_at, message.delayed_until) for message in queue._messages]
        return min(times) / 1000 + 0.001 if times else None

    def dead_letters(self) -> list[tuple[str, str | None]]:
        """Body and reason of each message that was set aside; None when SQS itself did it."""
        found: list[tuple[str, str | None]] = []
        while True:
            answer = self.client("sqs").receive_message(
                QueueUrl=self.dead_letters_queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            if not answer.get("Messages"):
                return found
            for message in answer["Messages"]:
                reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue")
                found.append((message["Body"], reason))

    def device(self, name: str) -> str:
        """A telephone that can be told something."""
        sns = self.client("sns")
        given = {"PlatformCredential": "key", "PlatformPrincipal": "name"}
        phones = sns.create_platform_application(Name="phones", Platform="GCM", Attributes=given)
        application = phones["PlatformApplicationArn"]
        endpoint = sns.create_platform_endpoint(PlatformApplicationArn=application, Token=name)
        return str(endpoint["EndpointArn"])

    def row(self, key: str) -> dict[str, str] | None:
        """A row of the state table, without the types."""
        item = self.client("dynamodb").get_item(TableName=self.table, Key={"id": {"S": key}}).get("Item")
        return None if item is None else {name: next(iter(value.values())) for name, value in item.items()}

    def noting(self, original: Call) -> Call:
        def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
            answer = original(client, operation, arguments)
            if operation == "SendEmail":
                self.mails.append(arguments)
            if operation == "Publish":
                self.pushes.append(arguments)
            return answer

        return call


def notice(event: str | None, kind: str, **more: Any) -> str:
    """What the mail provider tells through EventBridge, as it stands in the queue."""
    mail = {
        "timestamp": "2027-01-15T08:00:00.000Z",
        "source": SENDER,
        "messageId": "0100018c-0000",
        "destination": ["customer@example.com"],
        "tags": {"ses:configuration-set": [RULES], "ses:from-domain": ["example.com"]},
    }
    if event is not None:
        mail["tags"] = {**mail["tags"], "event_id": [event]}  # type: ignore[dict-item]
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": f"Email {kind}",
            "source": "aws.ses",
            "account": "123456789012",
            "time": "2027-01-15T08:00:01Z",
            "region": REGION,
            "resources": [f"arn:aws:ses:{REGION}:123456789012:configuration-set/{RULES}"],
            "detail": {"eventType": kind, "mail": mail, kind.lower(): {}, **more},
        }
    )


def killed_everywhere(scenario: Callable[[Calls], None]) -> list[str]:
    """Run a scenario once undisturbed, then once for each point that it passed, and die there.

    A scenario makes a world, works with the calls it is given, and asserts what has to hold whatever happened.
    """
    undisturbed = Calls()
    scenario(undisturbed)
    for kill, point in enumerate(undisturbed.points):
        calls = Calls(kill)
        try:
            scenario(calls)
        except AssertionError as error:
            error.add_note(f"killed at point {kill}, {point}")
            raise
        assert len(calls.points) > kill
    return undisturbed.points


def load(job: str) -> ModuleType:
    """The handler of a job as Lambda would import it; each folder has one of the same name."""
    path = LAMBDAS / job / "handler.py"
    spec = importlib.util.spec_from_file_location(f"{job}_handler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def world(job: str, **variables: str) -> Iterator[World]:
    """A fresh one; `variables` are added to what the stacks set for every job."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patched:
        names = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
        for name, value in names.items():
            patched.setenv(name, value)
        with mock_aws():
            sqs, unique = aws.client("sqs"), uuid4().hex
            dead_letters = sqs.create_queue(QueueName=f"{unique}-dead")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": ATTEMPTS})
            attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": redrive}
            queue = sqs.create_queue(QueueName=unique, Attributes=attributes)["QueueUrl"]
            aws.client("s3").create_bucket(Bucket=unique)
            aws.client("dynamodb").create_table(
                TableName=unique,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            aws.client("sesv2").create_email_identity(EmailIdentity=SENDER)
            names = {
                "SHOP_NAME": "trial",
                "STATE_TABLE": unique,
                "FILES_BUCKET": unique,
                "QUEUE_URL": queue,
                "DEAD_LETTERS_URL": dead_letters,
                "POWERTOOLS_SERVICE_NAME": job,
                **variables,
            }
            for name, value in names.items():
                patched.setenv(name, value)
            patched.setattr("jobs.ledger.now", clock.time)
            for handler in logger.handlers:
                patched.setattr(handler, "stream", Output())
            patched.setattr("moto.sqs.models.unix_time", clock.time)
            patched.setattr("moto.sqs.models.unix_time_millis", clock.milliseconds)
            module = load(job)
            made = World(job, clock, queue, dead_letters, unique, unique, module.handler, module)
            with between(made.noting):
                yield made
