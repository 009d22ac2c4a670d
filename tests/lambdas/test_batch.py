"""The loop of all jobs: each message for itself is done, set aside with a reason, or comes again later."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from jobs import batch
from jobs.events import Event, Later, Refused, encode, happened
from tests.lambdas.world import ATTEMPTS, BATCH, Call, Calls, World, between, killed_everywhere, world
from workbench.synth import ROOT

Work = Callable[[Event], None]


@pytest.fixture
def here() -> Iterator[World]:
    with world("analytics") as made:
        yield made


def give(here: World, work: Work) -> None:
    here.handler = batch.for_each_event(work)


def placed(order: int = 1) -> Event:
    return happened("order.placed", order_id=order, trace="Root=1-2")


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


class Done(list[str]):
    """Remembers what was done; fails as often as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    def __call__(self, event: Event) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.append(event.ids["order_id"])


def test_each_event_of_a_batch_is_done_once_and_leaves_the_queue(here: World) -> None:
    done = Done()
    give(here, done)
    for order in range(BATCH + 2):
        here.send(placed(order))
    here.work()
    assert sorted(done) == [str(order) for order in range(BATCH + 2)]
    assert here.dead_letters() == []


def test_only_the_message_that_failed_comes_again(here: World) -> None:
    done = Done(RuntimeError("a passing fault"))
    give(here, done)
    for order in range(3):
        here.send(placed(order))
    here.work()
    assert sorted(done) == ["0", "1", "2"]


def test_when_all_fail_each_is_named_instead_of_the_whole_batch_raising(here: World) -> None:
    give(here, Done(*[RuntimeError("down")] * 2))
    here.send(placed())
    here.send(placed())
    assert len(here.invoke(here.receive())) == 2


def test_what_fails_five_times_is_set_aside_by_the_queue(here: World) -> None:
    give(here, Done(*[RuntimeError("down")] * 9))
    here.send(placed())
    here.work()
    assert here.invocations == ATTEMPTS
    [(_, reason)] = here.dead_letters()
    assert reason is None


def test_what_is_refused_is_set_aside_at_the_first_attempt_with_the_reason(here: World) -> None:
    give(here, Done(Refused("the order is empty")))
    event = placed()
    here.send(event)
    here.work()
    assert here.invocations == 1
    [(body, reason)] = here.dead_letters()
    assert json.loads(body)["id"] == event.id
    assert reason == "the order is empty"


def test_a_message_that_is_no_event_never_reaches_the_work(here: World) -> None:
    done = Done()
    give(here, done)
    here.send("nonsense")
    here.send(placed())
    here.work()
    assert done == ["1"]
    assert here.dead_letters() == [("nonsense", "not JSON")]


def test_a_message_that_was_set_aside_says_whose_it_was(here: World) -> None:
    give(here, Done())
    here.send("nonsense")
    here.work()
    sqs = here.client("sqs")
    [message] = sqs.receive_message(QueueUrl=here.dead_letters_queue, MessageAttributeNames=["All"])["Messages"]
    assert {name: value["StringValue"] for name, value in message["MessageAttributes"].items()} == {
        "reason": "not JSON",
        "job": "analytics",
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ('{"name":"a\x00b"}', '{"name":"a\\u0000b"}'),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[31m \ufffe \U0001f600", "\\u001b[31m \\ufffe \U0001f600"),
        ("\ud800", "\\ud800"),
        ("", "(empty)"),
    ],
)
def test_what_the_queue_would_refuse_is_written_as_json_would(here: World, body: str, kept: str) -> None:
    batch.set_aside(body, "because")
    assert [letter for letter, _ in here.dead_letters()] == [kept]


@pytest.mark.parametrize("letter", ["x", "é", "\x00", "\U0001f600"])
def test_what_is_too_large_to_be_sent_with_its_reason_is_cut(here: World, letter: str) -> None:
    batch.set_aside(letter * batch.LARGEST_MESSAGE, "\U0001f600" * 300)
    [(body, reason)] = here.dead_letters()
    assert reason is not None
    assert 200_000 < len(body.encode()) + len(reason.encode()) < batch.LARGEST_MESSAGE


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("a\r\nb", "a??b"), ("x" * 300, "x" * 256), ("\ud800", "?"), ("", "(no reason)"), ("größer", "größer")],
)
def test_a_reason_is_short_and_printable(here: World, reason: str, kept: str) -> None:
    batch.set_aside("body", reason)
    assert here.dead_letters() == [("body", kept)]


