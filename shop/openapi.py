"""The API's operations, and how OpenAPI 3.1 describes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from shop.contracts import LARGEST_ID, ProblemDetails, Told

PICTURES = ("image/gif", "image/jpeg", "image/png", "image/webp")
JSON, PROBLEM = "application/json", "application/problem+json"


def _header(description: str, kind: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


READ_AFTER = {"X-Read-After": _header("Send it along to read what you wrote", "string")}
LIMITS = {
    "X-RateLimit-Limit": _header("Requests of this kind in a minute, where these are counted", "integer"),
    "X-RateLimit-Remaining": _header("How many are left of these", "integer"),
    "X-RateLimit-Reset": _header("Seconds until all are back", "integer"),
}
WAIT = {"Retry-After": _header("Seconds to wait", "integer")}
WITH_PROBLEM = {401: {"WWW-Authenticate": _header("How to sign in", "string")}, 429: WAIT, 503: WAIT}
DESCRIBED = {503: "Service Unavailable; the edge, where there is one, answers with a page of its own instead"}
KEY = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}


@dataclass(frozen=True)
class Operation:
    """One verb of one path, and who may use it.

    `answer` is a type, the content type of bytes, or None. What `creates` needs an idempotency key, and so does a field
    that `adds`; the answer to what is `shared` is the same for everybody.
    """

    method: str
    path: str
    answer: Any
    do: Any
    who: Literal["anyone", "visitor", "user", "staff"] = "anyone"
    query: type[Told] | None = None
    body: type[Told] | Literal["picture"] | None = None
    creates: bool = False
    adds: str = ""
    shared: bool = False

    @property
    def status(self) -> int:
        return 201 if self.method == "POST" else 204 if self.answer is None else 200

    @property
    def problems(self) -> list[int]:
        """Every status but success that a client has to expect."""
        when = {
            400: self.query or self.body or self.creates,
            401: self.who != "anyone" or self.path == "/sessions",
            403: self.who == "staff",
            404: "{" in self.path,
            408: self.body,
            409: self.creates or (self.body and self.method != "POST"),
            413: self.body,
            415: self.body,
            422: self.creates or self.adds,
            429: True,
            503: True,
        }
        return [status for status, expected in when.items() if expected]


def document(operations: Sequence[Operation]) -> bytes:
    """The same bytes for the same operations."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    types = [kind for each in operations for kind in (each.answer, each.body) if kind and not isinstance(kind, str)]
    _, schemas = msgspec.json.schema_components([*types, ProblemDetails], ref_template="#/components/schemas/{name}")
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1.0.0", "description": "What the pages of the shop do, for programs."},
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer", "description": "From POST /sessions"}},
        },
    }
    # JSON Schema ends a pattern with `$`; in Python that would also stand before a last line break.
    return msgspec.json.encode(described, order="deterministic").replace(rb"\\Z", b"$")


def _operation(each: Operation) -> dict[str, Any]:
    headers = LIMITS if each.method == "GET" else LIMITS | READ_AFTER
    answers = {each.status: _message(each.status, headers, each.answer, JSON)} | {
        status: _message(status, LIMITS | WITH_PROBLEM.get(status, {}), ProblemDetails, PROBLEM)
        for status in each.problems
    }
    described = {
        "summary": (each.do.__doc__ or "").rstrip("."),
        "operationId": each.do.__name__,
        "parameters": _parameters(each),
        "responses": {str(status): answer for status, answer in answers.items()},
    }
    if each.who != "anyone":
        described["security"] = [{"session": []}]
    if each.body == "picture":
        described["requestBody"] = {"required": True, "content": {kind: {} for kind in PICTURES}}
    elif each.body:
        described["requestBody"] = {"required": True, "content": _content(each.body, JSON)}
    return described


def _parameters(each: Operation) -> list[dict[str, Any]]:
    number = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
    uuid = {"type": "string", "format": "uuid"}
    names = re.findall(r"{(\w+)}", each.path)
    found = [_parameter(name, "path", number if name == "product_id" else uuid, required=True) for name in names]
    if each.query is not None:
        (wanted,) = msgspec.json.schema_components([each.query])[1].values()
        for name, schema in wanted["properties"].items():
            found.append(_parameter(name, "query", schema, required=name in wanted.get("required", ())))
    if each.creates or each.adds:
        when = {"description": f"Needed with `{each.adds}`"} if each.adds else {}
        found.append(_parameter("Idempotency-Key", "header", KEY | when, required=each.creates))
    if each.method == "GET":
        found.append(_parameter("X-Read-After", "header", {"type": "string"}, required=False))
    return found


def _parameter(name: str, place: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _message(status: int, headers: dict[str, Any], kind: Any, content_type: str) -> dict[str, Any]:
    content = {} if kind is None else {"content": {kind: {}} if isinstance(kind, str) else _content(kind, content_type)}
    return {"description": DESCRIBED.get(status, HTTPStatus(status).phrase), "headers": headers, **content}


def _content(kind: Any, content_type: str) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return {content_type: {"schema": schema}}
