"""20,000 orders through the real mail handler, on the worst day that one can think of."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.batch import Message, for_each_message
from jobs.events import Later, Refused
from jobs.ledger import Ledger, Unknown
from tests.lambdas.queue import Outcome, Queue, Table, simulate
from tests.lambdas.world import Clock, World, between, world

EVENTS = 20_000
JOB = "confirmation_email"


@dataclass(frozen=True)
class Verdict:
    """Every accepted event in exactly one place, and what is wrong."""

    answered: set[str]
    unknown: set[str]
    set_aside: set[str]
    suppressed: set[str]
    lost: set[str]
    twice: set[str]
    wrongs: tuple[str, ...]


def judge(outcome: Outcome) -> Verdict:
    """From what the provider took, the table and the dead letters; not from what the handler says."""
    events, rows = set(outcome.events), outcome.rows
    dead = {found[1] for body, _ in outcome.dead if (found := re.search(r'"id":"([0-9a-f-]{36})"', body))}
    mine = {key.partition("#")[2]: row for key, row in rows.items() if key.startswith(f"{JOB}#")}
    answered = {event for event, row in mine.items() if row.get("told_by") == "answer"}
    by_notice = {event for event, row in mine.items() if row.get("told_by") == "notice"}
    unknown = by_notice | {event for event, row in mine.items() if row["state"] in ("sending", "unknown")}
    set_aside = (dead & events) - answered - unknown
    unwanted = {
        event
        for event, address in outcome.events.items()
        if f"suppressed#{sha256(address.encode()).hexdigest()}" in rows
    }
    suppressed = unwanted - answered - unknown - set_aside
    mailed, interrupted = set(outcome.mails), outcome.crashed_between | outcome.unclear_between
    lost = events - answered - unknown - set_aside - suppressed
    twice = {event for event, times in outcome.mails.items() if times > 1}
    wrongs = {
        "lost": lost,
        "sent twice": twice,
        "sent, and nobody knows": mailed - answered - unknown,
        "said to be sent, and was not": (answered | by_notice) - mailed,
        "unknown without a reason, or known without one": unknown ^ interrupted,
        # Whoever wants no mail any more is asked about no more either.
        "unknown, and neither settled nor set aside": unknown - by_notice - dead - unwanted,
        "poison that was mailed": outcome.poison & mailed,
        "poison that nobody hears of": outcome.poison - dead,
    }
    return Verdict(
        answered, unknown, set_aside, suppressed, lost, twice, tuple(name for name, found in wrongs.items() if found)
    )


@pytest.mark.slow
def test_a_bad_day_loses_nothing_and_sends_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    outcome, metrics = simulate(EVENTS, seed=7)
    verdict = judge(outcome)
    by_notice = sum(row.get("told_by") == "notice" for row in outcome.rows.values())
    with capsys.disabled():
        print(
            f"\n{EVENTS:,} events ({len(outcome.poison):,} poison, {outcome.copies:,} published twice) in"
            f" {outcome.deliveries:,} deliveries, {sum(outcome.faults.values()):,} faults, {outcome.hours:.1f} h:"
            f" {len(verdict.answered):,} sent and answered + {len(verdict.unknown):,} unknown"
            f" ({len(outcome.crashed_between):,} crashes and {len(outcome.unclear_between):,} lost answers between"
            f" the marks; {by_notice:,} settled by a notice, {len(verdict.unknown) - by_notice:,} set aside)"
            f" + {len(verdict.set_aside):,} set aside + {len(verdict.suppressed):,} suppressed;"
            f" {len(verdict.lost)} lost, {len(verdict.twice)} sent twice"
        )
    assert verdict.wrongs == ()
    parts = (verdict.answered, verdict.unknown, verdict.set_aside, verdict.suppressed)
    assert sum(map(len, parts)) == len(outcome.events) == EVENTS - len(outcome.poison)
    assert verdict.unknown == outcome.crashed_between | outcome.unclear_between
    # Everything that can go wrong did.
    assert len(outcome.crashed_between) > 100
    assert 0 < by_notice < len(verdict.unknown)
    assert len(outcome.poison) > 0.04 * EVENTS
    assert outcome.copies > 0.29 * EVENTS
    assert outcome.live_meetings > 0
    assert len(outcome.faults) == 20
    assert verdict.suppressed
    assert metrics["MailPaused"] > 0
    assert metrics["Refused"] > len(outcome.poison)


class SendFirst(Ledger):
    """Remembers only afterwards."""

    def begin(self, key: str, seconds: float) -> str | None:
        row = self._get(f"{JOB}#{key}")
        return f"{seconds}" if row is None or row["state"] != "sent" else None

    def sent(self, key: str) -> None:
        self._put(f"{JOB}#{key}", "sent")


class Impatient(Ledger):
    """Takes over whatever is not marked as sent."""

    def begin(self, key: str, seconds: float) -> str | None:
        try:
            return super().begin(key, seconds)
        except Later:
            return "mine"


class Careless(Ledger):
    """Frees what is unknown."""

    def begin(self, key: str, seconds: float) -> str | None:
        try:
            return super().begin(key, seconds)
        except Unknown:
            self._mark(key, "free", "attribute_exists(id)")
            raise


def with_ledger(ledger: Ledger) -> Callable[[ModuleType], None]:
    return lambda module: setattr(module, "ledger", ledger)


def every_error_means_not_taken(module: Any) -> None:
    module.never_accepted = lambda _: True


def refusals_are_dropped(module: Any) -> None:
    def work(message: Message) -> None:
        try:
            module.attend(message)
        except Refused:
            return

    module.handler = for_each_message(work)


def failures_are_dropped(module: Any) -> None:
    def work(message: Message) -> None:
        try:
            module.attend(message)
        except Later:
            return

    module.handler = for_each_message(work)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (with_ledger(SendFirst(JOB)), "sent twice"),
        (with_ledger(Impatient(JOB)), "sent twice"),
        (with_ledger(Careless(JOB)), "sent twice"),
        (every_error_means_not_taken, "sent twice"),
        (refusals_are_dropped, "poison that nobody hears of"),
        (failures_are_dropped, "lost"),
    ],
    ids=["sends-first", "impatient", "careless", "every-error-means-no", "drops-refusals", "drops-failures"],
)
def test_a_broken_handler_is_found_out(change: Callable[[ModuleType], None], wrong: str) -> None:
    outcome, _ = simulate(1000, seed=7, change=change)
    assert wrong in judge(outcome).wrongs


@pytest.mark.slow
def test_the_same_seed_is_the_same_day() -> None:
    first, second = (simulate(300, seed=3)[0] for _ in range(2))
    assert (first.mails, first.faults, first.deliveries) == (second.mails, second.faults, second.deliveries)
    assert simulate(300, seed=4)[0].mails != first.mails


# The fakes answer as moto does.


def play(steps: list[tuple[str, str, float]], clock: Clock, rows: Callable[[], Any]) -> list[Any]:
    """Work with a ledger, and note each answer and the table after it."""
    ledger, attempts, seen = Ledger("mail"), list[str](), list[Any]()
    for step, key, seconds in steps:
        answer: Any = None
        try:
            if step == "begin":
                answer = ledger.begin(key, seconds)
                if answer is not None:
                    attempts.append(answer)
                    answer = "begun"
            elif step == "not_sent":
                for attempt in attempts[-2:]:
                    ledger.not_sent(key, attempt)
            elif step == "pause":
                ledger.pause(seconds)
            elif step == "paused":
                answer = ledger.paused()
            else:
                answer = getattr(ledger, step)(key)
        except Later as later:
            answer = (type(later).__name__, round(later.seconds, 3))
        seen.append((step, answer, rows()))
        clock.sleep(seconds)
    return seen


STEPS = st.tuples(
    st.sampled_from(["begin", "begin", "sent", "noticed", "not_sent", "pause", "paused", "suppress", "suppressed"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from([0.0, 1.0, 40.0]),
)


@pytest.fixture(scope="module")
def moto() -> Any:
    with world(JOB) as made:
        yield made


def plain(rows: dict[str, dict[str, Any]]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Without the attempts' names, which are random."""
    return sorted(
        (key, sorted((name, *value.items()) for name, value in row.items() if name != "attempt"))
        for key, row in rows.items()
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, min_size=4, max_size=12))
def test_the_table_answers_as_moto_does(moto: World, steps: list[tuple[str, str, float]]) -> None:
    database = moto.client("dynamodb")

    def scan() -> Any:
        return plain({item["id"]["S"]: item for item in database.scan(TableName=moto.table)["Items"]})

    for item in database.scan(TableName=moto.table)["Items"]:
        database.delete_item(TableName=moto.table, Key={"id": item["id"]})
    moto.clock.now = Clock().now
    real = play(steps, moto.clock, scan)

    table = Table()
    answers = {"GetItem": table.get, "PutItem": table.put, "UpdateItem": table.update}
    moto.clock.now = Clock().now
    with between(lambda _: lambda _client, operation, arguments: answers[operation](arguments)):
        assert play(steps, moto.clock, lambda: plain(table.rows)) == real