def unable(operation: str) -> Callable[[Call], Call]:
    def wrap(original: Call) -> Call:
        def call(client: Any, called: str, arguments: dict[str, Any]) -> Any:
            if called == operation:
                raise RuntimeError("not now")
            return original(client, called, arguments)

        return call

    return wrap


def test_what_cannot_be_set_aside_stays_in_the_queue(here: World) -> None:
    give(here, Done())
    here.send("nonsense")
    with between(unable("SendMessage")):
        assert len(here.invoke(here.receive())) == 1
    here.work()
    assert here.dead_letters() == [("nonsense", "not JSON")]


def waited(here: World) -> float:
    """How long until the one message can be received again."""
    begun = here.clock.now
    while not (messages := here.receive()):
        here.clock.sleep(1)
    assert len(messages) == 1
    here.client("sqs").change_message_visibility(
        QueueUrl=here.queue, ReceiptHandle=messages[0]["receiptHandle"], VisibilityTimeout=0
    )
    return here.clock.now - begun


@pytest.mark.parametrize(("receives", "shortest", "longest"), [(1, 10, 22), (2, 20, 42), (3, 40, 82), (4, 80, 162)])
def test_the_wait_grows_with_each_attempt(here: World, receives: int, shortest: int, longest: int) -> None:
    give(here, Done(RuntimeError("down")))
    here.send(placed())
    [message] = here.receive()
    message["attributes"]["ApproximateReceiveCount"] = str(receives)
    here.invoke([message])
    assert shortest <= waited(here) <= longest


@pytest.mark.usefixtures("here")
def test_not_all_wait_equally_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    monkeypatch.setattr(batch, "client", lambda _: type("Sqs", (), {"change_message_visibility": note}))

    def note(**arguments: Any) -> None:
        waits.append(arguments["VisibilityTimeout"])

    for _ in range(100):
        batch.come_later("receipt", 3, RuntimeError())
    assert len(set(waits)) > 10


def test_an_error_can_ask_for_more_time(here: World) -> None:
    give(here, Done(Later("not yet", 100)))
    here.send(placed())
    here.invoke(here.receive())
    assert 100 <= waited(here) <= 102


def test_when_the_wait_cannot_be_chosen_the_queue_s_own_holds(here: World) -> None:
    give(here, Done(RuntimeError("down")))
    here.send(placed())
    with between(unable("ChangeMessageVisibility")):
        assert len(here.invoke(here.receive())) == 1
    assert 180 <= waited(here) <= 182


def test_what_is_put_back_comes_later_and_as_if_for_the_first_time(here: World) -> None:
    seen: list[tuple[float, int]] = []

    def work(message: batch.Message) -> None:
        seen.append((here.clock.now, message.receives))
        if len(seen) <= 3:
            message.put_back(900)

    here.handler = batch.for_each_message(work)
    here.send(placed())
    here.work()
    assert [receives for _, receives in seen] == [1] * 4
    assert all(900 <= later[0] - earlier[0] <= 905 for earlier, later in pairwise(seen))


