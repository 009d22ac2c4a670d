"""`blueprint smoke` against the real shop, and against servers that are wrong in one way each."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws

from blueprint.environment import load as load_environment
from shop import seed
from shop.settings import load
from tests.shop.serving import serving
from tests.workbench.deploy.memory import Memory
from workbench.cli import main
from workbench.deploy import Refused
from workbench.lab.servers import LOOPBACK, free_port
from workbench.smoke import client, deployed
from workbench.smoke import visit as visiting
from workbench.smoke.client import Answer
from workbench.smoke.visit import Result, Site, Visit, smoke

LOOKING = ["site answers", "first page, headers", "catalogue", "pages", "edge", "search"]
BUYING = ["sign up", "sign in", "cart", "order", "same key again", "history", "invoice", "sign out"]

Sent = tuple[int, dict[str, str], bytes]
Twist = Callable[[str, Sent], Sent]


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def run(site: Site, *, buys: bool = True, patience: float = 3) -> tuple[list[Result], list[str]]:
    """Every result, and what was said while waiting."""
    said: list[str] = []
    return list(smoke(site, buys=buys, patience=patience, say=said.append)), said


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "who waits for nothing waits for ever"
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What a visit looks at, so that nothing is waited for in earnest."""
    clock = Clock()
    monkeypatch.setattr(visiting, "time", clock)
    return clock


# --- A shop that can be wrong in one way ------------------------------------------------------------------------------


PRODUCTS = [
    {"id": 1, "name": "Jar & 'Lid'", "category": "jars", "price_cents": 900, "stock": 3},
    {"id": 2, "name": "Sold Cup", "category": "cups", "price_cents": 100, "stock": 0},
    {"id": 3, "name": "Big <Cup>", "category": "cups", "price_cents": 300, "stock": 5},
]
LINE = {"product_id": 3, "quantity": 1, "price_cents": 300}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Request-Id": "Root=1-test",
}


class Pretend:
    """The least that passes for a shop; `twist` gets each answer before it is sent."""

    def __init__(self, twist: Twist) -> None:
        self.twist = twist
        self.asked: list[tuple[str, Message]] = []
        self._email, self._orders = "", dict[str, str]()

    def answer(self, question: str, headers: Message, body: bytes) -> Sent:
        self.asked.append((question, headers))
        status, kind, content = self._honest(question, headers, body)
        return self.twist(question, (status, {**HEADERS, "Content-Type": kind}, content))

    def _honest(self, question: str, headers: Message, body: bytes) -> tuple[int, str, bytes]:
        token = headers.get("Authorization")
        key = headers.get("Idempotency-Key", "")
        order: Any = None
        if question == "POST /api/v1/orders":
            order = self._orders.setdefault(key, f"order-{len(self._orders) + 1}")
        if question == "POST /api/v1/users":
            self._email = json.loads(body)["email"]
        if question == "DELETE /api/v1/sessions/current":
            self._email = ""
        pages: dict[str, tuple[int, str, Any]] = {
            "GET /healthz": (200, "application/json", {"status": "ok"}),
            "GET /": (200, "text/html", "<a href='/products/3'>a cup</a>"),
            "GET /products/3": (200, "text/html", "<h1>Big &lt;Cup&gt;</h1>"),
            "GET /static/shop.css": (200, "text/css; charset=utf-8", "body {}"),
            "GET /api/v1/products": (200, "application/json", {"items": PRODUCTS, "next": None}),
            "GET /api/v1/search": (200, "application/json", {"items": PRODUCTS[2:]}),
            "POST /api/v1/users": (201, "application/json", {"email": self._email}),
            "POST /api/v1/sessions": (201, "application/json", {"token": "secret"}),
            "GET /api/v1/me": (200 if self._email and token else 401, "application/json", {"email": self._email}),
            "PUT /api/v1/cart/lines/3": (200, "application/json", {"lines": [LINE], "total_cents": 300}),
            "POST /api/v1/orders": (201, "application/json", {"id": order, "lines": [LINE]}),
            "GET /api/v1/orders": (200, "application/json", {"items": [{"id": "order-1"}]}),
            "GET /api/v1/orders/order-1/invoice": (200, "application/pdf", "%PDF-1.7"),
            "DELETE /api/v1/sessions/current": (204, "application/json", ""),
        }
        status, kind, content = pages.get(question, (404, "text/plain", "no such page"))
        text = content if isinstance(content, str) else json.dumps(content)
        return status, kind, text.encode()


