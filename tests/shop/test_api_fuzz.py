"""Thousands of requests that nobody thought of: none breaks the shop, and every answer is as the description says."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.python import asgi
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from shop import accounts, api, middleware, openapi, orders
from tests.shop.running import PICTURE, Running, application, leave_aws_alone, running

pytestmark = pytest.mark.slow

FEWEST_CASES = 2000
# Nobody guesses a password, and who signs out by chance is nobody for all that follows.
NEVER_REACHED = {"POST /sessions", "DELETE /sessions/current"}
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many requests that soon all answers would be to wait; limits have tests of their own."""
    for where, name in ((middleware, "READS"), (middleware, "WRITES"), (accounts, "ATTEMPTS_A_MINUTE")):
        monkeypatch.setattr(where, name, 10**9)
    leave_aws_alone(monkeypatch)


@dataclass
class Outcome:
    """What came of it all: how often each answer was given, and what was wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def reached(self) -> set[str]:
        """The operations that did what they are for, at least once."""
        return {answer.rpartition(" ")[0] for answer in self.answers if answer.rpartition(" ")[2].startswith("2")}


def ask(app: ASGIApp, headers: dict[str, str], outcome: Outcome, *, only: str | None = None) -> None:
    """Every phase and every check, with good and with bad data, as one kind of visitor."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": headers,
            "generation": {"max-examples": 8, "deterministic": True, "no-shrink": True},
            "continue-on-failure": True,
        }
    )
    schema: Any = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, config=config)
    schemathesis.openapi.media_type("image/png", st.just(PICTURE), aliases=openapi.PICTURES)
    if headers:
        schema = schema.exclude(path="/sessions/current")
    if only is not None:
        schema = schema.include(path=only)
    numbers = count()

    @schema.hook  # type: ignore[untyped-decorator]
    def map_case(_: HookContext, case: Any) -> Any:
        """Most keys that are made up are the same; a new one each time gets to where something is created."""
        key = (case.headers or {}).get("Idempotency-Key")
        if isinstance(key, str) and key.isascii() and key.isprintable() and 0 < len(key) <= 255:
            case.headers["Idempotency-Key"] = f"{next(numbers):06}{key}"[: max(6, len(key))]
        return case

    @schema.hook  # type: ignore[untyped-decorator]
    def filter_failure(_: HookContext, failure: Failure, case: object, response: Response) -> bool:
        """No schema can say that only a cursor of ours will do, and only a key that was not used for something else.

        Nor that a change of the stock needs one.
        """
        del case
        allowed = {(400, "bad-cursor"), (422, "idempotency-key-reused"), (400, "idempotency-key-missing")}
        beyond_schemas = (response.status_code, response.json().get("code")) in allowed
        return not (isinstance(failure, RejectedPositiveData) and beyond_schemas)

    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for id, node in event.recorder.cases.items():
                interaction = event.recorder.interactions.get(id)
                if interaction is not None and interaction.response is not None:
                    outcome.answers[f"{node.value.operation.label} {interaction.response.status_code}"] += 1
                outcome.wrong += [
                    f"{node.value.as_curl_command()}: {check.failure_info.failure}"
                    for check in event.recorder.checks.get(id, [])
                    if check.failure_info is not None
                ]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            outcome.wrong.append(str(event))


async def people(database_url: str, folder: Path) -> list[dict[str, str]]:
    """Nobody, a customer and one of the staff, with something to find: the headers that each sends."""
    async with running(database_url, folder) as shop:
        product = await shop.product()
        customer, staff = await shop.customer(), await shop.customer(is_staff=True)
        for buyer in (customer, staff):
            for number in range(20):
                await shop.fill(buyer, product)
                await orders.place(shop.shop, buyer.user, key=str(number))
            await shop.fill(buyer, product)
        return [{}, customer.headers, staff.headers]


@contextmanager
def closing() -> Iterator[None]:
    """Whatever the generated requests have opened ends with the test."""
    try:
        yield
    finally:
        asgi.shutdown_lifespans()