def test_a_document_is_read_from_the_bucket(here: World) -> None:
    event = placed()
    here.put(event.document_key, {"order": 1})
    assert batch.document(event) == {"order": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_document_that_is_no_json_is_refused(here: World, content: bytes) -> None:
    event = placed()
    here.put(event.document_key, content)
    with pytest.raises(Refused, match="not JSON"):
        batch.document(event)


def test_a_document_that_is_not_there_yet_is_waited_for(here: World) -> None:
    event, found = placed(), list[Any]()
    give(here, lambda event: found.append(batch.document(event)))
    here.send(event)
    assert len(here.invoke(here.receive())) == 1
    here.put(event.document_key, {"order": 1})
    here.work()
    assert found == [{"order": 1}]


def test_the_log_names_the_event_its_type_and_its_trace_but_only_while_it_is_dealt_with(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    event = placed()
    give(here, Done())
    here.send(event)
    here.work()
    here.send("nonsense")
    here.work()
    done, refused = [line for line in logged(capsys) if "level" in line]
    assert (done["event"], done["type"], done["trace"]) == (event.id, "order.placed", "Root=1-2")
    assert (refused["level"], refused["reason"]) == ("ERROR", "not JSON")
    assert "event" not in refused


def test_of_what_a_message_holds_only_ids_are_logged(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    give(here, Done(Refused("because"), RuntimeError("down")))
    for _ in range(3):
        body = json.loads(encode(placed()))
        here.send(json.dumps({**body, "email": "someone@example.com"}))
    here.work()
    assert "example.com" not in capsys.readouterr().out


def test_metrics_count_each_outcome_over_all_jobs(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    give(here, Done(RuntimeError("down"), Refused("because")))
    for order in range(4):
        here.send(placed(order))
    here.invoke(here.receive())
    [line] = [line for line in logged(capsys) if "_aws" in line]
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ShopWorkers"
    assert directive["Dimensions"] == [["Environment"]]
    assert line["Environment"] == "trial"
    assert {name: sum(line[name]) for name in ("Done", "Refused", "Failed")} == {"Done": 2, "Refused": 1, "Failed": 1}


def test_metrics_of_one_batch_do_not_count_again_with_the_next(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    give(here, Done())
    for _ in range(3):
        here.send(placed())
        here.work()
    lines = [line for line in logged(capsys) if "_aws" in line]
    assert [sum(line["Done"]) for line in lines] == [1, 1, 1]
    assert all(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Environment"]] for line in lines)


@pytest.mark.slow
def test_a_job_that_dies_anywhere_loses_nothing() -> None:
    def scenario(calls: Calls) -> None:
        with world("analytics") as here:
            done: list[str] = []

            def work(event: Event) -> None:
                batch.document(event)
                if event.ids["order_id"] == "2" and "2" not in done:
                    done.append("2")
                    raise RuntimeError("once")
                done.append(event.ids["order_id"])

            give(here, work)
            for order in range(1, 4):
                event = placed(order)
                here.put(event.document_key, {})
                here.send(event)
            here.send("nonsense")
            here.work(calls)
            assert {"1", "2", "3"} <= set(done)
            assert {reason for _, reason in here.dead_letters()} == {"not JSON"}

    points = killed_everywhere(scenario)
    assert {"after s3.GetObject", "before sqs.SendMessage", "after sqs.ChangeMessageVisibility"} <= set(points)


TRACED = """
import sys
from tests.lambdas.world import world
with world("analytics") as here:
    from jobs import batch
    from jobs.events import happened
    here.handler = batch.for_each_event(batch.document)
    event = happened("order.placed", order_id=1)
    here.put(event.document_key, {})
    here.send(event)
    assert here.invoke(here.receive()) == set()
    assert "aws_xray_sdk" in sys.modules
"""


@pytest.mark.slow
def test_in_lambda_the_tracing_daemon_hears_of_the_handler_and_of_each_call() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        variables = {
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}",
        }
        subprocess.run([sys.executable, "-c", TRACED], check=True, env={**os.environ, **variables}, timeout=60)
        heard = set[str]()
        while "## handler" not in heard:
            header, _, span = daemon.recv(65536).decode().partition("\n")
            assert json.loads(header)["format"] == "json"
            heard.add(json.loads(span)["name"])
    assert {"s3", "## handler"} <= heard


def test_elsewhere_the_tracing_library_is_not_even_imported() -> None:
    code = "import sys; from jobs import batch; batch.for_each_event(print); assert 'aws_xray_sdk' not in sys.modules"
    variables = {name: value for name, value in os.environ.items() if name != "LAMBDA_TASK_ROOT"}
    path = str(ROOT / "lambdas")
    subprocess.run([sys.executable, "-c", code], check=True, env={**variables, "PYTHONPATH": path}, timeout=60)