@contextmanager
def listening(answer: Callable[[BaseHTTPRequestHandler], object]) -> Iterator[str]:
    """A server that does this with each request."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            answer(self)

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def pretending(twist: Twist = lambda _, sent: sent) -> Iterator[tuple[str, Pretend]]:
    shop = Pretend(twist)

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        question = f"{request.command} {request.path.partition('?')[0]}"
        status, headers, content = shop.answer(question, request.headers, body)
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    with listening(answer) as url:
        yield url, shop


def instead(question: str, status: int = 200, content: Any = None, **headers: str) -> Twist:
    """Another status, another content or other headers, where this is asked."""

    def twist(asked: str, sent: Sent) -> Sent:
        if asked != question:
            return sent
        text = sent[2] if content is None else content.encode() if isinstance(content, str) else json.dumps(content)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return status, {**sent[1], **more}, text if isinstance(text, bytes) else text.encode()

    return twist


def behind_edge(*said: str) -> Twist:
    """As CloudFront marks a product's page, one mark after the other."""
    marks = iter([*said, *[said[-1]] * 20])

    def twist(asked: str, sent: Sent) -> Sent:
        if asked != "GET /products/3":
            return sent
        return sent[0], {**sent[1], "Via": "1.1 abc.CloudFront.net (CloudFront)", "X-Cache": next(marks)}, sent[2]

    return twist


def test_an_honest_shop_passes_every_step() -> None:
    with pretending() as (url, shop):
        results, said = run(Site(url))
    assert [result.step for result in results] == LOOKING + BUYING
    assert all(result.passed for result in results), results[-1]
    assert said == []
    orders = [headers["Idempotency-Key"] for question, headers in shop.asked if question == "POST /api/v1/orders"]
    assert len(orders) == 2
    assert len(set(orders)) == 1


def test_the_cheapest_product_in_stock_is_bought() -> None:
    with pretending() as (url, shop):
        run(Site(url))
    put = [question for question, _ in shop.asked if question.startswith("PUT")]
    assert put == ["PUT /api/v1/cart/lines/3"]


def test_who_only_looks_writes_nothing() -> None:
    with pretending() as (url, shop):
        results, _ = run(Site(url), buys=False)
    assert [result.step for result in results] == LOOKING
    assert {question.split()[0] for question, _ in shop.asked} == {"GET"}


ORDER_2 = {"id": "order-2", "lines": [LINE]}
INVOICE = "GET /api/v1/orders/order-1/invoice"


