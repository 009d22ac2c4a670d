"""What happens to every request before a page or the API sees it, and to every answer after that."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import secrets
import time
from collections import Counter
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop import accounts, front, observe, work
from shop.problems import Problem
from shop.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
HEALTH = ("/healthz", "/readyz")
STATIC = "/static/"
TRACE = re.compile(r"[A-Za-z0-9=;:,._+/-]{1,200}")
POSITION = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}")
# Before and behind everything: with the first only a cache is left out, with the second only the primary may answer.
FIRST, LAST = "0/0", "FFFFFFFF/FFFFFFFF"
PICTURE_UPLOAD = re.compile(r"(/api/v1)?/staff/products/[^/]+/(images|picture)")
VIEW = re.compile(r"(?:/api/v1)?/products/(\d{1,18})")

BODY, PICTURE_BODY = 64 * 1024, 8 * 1024 * 1024
# From a request's first byte: its body, all that jobs may take, and its answer. The rest of the path is more patient.
BODY_SECONDS, SECONDS_FOR_JOBS, SECONDS_TO_ANSWER = 10, 20, 22
# Bodies on their way, of one address and of all: 32 MiB at most.
BODIES_OF_ONE, BODIES = 32, 512
# More at once would only wait for the same few database connections; whoever comes later is told to come again.
IN_FLIGHT = 256
# A minute. A person stays far below; a signed-in client is counted by itself, and ten of them may share an address.
WRITES, READS, SHARING_AN_ADDRESS = 300, 1200, 10
SECONDS_TO_READ_OWN_WRITES = 60
CLOSE = {"Connection": "close"}  # nobody reads the rest of the request

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Door:
    """The one way in and out: a request gets a name and an address, is counted, and may be too much or too large.

    Whatever happens inside becomes an answer with the same strict headers, and one line in the log. A request takes a
    place only when its body is there: whoever sends slowly keeps nobody else out.
    """

    def __init__(self, app: ASGIApp, settings: Settings, load: observe.Load) -> None:
        self._app, self._load = app, load
        self._coming = Counter[str]()  # bodies on their way, by address
        self._proxies, self._scheme = settings.proxies, settings.scheme
        self._copies = bool(settings.replicas or settings.cache)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        health = scope["type"] == "http" and scope["path"] in HEALTH
        if health and scope["raw_path"] != scope["path"].encode():  # spelt so that proxies let it pass: no such page
            scope["path"], health = scope["raw_path"].decode("latin-1"), False
        if health or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = self._introduce(Request(scope))
        began, status, allowance = time.perf_counter(), 0, dict[str, str]()
        mark = observe.trace.set(request.state.trace)

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                _secure(request, headers, status)
                if "public" not in headers["Cache-Control"]:  # what all may share says nothing about one
                    headers.update({"X-Request-Id": request.state.trace, **allowance})
                    if self._copies and request.method not in SAFE and status < 400:
                        await _carry_position(request, headers)
            await send(message)

        try:
            work.deadline.set(asyncio.get_running_loop().time() + SECONDS_FOR_JOBS)
            async with asyncio.timeout(SECONDS_TO_ANSWER):
                await self._serve(request, await self._body(request, receive), answered, allowance)
        except ClientDisconnect:
            status = 499  # nobody is left to be answered
        except Exception as error:
            if isinstance(error, TimeoutError):
                error = Problem(503, "too-late", "This took too long. Please try again.", headers={"Retry-After": "5"})
            if not isinstance(error, Problem):
                observe.log("unexpected", level="error", path=request.scope["path"][:200], **observe.reason(error))
            if status:  # too late for another answer: the connection breaks, and the visitor sees that it did
                status = 500
                raise
            await (await answer(request, error))(scope, receive, answered)
        finally:
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            values = {"Requests": 1, "Errors": int(status >= 500 or not status), "Latency": milliseconds}
            about = {"status": status, "method": request.method, "path": request.scope["path"][:200]}
            observe.measure("request", observe.REQUEST, values, **about)
            observe.trace.reset(mark)
        viewed = VIEW.fullmatch(request.scope["path"]) if status == 200 and request.method == "GET" else None
        if viewed:
            request.app.state.views.seen(viewed[1], request.state.trace)

    def _introduce(self, request: Request) -> Request:
        headers = request.headers
        told = self._scheme or (headers.get("x-forwarded-proto") if self._proxies else None)
        if told in ("http", "https"):
            request.scope["scheme"] = told
        request.state.trace = trace_of(headers)
        request.state.address = address(request.scope, headers, self._proxies)
        position = headers.get("x-read-after") or request.cookies.get("read_after", "")
        request.state.after = position if self._copies and POSITION.fullmatch(position) else None
        return request

    async def _serve(self, request: Request, receive: Receive, send: Send, allowance: dict[str, str]) -> None:
        self._load.begin()
        try:
            if not hasattr(request.app.state, "shop"):
                raise Problem(503, "not-open-yet", "The shop is not open yet.", headers={"Retry-After": "5"})
            if self._load.in_flight > IN_FLIGHT:  # not 503: the edge takes that for a shop that is down
                raise Problem(429, "busy", "Too many people at once. Please try again.", headers={"Retry-After": "1"})
            await _count(request, allowance)
            await self._app(request.scope, receive, send)
        finally:
            self._load.end()

    async def _body(self, request: Request, receive: Receive) -> Receive:
        """A body, once it is there. A picture's is left to its page, which first makes sure that staff send it."""
        receive, headers, one = bounded(request.scope, receive), request.headers, Counter([request.state.address])
        none = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        if none or PICTURE_UPLOAD.fullmatch(request.scope["path"]):
            return receive
        if self._coming[request.state.address] >= BODIES_OF_ONE or self._coming.total() >= BODIES:
            raise Problem(429, "busy", "Too much at once. Please try again.", headers={"Retry-After": "1", **CLOSE})
        self._coming += one
        try:
            body = bytearray()
            async for chunk in Request(request.scope, receive).stream():
                body += chunk
        finally:
            self._coming -= one
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def give() -> Message:
            return whole.pop() if whole else await receive()

        return give


