"""What the shop tells a visitor or a client when it does not do what was asked."""

from __future__ import annotations

from collections.abc import Mapping


class Problem(Exception):
    """An answer other than success. `code` is for programs and never changes; `detail` is for people.

    The API writes it as application/problem+json (RFC 9457), the pages as a page.
    """

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
