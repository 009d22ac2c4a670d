"""What every request goes through: the real application on a real PostgreSQL, with a few pages that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from shop import app, front, middleware
from shop.problems import Problem
from shop.settings import load
from tests.shop.serving import serving
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow

Open = Callable[..., AbstractContextManager[TestClient]]


async def echo(request: Request) -> Response:
    return JSONResponse({"size": len(await request.body()), "after": request.state.after})


async def broken(_: Request) -> Response:
    raise RuntimeError("the secret is 42")


async def half_broken(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("and no more")

    return StreamingResponse(pieces())


async def sick(_: Request) -> Response:
    raise Problem(503, "database-unavailable", "The database does not answer.", headers={"Retry-After": "5"})


async def shared(_: Request) -> Response:
    return PlainTextResponse("the same for all", headers={"Cache-Control": "public, max-age=30"})


async def slow(_: Request) -> Response:
    await asyncio.sleep(0.5)
    return PlainTextResponse("at last")


PAGES = {
    "echo": echo,
    "broken": broken,
    "half-broken": half_broken,
    "sick": sick,
    "shared": shared,
    "slow": slow,
    "staff/products/7/images": echo,
}
METHODS = ["GET", "POST", "DELETE"]
PICTURES = "/staff/products/7/images"


@pytest.fixture
def opened(database_url: str, tmp_path: Path) -> Open:
    """The shop with some settings, open for requests, and with pages of ours under /test and /api/v1/test."""

    @contextmanager
    def open_shop(peer: str = "192.0.2.1", **variables: str) -> Iterator[TestClient]:
        folder = {"DATABASE_URL": database_url, "FILES_FOLDER": str(tmp_path), "SHOP_NAME": "trial"}
        shop = app.create(load({**folder, **variables}))
        for name, page in PAGES.items():
            for top in ("/test", "/api/v1/test"):
                shop.router.routes.insert(0, Route(f"{top}/{name}", page, methods=METHODS))
        shop.router.routes.insert(0, Route(PICTURES, echo, methods=METHODS))
        with TestClient(shop, raise_server_exceptions=False, client=(peer, 5000)) as client:
            yield client

    return open_shop


@pytest.fixture
def client(opened: Open) -> Iterator[TestClient]:
    with opened() as client:
        yield client


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def requests(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in found if line["message"] == "request"]


# --- Trace and log ---


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"X-Amzn-Trace-Id": "Root=1-67891233-abcdef"}, "Root=1-67891233-abcdef"),
        ({"X-Request-Id": "0123456789abcdef"}, "0123456789abcdef"),
        ({"X-Amzn-Trace-Id": "Root=1-a", "X-Request-Id": "b"}, "Root=1-a"),
        ({"X-Amzn-Trace-Id": "x" * 201, "X-Request-Id": "b"}, "b"),
        ({"X-Request-Id": 'a"b\\n{}'}, None),
        ({"X-Request-Id": ""}, None),
        ({}, None),
    ],
)
def test_a_request_keeps_its_name_if_it_is_a_sane_one(headers: dict[str, str], trace: str | None) -> None:
    found = middleware.trace_of(Headers(headers))
    assert found == trace if trace else re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", found)


def test_a_request_is_one_line_with_its_trace_and_its_metrics(client: TestClient, lines: Any) -> None:
    lines()
    answer = client.get("/test/echo?secret=1", headers={"X-Request-Id": "abc"})
    (line,) = requests(lines())
    assert (line["status"], line["method"], line["path"], line["trace"]) == (200, "GET", "/test/echo", "abc")
    assert (line["Requests"], line["Errors"], line["Environment"]) == (1, 0, "trial")
    assert 0 < line["Latency"] < 1000
    assert answer.headers["X-Request-Id"] == "abc"


@pytest.mark.parametrize(("path", "status", "errors"), [("sick", 503, 1), ("broken", 500, 1), ("nowhere", 404, 0)])
def test_only_our_own_failures_count_as_errors(
    client: TestClient, lines: Any, path: str, status: int, errors: int
) -> None:
    lines()
    assert client.get(f"/api/v1/test/{path}").status_code == status
    (line,) = requests(lines())
    assert (line["status"], line["Errors"]) == (status, errors)


@pytest.mark.parametrize("path", ["/%72eadyz", "/ready%7A", "/%68ealthz"])
def test_no_other_spelling_of_a_path_leads_past_the_proxies(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_health_checks_are_no_requests(client: TestClient, lines: Any) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    assert requests(lines()) == []


# --- Errors ---


def test_programs_get_problem_documents(client: TestClient) -> None:
    answer = client.get("/api/v1/test/sick")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": "database-unavailable",
        "detail": "The database does not answer.",
    }
    assert client.get("/api/v1/nowhere").json()["code"] == "not-found"
    assert client.put("/api/v1/products").json()["code"] == "method-not-allowed"


def test_people_get_pages(client: TestClient) -> None:
    answer = client.get("/test/sick")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"].startswith("text/html")
    assert "The database does not answer." in answer.text
    assert client.get("/nowhere").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/test/broken", "/api/v1/test/broken"])
def test_a_bug_is_a_500_without_details_and_one_line_with_all_of_them(
    client: TestClient, lines: Any, path: str
) -> None:
    lines()
    answer = client.get(path)
    assert answer.status_code == 500
    assert "42" not in answer.text
    assert "RuntimeError" not in answer.text
    (line,) = [line for line in lines() if line["message"] == "unexpected"]
    assert "the secret is 42" in line["traceback"]
    assert line["trace"] == answer.headers["X-Request-Id"]


def test_an_answer_that_breaks_in_the_middle_is_counted_as_an_error(client: TestClient, lines: Any) -> None:
    lines()
    client.get("/test/half-broken")
    (line,) = requests(lines())
    assert (line["status"], line["Errors"]) == (500, 1)


def test_where_no_page_can_be_drawn_words_will_do(
    client: TestClient, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "problem_page", lambda *_: 1 / 0)
    answer = client.get("/test/sick")
    assert (answer.status_code, answer.text) == (503, "The database does not answer.")
    assert any("ZeroDivisionError" in line.get("error", "") for line in lines())


# --- Headers ---


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/test/broken", "/api/v1/test/sick", "/static/shop.css", "/api/v1/products"]
)
def test_every_answer_is_as_strict_as_the_next(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    for name in middleware.SECURITY:
        assert name in headers, name
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Cache-Control" in headers
    assert "Strict-Transport-Security" not in headers, "over plain HTTP it would be ignored at best"


@pytest.mark.parametrize(("proxies", "promised"), [("1", True), ("0", False)])
def test_https_is_promised_where_a_proxy_of_ours_says_so(opened: Open, proxies: str, promised: bool) -> None:
    with opened(FRONT_HOPS=proxies) as client:
        headers = client.get("/test/echo", headers={"X-Forwarded-Proto": "https"}).headers
    assert ("Strict-Transport-Security" in headers) is promised


def test_where_only_the_first_of_our_proxies_knows_what_visitors_speak_a_setting_says_so(opened: Open) -> None:
    """The load balancer behind the edge writes what the edge spoke to it, which is plain HTTP without a domain."""
    with opened(FRONT_HOPS="2", FRONT_SCHEME="https") as client:
        headers = {"X-Forwarded-Proto": "http", "Sec-Fetch-Site": "same-origin"}
        about = {"data": {"product_id": "1", "quantity": "0"}, "headers": headers, "follow_redirects": False}
        answer = client.post("/cart", **about)
    assert "; Secure" in answer.headers["Set-Cookie"]


# --- Bodies ---


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/test/echo", middleware.BODY, 200),
        ("/test/echo", middleware.BODY + 1, 413),
        ("/test/staff/products/7/images", middleware.BODY + 1, 413),
        (PICTURES, middleware.BODY + 1, 200),
        (PICTURES, middleware.PICTURE_BODY, 200),
        (PICTURES, middleware.PICTURE_BODY + 1, 413),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_limit_whether_it_says_its_length_or_not(
    client: TestClient, path: str, size: int, status: int, chunked: bool
) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, size, 10_000):
            yield b"x" * min(10_000, size - start)

    answer = client.post(path, content=pieces() if chunked else b"x" * size)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["size"] == size
    else:
        assert answer.headers["connection"] == "close", "nobody reads the rest"


@pytest.mark.parametrize("path", ["/api/v1/staff/products/7/images", "/staff/products/7/images"])
def test_a_picture_may_be_larger(path: str) -> None:
    assert middleware.PICTURE_UPLOAD.fullmatch(path)
    assert not middleware.PICTURE_UPLOAD.fullmatch(path + "/more")


def asked(length: str) -> dict[str, Any]:
    headers = [(b"content-length", length.encode())]
    return {"type": "http", "method": "POST", "path": "/test/echo", "headers": headers}


def test_a_body_that_is_too_long_is_refused_before_a_byte_is_read() -> None:
    async def nothing() -> Any:
        raise AssertionError("it was read")

    async def reader() -> Any:
        return middleware.bounded(asked("99999999999"), nothing)

    with pytest.raises(Problem) as problem:
        asyncio.run(reader())
    assert problem.value.status == 413


def test_a_body_that_lies_about_its_length_is_stopped_where_it_gets_too_long() -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 1024, "more_body": True}

    async def reader() -> None:
        chunk = middleware.bounded(asked("10"), endless)
        while (await chunk())["more_body"]:
            pass

    with pytest.raises(Problem) as problem:
        asyncio.run(reader())
    assert problem.value.status == 413
    assert read == middleware.BODY // 1024 + 1


def test_a_body_is_not_waited_for_however_steadily_it_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.2)

    async def drip() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def reader() -> None:
        chunk = middleware.bounded(asked("60000"), drip)
        async with asyncio.timeout(5):
            while True:
                await chunk()

    with pytest.raises(Problem) as problem:
        asyncio.run(reader())
    assert problem.value.status == 408


def test_whoever_sends_slowly_keeps_nobody_else_out(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forms that never come, more of them than there are places: the shop goes on, and some are not even read."""
    for name, value in {"IN_FLIGHT": 4, "BODIES_OF_ONE": 8, "BODY_SECONDS": 2}.items():
        monkeypatch.setattr(middleware, name, value)
    unfinished = (
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: 60000\r\n\r\n{"
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(load({"DATABASE_URL": database_url, "FILES_FOLDER": str(tmp_path)})))
        port = int(url.rpartition(":")[2])
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(12)]
        for line in slow:
            line.sendall(unfinished)
        for line in slow[8:]:
            assert line.recv(12) == b"HTTP/1.1 429"
        assert httpx.get(f"{url}/").status_code == 200, "even from there"
        assert httpx.post(f"{url}/api/v1/sessions", json={}).status_code == 429, "of this address"
        for line in slow[:8]:
            assert line.recv(12) == b"HTTP/1.1 408"
        assert httpx.post(f"{url}/api/v1/sessions", json={}).status_code == 400, "read, and nothing in it"