async def answer(request: Request, error: Exception) -> Response:
    """An error as its reader understands it: a problem document for programs, a page for people."""
    if isinstance(error, Problem):
        problem = error
    elif isinstance(error, HTTPException):
        name = HTTPStatus(error.status_code).phrase
        problem = Problem(error.status_code, name.lower().replace(" ", "-"), f"{name}.", headers=error.headers)
    else:
        problem = Problem(500, "internal-error", "Something went wrong here. It has been noted.")
    if request.scope["path"].startswith("/api/"):
        about = {"type": "about:blank", "title": HTTPStatus(problem.status).phrase, "status": problem.status}
        body = {**about, "code": problem.code, "detail": problem.detail}
        return JSONResponse(body, problem.status, problem.headers, "application/problem+json")
    try:
        return front.problem_page(request, problem)
    except Exception as second:
        observe.log("no page for a problem", level="error", **observe.reason(second))
        return PlainTextResponse(problem.detail, problem.status, problem.headers)


handlers = {Problem: answer, HTTPException: answer}


async def _count(request: Request, allowance: dict[str, str]) -> None:
    """So many requests a minute for each client: by address, and by session where there is one.

    Anybody can make tokens up. So where an address has used up its own share, people have to have signed in.
    """
    if request.scope["path"].startswith(STATIC):
        return
    shop, unsafe = request.app.state.shop, request.method not in SAFE
    kind, most = ("write", WRITES) if unsafe else ("read", READS)
    _, _, token = request.headers.get("authorization", "").partition(" ")
    token = token or request.cookies.get(front.COOKIE, "")
    left = await shop.limiter.take(f"{kind}:{request.state.address}", most, 60, shared=unsafe)
    alone = left and token and left.used <= SHARING_AN_ADDRESS * most
    if alone and not left.allowed:
        session = await accounts.session(shop, token)
        alone = session and session.user
    if alone:
        own = hashlib.sha256(token.encode()).hexdigest()[:32]
        left = await shop.limiter.take(f"{kind}:{own}", most, 60, shared=unsafe)
    if left:
        numbers = {"Limit": left.limit, "Remaining": left.remaining, "Reset": left.reset_seconds}
        allowance.update({f"X-RateLimit-{name}": str(number) for name, number in numbers.items()})
        if not left.allowed:
            later = {"Retry-After": str(max(1, left.reset_seconds))}
            raise Problem(429, "too-many-requests", "Too many requests. Please wait a moment.", headers=later)


def bounded(scope: Scope, receive: Receive) -> Receive:
    """The body, refused by its length before a byte is read, and by what really comes where the length lies."""
    most = PICTURE_BODY if PICTURE_UPLOAD.fullmatch(scope["path"]) else BODY
    too_large = Problem(413, "too-large", f"A request of at most {most // 1024} KiB is read here.", headers=CLOSE)
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    size, more, until = 0, True, asyncio.get_running_loop().time() + BODY_SECONDS

    async def next_chunk() -> Message:
        nonlocal size, more
        if not more:  # what comes now is that the visitor has gone, whenever that is
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise Problem(408, "too-slow", "The rest of the request did not come.", headers=CLOSE) from None
        size += len(message.get("body", b""))
        more = bool(message.get("more_body"))
        if size > most:
            raise too_large
        return message

    return next_chunk


async def _carry_position(request: Request, headers: MutableHeaders) -> None:
    """After a write the client carries the database's position, and no replica that is behind it answers him."""
    try:
        position = await request.app.state.shop.database.position() or FIRST
    except Problem:  # what was asked for is done, and that is the answer
        position = LAST
    secure = "; Secure" if request.scope["scheme"] == "https" else ""
    age = f"Max-Age={SECONDS_TO_READ_OWN_WRITES}"
    headers["X-Read-After"] = position
    headers.append("Set-Cookie", f"read_after={position}; {age}; Path=/; HttpOnly; SameSite=Lax{secure}")


def trace_of(headers: Headers) -> str:
    """Whoever stands before us has named the request; else it gets a name of the same form here."""
    for name in ("x-amzn-trace-id", "x-request-id"):
        if TRACE.fullmatch(given := headers.get(name, "")):
            return given
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def address(scope: Scope, headers: Headers, proxies: int) -> str:
    """Whom a request counts against: the last address that our own proxies wrote, as anybody can write those before.

    Of an IPv6 address the network: whoever has one has all of them.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    written = [part.strip() for part in ",".join(headers.getlist("x-forwarded-for")).split(",") if part.strip()]
    try:
        parsed = ipaddress.ip_address(written[-min(proxies, len(written))] if proxies and written else peer)
    except ValueError:
        return str(peer)
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


def _secure(request: Request, headers: MutableHeaders, status: int) -> None:
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    if request.scope["scheme"] == "https":
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    static = request.scope["path"].startswith(STATIC) and status in (200, 304)
    headers.setdefault("Cache-Control", "public, max-age=3600" if static else "no-store")