@dataclass
class RealQueue:
    """The same questions to moto."""

    here: World

    def send(self, body: str, delay: float) -> None:
        self.here.client("sqs").send_message(QueueUrl=self.here.queue, MessageBody=body, DelaySeconds=int(delay))

    def receive(self) -> list[tuple[str, int, str]]:
        return [
            (found["body"], int(found["attributes"]["ApproximateReceiveCount"]), found["receiptHandle"])
            for found in self.here.receive()
        ]

    def change(self, handle: str, seconds: float) -> None:
        self.here.client("sqs").change_message_visibility(
            QueueUrl=self.here.queue, ReceiptHandle=handle, VisibilityTimeout=int(seconds)
        )

    def delete(self, handle: str) -> None:
        self.here.client("sqs").delete_message(QueueUrl=self.here.queue, ReceiptHandle=handle)

    def dead(self) -> list[str]:
        return [body for body, _ in self.here.dead_letters()]


@dataclass
class FakeQueue:
    """The same questions to ours."""

    queue: Queue

    def receive(self) -> list[tuple[str, int, str]]:
        return [(found.body, found.receives, found.handle) for found in self.queue.receive()]

    def dead(self) -> list[str]:
        return [body for body, _ in self.queue.dead]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)


def use(queue: Any, steps: list[tuple[str, int]], clock: Clock) -> list[Any]:
    """What a poller sees that fails, puts off and deletes; at most five messages, so that one receive takes all."""
    seen, held = list[Any](), list[tuple[str, str]]()
    sent = 0
    for step, number in steps:
        if step == "send" and sent < 5:
            sent += 1
            queue.send(f"m{sent}", number)
        elif step == "receive":
            found = sorted(queue.receive())
            seen.append([(body, receives) for body, receives, _ in found])
            held = [(body, handle) for body, _, handle in found] or held
        elif step == "delete" and held:
            queue.delete(held.pop(number % len(held))[1])
        elif step == "change" and held:
            queue.change(held.pop(number % len(held))[1], number)
        # Never at the same moment as something becomes visible.
        clock.sleep(1.3 if step != "wait" else number + 0.7)
    clock.sleep(1000.1)
    seen += [sorted((body, receives) for body, receives, _ in queue.receive())]
    return [*seen, sorted(queue.dead())]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "receive", "receive", "delete", "change"]), st.integers(0, 60))
        | st.tuples(st.just("wait"), st.just(200)),
        min_size=8,
        max_size=30,
    )
)
def test_the_queue_answers_as_moto_does(moto: World, steps: list[tuple[str, int]]) -> None:
    for queue in (moto.queue, moto.dead_letters_queue):
        moto.client("sqs").purge_queue(QueueUrl=queue)
        moto.clock.sleep(100)
    real = use(RealQueue(moto), steps, moto.clock)
    clock = Clock()
    assert use(FakeQueue(Queue(clock, random.Random(1))), steps, clock) == real