@pytest.mark.parametrize(
    ("step", "twist", "text"),
    [
        ("site answers", instead("GET /healthz", 500), "answered 500"),
        ("site answers", instead("GET /healthz", content="<h1>Welcome to nginx</h1>"), "is not the shop"),
        ("site answers", instead("GET /healthz", 404), "is not the shop"),
        ("site answers", instead("GET /healthz", 301, Location="http://127.0.0.1:9/"), "answered 301"),
        ("site answers", instead("GET /healthz", 503), "answered 503, for 60 s"),
        ("first page, headers", instead("GET /", 500), "answered 500 instead of 200"),
        ("first page, headers", instead("GET /", X_Content_Type_Options="sniff"), "X-Content-Type-Options is 'sniff'"),
        ("first page, headers", instead("GET /", Content_Security_Policy=""), "Content-Security-Policy is 'missing'"),
        ("catalogue", instead("GET /api/v1/products", content={"items": [], "next": None}), "catalogue is empty"),
        ("catalogue", instead("GET /api/v1/products", content="<html>"), "not what the API describes (JSONDecodeError"),
        ("catalogue", instead("GET /api/v1/products", content=[]), "not what the API describes (TypeError"),
        ("catalogue", instead("GET /api/v1/products", content={"items": [{"id": 1}], "next": None}), "(KeyError"),
        (
            "catalogue",
            instead("GET /api/v1/products", content="\udcff".encode("utf-8", "surrogateescape").decode("latin-1")),
            "JSONDecodeError",
        ),
        ("pages", instead("GET /", content="nothing here"), "shows no product"),
        ("pages", instead("GET /products/3", content="<h1>Another</h1>"), "does not name 'Big <Cup>'"),
        ("pages", instead("GET /products/3", 500), "answered 500 instead of 200"),
        ("pages", instead("GET /static/shop.css", Content_Type="text/html"), "the style sheet is none"),
        ("edge", behind_edge("Miss from cloudfront"), "X-Cache is 'Miss from cloudfront' after 5 times"),
        ("search", instead("GET /api/v1/search", content={"items": PRODUCTS[:1]}), "'Big Cup' finds 1 products"),
        ("sign up", instead("POST /api/v1/users", 409, {"code": "email-taken"}), "answered 409 instead of 201"),
        ("sign up", instead("POST /api/v1/users", 201, {"email": "x@example.com"}), "somebody else: 'x@example.com'"),
        ("sign in", instead("POST /api/v1/sessions", 429), "answered 429"),
        ("sign in", instead("GET /api/v1/me", content={"email": "x@example.com"}), "the token is somebody else's"),
        ("cart", instead("PUT /api/v1/cart/lines/3", content={"lines": [], "total_cents": 0}), "(ValueError"),
        (
            "cart",
            instead("PUT /api/v1/cart/lines/3", content={"lines": [LINE | {"quantity": 2}]}),
            "holds 2 of product 3",
        ),
        ("order", instead("POST /api/v1/orders", 409, {"code": "out-of-stock"}), "answered 409"),
        ("order", instead("POST /api/v1/orders", 201, {"id": "a", "lines": []}), "something else than was in the cart"),
        ("history", instead("GET /api/v1/orders", content={"items": []}), "lists [] instead of the one order"),
        ("invoice", instead(INVOICE, 404, {"code": "no-invoice-yet"}), "there is no invoice, for 60 s"),
        ("invoice", instead(INVOICE, 404, {"code": "no-such-order"}), "answered 404, not a PDF"),
        ("invoice", instead(INVOICE, content="<html>"), "answered 200, not a PDF"),
        ("sign out", instead("DELETE /api/v1/sessions/current", 500), "answered 500 instead of 204"),
    ],
)
def test_what_is_wrong_is_named_by_its_step(step: str, twist: Twist, text: str, clock: Clock) -> None:
    with pretending(twist) as (url, _):
        results, _ = run(Site(url), patience=60)
    assert [result.step for result in results if not result.passed] == [step]
    assert results[-1].step == step, "nothing is asked after it"
    assert text in results[-1].text
    assert results[-1].asked.split()[1].startswith(url)
    assert results[-1].answered
    assert clock.now == (60 if ", for 60 s" in text else 0)


def test_a_second_order_for_the_same_key_is_seen() -> None:
    orders = iter(["order-1", "order-2"])

    def twist(asked: str, sent: Sent) -> Sent:
        if asked != "POST /api/v1/orders":
            return sent
        return 201, sent[1], json.dumps({"id": next(orders), "lines": [LINE]}).encode()

    with pretending(twist) as (url, _):
        results, _ = run(Site(url))
    assert results[-1].step == "same key again"
    assert results[-1].text == "a second order came of it: order-2, after order-1"


def test_a_session_that_outlives_its_end_is_seen() -> None:
    with pretending(instead("DELETE /api/v1/sessions/current", 204)) as (url, shop):
        honest = shop.twist

        def twist(asked: str, sent: Sent) -> Sent:
            return (200, sent[1], b"{}") if asked == "GET /api/v1/me" and sent[0] == 401 else honest(asked, sent)

        shop.twist = twist
        results, _ = run(Site(url))
    assert results[-1].step == "sign out"
    assert results[-1].text == "answered 200 instead of 401"


