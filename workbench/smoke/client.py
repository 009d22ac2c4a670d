"""A client of the shop that takes no answer for granted: none comes late, none leads elsewhere, none is forgotten."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

HERE = ("127.0.0.1", "localhost", "::1")  # this machine, where no proxy leads
LARGEST = 8 * 1024 * 1024


class Failed(Exception):
    """What does not hold, and what to do about it where that is known."""

    def __init__(self, text: str, *advice: str) -> None:
        super().__init__(text)
        self.advice = advice


class NotYet(Failed):
    """What does not hold now, but may a little later."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        name = [f"X-Request-Id {self.headers['X-Request-Id']}"] if "X-Request-Id" in self.headers else []
        lines = [line.strip() for line in self.body[:2000].decode(errors="replace").splitlines() if line.strip()]
        return " | ".join([str(self.status), *name, *lines[:3]])[:500]


class _NoRedirects(HTTPRedirectHandler):
    """To be sent elsewhere is an answer like any other."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Client:
    """Asks as a program does, and remembers the last question and its answer for the report."""

    def __init__(self, url: str, slowest: float) -> None:
        self._url, self._slowest = url, slowest
        self.headers = {"User-Agent": "blueprint-smoke"}
        self.asked = ""
        self.answer: Answer | None = None
        self._opener = build_opener(_NoRedirects, *([ProxyHandler({})] if urlsplit(url).hostname in HERE else []))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The answer, whatever its status; headers are written with `_` for `-`."""
        url, until = urljoin(self._url, path), time.monotonic() + self._slowest
        self.asked, self.answer = f"{method} {url}", None
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            try:
                came: Any = self._opener.open(Request(url, data, sent, method=method), timeout=self._slowest)
            except HTTPError as status:
                came = status
            with came:
                content = bytearray()
                while len(content) < LARGEST and (some := came.read1(65536)):
                    content += some
                    if time.monotonic() > until:
                        raise TimeoutError(f"not complete after {self._slowest:g} s")
        except (OSError, HTTPException) as problem:
            raise NotYet(f"no answer: {getattr(problem, 'reason', None) or problem or repr(problem)}") from None
        self.answer = Answer(came.status, came.headers, bytes(content))
        if position := came.headers.get("X-Read-After"):  # so that no replica answers that has not seen what we wrote
            self.headers["X-Read-After"] = position
        return self.answer

    def expect(self, status: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = self.ask(method, path, body, **headers)
        if answer.status != status:
            raise Failed(f"answered {answer.status} instead of {status}")
        return answer

    def get(self, path: str) -> Answer:
        return self.expect(200, "GET", path)
