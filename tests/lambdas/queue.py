"""A day of the mail job in seconds: its queue and all it calls, in memory, on a clock of their own, from one seed.

Several functions work at the same time. At every call the others go on first, so that copies of an event meet each
other in every order. Calls fail before and after their effect, functions die at any point, messages come twice and in
any order, and notices get lost.
"""

from __future__ import annotations

import heapq
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from types import CodeType, ModuleType
from typing import Any
from uuid import UUID
from warnings import catch_warnings, simplefilter

import greenlet  # type: ignore[import-untyped]
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from jobs import aws, batch
from jobs.events import encode, happened
from tests.lambdas.world import (
    ATTEMPTS,
    BATCH,
    REGION,
    RULES,
    SENDER,
    TIMEOUT_SECONDS,
    VISIBILITY_SECONDS,
    Clock,
    Context,
    Killed,
    between,
    load,
)

QUEUE, DEAD_LETTERS, TABLE, BUCKET = "queue", "dead-letters", "table", "bucket"


@dataclass
class Held:
    """A message as the queue holds it."""

    body: str
    receives: int = 0
    visible_at: float = 0.0
    handle: str = ""
    name: str = ""
    deleted: bool = False


class Queue:
    """What SQS promises: at least once, in no order, hidden while worked on, and set aside after so many attempts."""

    def __init__(self, clock: Clock, dice: random.Random) -> None:
        self._clock, self._dice = clock, dice
        self._hidden: list[tuple[float, int, Held]] = []
        self._ready: list[Held] = []
        self._taken: dict[str, Held] = {}
        self._number = 0
        self.dead: list[tuple[str, str | None]] = []
        self.deliveries = 0

    def send(self, body: str, delay: float = 0.0) -> None:
        self._hide(Held(body, name=f"m{self._number}"), delay)

    def _hide(self, message: Held, seconds: float) -> None:
        self._number += 1
        message.visible_at = self._clock.now + seconds
        heapq.heappush(self._hidden, (message.visible_at, self._number, message))

    def receive(self) -> list[Held]:
        self.due()
        batch: list[Held] = []
        while self._ready and len(batch) < BATCH:
            position = self._dice.randrange(len(self._ready))
            self._ready[position], self._ready[-1] = self._ready[-1], self._ready[position]
            message = self._ready.pop()
            self._taken.pop(message.handle, None)
            if message.deleted:
                continue
            if message.receives == ATTEMPTS:
                self.dead.append((message.body, None))
                continue
            message.receives += 1
            message.handle = f"{message.name}-{message.receives}"
            self._taken[message.handle] = message
            self._hide(message, VISIBILITY_SECONDS)
            self.deliveries += 1
            batch.append(message)
        return batch

    def due(self) -> bool:
        """Whether something can be received now."""
        while self._hidden and self._hidden[0][0] <= self._clock.now:
            at, _, message = heapq.heappop(self._hidden)
            if at == message.visible_at:  # otherwise it was changed since
                self._ready.append(message)
        return bool(self._ready)

    def next_due(self) -> float | None:
        while self._hidden and self._hidden[0][0] != self._hidden[0][2].visible_at:
            heapq.heappop(self._hidden)
        return self._hidden[0][0] if self._hidden else None

    def change(self, handle: str, seconds: float) -> None:
        if handle in self._taken:
            self._hide(self._taken[handle], seconds)

    def delete(self, handle: str) -> None:
        message = self._taken.pop(handle, None)
        if message is not None:
            message.deleted = True
            message.visible_at = -1