def test_every_answer_is_as_described(database_url: str, tmp_path: Path) -> None:
    everybody = asyncio.run(people(database_url, tmp_path))
    app, outcome = application(database_url, tmp_path), Outcome()
    with closing():
        for headers in everybody:
            ask(app, headers, outcome)
    assert outcome.wrong == []
    assert not [answer for answer in outcome.answers if answer.rpartition(" ")[2].startswith("5")]
    assert outcome.answers.total() >= FEWEST_CASES
    assert outcome.reached == {f"{about.method} {about.path}" for about in api.OPERATIONS} - NEVER_REACHED
    print(f"{outcome.answers.total()} cases")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, {"items": 3}, "schema"),
        (200, {"items": [{"name": "cups"}]}, "schema"),
        (418, {}, "status code"),
        (500, {}, "Server error"),
    ],
)
def test_an_answer_that_is_not_as_described_is_noticed(
    database_url: str, tmp_path: Path, status: int, body: dict[str, Any], told: str
) -> None:
    app = application(database_url, tmp_path)

    async def lying(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/api/v1/categories":
            await JSONResponse(body, status)(scope, receive, send)
        else:
            await app(scope, receive, send)

    outcome = Outcome()
    with closing():
        ask(lying, {}, outcome, only="/categories")
    assert told.lower() in " ".join(outcome.wrong).lower()


NASTY = [
    "'; drop table products; --",
    "' or '1'='1",
    "%s %(id)s {0} ${x} $1 \\",
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a\r\nSet-Cookie: session=stolen",
    "a\nBcc: all@example.com",
    "{{ 7 * 7 }}",
    "../../etc/passwd",
    "\u202edlrow",
    "\ufeff\u200b\u2028",
    "\ud800",
    "a\x00b",
    "\U0001f600" * 15,
]
TEXT = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=80),
    st.text(st.characters(), max_size=10),  # with lone surrogates
    st.builds("{}{}".format, st.sampled_from(NASTY), st.text(max_size=10)),
)
MANY = settings(
    max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


class Open:
    """A shop that stays open from one example to the next."""

    def __init__(self, runner: asyncio.Runner, shop: Running) -> None:
        self._runner, self.shop = runner, shop

    def run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(doing)

    def send(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any]:
        """As a client sends it, with what JSON can say and UTF-8 cannot."""
        content = None if body is None else json.dumps(body).encode()
        given = {**headers, "Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        answer = self.run(self.shop.client.request(method, path, headers=given, content=content))
        assert answer.status_code < 500, answer.text
        return answer.status_code, answer.json() if answer.content else None


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Open]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Open(runner, runner.run(stack.enter_async_context(running(database_url, tmp_path))))
        runner.run(stack.aclose())


def test_every_text_comes_back_as_it_was_or_is_refused(shop: Open) -> None:
    staff = shop.run(shop.shop.customer(is_staff=True))
    seen: Counter[int] = Counter()

    @MANY
    @given(name=TEXT, description=TEXT, category=TEXT)
    def sell(name: str, description: str, category: str) -> None:
        told = {"name": name, "description": description, "category": category}
        status, product = shop.send("POST", "/staff/products", staff.headers, {**told, "price_cents": 1})
        seen[status] += 1
        if status == 400:
            assert product["code"] == "invalid-request"
            return
        assert status == 201
        _, shown = shop.send("GET", f"/products/{product['id']}", {})
        assert {field: shown[field] for field in told} == told
        _, listed = shop.send("GET", f"/products?category={quote(category)}&limit=100", {})
        assert product["id"] in [each["id"] for each in listed["items"]]
        assert {each["category"] for each in listed["items"]} == {category}

    sell()
    assert seen[201] > 20
    assert seen[400] > 20


def test_every_question_has_an_answer(shop: Open) -> None:
    shop.run(shop.shop.product())

    @MANY
    @given(TEXT)
    def search(text: str) -> None:
        for path in ("/search?q=", "/search?limit=1&q=cup&cursor=", "/products?category=", "/products?limit="):
            status, _ = shop.send("GET", path + quote(text, errors="surrogatepass"), {})
            assert status in (200, 400)

    search()


def test_no_name_of_a_customer_does_harm(shop: Open) -> None:
    @settings(MANY, max_examples=60)
    @given(name=TEXT, email=st.one_of(TEXT, st.builds("{}@example.com".format, TEXT)))
    def sign_up(name: str, email: str) -> None:
        told = {"name": name, "email": email}
        status, person = shop.send("POST", "/users", {}, {**told, "password": "correct horse"})
        assert status in (201, 400, 409)
        if status == 201:
            assert {field: person[field] for field in told} == told
            assert not set("\r\n\x00") & set(name + email)

    sign_up()
    for email in ("ann@example.com", "o'brien+shop@mail.example.com"):
        assert (
            shop.send("POST", "/users", {}, {"name": NASTY[0], "email": email, "password": "correct horse"})[0] == 201
        )


def test_no_path_and_no_header_does_harm(shop: Open) -> None:
    staff = shop.run(shop.shop.customer(is_staff=True))
    latin = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)

    @MANY
    @given(TEXT, latin)
    def look(text: str, header: str) -> None:
        part = quote(text, safe="", errors="surrogatepass")
        for method, path in (
            ("GET", "/products/{}"),
            ("GET", "/orders/{}"),
            ("GET", "/orders/{}/invoice"),
            ("DELETE", "/devices/{}"),
            ("DELETE", "/cart/lines/{}"),
            ("PATCH", "/staff/products/{}"),
            ("POST", "/staff/orders/{}/shipment"),
        ):
            assert shop.send(method, path.format(f"x{part}"), staff.headers, {})[0] == 404
        for name in ("Authorization", "X-Read-After", "Idempotency-Key", "Content-Type", "X-Forwarded-For"):
            given = {**staff.headers, "Idempotency-Key": "k", "Content-Type": "application/json", name: header.strip()}
            raw = [(each.encode(), value.encode("latin-1")) for each, value in given.items()]
            answer = shop.run(shop.shop.client.post("/orders", headers=raw, content=b"{}"))
            assert answer.status_code in (400, 401, 409, 415), answer.text

    look()
