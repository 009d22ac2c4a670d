"""A whole shop as processes on real servers, its visitors, and the workers that are told what happens in it."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from jobs import batch
from tests.conftest import Template
from tests.lambdas.world import SENDER, Clock, Output, World, load
from workbench.lab.servers import LOOPBACK, LocalAws, Process, free_port
from workbench.synth import ROOT

PYTHON = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}", "PROCESSES": "1"}


class Visitor:
    """Asks the next host with each request, and keeps cookies as a browser does. His address is his own."""

    def __init__(self, hosts: list[str]) -> None:
        self.email, self._hosts = f"{uuid4()}@example.com", cycle(hosts)
        address = ".".join(["10", *(str(random.randrange(256)) for _ in range(3))])
        self._client = httpx.Client(headers={"X-Forwarded-For": address}, timeout=30, verify=False)

    def ask(self, method: str, path: str, *, key: str = "", **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or str(uuid4()), **more.pop("headers", {})}
        return self._client.request(method, f"{next(self._hosts)}{path}", headers=headers, **more)

    def __call__(self, method: str, path: str, *, key: str = "", **more: Any) -> Any:
        """What the API answers, if it does what it was asked for."""
        answer = self.ask(method, f"/api/v1{path}", key=key, **more)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json()

    def sign_up(self) -> None:
        password = {"password": "a long enough password"}
        self("POST", "/users", json={"email": self.email, "name": "A customer", **password})
        token = self("POST", "/sessions", json={"email": self.email, **password})["token"]
        self._client.headers["Authorization"] = f"Bearer {token}"


@contextmanager
def opened(variables: Mapping[str, str], folder: Path, *, hosts: int, relay: bool) -> Iterator[list[str]]:
    """Where so many hosts answer; nothing but the variables tells them what they stand on."""
    folder.mkdir(parents=True)

    def start(command: str, name: str, **more: str) -> Process:
        given = {**variables, **PYTHON, **more}
        return Process([sys.executable, "-m", "shop", command], log=folder / f"{name}.log", variables=given)

    with ThreadPoolExecutor() as at_once, ExitStack() as running:
        started = {}
        for number in range(1, hosts + 1):
            address = f"{LOOPBACK}:{free_port()}"
            started[f"http://{address}"] = process = start("serve", f"host-{number}", LISTEN=address)
            running.callback(at_once.submit, process.stop)
        if relay:
            running.callback(at_once.submit, start("relay", "relay").stop)
        for host, process in started.items():
            process.wait_until(lambda host=host: gauges([host]) != {})  # type: ignore[misc]
        yield list(started)


def gauges(hosts: list[str]) -> Counter[str]:
    """Of all hosts together; nothing from one that is not ready."""
    found = Counter[str]()
    for host in hosts:
        try:
            # Nothing is encrypted here, and to read the known certificates takes longer than the answer.
            answer = httpx.get(f"{host}/readyz", timeout=30, verify=False)
        except httpx.TransportError:
            continue
        if answer.is_success:
            found.update({name: value for name, value in answer.json().items() if name != "status"})
    return found


class Workers:
    """What stage 5 has beside the shop: queues, filters and environments as its template says, and the real handlers.

    Topic, bucket, table, stream and mail rules have one name, so that tests do not see each other's.
    """

    def __init__(self, template: Template, database_url: str) -> None:
        self.name = f"trial-{uuid4()}"
        self.topic = str(boto3.client("sns").create_topic(Name=self.name)["TopicArn"])
        self._prepare()
        found = [resource.get("Properties", {}) for resource in template["Resources"].values()]
        subscriptions = {item["Endpoint"]["Fn::GetAtt"][0]: item for item in found if item.get("Protocol") == "sqs"}
        self._jobs: dict[str, tuple[World, dict[str, str]]] = {}
        for function in found:
            given = function.get("Environment", {}).get("Variables", {})
            if "QUEUE_URL" not in given:
                continue
            job = given["POWERTOOLS_SERVICE_NAME"]
            queue, dead = self._queue(job, subscriptions[given["QUEUE_URL"]["Ref"]])
            local = dict.fromkeys(("FILES_BUCKET", "STATE_TABLE", "STREAM", "MAIL_RULES"), self.name)
            local |= {"QUEUE_URL": queue, "DEAD_LETTERS_URL": dead, "MAIL_FROM": SENDER}
            variables = {name: local.get(name, value) for name, value in given.items()}
            if "DATABASE_PARAMETERS" in given:  # they lead to a login with IAM, which is not here
                variables["DATABASE_URL"] = database_url
            module = load(job)
            world = World(job, Clock(), queue, dead, self.name, self.name, module.handler, module)
            self._jobs[job] = (world, variables)

    def device(self) -> str:
        """A telephone that can be told something."""
        return self._jobs["notification"][0].device(str(uuid4()))

    def work(self) -> dict[str, int]:
        """Deliver until every queue is empty; how many messages each job had."""
        done = Counter[str]()
        for job, (world, variables) in self._jobs.items():
            with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as said:
                for name, value in variables.items():
                    patched.setenv(name, value)
                for stream in batch.logger.handlers:
                    patched.setattr(stream, "stream", Output())
                while messages := world.receive():
                    assert world.invoke(messages) == set(), (job, said.getvalue())
                    for message in messages:
                        world.client("sqs").delete_message(QueueUrl=world.queue, ReceiptHandle=message["receiptHandle"])
                    done[job] += len(messages)
            assert world.dead_letters() == [], job
        return dict(done)

    def _prepare(self) -> None:
        boto3.client("s3").create_bucket(Bucket=self.name)
        boto3.client("dynamodb").create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
        boto3.client("sesv2").create_configuration_set(ConfigurationSetName=self.name)
        there = {"RoleARN": "arn:aws:iam::123456789012:role/stream", "BucketARN": f"arn:aws:s3:::{self.name}"}
        boto3.client("firehose").create_delivery_stream(
            DeliveryStreamName=self.name, ExtendedS3DestinationConfiguration={**there, "Prefix": "analytics/"}
        )

    def _queue(self, job: str, subscription: dict[str, Any]) -> tuple[str, str]:
        """The job's queue, which hears of the topic what the subscription lets through, and its dead letters."""
        sqs = boto3.client("sqs")
        queue, dead = (sqs.create_queue(QueueName=f"{job}-{kind}-{self.name}")["QueueUrl"] for kind in ("work", "dead"))
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {
            "RawMessageDelivery": json.dumps(subscription["RawMessageDelivery"]),
            "FilterPolicyScope": subscription["FilterPolicyScope"],
            "FilterPolicy": json.dumps(subscription["FilterPolicy"]),
        }
        boto3.client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return queue, dead


def told(aws: LocalAws, email: str, device: str) -> tuple[int, int]:
    """How many mails the provider has sent to an address, and how many messages a device was told."""
    known = httpx.get(f"{aws.variables['AWS_ENDPOINT_URL']}/moto-api/data.json", timeout=30).json()
    mails = [mail for mail in known["ses"]["Message"] if email in mail["destinations"]["ToAddresses"][0]]
    (messages,) = (point["messages"] for point in known["sns"]["PlatformEndpoint"] if point["arn"] == device)
    return len(mails), len(messages)