def test_what_is_sold_out_is_not_put_in_the_cart() -> None:
    with pretending(instead("GET /api/v1/products", content={"items": PRODUCTS[1:2], "next": None})) as (url, shop):
        shop.twist = _both(shop.twist, instead("GET /products/2", 200, "Sold Cup"))
        shop.twist = _both(shop.twist, instead("GET /api/v1/search", content={"items": PRODUCTS[1:2]}))
        results, _ = run(Site(url))
    assert results[-1].step == "cart"
    assert "nothing that was seen is in stock" in results[-1].text


def _both(one: Twist, other: Twist) -> Twist:
    return lambda asked, sent: other(asked, one(asked, sent))


def test_later_pages_are_looked_at_until_something_is_in_stock() -> None:
    def twist(asked: str, sent: Sent) -> Sent:
        if asked != "GET /api/v1/products":
            return sent
        page = {"items": PRODUCTS[1:2], "next": "more"} if first.pop() else {"items": PRODUCTS[2:], "next": "more"}
        return 200, sent[1], json.dumps(page).encode()

    first = [False, True]
    with pretending(twist) as (url, _):
        results, _ = run(Site(url))
    assert all(result.passed for result in results), results[-1]
    assert results[2].text.startswith("2 products seen, of which 'Big <Cup>'")


@pytest.mark.usefixtures("clock")
def test_the_invoice_is_waited_for_and_the_wait_is_shown() -> None:
    tries: list[str] = []

    def twist(asked: str, sent: Sent) -> Sent:
        tries.extend([asked] * (asked == INVOICE))
        if asked != INVOICE or len(tries) > 2:
            return sent
        return 404, sent[1], b'{"code": "no-invoice-yet"}'

    with pretending(twist) as (url, _):
        results, said = run(Site(url), patience=10)
    assert results[-1].passed
    assert len(tries) == 3
    assert [line.partition(" for up to")[0] for line in said] == ["there is no invoice; asking again"] * 2


@pytest.mark.usefixtures("clock")
def test_a_host_that_still_boots_is_waited_for() -> None:
    booting = iter([instead("GET /healthz", 502)])

    def twist(asked: str, sent: Sent) -> Sent:
        return next(booting, instead("", 0))(asked, sent)

    with pretending(twist) as (url, _):
        results, said = run(Site(url), buys=False)
    assert all(result.passed for result in results)
    assert [line.partition(" for up to")[0] for line in said] == ["answered 502; asking again"]


def test_where_nobody_listens_it_does_not_wait_longer_than_it_may(clock: Clock) -> None:
    results, _ = run(Site(f"http://{LOOPBACK}:{free_port()}"), patience=60)
    assert clock.now == 60
    assert [result.step for result in results] == ["site answers"]
    assert "refused" in results[0].text
    assert "build/shop/shop.log" in results[0].advice[0]


def test_a_server_that_never_answers_is_left_in_time() -> None:
    done = threading.Event()
    with listening(lambda _: done.wait(60)) as url:
        began = time.monotonic()
        results, _ = run(Site(url), patience=0.5)
        done.set()
        assert time.monotonic() - began < 30
    assert "no answer: timed out" in results[0].text
    assert results[0].answered == "nothing"


def test_a_server_that_sends_for_ever_is_left_in_time() -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            for _ in range(600):
                request.wfile.write(b".")
                time.sleep(0.1)
        except OSError:
            return

    with listening(drip) as url:
        began = time.monotonic()
        results, _ = run(Site(url), patience=0.5)
        assert time.monotonic() - began < 30
    assert "not complete after 0.5 s" in results[0].text


def test_what_does_not_speak_http_is_no_traceback() -> None:
    def babble(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"220 mail.example.com ESMTP\r\n")

    with listening(babble) as url:
        results, _ = run(Site(url), patience=0.5)
    assert "no answer" in results[0].text


def test_a_replica_that_is_behind_is_not_asked() -> None:
    with pretending(instead("POST /api/v1/orders", 201, X_Read_After="1/2A")) as (url, shop):
        run(Site(url))
    asked = {question: headers["X-Read-After"] for question, headers in shop.asked}
    assert asked["GET /api/v1/orders"] == "1/2A"
    assert asked["POST /api/v1/sessions"] is None


