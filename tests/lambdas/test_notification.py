"""Push messages: what they say, and that no device is told twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from jobs import notification
from jobs.events import Event, Refused, happened
from tests.lambdas.queue import refusal
from tests.lambdas.world import Call, Calls, World, between, killed_everywhere, world

ORDER = "0b8f6f9e-7f0f-4c38-9a3e-6f0f4c389a3e"


@pytest.fixture
def here() -> Iterator[World]:
    with world("notification") as made:
        yield made


def tell(here: World, *devices: str, kind: str = "order.shipped") -> Event:
    event = happened(kind, order_id=ORDER)
    here.put(event.document_key, {"order": {"id": ORDER}, "customer": {}, "devices": list(devices)})
    here.send(event)
    return event


def told(here: World) -> list[str]:
    return [push["TargetArn"] for push in here.pushes]


class Failing:
    """A device that cannot be told so many times."""

    def __init__(self, device: str, error: Exception, times: int = 1, *, done: bool = False) -> None:
        self.device, self.error, self.left, self.done = device, error, times, done

    def __call__(self, original: Call) -> Call:
        def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if operation == "Publish" and arguments["TargetArn"] == self.device and self.left:
                self.left -= 1
                if self.done:
                    original(client, operation, arguments)
                raise self.error
            return original(client, operation, arguments)

        return call


@pytest.mark.parametrize(("kind", "word"), [("order.placed", "Thank you"), ("order.shipped", "On its way")])
def test_a_message_fits_what_a_push_may_be(kind: str, word: str) -> None:
    message = notification.compose(happened(kind, order_id=ORDER), {"order": {}})
    assert message.subject == word
    assert f"order {ORDER[:8]} " in message.text.replace(".", " ")
    assert message.subject.isascii()
    assert len(message.subject) < 100
    assert len(message.text) < 200


@pytest.mark.parametrize("document", [None, [], {}, "text", {"order": None}])
def test_what_is_no_order_is_refused(document: Any) -> None:
    with pytest.raises(Refused):
        notification.compose(happened("order.placed", order_id=ORDER), document)


def test_nobody_is_told_about_a_product() -> None:
    with pytest.raises(Refused, match=r"product\.changed"):
        notification.compose(happened("product.changed", product_id=7), {"order": {}})


def test_each_device_is_told_once(here: World) -> None:
    devices = [here.device("one"), here.device("two")]
    event = tell(here, *devices)
    here.send(event)
    here.work()
    assert told(here) == devices
    assert here.pushes[0]["Subject"] == "On its way"
    assert here.dead_letters() == []


def test_without_devices_there_is_nothing_to_do(here: World) -> None:
    tell(here)
    here.work()
    assert (here.invocations, told(here), here.dead_letters()) == (1, [], [])


@pytest.mark.parametrize("devices", [None, "arn", [7], [None]])
def test_a_document_without_a_list_of_devices_is_set_aside(here: World, devices: Any) -> None:
    event = happened("order.placed", order_id=ORDER)
    here.put(event.document_key, {"order": {}, "devices": devices})
    here.send(event)
    here.work()
    [(_, reason)] = here.dead_letters()
    assert reason == "the document does not say which devices"


@pytest.mark.parametrize("code", ["EndpointDisabled", "NotFound", "InvalidParameter", "PlatformApplicationDisabled"])
def test_a_device_that_is_gone_does_not_keep_the_others_from_it(here: World, code: str) -> None:
    gone, other = here.device("gone"), here.device("other")
    tell(here, gone, other)
    with between(Failing(gone, refusal(code), times=9)):
        here.work()
    assert told(here) == [other]
    assert (here.invocations, here.dead_letters()) == (1, [])


@pytest.mark.parametrize("error", [refusal("Throttled"), ConnectTimeoutError(endpoint_url="there")], ids=str)
def test_a_device_that_was_certainly_not_told_is_told_later_and_the_others_now(here: World, error: Exception) -> None:
    slow, other = here.device("slow"), here.device("other")
    tell(here, slow, other)
    with between(Failing(slow, error, times=2)):
        here.work()
    assert told(here) == [other, slow]
    assert here.dead_letters() == []


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(
    "error", [ReadTimeoutError(endpoint_url="there"), refusal("InternalError", status=500)], ids=str
)
def test_a_device_that_may_have_been_told_is_not_told_again_and_a_person_hears_of_it(
    here: World, error: Exception, done: bool
) -> None:
    unclear, other = here.device("unclear"), here.device("other")
    tell(here, unclear, other)
    with between(Failing(unclear, error, done=done)):
        here.work()
    assert told(here).count(other) == 1
    assert told(here).count(unclear) <= 1
    [(_, reason)] = here.dead_letters()
    assert reason == "unknown: 1 of 2 devices may have been told"
    assert here.invocations == 2


def test_nothing_is_pushed_that_the_time_left_is_too_short_for(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(here, here.device("one"))
    batch = here.receive()
    monkeypatch.setattr("tests.lambdas.world.TIMEOUT_SECONDS", 5)
    assert len(here.invoke(batch)) == 1
    monkeypatch.undo()
    assert told(here) == []


@pytest.mark.slow
def test_wherever_it_dies_no_device_is_told_twice_and_none_is_forgotten() -> None:
    unknown = 0

    def scenario(calls: Calls) -> None:
        nonlocal unknown
        with world("notification") as here:
            devices = [here.device("one"), here.device("two")]
            tell(here, *devices)
            here.work(calls)
            assert len(set(told(here))) == len(told(here))
            reasons = [reason for _, reason in here.dead_letters()]
            assert reasons in ([], ["unknown: 1 of 2 devices may have been told"])
            unknown += len(reasons)
            assert len(told(here)) == 2 or (len(told(here)) == 1 and reasons)

    points = killed_everywhere(scenario)
    # Each device is in doubt from after its claim to before its mark: four points.
    assert points.count("after sns.Publish") == 2
    assert unknown == 8