def test_a_strangers_picture_is_refused_unread(client: TestClient) -> None:
    async def upload() -> list[int]:
        """To the API and to the page; what they would read never comes."""
        statuses = []
        for path in ("/api/v1/staff/products/7/images", "/staff/products/7/picture"):
            scope = {**asked("8000000"), "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http"}

            async def never() -> Any:
                raise AssertionError("it was read")

            async def answered(message: Any) -> None:
                statuses.extend([message["status"]] if "status" in message else [])

            await client.app(scope, never, answered)
        return statuses

    assert client.portal is not None
    assert client.portal.call(upload) == [401, 403]


def test_a_request_that_takes_too_long_is_told_so(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "SECONDS_TO_ANSWER", 0.1)
    with opened() as client:
        answer = client.get("/api/v1/test/slow")
    assert (answer.status_code, answer.json()["code"]) == (503, "too-late")
    assert answer.headers["Retry-After"] == "5"


# --- Addresses and limits ---


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.1", "192.0.2.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1, 198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "198.51.100.1", "198.51.100.1"),
        (1, None, "192.0.2.1"),
        (1, "nonsense", "192.0.2.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "198.51.100.1, ", "198.51.100.1"),
    ],
)
def test_the_address_is_the_one_that_our_own_proxies_saw(proxies: int, forwarded: str | None, expected: str) -> None:
    headers = Headers({"x-forwarded-for": forwarded} if forwarded is not None else {})
    assert middleware.address({"client": ("192.0.2.1", 1)}, headers, proxies) == expected