class Table:
    """As much of DynamoDB as the ledger asks of it; a test compares it with moto."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def get(self, arguments: dict[str, Any]) -> dict[str, Any]:
        row = self.rows.get(arguments["Key"]["id"]["S"])
        return {} if row is None else {"Item": dict(row)}

    def put(self, arguments: dict[str, Any]) -> dict[str, Any]:
        row = arguments["Item"]
        self._check(row["id"]["S"], arguments)
        self.rows[row["id"]["S"]] = dict(row)
        return {}

    def update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        key = arguments["Key"]["id"]["S"]
        self._check(key, arguments)
        row = self.rows.setdefault(key, {"id": {"S": key}})
        for part in arguments["UpdateExpression"].removeprefix("SET ").split(", "):
            name, value = part.split(" = ")
            row[arguments["ExpressionAttributeNames"].get(name, name)] = arguments["ExpressionAttributeValues"][value]
        return {}

    def _check(self, key: str, arguments: dict[str, Any]) -> None:
        if "ConditionExpression" not in arguments:
            return
        row = self.rows.get(key, {})
        names, values = arguments.get("ExpressionAttributeNames", {}), arguments["ExpressionAttributeValues"]
        if not eval(condition(arguments["ConditionExpression"]), {"row": row, "names": names, "values": values}):
            declined = refusal("ConditionalCheckFailedException", "The conditional request failed")
            if row and "ReturnValuesOnConditionCheckFailure" in arguments:
                declined.response["Item"] = dict(row)
            raise declined


WORDS = {"=": "==", "IN": "in", "OR": "or", "AND": "and"}
FUNCTION = re.compile(r"attribute_(not_)?exists\((\w+)\)")


@cache
def condition(text: str) -> CodeType:
    """A condition expression as Python."""

    def word(found: re.Match[str]) -> str:
        name = found[0]
        if name in WORDS:
            return WORDS[name]
        if name.startswith(":"):
            return f"values[{name!r}]"
        return f"row.get(names.get({name!r}, {name!r}))"

    parts = FUNCTION.split(text)
    # Between the functions' parts lies what is compared.
    python = re.sub(r"[:#]?\w+|=", word, parts.pop(0))
    while parts:
        negated, name, rest = parts[:3]
        del parts[:3]
        python += f"({name!r} {'not ' if negated else ''}in row)" + re.sub(r"[:#]?\w+|=", word, rest)
    return compile(python, text, "eval")


def refusal(code: str, text: str = "", status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "call")


@dataclass(frozen=True)
class Odds:
    """How often what goes wrong does go wrong."""

    duplicate: float = 0.3  # published twice
    delivered_again: float = 0.15  # although it was deleted
    poison: float = 0.05
    fault: float = 0.10  # of each call
    crash: float = 0.005  # before and after each call
    bounce: float = 0.02
    lost_notice: float = 0.05


@dataclass
class Outcome:
    """What was sent, and by whom it was known."""

    events: dict[str, str] = field(default_factory=dict)  # event id -> address
    poison: set[str] = field(default_factory=set)
    copies: int = 0
    deliveries: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    mails: Counter[str] = field(default_factory=Counter)
    live_meetings: int = 0  # a copy came while another function was sending the same event
    crashed_between: set[str] = field(default_factory=set)  # marked as being sent, and then the function was gone
    unclear_between: set[str] = field(default_factory=set)  # the same with an answer that got lost
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    dead: list[tuple[str, str | None]] = field(default_factory=list)
    hours: float = 0.0


class Simulation:
    """The real handler against the fakes, until nothing is left to do."""

    FUNCTIONS = 8
    PER_SECOND = 25
    CUSTOMERS = 4000

    def __init__(self, events: int, seed: int, odds: Odds, module: ModuleType) -> None:
        self._odds, self._dice, self._clock, self._module = odds, random.Random(seed), Clock(), module
        self._queue, self._table, self._out = Queue(self._clock, self._dice), Table(), Outcome()
        self._documents: dict[str, bytes] = {}
        self._customers = [f"customer-{number}@example.com" for number in range(self.CUSTOMERS)]
        self._unreachable = set(self._dice.sample(self._customers, round(self.CUSTOMERS * odds.bounce)))
        # Half-way through, the provider takes no more for twenty minutes.
        self._closed_from = self._clock.now + events / self.PER_SECOND / 2
        self._scheduler = greenlet.getcurrent()
        self._turns: list[tuple[float, int, greenlet.greenlet]] = []
        self._turn = 0
        self._functions: dict[greenlet.greenlet, tuple[float, dict[str, str]]] = {}
        for number in range(events):
            self._publish(number)

    def run(self) -> Outcome:
        begun = self._clock.now
        while True:
            while len(self._functions) < self.FUNCTIONS and self._queue.due():
                self._start()
            turn, due = self._turns[0][0] if self._turns else None, self._queue.next_due()
            if due is not None and len(self._functions) < self.FUNCTIONS and (turn is None or due < turn):
                self._clock.now = max(self._clock.now, due)
            elif turn is not None:
                self._clock.now = max(self._clock.now, turn)
                self._go_on(heapq.heappop(self._turns)[2])
            else:
                break
        out = self._out
        out.deliveries, out.dead = self._queue.deliveries, self._queue.dead
        for key, row in self._table.rows.items():
            values = {name: next(iter(value.values())) for name, value in row.items()}
            out.rows[key] = values
        out.hours = (self._clock.now - begun) / 3600
        return out

    # What is published.

    def _publish(self, number: int) -> None:
        delay = number / self.PER_SECOND
        event = happened("order.placed", order_id=self._id())
        event = replace(event, id=self._id())
        address = self._dice.choice(self._customers)
        facts = {
            "order": {"id": event.ids["order_id"], "total_cents": 100, "lines": []},
            "customer": {"name": "Zoë", "email": address},
            "devices": [],
        }
        body, document = encode(event), json.dumps(facts)
        if self._dice.random() < self._odds.poison:
            body, document = self._poison(body, document)
            self._out.poison.add(event.id)
        else:
            self._out.events[event.id] = address
        self._documents[event.document_key] = document.encode()
        self._queue.send(body, delay)
        if self._dice.random() < self._odds.duplicate:
            self._out.copies += 1
            self._queue.send(body, delay + self._dice.choice([0, 0.05, 0.1, 5, 60, 600]))

    def _poison(self, body: str, document: str) -> tuple[str, str]:
        return self._dice.choice(
            [
                (f"not JSON {body}", document),
                (f"\x00{body}", document),
                (body.replace('"version":1', '"version":2'), document),
                (body.replace("order.placed", "order.eaten"), document),
                (body.replace("order.placed", "order.shipped"), document),
                (body, document[:-1]),
                (body, document.replace("Zo\\u00eb", "Zoe\\r\\nBcc: all@example.com")),
                (body, document.replace("@example.com", "@example.com\\nall@example.com")),
                (body, "[" * 100_000),
            ]
        )

    def _id(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))

    # Functions, each with its turns.

    def _start(self) -> None:
        batch = self._queue.receive()
        if batch:
            function = greenlet.greenlet(self._invocation)
            self._functions[function] = (self._clock.now + TIMEOUT_SECONDS, {})
            self._go_on(function, batch)

    def _go_on(self, function: greenlet.greenlet, *arguments: Any) -> None:
        wait = function.switch(*arguments)
        if function.dead:
            del self._functions[function]
        else:
            self._turn += 1
            heapq.heappush(self._turns, (self._clock.now + wait, self._turn, function))

    def _invocation(self, batch: list[Held]) -> None:
        deadline, claims = self._functions[greenlet.getcurrent()]
        records: list[dict[str, Any]] = [
            {
                "messageId": message.name,
                "receiptHandle": message.handle,
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": str(message.receives)},
            }
            for message in batch
        ]
        try:
            answer = self._module.handler({"Records": records}, Context(self._clock, deadline))
        except Killed:
            self._settle(claims, self._out.crashed_between)
            return
        self._settle(claims, self._out.unclear_between)
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                if self._dice.random() < self._odds.delivered_again:
                    self._queue.change(record["receiptHandle"], self._dice.uniform(1, 120))
                else:
                    self._queue.delete(record["receiptHandle"])

    def _settle(self, claims: dict[str, str], open_ones: set[str]) -> None:
        """What this invocation marked as being sent and then neither marked as sent nor freed."""
        for key, attempt in claims.items():
            row = self._table.rows[key]
            known = row["state"] == {"S": "free"} or row.get("told_by") == {"S": "answer"}
            if row["attempt"] == {"S": attempt} and not known:
                open_ones.add(key.partition("#")[2])

    def _wait(self, seconds: float) -> None:
        """The others go on. Who is still waiting when its time is up is stopped."""
        self._scheduler.switch(seconds)
        if self._clock.now >= self._functions[greenlet.getcurrent()][0]:
            raise Killed("timeout")

    # What they call.

    def call(self, client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        self._point()
        fault = self._dice.choice(FAULTS[service]) if self._dice.random() < self._odds.fault else None
        if fault is not None:
            self._out.faults[f"{service}: {fault.name}"] += 1
            if not fault.done:
                self._wait(fault.seconds)
                raise fault.error()
        answer = getattr(self, f"_{operation}")(arguments)
        self._point()
        if fault is not None:
            self._wait(fault.seconds)
            raise fault.error()
        return answer

    def _point(self) -> None:
        self._wait(self._dice.uniform(0.005, 0.05))
        if self._dice.random() < self._odds.crash:
            raise Killed

    def _GetItem(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        return self._table.get(arguments)

    def _PutItem(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        item = arguments["Item"]
        key, sending = item["id"]["S"], item["state"] == {"S": "sending"}
        before = self._table.rows.get(key, {})
        live = sending and before.get("state") == {"S": "sending"} and float(before["until"]["N"]) > self._clock.now
        self._out.live_meetings += live
        answer = self._table.put(arguments)
        if sending:
            self._functions[greenlet.getcurrent()][1][key] = item["attempt"]["S"]
        return answer

    def _UpdateItem(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        return self._table.update(arguments)

    def _GetObject(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        return {"Body": io.BytesIO(self._documents[arguments["Key"]])}

    def _ChangeMessageVisibility(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        self._queue.change(arguments["ReceiptHandle"], arguments["VisibilityTimeout"])
        return {}

    def _SendMessage(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        body = arguments["MessageBody"]
        if batch.UNSENDABLE.search(body):
            raise refusal("InvalidMessageContents")
        if arguments["QueueUrl"] == DEAD_LETTERS:
            self._queue.dead.append((body, arguments["MessageAttributes"]["reason"]["StringValue"]))
        else:
            self._queue.send(body, arguments["DelaySeconds"])
        return {}

    def _SendEmail(self, arguments: dict[str, Any]) -> Any:  # noqa: N802
        if self._closed_from <= self._clock.now < self._closed_from + 1200:
            raise refusal("TooManyRequestsException", "Daily message quota exceeded.", 429)
        event = arguments["EmailTags"][0]["Value"]
        self._out.mails[event] += 1
        address = self._out.events.get(event, "poison")
        bounces = address in self._unreachable
        for kind, soonest, latest in (("Send", 0.2, 5), ("Bounce" if bounces else "Delivery", 1, 60)):
            if self._dice.random() >= self._odds.lost_notice:
                bounce = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": address}]}
                told = {"eventType": kind, "mail": {"tags": {"event_id": [event]}}, "bounce": bounce}
                notice = json.dumps({"source": "aws.ses", "detail": told})
                self._queue.send(notice, self._dice.uniform(soonest, latest))
        return {"MessageId": event}


@dataclass(frozen=True)
class Fault:
    """A call that fails: before it had its effect, or after."""

    name: str
    error: Callable[[], Exception]
    seconds: float
    done: bool = False


TOO_OFTEN = Fault("too often", lambda: refusal("ThrottlingException", "Maximum sending rate exceeded."), 0.1)
BROKEN = Fault("broken", lambda: refusal("InternalFailure", "", 500), 0.1)
NO_WAY_THERE = Fault("no connection", lambda: ConnectTimeoutError(endpoint_url="there"), aws.CONNECT_SECONDS)
LOST_REQUEST = Fault("lost request", lambda: ReadTimeoutError(endpoint_url="there"), aws.READ_SECONDS)
LOST_ANSWER = Fault("lost answer", lambda: ReadTimeoutError(endpoint_url="there"), aws.READ_SECONDS, done=True)
ANY = [TOO_OFTEN, BROKEN, NO_WAY_THERE, LOST_REQUEST, LOST_ANSWER]
FAULTS = {"dynamodb": ANY, "s3": ANY, "sqs": ANY, "sesv2": ANY}


class Lines(io.StringIO):
    """The log, of which only the metrics are kept, as sums."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: Counter[str] = Counter()

    def write(self, text: str) -> int:
        if text.startswith('{"_aws"'):
            for name, values in json.loads(text).items():
                if isinstance(values, list):
                    self.sums[name] += len(values)
        return len(text)