def test_the_report_says_what_came_back_and_where_to_look() -> None:
    with pretending(instead("POST /api/v1/orders", 500, {"code": "internal-error"})) as (url, _):
        results, _ = run(Site(url, look=("The log: tail it",)))
    failed = results[-1]
    assert failed.asked == f"POST {url}/api/v1/orders"
    assert failed.answered == '500 | X-Request-Id Root=1-test | {"code": "internal-error"}'
    assert failed.advice == ("The log: tail it",)


@pytest.mark.parametrize(("server", "told"), [("CloudFront", True), ("awselb/2.0", True), ("uvicorn", False)])
def test_a_firewall_is_told_from_a_shop(server: str, told: bool) -> None:
    with pretending(instead("GET /healthz", 403, Server=server)) as (url, _):
        results, _ = run(Site(url))
    assert any("open_to" in advice for advice in results[0].advice) == told


# --- The edge, and https ----------------------------------------------------------------------------------------------


def test_the_second_look_at_a_page_is_answered_by_the_edge() -> None:
    with pretending(behind_edge("Miss from cloudfront", "Hit from cloudfront")) as (url, shop):
        results, _ = run(Site(url, edge=True), buys=False)
    assert all(result.passed for result in results), results[-1]
    assert results[4].text == "CloudFront has kept a product's page: Hit from cloudfront"
    assert [question for question, _ in shop.asked].count("GET /products/3") == 3


def test_an_edge_that_is_promised_has_to_be_passed() -> None:
    with pretending() as (url, _):
        results, _ = run(Site(url, edge=True))
    assert results[-1].step == "edge"
    assert "CloudFront is promised" in results[-1].text


SECURE = {**HEADERS, "Strict-Transport-Security": "max-age=31536000"}