def test_writes_are_limited_for_an_address_and_every_answer_says_how_far(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "WRITES", 3)
    answers = [client.post("/api/v1/test/echo") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
    assert answers[3].json()["code"] == "too-many-requests"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert int(answers[3].headers["X-RateLimit-Reset"]) <= 60
    assert client.get("/api/v1/test/echo").status_code == 200, "reading is counted by itself"


def test_where_nobody_counts_no_answer_speaks_of_a_limit(client: TestClient) -> None:
    assert not [name for name in client.get("/api/v1/test/echo").headers if name.startswith("x-ratelimit")]


def writes(client: TestClient, *tokens: str) -> list[int]:
    headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
    return [client.post("/api/v1/test/echo", headers=each).status_code for each in headers]


def sessions(database_url: str, *tokens: str) -> None:
    """People who have signed in; who is called a visitor only has a cart."""
    with psycopg.connect(database_url) as connection:
        for token in tokens:
            connection.execute(
                "with person as (insert into users (email, name, password_hash) "
                "select %(token)s || '@example.com', 'X', '-' where %(token)s <> 'visitor' returning id) "
                "insert into sessions (token_hash, user_id, cart, expires_at) values (sha256(%(token)s::text::bytea), "
                "(select id from person), gen_random_uuid(), now() + interval '1 day')",
                {"token": token},
            )


def test_made_up_tokens_do_not_escape_the_limit(
    client: TestClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "WRITES", 2)
    sessions(database_url, "visitor")
    assert writes(client, "one", "two", "three", "four", "visitor") == [200] * 2 + [429] * 3


def test_people_who_have_signed_in_have_a_limit_each_and_a_large_one_together(
    client: TestClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "WRITES", 2)
    monkeypatch.setattr(middleware, "SHARING_AN_ADDRESS", 4)
    sessions(database_url, *"abcd")
    assert writes(client, *"aaabbbcccd") == [200, 200, 429] * 2 + [200, 200, 429, 429]


def test_a_token_is_not_kept_where_requests_are_counted(client: TestClient, database_url: str) -> None:
    client.post("/api/v1/test/echo", headers={"Authorization": "Bearer a-very-secret-token"})
    with psycopg.connect(database_url) as connection:
        keys = [row[0] for row in connection.execute("select key from rate_limits").fetchall()]
    assert len(keys) == 2
    assert not any("secret" in key for key in keys)


def test_what_all_may_share_says_nothing_about_one(client: TestClient) -> None:
    headers = client.get("/test/shared").headers
    assert not [name for name in headers if name.startswith("x-ratelimit") or name in ("x-request-id", "set-cookie")]


def test_a_process_that_is_busy_says_so_at_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "IN_FLIGHT", 2)
    with opened() as client:

        async def at_once() -> list[httpx.Response]:
            transport = httpx.ASGITransport(client.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as crowd:
                return await asyncio.gather(*(crowd.get("/test/slow") for _ in range(6)))

        assert client.portal is not None
        answers = client.portal.call(at_once)
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429, 429]
        assert {answer.headers.get("retry-after") for answer in answers} == {None, "1"}
        assert client.get("/test/slow").status_code == 200, "and afterwards all is well"


