"""The ledger: who may send, who has to wait, and what nobody knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from jobs.events import Later
from jobs.ledger import KEPT_SECONDS, MARGIN_SECONDS, Ledger, Unknown
from tests.lambdas.queue import refusal
from tests.lambdas.world import Call, World, between, world


@pytest.fixture
def here() -> Iterator[World]:
    with world("confirmation_email") as made:
        yield made


@pytest.fixture
def ledger(here: World) -> Ledger:
    assert here.table
    return Ledger("mail")


def begun(ledger: Ledger, key: str = "e1", seconds: float = 30) -> str:
    attempt = ledger.begin(key, seconds)
    assert attempt is not None
    return attempt


def failing(operation: str, error: Exception, *, done: bool, times: int = 1) -> Callable[[Call], Call]:
    """The next calls of this kind fail, after or before their effect."""
    left = times

    def wrap(original: Call) -> Call:
        def call(client: Any, called: str, arguments: dict[str, Any]) -> Any:
            nonlocal left
            if called != operation or left == 0:
                return original(client, called, arguments)
            left -= 1
            if done:
                original(client, called, arguments)
            raise error

        return call

    return wrap


LOST = ReadTimeoutError(endpoint_url="there")


def test_the_first_may_send_and_after_that_it_was_sent(ledger: Ledger, here: World) -> None:
    begun(ledger)
    row = here.row("mail#e1")
    assert row is not None
    assert row["state"] == "sending"
    ledger.sent("e1")
    assert ledger.begin("e1", 30) is None
    row = here.row("mail#e1")
    assert row is not None
    assert (row["state"], row["told_by"]) == ("sent", "answer")
    assert int(row["expires_at"]) == int(here.clock.now) + KEPT_SECONDS


def test_while_one_is_sending_the_others_wait_until_it_can_no_longer_be_alive(ledger: Ledger, here: World) -> None:
    begun(ledger, seconds=30)
    here.clock.sleep(10)
    with pytest.raises(Later, match="being sent elsewhere") as later:
        ledger.begin("e1", 30)
    assert not isinstance(later.value, Unknown)
    assert later.value.seconds == pytest.approx(20 + MARGIN_SECONDS)


def test_what_was_never_marked_as_sent_is_unknown_and_stays_so(ledger: Ledger, here: World) -> None:
    begun(ledger, seconds=30)
    here.clock.sleep(30 + MARGIN_SECONDS)
    for _ in range(3):
        with pytest.raises(Unknown):
            ledger.begin("e1", 30)
        here.clock.sleep(KEPT_SECONDS)
    row = here.row("mail#e1")
    assert row is not None
    assert row["state"] == "unknown"


@pytest.mark.parametrize("waited", [0, 100])
def test_a_notice_settles_what_nobody_saw_answered(ledger: Ledger, here: World, waited: int) -> None:
    begun(ledger)
    here.clock.sleep(waited)
    if waited:
        with pytest.raises(Unknown):
            ledger.begin("e1", 30)
    assert ledger.noticed("e1")
    assert ledger.begin("e1", 30) is None
    row = here.row("mail#e1")
    assert row is not None
    assert row["told_by"] == "notice"


def test_a_notice_about_what_is_known_or_not_ours_changes_nothing(ledger: Ledger, here: World) -> None:
    assert not ledger.noticed("e1")
    assert here.row("mail#e1") is None
    begun(ledger)
    ledger.sent("e1")
    assert not ledger.noticed("e1")
    row = here.row("mail#e1")
    assert row is not None
    assert row["told_by"] == "answer"


def test_an_answer_after_the_notice_counts_as_answered(ledger: Ledger, here: World) -> None:
    begun(ledger)
    ledger.noticed("e1")
    ledger.sent("e1")
    row = here.row("mail#e1")
    assert row is not None
    assert (row["state"], row["told_by"]) == ("sent", "answer")


def test_what_was_certainly_not_sent_may_be_sent_by_the_next(ledger: Ledger) -> None:
    ledger.not_sent("e1", begun(ledger))
    begun(ledger)


def test_a_late_word_of_an_earlier_attempt_does_not_free_the_present_one(ledger: Ledger) -> None:
    first = begun(ledger)
    ledger.not_sent("e1", first)
    begun(ledger)
    ledger.not_sent("e1", first)
    with pytest.raises(Later, match="being sent elsewhere"):
        ledger.begin("e1", 30)


@pytest.mark.parametrize("state", ["sent", "unknown"])
def test_what_is_sent_or_unknown_cannot_be_freed(ledger: Ledger, here: World, state: str) -> None:
    attempt = begun(ledger)
    if state == "sent":
        ledger.sent("e1")
    else:
        here.clock.sleep(100)
        with pytest.raises(Unknown):
            ledger.begin("e1", 30)
    ledger.not_sent("e1", attempt)
    row = here.row("mail#e1")
    assert row is not None
    assert row["state"] == state


def test_a_claim_whose_answer_got_lost_is_given_up_again(ledger: Ledger) -> None:
    with between(failing("PutItem", LOST, done=True)), pytest.raises(ReadTimeoutError):
        ledger.begin("e1", 30)
    begun(ledger)


def test_a_claim_that_cannot_even_be_given_up_ends_as_unknown(ledger: Ledger, here: World) -> None:
    broken = refusal("InternalServerError", status=500)
    with (
        between(failing("PutItem", LOST, done=True)),
        between(failing("UpdateItem", broken, done=False)),
        pytest.raises(ReadTimeoutError),
    ):
        ledger.begin("e1", 30)
    here.clock.sleep(100)
    with pytest.raises(Unknown):
        ledger.begin("e1", 30)


def test_a_claim_that_botocore_repeated_is_recognised_as_our_own(ledger: Ledger) -> None:
    def twice(original: Call) -> Call:
        def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            original(client, operation, arguments)
            return original(client, operation, arguments)

        return call

    with between(twice):
        begun(ledger)


def test_other_errors_of_the_table_are_not_taken_for_an_answer(ledger: Ledger) -> None:
    begun(ledger)
    with (
        between(failing("UpdateItem", refusal("ThrottlingException"), done=False)),
        pytest.raises(ClientError, match="ThrottlingException"),
    ):
        ledger.sent("e1")


def test_keys_and_jobs_do_not_meet(ledger: Ledger) -> None:
    begun(ledger, "e1")
    begun(ledger, "e2")
    begun(Ledger("push"), "e1")


def test_a_pause_holds_for_one_job_and_passes(ledger: Ledger, here: World) -> None:
    assert not ledger.paused()
    ledger.pause(900)
    assert ledger.paused()
    assert not Ledger("push").paused()
    here.clock.sleep(901)
    assert not ledger.paused()


def test_a_suppressed_address_is_known_however_it_is_written_and_nowhere_in_the_table(
    ledger: Ledger, here: World
) -> None:
    ledger.suppress("Somebody@Example.com")
    assert ledger.suppressed("somebody@example.com ")
    assert not ledger.suppressed("other@example.com")
    items = here.client("dynamodb").scan(TableName=here.table)["Items"]
    assert [item["id"]["S"] for item in items] == [
        f"suppressed#{hashlib.sha256(b'somebody@example.com').hexdigest()}",
    ]
    assert "example" not in str(items).lower()
    assert "expires_at" not in items[0]