def simulate(
    events: int, *, seed: int, odds: Odds | None = None, change: Callable[[ModuleType], None] | None = None
) -> tuple[Outcome, Counter[str]]:
    """What became of so many events, and the sums of the metrics; `change` breaks the handler on purpose."""
    variables = {
        "SHOP_NAME": "trial",
        "QUEUE_URL": QUEUE,
        "DEAD_LETTERS_URL": DEAD_LETTERS,
        "STATE_TABLE": TABLE,
        "FILES_BUCKET": BUCKET,
        "MAIL_FROM": SENDER,
        "MAIL_RULES": RULES,
        "POWERTOOLS_SERVICE_NAME": "confirmation_email",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    lines = Lines()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        module = load("confirmation_email")
        if change is not None:
            change(module)
        simulation = Simulation(events, seed, odds or Odds(), module)
        patched.setattr("jobs.ledger.now", simulation._clock.time)
        patched.setattr(module, "sleep", simulation._wait)
        patched.setattr(random, "uniform", random.Random(seed).uniform)
        level = batch.logger.log_level
        batch.logger.setLevel("CRITICAL")
        with between(lambda _: lambda *call: simulation.call(*call)), redirect_stdout(lines), catch_warnings():
            # Functions that take turns in one process share its counters; on Lambda each has its own.
            simplefilter("ignore")
            outcome = simulation.run()
        batch.logger.setLevel(level)
    return outcome, lines.sums
