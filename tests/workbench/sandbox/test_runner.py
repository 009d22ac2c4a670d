"""Deployed functions run: with the code of their asset, the packages of this environment, and Lambda's rules."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.awslambda.models import EventSourceMapping
from moto.server import ThreadedMotoServer
from moto.sqs.models import Queue

from jobs.events import encode, happened
from workbench.sandbox import runner as module
from workbench.sandbox.local import INVOCATIONS
from workbench.sandbox.runner import Answer, Runner, own_files, to_come_again
from workbench.synth import ROOT

REGION, KEY = "us-east-1", "AKIA0000000000000001"
NUMBERS = count(1)


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def job(name: str) -> bytes:
    """A worker as it is deployed, but for its packages."""
    lambdas = ROOT / "lambdas"
    files = [lambdas / name / "handler.py", *(lambdas / "jobs").glob("*.py")]
    return zipped({str(file.relative_to(lambdas)).removeprefix(f"{name}/"): file.read_bytes() for file in files})


@dataclass
class Cloud:
    """A local AWS with a runner beside it."""

    url: str
    folder: Path

    @cached_property
    def role(self) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = self.client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=document)
        return str(made["Role"]["Arn"])

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def function(self, code: str | bytes, **settings: Any) -> str:
        name = f"function-{next(NUMBERS)}"
        self.client("lambda").create_function(
            FunctionName=name,
            Role=self.role,
            Runtime="python3.14",
            Handler="handler.handler",
            Code={"ZipFile": zipped({"handler.py": code}) if isinstance(code, str) else code},
            **{"Timeout": 30, **settings},
        )
        return name

    def invoke(self, name: str, event: object = None, **options: str) -> Any:
        return self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **options)

    def answer(self, name: str, event: object = None) -> Any:
        return json.load(self.invoke(name, event)["Payload"])

    def queue(self, attempts: int = 2) -> tuple[str, str]:
        """The addresses of a queue and of what it sets aside."""
        sqs, name = self.client("sqs"), f"queue-{next(NUMBERS)}"
        dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        policy = {"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": attempts}
        # As long as a worker's: only the runner's shorter wait brings a message back within a test.
        attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "180"}
        return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead

    def arn(self, queue: str) -> str:
        answer = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def connect(self, queue: str, function: str, **settings: Any) -> None:
        settings = {"FunctionResponseTypes": ["ReportBatchItemFailures"], "BatchSize": 5, **settings}
        self.client("lambda").create_event_source_mapping(
            EventSourceArn=self.arn(queue), FunctionName=function, **settings
        )

    def waiting(self, queue: str) -> int:
        """How many messages a queue holds, seen or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return int(found[names[0]]) + int(found[names[1]])

    def bodies(self, queue: str) -> list[str]:
        found = self.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return sorted(message["Body"] for message in found)

    def log(self, group: str) -> str:
        return "\n".join(
            event["message"] for event in self.client("logs").filter_log_events(logGroupName=group)["events"]
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    folder = tmp_path_factory.mktemp("functions")
    runner = Runner(f"http://{host}:{port}", KEY, folder)
    runner.start()
    yield Cloud(f"http://{host}:{port}", folder)
    runner.stop()
    server.stop()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_UNTIL_NEXT_ATTEMPT", 0)


def eventually(holds: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_an_event_on_a_topic_becomes_the_work_of_a_deployed_job(cloud: Cloud) -> None:
    s3, sns, (queue, dead) = cloud.client("s3"), cloud.client("sns"), cloud.queue()
    s3.create_bucket(Bucket="files")
    event = happened("order.placed", order_id=str(NUMBERS_OF_ORDERS))
    order = {
        "order": {
            "id": event.ids["order_id"],
            "placed_at": event.at,
            "lines": [{"name": "Lamp", "quantity": 2, "price_cents": 1250}],
            "total_cents": 2500,
        },
        "customer": {"name": "Ada", "email": "ada@example.com"},
    }
    s3.put_object(Bucket="files", Key=event.document_key, Body=json.dumps(order))
    settings = {"SHOP_NAME": "shop", "FILES_BUCKET": "files", "QUEUE_URL": queue, "DEAD_LETTERS_URL": dead}
    variables = {**settings, "POWERTOOLS_SERVICE_NAME": "invoice"}
    cloud.connect(queue, cloud.function(job("invoice"), Environment={"Variables": variables}))
    topic = sns.create_topic(Name="events")["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=cloud.arn(queue), Attributes=raw)

    sns.publish(TopicArn=topic, Message=encode(event))

    eventually(lambda: cloud.waiting(queue) == 0)
    made = s3.get_object(Bucket="files", Key=f"invoices/{event.ids['order_id']}.pdf")["Body"].read()
    assert made.startswith(b"%PDF")
    assert cloud.waiting(dead) == 0


NUMBERS_OF_ORDERS = 12345
PICKY = """
def handler(event, context):
    print([record["body"] for record in event["Records"]])
    bad = [record["messageId"] for record in event["Records"] if record["body"].startswith("bad")]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in bad]}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("soon")
def test_gap_9_only_failed_items_of_a_batch_come_again_and_are_set_aside_in_the_end(cloud: Cloud) -> None:
    (queue, dead), group = cloud.queue(attempts=3), "/shop/picky"
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(["bad", "good", "bad too"])]
    cloud.connect(queue, cloud.function(PICKY, LoggingConfig={"LogGroup": group}))
    cloud.client("sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    eventually(lambda: cloud.waiting(dead) == 2)
    assert cloud.bodies(dead) == ["bad", "bad too"]
    assert cloud.waiting(queue) == 0
    printed = cloud.log(group)
    assert (printed.count("good"), printed.count("bad too")) == (1, 3), "three attempts, and one for what was done"


@pytest.mark.slow
@pytest.mark.usefixtures("soon")
def test_a_crash_fails_the_whole_batch(cloud: Cloud) -> None:
    queue, dead = cloud.queue()
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(3)]
    cloud.client("sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    name = cloud.function("def handler(event, context):\n    raise RuntimeError('on fire')")
    cloud.connect(queue, name)
    eventually(lambda: cloud.waiting(dead) == 3)
    assert "RuntimeError: on fire" in cloud.log(f"/aws/lambda/{name}")


@pytest.mark.slow
def test_a_disabled_mapping_takes_nothing(cloud: Cloud) -> None:
    idle, _ = cloud.queue()
    busy, _ = cloud.queue()
    name = cloud.function("def handler(event, context): pass")
    cloud.connect(idle, name, Enabled=False)
    cloud.connect(busy, name)
    for queue in (idle, busy):
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    eventually(lambda: cloud.waiting(busy) == 0)
    assert cloud.waiting(idle) == 1


SEEN = """
import os, sys
def handler(event, context):
    print("working")
    return {"event": event, "left": context.get_remaining_time_in_millis(), "name": context.function_name,
            "aws": [os.environ[f"AWS_{name}"] for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "REGION")],
            "setting": os.environ["SETTING"],
            "ours": [*(one for one in os.environ if one == "OF_THE_USER"),
                     *(one for one in sys.path if one.endswith("/sandbox"))]}
"""


@pytest.mark.slow
def test_invoking_shows_the_function_its_event_its_settings_and_nothing_of_ours(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_USER", "x")
    name = cloud.function(SEEN, Environment={"Variables": {"SETTING": "on"}}, Timeout=7)
    answer = cloud.answer(name, {"a": 1})
    assert 5_000 < answer.pop("left") <= 7_000
    aws = [cloud.url, KEY, REGION]
    assert answer == {"event": {"a": 1}, "setting": "on", "name": name, "aws": aws, "ours": []}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("def handler(event, context):\n    return 1 / 0", "ZeroDivisionError", "division by zero"),
        ("def handler(event, context):\n    return object()", "TypeError", "not JSON serializable"),
        ("import nothing_of_that_name", "ModuleNotFoundError", "nothing_of_that_name"),
        ("import os\ndef handler(event, context):\n    os._exit(3)", "Runtime.ExitError", "exited"),
        ("import time\ndef handler(event, context):\n    time.sleep(60)", "Sandbox.Timedout", "after 1 seconds"),
    ],
)
def test_what_goes_wrong_in_a_function_is_its_answer(cloud: Cloud, code: str, kind: str, message: str) -> None:
    name = cloud.function(code, Timeout=1)
    for _ in range(2):  # the next invocation has a process again
        answer = cloud.invoke(name)
        told = json.load(answer["Payload"])
        assert answer["FunctionError"]
        assert told["errorType"] == kind
        assert message in told["errorMessage"]


COUNTING = "calls = []\ndef handler(event, context):\n    calls.append(1)\n    return [{version}, len(calls)]"


@pytest.mark.slow
def test_a_process_serves_until_code_or_settings_change(cloud: Cloud) -> None:
    name, aws = cloud.function(COUNTING.format(version=1)), cloud.client("lambda")
    assert [cloud.answer(name), cloud.answer(name)] == [[1, 1], [1, 2]]
    aws.update_function_code(FunctionName=name, ZipFile=zipped({"handler.py": COUNTING.format(version=2)}))
    assert cloud.answer(name) == [2, 1]
    aws.update_function_configuration(FunctionName=name, Environment={"Variables": {"A": "1"}})
    assert cloud.answer(name) == [2, 1]
    assert json.loads((cloud.folder / INVOCATIONS).read_text())[name] == {"invocations": 4, "errors": 0}


PACKED = {
    "handler.py": "import attrs, jobs\ndef handler(event, context):\n    return [attrs.__file__, jobs.WHOSE]",
    "jobs/__init__.py": "WHOSE = 'of the asset'",
    "attrs/__init__.py": "raise ImportError('made for another processor')",
    "attrs-1.0.dist-info/RECORD": "attrs/__init__.py,sha256=x,1\nattrs-1.0.dist-info/RECORD,,\n",
}


@pytest.mark.slow
def test_packages_come_from_this_environment_and_our_own_code_from_the_asset(cloud: Cloud) -> None:
    where, whose = cloud.answer(cloud.function(zipped(PACKED)))
    assert "site-packages" in where
    assert whose == "of the asset"


def test_what_a_package_lists_is_not_ours() -> None:
    assert own_files(zipfile.ZipFile(io.BytesIO(zipped(PACKED)))) == ["handler.py", "jobs/__init__.py"]


@pytest.mark.slow
def test_what_is_no_longer_deployed_no_longer_runs_and_leaves_no_files(cloud: Cloud) -> None:
    name = cloud.function("import os\ndef handler(event, context):\n    return os.getpid()")
    running = Path(f"/proc/{cloud.answer(name)}")
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    assert running.exists()
    assert list(cloud.folder.glob(f"{name}-*"))
    cloud.client("lambda").delete_function(FunctionName=name)
    eventually(lambda: not running.exists() and not list(cloud.folder.glob(f"{name}-*")))


@pytest.mark.slow
def test_a_look_at_the_queues_that_fails_is_told_and_the_next_one_delivers(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failed, look = threading.Event(), module._queue

    def fails_once(mapping: EventSourceMapping) -> Queue | None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("dictionary changed size during iteration")
        return look(mapping)

    queue, _ = cloud.queue()
    cloud.connect(queue, cloud.function("def handler(event, context): pass"))
    monkeypatch.setattr(module, "_queue", fails_once)
    assert failed.wait(10)
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    eventually(lambda: cloud.waiting(queue) == 0)
    assert "dictionary changed size" in capfd.readouterr().err


TWO = {"a", "b"}
REPORTS = ["ReportBatchItemFailures"]


@pytest.mark.parametrize(
    ("answer", "response_types", "expected"),
    [
        (Answer(None, failed=True), REPORTS, TWO),
        (Answer({"batchItemFailures": [{"itemIdentifier": "a"}]}, failed=False), REPORTS, {"a"}),
        (Answer({"batchItemFailures": [{"itemIdentifier": "a"}]}, failed=False), [], set()),
        (Answer({"batchItemFailures": []}, failed=False), REPORTS, set()),
        (Answer({"batchItemFailures": None}, failed=False), REPORTS, set()),
        (Answer({}, failed=False), REPORTS, set()),
        (Answer(None, failed=False), REPORTS, set()),
        (Answer({"batchItemFailures": [{"itemIdentifier": "c"}]}, failed=False), REPORTS, TWO),
        (Answer({"batchItemFailures": [{"itemIdentifier": ""}]}, failed=False), REPORTS, TWO),
        (Answer({"batchItemFailures": [{"itemIdentifier": None}]}, failed=False), REPORTS, TWO),
        (Answer({"batchItemFailures": [{"id": "a"}]}, failed=False), REPORTS, TWO),
        (Answer("a text", failed=False), REPORTS, TWO),
        (Answer(["a"], failed=False), REPORTS, TWO),
    ],
)
def test_what_comes_again_is_what_lambda_would_not_take_for_done(
    answer: Answer, response_types: list[str], expected: set[str]
) -> None:
    assert to_come_again(answer, TWO, response_types) == expected