@pytest.mark.parametrize(
    ("home", "plain", "says"),
    [
        (SECURE, (301, "https://shop.example.com:443/"), None),
        (SECURE, (308, "https://shop.example.com/"), None),
        (SECURE, (301, "https://shop.example.com.evil.test/"), "plain http does not lead to"),
        (SECURE, (200, ""), "plain http does not lead to https://shop.example.com"),
        (SECURE, (301, "http://shop.example.com/"), "plain http does not lead to"),
        (HEADERS, (301, "https://shop.example.com/"), "Strict-Transport-Security is 'missing'"),
    ],
)
def test_https_is_the_only_way(
    home: dict[str, str], plain: tuple[int, str], says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(Site("https://shop.example.com"), 1, print)

    def ask(_method: str, path: str, *_: Any, **__: Any) -> Answer:
        status, headers = (plain[0], {"Location": plain[1]}) if path.startswith("http:") else (200, home)
        message = Message()
        for name, value in headers.items():
            message[name] = value
        return Answer(status, message, b"")

    monkeypatch.setattr(visit.client, "ask", ask)
    if says is None:
        assert visit.looking["first page, headers"]() == "https, and the security headers are there"
    else:
        with pytest.raises(client.Failed, match=says):
            visit.looking["first page, headers"]()


# --- The real shop ----------------------------------------------------------------------------------------------------


@pytest.fixture
def real(database_url: str, tmp_path: Path) -> Iterator[str]:
    with serving(load({"DATABASE_URL": database_url, "FILES_FOLDER": str(tmp_path / "files")})) as url:
        yield url


@pytest.mark.slow
def test_the_real_shop_passes_and_sells_one_piece_of_its_cheapest_product(
    database_url: str, real: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        seed.fill(connection, 250)
        stocks: dict[int, int] = dict(connection.execute("select id, stock from products").fetchall())
        assert main(["smoke", "--url", real]) == 0
        orders = connection.execute(
            "select u.name, u.email, l.product_id, l.quantity, l.price_cents from orders o "
            "join users u on u.id = o.user_id join order_lines l on l.order_id = o.id"
        ).fetchall()
        ((cheapest,),) = connection.execute(
            "select min(price_cents) from (select * from products order by id limit 100) p"
        )
        left: dict[int, int] = dict(connection.execute("select id, stock from products").fetchall())
        assert connection.execute("select count(*) from sessions").fetchone() == (0,)
    ((name, email, product, quantity, price),) = orders
    assert (name, quantity, price) == ("Smoke test", 1, cheapest)
    assert email.startswith("success+smoke-test-")
    assert email.endswith("@simulator.amazonses.com")
    assert {number: stocks[number] - left[number] for number in stocks if stocks[number] != left[number]} == {
        product: 1
    }
    lines = [line for line in capsys.readouterr().out.splitlines() if line[0] != "{"]  # the shop's log
    assert [line[8:27].strip() for line in lines] == LOOKING + BUYING
    assert all(line.startswith("ok ") for line in lines)


@pytest.mark.slow
def test_it_can_be_run_again_and_again(database_url: str, real: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        seed.fill(connection, 20)
        assert [main(["smoke", "--url", real, "--json"]) for _ in range(3)] == [0, 0, 0]
        assert connection.execute("select count(*), count(distinct user_id) from orders").fetchone() == (3, 3)


@pytest.mark.slow
def test_an_empty_catalogue_is_named_with_the_way_to_fill_it(real: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--url", real]) == 1
    last = [line for line in capsys.readouterr().out.splitlines() if line[0] != "{"][-5:]
    assert last[0].startswith("FAILED  catalogue")
    assert "the catalogue is empty" in last[0]
    assert last[1] == f"  asked  GET {real}/api/v1/products?limit=100&cursor="
    assert "seed --products" in last[3]


@pytest.mark.slow
def test_a_shop_without_its_database_is_not_passed(real: str, postgres: Any, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    with psycopg.connect(database_url, autocommit=True) as connection:
        seed.fill(connection, 20)
    postgres.sql(
        f"alter role shop_app nologin; select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    )
    try:
        results, _ = run(Site(real))
    finally:
        postgres.sql("alter role shop_app login")
    assert results[-1].step == "first page, headers"
    assert results[-1].text == "answered 503 instead of 200"


# --- The command ------------------------------------------------------------------------------------------------------


def test_json_has_every_step_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    with pretending(instead("GET /api/v1/search", 500)) as (url, _):
        assert main(["smoke", "--url", url, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["url"], told["passed"], told["buys"]) == (url, False, True)
    assert [(step["step"], step["passed"]) for step in told["steps"]] == [
        *[(step, True) for step in LOOKING[:-1]],
        ("search", False),
    ]
    assert told["steps"][-1]["asked"].startswith(f"GET {url}/api/v1/search?")


def test_elsewhere_nothing_is_bought_unless_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "HERE", ())
    with pretending() as (url, shop):
        assert main(["smoke", "--url", url]) == 0
        assert "Nothing was bought" in capsys.readouterr().err
        assert {question.split()[0] for question, _ in shop.asked} == {"GET"}
        assert main(["smoke", "--url", url, "--order"]) == 0
        assert "POST /api/v1/orders" in {question for question, _ in shop.asked}


def test_an_answer_cannot_play_with_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pretending(instead("GET /healthz", 500, "\x1b[2Jgone")) as (url, _):
        assert main(["smoke", "--url", url]) == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[2Jgone" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Which shop?"),
        (["--url", "127.0.0.1:8000"], "is not where a site begins"),
        (["--url", "ftp://127.0.0.1"], "is not where a site begins"),
        (["--url", "http://127.0.0.1:99999"], "is not where a site begins"),
        (["--url", "http://[::1"], "is not where a site begins"),
        (["--url", "http://a:b@127.0.0.1"], "is not where a site begins"),
        (["--url", "http://127.0.0.1/shop"], "is not where a site begins"),
        (["--url", "http://127.0.0.1 /"], "is not where a site begins"),
        (["--url", "http://a", "--timeout", "0"], "is no number of seconds"),
        (["--url", "http://a", "--timeout", "nan"], "is no number of seconds"),
        (["--url", "http://a", "--timeout", "soon"], "is no number of seconds"),
        (["nowhere"], "nowhere"),
    ],
)
def test_what_makes_no_sense_is_said_and_ends_with_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(["smoke", *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_a_local_aws_has_no_hosts_to_ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5566")
    assert main(["smoke", "sandbox"]) == 2
    assert "blueprint smoke sandbox --url http://127.0.0.1:8000" in capsys.readouterr().err


# --- A deployed environment -------------------------------------------------------------------------------------------


FILE = """
name = "try"
stage = 1
profile = "sandbox"
region = "us-east-1"
open_to = ["203.0.113.10/32"]
"""
WEB = {"Resources": {"Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}}}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "try.toml"
    path.write_text(FILE + 'account = "123456789012"\n', encoding="utf-8")
    return path


def test_an_account_that_is_not_the_environments_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(FILE + 'account = "210987654321"\n', encoding="utf-8")
    with mock_aws(), pretending() as (url, shop):
        assert main(["smoke", str(file), "--url", url]) == 1
    assert "belongs to account 210987654321" in capsys.readouterr().err
    assert shop.asked == []


def test_what_is_not_deployed_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mock_aws():
        assert main(["smoke", str(file)]) == 1
    assert "try is not deployed in us-east-1" in capsys.readouterr().err


def test_a_deployed_environment_is_asked_by_the_way_that_is_given(file: Path) -> None:
    with mock_aws(), pretending() as (url, shop):
        boto3.client("cloudformation", "us-east-1").create_stack(StackName="try-web", TemplateBody=json.dumps(WEB))
        assert main(["smoke", str(file), "--url", url]) == 0
    assert "POST /api/v1/orders" in {question for question, _ in shop.asked}


def test_production_is_only_looked_at(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    environment = load_environment(str(file))
    monkeypatch.setattr("blueprint.environment.load", lambda *_, **__: replace(environment, profile="production"))
    with mock_aws(), pretending() as (url, shop):
        boto3.client("cloudformation", "us-east-1").create_stack(StackName="try-web", TemplateBody=json.dumps(WEB))
        assert main(["smoke", str(file), "--url", url]) == 0
        assert {question.split()[0] for question, _ in shop.asked} == {"GET"}
        assert main(["smoke", str(file), "--url", url, "--order"]) == 0
        assert "POST /api/v1/orders" in {question for question, _ in shop.asked}


class Asked:
    """Just what is asked of services to find out where an environment is."""

    def client(self, service: str, region: str | None = None) -> Any:
        assert region is None
        answers: dict[str, dict[str, Any]] = {
            "cloudfront": {"get_distribution": {"Distribution": {"DomainName": "d1.cloudfront.net"}}},
            "elbv2": {"describe_load_balancers": {"LoadBalancers": [{"DNSName": "front.elb.amazonaws.com"}]}},
            "autoscaling": {
                "describe_auto_scaling_groups": {"AutoScalingGroups": [{"Instances": [{"InstanceId": "i-1"}]}]}
            },
        }
        return SimpleNamespace(**{name: lambda _told=told, **_: _told for name, told in answers[service].items()})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "stage", "url", "edge"),
    [
        ("sandbox", 1, "http://ServerAddress", False),
        ("sandbox", 3, "http://front.elb.amazonaws.com", False),
        ("sandbox", 5, "https://d1.cloudfront.net", True),
        ("production", 1, "https://shop.example.com", False),
        ("production", 4, "https://shop.example.com", True),
    ],
)
def test_the_address_is_that_of_what_is_deployed(
    profile: str, stage: int, url: str, edge: bool, request: pytest.FixtureRequest
) -> None:
    assembly = request.getfixturevalue(profile)[stage]
    environment = load_environment(profile, stage=str(stage))
    live = Memory.of(assembly, **{f"{environment.name}/logs/app": "app-log"})
    site = deployed.site(environment, live, Asked())
    assert site.url.startswith(url)
    assert site.edge == edge
    assert "aws logs tail app-log --region us-east-1" in site.look[0]
    assert "aws ssm start-session --region us-east-1 --target" in site.look[1]
    assert "seed --products 300" in site.to_fill
    jobs = " ".join(site.look_for_jobs)
    assert ("aws logs tail InvoiceJobLogs" in jobs) == (environment.stage.workers is not None)
    assert ("--queue-url InvoiceQueueDeadLetters" in jobs) == (environment.stage.workers is not None)
    assert deployed.site(environment, live, Asked(), url="http://127.0.0.1:1").edge is False


def test_nothing_deployed_is_refused(file: Path) -> None:
    with pytest.raises(Refused, match="is not deployed"):
        deployed.site(load_environment(str(file)), Memory(), Asked())
