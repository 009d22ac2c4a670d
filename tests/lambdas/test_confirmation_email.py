"""Confirmation mail: what it says, when it is sent, and that it is never sent a second time."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from email import message_from_string, policy
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from hypothesis import example, given
from hypothesis import strategies as st

from jobs import confirmation, notices
from jobs.aws import client
from jobs.events import Event, Refused, happened
from tests.lambdas.queue import refusal
from tests.lambdas.test_simulation import SendFirst
from tests.lambdas.world import (
    RULES,
    SENDER,
    Call,
    Calls,
    World,
    between,
    killed_everywhere,
    notice,
    world,
)

ORDER = "0b8f6f9e-7f0f-4c38-9a3e-6f0f4c389a3e"
ADDRESS = "customer@example.com"
DOCUMENT: dict[str, Any] = {
    "order": {
        "id": ORDER,
        "placed_at": "2026-03-04T05:06:07.123+00:00",
        "total_cents": 125_068,
        "lines": [
            {"product_id": 7, "name": "Walnut desk lamp", "quantity": 1, "price_cents": 123_400},
            {"product_id": 9, "name": "Pencil", "quantity": 4, "price_cents": 417},
        ],
    },
    "customer": {"id": "5f6b8a52-0000-4000-8000-000000000000", "name": "Zoë", "email": ADDRESS},
    "devices": [],
}
MAILING = {"MAIL_FROM": SENDER, "MAIL_RULES": RULES}


@pytest.fixture
def here() -> Iterator[World]:
    with world("confirmation_email", **MAILING) as made:
        yield made


def changed(part: str, **values: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    document[part] |= values
    return document


def order(here: World, document: Any = DOCUMENT) -> Event:
    """Places an order: the document is there, and the event is in the queue."""
    event = happened("order.placed", order_id=ORDER)
    here.put(event.document_key, document)
    here.send(event)
    return event


def state(here: World, event: Event) -> str | None:
    row = here.row(f"confirmation_email#{event.id}")
    return row["state"] if row else None


class Provider:
    """Answers with these errors, one for each mail, before it takes any; None is a mail that it takes."""

    def __init__(self, *errors: Exception | None, taken: bool = False) -> None:
        self.errors, self.taken, self.asked = list(errors), taken, 0

    def __call__(self, original: Call) -> Call:
        def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if operation != "SendEmail":
                return original(client, operation, arguments)
            self.asked += 1
            error = self.errors.pop(0) if self.errors else None
            if error is None or self.taken:
                answer = original(client, operation, arguments)
            if error is not None:
                raise error
            return answer

        return call


# What it says.


def test_the_letter_names_what_was_bought_and_what_it_costs() -> None:
    letter = confirmation.compose(DOCUMENT)
    assert letter.recipient == ADDRESS
    assert letter.subject == f"Your order {ORDER[:8]}"
    for expected in ("Zoë", "1 x Walnut desk lamp, $1,234.00", "4 x Pencil, $16.68", "Total: $1,250.68", ORDER):
        assert expected in letter.text


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize(
    ("part", "field"), [("customer", "name"), ("customer", "email"), ("order", "id")], ids=["name", "email", "number"]
)
def test_a_control_character_in_what_becomes_a_header_is_refused(part: str, field: str, bad: str) -> None:
    value = DOCUMENT[part][field]
    for smuggled in (f"{value}{bad}Bcc: all@example.com", f"{value}{bad}", f"{bad}{value}"):
        with pytest.raises(Refused):
            confirmation.compose(changed(part, **{field: smuggled}))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a@localhost",
        "a@b@example.com",
        "a,b@example.com",
        "a b@example.com",
        "<a@example.com>",
        "A <a@example.com>",
        "a@example.com,b@example.com",
        "a@example.com b@example.com",
        "zoë@example.com",
        "a@exämple.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com",
        None,
        7,
        ["a@example.com"],
    ],
)
def test_what_is_not_one_address_is_refused(address: object) -> None:
    with pytest.raises(Refused):
        confirmation.compose(changed("customer", email=address))


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        "text",
        {"order": {}, "customer": {}},
        changed("order", lines=None),
        changed("order", lines=[{}]),
        changed("order", total_cents="much"),
        changed("customer", name=None),
    ],
)
def test_what_is_no_order_is_refused(document: Any) -> None:
    with pytest.raises(Refused):
        confirmation.compose(document)


@given(st.text(min_size=1, max_size=200))
@example("\u540d" * 200)
@example("\u00c4" * 200)
@example('Zoe "Bcc: all@example.com", (x) <b@example.com>')
def test_any_name_is_refused_or_read_back_from_the_header_as_it_was(name: str) -> None:
    try:
        letter = confirmation.compose(changed("customer", name=name))
    except Refused:
        return
    assert letter.mailbox.isascii()
    assert letter.mailbox.isprintable()
    assert all(len(word) <= 75 for word in letter.mailbox.split() if word.startswith("=?"))
    mail = message_from_string(f"To: {letter.mailbox}\n\n", policy=policy.default)
    [read] = mail["To"].addresses
    assert read.addr_spec == ADDRESS
    # White space is what may change where a name is folded.
    assert "".join(read.display_name.split()) == "".join(name.split())


# When it is sent.


def test_an_order_is_confirmed_once_with_its_event_as_a_tag(here: World) -> None:
    event = order(here)
    here.send(event)
    here.work()
    [mail] = here.mails
    assert mail["FromEmailAddress"] == SENDER
    assert mail["ConfigurationSetName"] == RULES
    assert mail["Destination"] == {"ToAddresses": [f"=?utf-8?q?Zo=C3=AB?= <{ADDRESS}>"]}
    assert mail["EmailTags"] == [{"Name": "event_id", "Value": event.id}]
    assert "Total: $1,250.68" in mail["Content"]["Simple"]["Body"]["Text"]["Data"]
    assert state(here, event) == "sent"
    assert here.dead_letters() == []


def test_without_a_sender_nothing_is_sent_and_nothing_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with world("confirmation_email") as here:
        event = order(here)
        here.work()
        assert here.mails == []
        assert here.dead_letters() == []
        assert state(here, event) is None
    assert "skipped: there is no sender" in capsys.readouterr().out


def test_without_rules_mail_is_sent_without_them() -> None:
    with world("confirmation_email", MAIL_FROM=SENDER) as here:
        order(here)
        here.work()
        assert "ConfigurationSetName" not in here.mails[0]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (changed("customer", name="Zoe\r\nBcc: all@example.com"), "control character"),
        (changed("customer", email="nobody"), "not one e-mail address"),
        (changed("order", id="4ac3b35c-7f0f-4c38-9a3e-6f0f4c389a3e"), "about another order"),
        (b"{", "not JSON"),
    ],
)
def test_what_can_never_be_sent_is_set_aside_at_once(here: World, document: Any, reason: str) -> None:
    event = order(here, document)
    here.work()
    assert here.mails == []
    assert here.invocations == 1
    [(body, said)] = here.dead_letters()
    assert json.loads(body)["id"] == event.id
    assert reason in str(said)
    assert state(here, event) is None


def test_an_event_of_another_type_is_not_confirmed(here: World) -> None:
    here.send(happened("order.shipped", order_id=ORDER))
    here.work()
    [(_, reason)] = here.dead_letters()
    assert reason == "order.shipped is not confirmed by mail"


# What the provider does not take.

TOO_FAST = refusal("TooManyRequestsException", "Maximum sending rate exceeded.", 429)


def test_too_many_mails_a_second_are_slowed_down_within_the_attempt(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(here.module, "sleep", waits.append)
    event = order(here)
    with between(Provider(TOO_FAST, TOO_FAST, TOO_FAST)):
        here.work()
    assert len(here.mails) == 1
    assert here.invocations == 2  # the second one was for the notice
    assert state(here, event) == "sent"
    for wait, longest in zip(waits, (0.2, 0.4, 0.8), strict=True):
        assert longest / 2 <= wait <= longest


def test_when_no_time_is_left_it_comes_again_and_is_sent_then(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.module, "sleep", here.clock.sleep)
    event = order(here)
    provider = Provider(*[TOO_FAST] * 12)
    begun = here.clock.now
    with between(provider):
        here.invoke(here.receive())
    assert here.clock.now - begun < 30 - here.module.SEND_SECONDS
    assert 4 <= provider.asked < 12
    assert state(here, event) == "free"
    here.work()
    assert len(here.mails) == 1
    assert here.dead_letters() == []


def test_nothing_is_sent_that_the_time_left_is_too_short_for(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    event = order(here)
    batch = here.receive()
    monkeypatch.setattr("tests.lambdas.world.TIMEOUT_SECONDS", 5)
    assert len(here.invoke(batch)) == 1
    assert here.mails == []
    assert state(here, event) == "free"


@pytest.mark.parametrize(
    "stopped",
    [
        refusal("TooManyRequestsException", "Daily message quota exceeded.", 429),
        refusal("ThrottlingException", "Daily message quota exceeded"),
        refusal("LimitExceededException", "Too many"),
        refusal("SendingPausedException"),
        refusal("AccountSuspendedException"),
        refusal("MailFromDomainNotVerifiedException"),
        refusal("NotFoundException", "Configuration set <rules> does not exist.", 404),
    ],
    ids=lambda error: error.response["Error"]["Code"],
)
def test_when_no_mail_is_taken_at_all_everything_waits_and_no_attempt_is_used_up(
    here: World, stopped: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [order(here) for _ in range(8)]
    begun, provider = here.clock.now, Provider(*[stopped] * 3)
    with between(provider):
        here.work()
    # Once in each pause one of them asks again; the others do not even try.
    assert provider.asked == 3 + len(events)
    assert len(here.mails) == len(events)
    assert here.dead_letters() == []
    assert {state(here, event) for event in events} == {"sent"}
    assert here.clock.now - begun >= 3 * 900
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(sum(line.get("MailPaused", [])) for line in lines if "_aws" in line) == 3
    assert not any("Failed" in line for line in lines if "_aws" in line)


def test_notices_are_heard_during_a_pause(here: World) -> None:
    here.module.ledger.pause(900)
    here.send(notice(None, "Bounce", bounce={"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "x"}]}))
    here.work()
    assert here.invocations == 1
    assert here.module.ledger.suppressed("x")


@pytest.mark.parametrize("code", ["MessageRejected", "BadRequestException"])
def test_a_letter_that_the_provider_rejects_is_set_aside_without_the_address(here: World, code: str) -> None:
    event = order(here)
    with between(Provider(refusal(code, f"Illegal: {ADDRESS}"))):
        here.work()
    [(_, reason)] = here.dead_letters()
    assert reason == f"{code}: Illegal: the recipient"
    assert state(here, event) == "free"
    # Mail to an unverified address is rejected too, and that can change; an address that is none stays none.
    assert here.module.ledger.suppressed(ADDRESS) == (code == "BadRequestException")


def test_a_rejection_that_is_not_about_the_address_suppresses_nobody(here: World) -> None:
    order(here)
    with between(Provider(refusal("BadRequestException", f"Illegal sender: {SENDER}"))):
        here.work()
    assert not here.module.ledger.suppressed(ADDRESS)


@pytest.mark.parametrize(
    "error",
    [
        refusal("AccessDeniedException", status=403),
        refusal("RequestEntityTooLarge", status=413),
        ConnectTimeoutError(endpoint_url="there"),
        EndpointConnectionError(endpoint_url="there"),
    ],
    ids=str,
)
def test_what_was_certainly_not_taken_is_sent_at_the_next_attempt(here: World, error: Exception) -> None:
    event = order(here)
    with between(Provider(error, error)):
        here.work()
    assert len(here.mails) == 1
    assert state(here, event) == "sent"
    assert here.dead_letters() == []


# What nobody knows.

UNCLEAR = [
    ReadTimeoutError(endpoint_url="there"),
    refusal("InternalFailure", status=500),
    refusal("ServiceUnavailable", status=503),
]


@pytest.mark.parametrize("error", UNCLEAR, ids=str)
def test_an_unclear_answer_to_a_mail_that_was_taken_is_settled_by_the_notice(here: World, error: Exception) -> None:
    event, provider = order(here), Provider(error, taken=True)
    with between(provider):
        here.work()
    assert provider.asked == 1
    assert len(here.mails) == 1
    assert state(here, event) == "sent"
    assert here.dead_letters() == []


@pytest.mark.parametrize("error", UNCLEAR, ids=str)
@pytest.mark.parametrize("taken", [True, False])
def test_without_a_notice_a_person_decides_and_nothing_is_sent_again(
    here: World, error: Exception, taken: bool
) -> None:
    here.provider_tells = False
    event, provider = order(here), Provider(error, taken=taken)
    with between(provider):
        here.work()
    assert provider.asked == 1
    assert state(here, event) == "unknown"
    [(body, reason)] = here.dead_letters()
    assert json.loads(body)["id"] == event.id
    assert reason == "unknown: may have been sent"
    assert here.invocations == 4


def test_a_notice_has_minutes_to_arrive_before_a_person_is_asked(here: World) -> None:
    here.provider_tells = False
    order(here)
    begun = here.clock.now
    with between(Provider(UNCLEAR[0], taken=True)):
        here.work()
    assert here.clock.now - begun >= 90


def test_a_person_can_have_it_sent_after_all(here: World) -> None:
    here.provider_tells = False
    event = order(here)
    with between(Provider(UNCLEAR[0])):
        here.work()
    here.client("dynamodb").delete_item(TableName=here.table, Key={"id": {"S": f"confirmation_email#{event.id}"}})
    [(body, _)] = here.dead_letters()
    here.send(body)
    here.work()
    assert len(here.mails) == 1


def test_one_request_is_all_that_botocore_makes(here: World) -> None:
    """Below our own calls: what botocore itself does about an answer that got lost."""
    requests: list[str] = []

    def lose(request: Any, **_: Any) -> None:
        requests.append(request.url)
        raise ReadTimeoutError(endpoint_url=request.url)

    order(here)
    hooks = client("sesv2", attempts=1).meta.events
    hooks.register_first("before-send.sesv2.SendEmail", lose)
    try:
        here.invoke(here.receive())
    finally:
        hooks.unregister("before-send.sesv2.SendEmail", lose)
    assert len(requests) == 1


# What the provider tells later.


def bounced(kind: str, *addresses: str) -> dict[str, Any]:
    return {"bounce": {"bounceType": kind, "bouncedRecipients": [{"emailAddress": who} for who in addresses]}}


def complained(*addresses: str, **more: str) -> dict[str, Any]:
    return {"complaint": {"complainedRecipients": [{"emailAddress": who} for who in addresses], **more}}


@pytest.mark.parametrize(
    ("kind", "told", "suppressed"),
    [
        ("Send", {}, False),
        ("Delivery", {}, False),
        ("DeliveryDelay", {}, False),
        ("Bounce", bounced("Permanent", "Customer@Example.com"), True),
        ("Bounce", bounced("Transient", ADDRESS), False),
        ("Bounce", bounced("Undetermined", ADDRESS), False),
        ("Complaint", complained(ADDRESS), True),
        ("Complaint", complained(ADDRESS, complaintFeedbackType="abuse"), True),
        ("Complaint", complained(ADDRESS, complaintFeedbackType="not-spam"), False),
    ],
)
def test_later_mail_goes_only_to_addresses_that_want_it(
    here: World, kind: str, told: dict[str, Any], suppressed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    here.send(notice(None, kind, **told))
    here.work()
    event = order(here)
    here.work()
    assert len(here.mails) == (0 if suppressed else 1)
    assert here.dead_letters() == []
    assert ("skipped: the address is suppressed" in capsys.readouterr().out) == suppressed
    assert state(here, event) == (None if suppressed else "sent")


@pytest.mark.parametrize("kind", ["Send", "Delivery", "Bounce", "Complaint", "Reject"])
def test_any_notice_about_a_mail_says_that_it_was_taken(here: World, kind: str) -> None:
    here.provider_tells = False
    event = order(here)
    with between(Provider(UNCLEAR[0], taken=True)):
        here.invoke(here.receive())
    here.send(notice(event.id, kind, **bounced("Transient"), **complained()))
    here.work()
    assert state(here, event) == "sent"
    assert len(here.mails) == 1
    assert here.dead_letters() == []


@pytest.mark.parametrize(
    "body",
    [
        {"source": "aws.ses"},
        {"source": "aws.ses", "detail": None},
        {"source": "aws.ses", "detail": {"eventType": "Send"}},
        {"source": "aws.ses", "detail": {"eventType": "Send", "mail": []}},
        {"source": "aws.ses", "detail": {"eventType": "Send", "mail": {"tags": {"event_id": []}}}},
        {"source": "aws.ses", "detail": {"eventType": "Bounce", "mail": {}}},
        {"source": "aws.ses", "detail": {"eventType": "Bounce", "mail": {}, "bounce": {"bounceType": "Permanent"}}},
    ],
)
def test_a_notice_of_another_shape_is_set_aside(here: World, body: dict[str, Any]) -> None:
    here.send(json.dumps(body))
    here.work()
    [(_, reason)] = here.dead_letters()
    assert str(reason).startswith("not a notice about a mail")


@given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_what_is_not_from_the_provider_is_no_notice(body: str) -> None:
    assert notices.read(body) is None


# Wherever it dies.


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 2])
def test_wherever_it_dies_the_mail_is_sent_at_most_once_and_nothing_is_forgotten(copies: int) -> None:
    ends: dict[str, int] = {}

    def scenario(calls: Calls) -> None:
        with world("confirmation_email", **MAILING) as here:
            event = order(here)
            for _ in range(copies - 1):
                here.send(event)
            here.work(calls)
            reasons = {reason for _, reason in here.dead_letters()}
            assert len(here.mails) <= 1
            if here.mails:
                assert (state(here, event), reasons) == ("sent", set())
            else:
                assert (state(here, event), reasons) == ("unknown", {"unknown: may have been sent"})
            end = "sent" if here.mails else "unknown"
            ends[end] = ends.get(end, 0) + 1

    points = killed_everywhere(scenario)
    assert "after sesv2.SendEmail" in points
    # Unknown only where it had been marked and not sent: after the claim, and before the mail.
    assert ends == {"sent": 1 + len(points) - 2, "unknown": 2}


@pytest.mark.slow
def test_wherever_it_dies_during_a_pause_the_mail_is_sent_once_in_the_end() -> None:
    def scenario(calls: Calls) -> None:
        with world("confirmation_email", **MAILING) as here:
            event = order(here)
            with between(Provider(refusal("LimitExceededException"))):
                here.work(calls)
            # Dying between the refusal and taking back the mark leaves it open whether it was taken.
            unknown = {reason for _, reason in here.dead_letters()} == {"unknown: may have been sent"}
            assert (len(here.mails), state(here, event)) == ((0, "unknown") if unknown else (1, "sent"))

    points = killed_everywhere(scenario)
    assert points.count("before sqs.SendMessage") == 1


@pytest.mark.slow
def test_a_notice_is_heard_wherever_it_dies() -> None:
    def scenario(calls: Calls) -> None:
        with world("confirmation_email", **MAILING) as here:
            here.provider_tells = False
            event = happened("order.placed", order_id=ORDER)
            here.module.ledger.begin(event.id, 30)
            here.send(notice(event.id, "Bounce", **bounced("Permanent", ADDRESS, "b@example.com")))
            here.work(calls)
            assert state(here, event) == "sent"
            assert here.module.ledger.suppressed(ADDRESS)
            assert here.module.ledger.suppressed("b@example.com")

    assert killed_everywhere(scenario)


@pytest.mark.slow
def test_the_table_of_kill_points_catches_a_handler_that_marks_after_it_sent() -> None:
    def scenario(calls: Calls) -> None:
        with world("confirmation_email", **MAILING) as here:
            event = order(here)
            here.module.ledger = SendFirst("confirmation_email")  # type: ignore[attr-defined]
            here.work(calls)
            assert len(here.mails) <= 1, event

    with pytest.raises(AssertionError):
        killed_everywhere(scenario)