# --- Reading one's own writes ---


@pytest.fixture(scope="module")
def replica(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    server = Postgres(tmp_path_factory.mktemp("replica"), copy_of=postgres)
    yield server
    server.stop()


@pytest.fixture
def with_replica(opened: Open, replica: Postgres, database_url: str) -> Iterator[TestClient]:
    name = database_url.rpartition("/")[2]
    with opened(REPLICA_URLS=replica.url(name, user="shop_app")) as client:
        yield client


def test_a_write_hands_out_a_position_and_the_next_request_brings_it_along(with_replica: TestClient) -> None:
    answer = with_replica.post("/test/echo")
    position = answer.headers["X-Read-After"]
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", position)
    assert f"read_after={position}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax" in answer.headers["Set-Cookie"]
    assert with_replica.get("/test/echo").json()["after"] == position, "by cookie"
    with_replica.cookies.clear()
    answer = with_replica.get("/test/echo", headers={"X-Read-After": "0/3000060"})
    assert answer.json()["after"] == "0/3000060", "by header"


@pytest.mark.parametrize("given", ["", "later", "0/3000060; drop table users", "0/30000600000"])
def test_a_position_that_is_none_is_left_aside(with_replica: TestClient, given: str) -> None:
    assert with_replica.get("/test/echo", headers={"X-Read-After": given}).json()["after"] is None


@pytest.mark.parametrize(("method", "path"), [("GET", "echo"), ("POST", "sick"), ("POST", "shared")])
def test_nothing_is_handed_out_without_a_write_of_ones_own(with_replica: TestClient, method: str, path: str) -> None:
    headers = with_replica.request(method, f"/test/{path}").headers
    assert "X-Read-After" not in headers
    assert "Set-Cookie" not in headers


def test_without_replicas_there_is_nothing_to_carry(client: TestClient) -> None:
    answer = client.post("/test/echo", headers={"X-Read-After": "0/3000060"})
    assert answer.json()["after"] is None
    assert "X-Read-After" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_the_cookie_is_for_https_only_where_there_is_https(opened: Open, replica: Postgres, database_url: str) -> None:
    url = replica.url(database_url.rpartition("/")[2], user="shop_app")
    with opened(REPLICA_URLS=url, FRONT_HOPS="1") as client:
        answer = client.post("/test/echo", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"})
    assert answer.headers["Set-Cookie"].endswith("; Secure")
