"""What all pages share: who is looking, which forms are let in, and how an answer is drawn."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit
from zlib import crc32

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from shop import accounts
from shop.accounts import Session, User
from shop.ports import Shop
from shop.problems import Problem

COOKIE = "session"
SAFE_METHODS = ("GET", "HEAD")
# The edge keeps such a page for half a minute; a browser asks again each time.
SHARED = "public, max-age=0, s-maxage=30"
# Not //host, not /\host and nothing with a line break: browsers take all of them for another site.
LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,500}")
# What a person is told where a problem's own text is for programs: by field, or by code.
ADVICE = {
    "name": "A name is one line of at most 200 characters.",
    "email": "An e-mail address looks like name@example.com.",
    "password": "A password has at least 10 characters.",
    "quantity": "A quantity is a whole number from 0 to 99.",
    "category": "A category is one line of at most 60 characters.",
    "description": "A description has at least one character, and 4,000 at most.",
    "price": "A price is in dollars and cents, such as 12.50.",
    "stock": "The stock is a whole number, such as 20.",
    "stock_change": "The stock changes by a whole number, such as 20 or -5.",
    "total_cents": "Something has changed since you looked. Please check it once more.",
    "not-found": "There is no page at this address.",
    "bad-cursor": "This link is no longer good. Please start from the first page.",
    "wrong-credentials": "E-mail or password is wrong.",
    "email-taken": "This address has an account already.",
    "price-changed": "A price or your cart has changed since you looked. Please check it once more.",
}
FIELD_OF = {"email-taken": "email", "impossible-stock": "stock_change"}


def money(cents: int) -> str:
    """As pages show it: all prices are in US dollars."""
    return f"${cents / 100:,.2f}"


def day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %B %Y}"


def moment(at: datetime) -> str:
    return f"{day(at)}, {at.astimezone(UTC):%H:%M} UTC"


def look(category: str, product: int) -> dict[str, int]:
    """What is drawn where a product has no picture: the hue of its category, and shapes of its own."""
    own = crc32(str(product).encode())
    return {"hue": crc32(category.encode()) % 10, "motif": own % 6, "turn": own // 6 % 4, "shift": own // 24 % 4}


TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals.update(brand="Corner Shop", new_key=lambda: secrets.token_hex(16))
TEMPLATES.filters.update(money=money, day=day, moment=moment, look=look)
TEMPLATES.filters["number"] = lambda order: str(order)[:8]  # as people say it; the whole of it is on the invoice


@dataclass
class Visit:
    """A request as far as it has been understood: who looks, and what he has typed."""

    request: Request
    session: Session | None = None
    typed: dict[str, str] = field(default_factory=dict)
    refused: Problem | None = None  # why the form was not taken, to be told beside it

    @property
    def shop(self) -> Shop:
        shop: Shop = self.request.app.state.shop
        return shop

    @property
    def user(self) -> User:
        user = self.session.user if self.session else None
        assert user is not None  # `page` has seen to it
        return user

    @property
    def token(self) -> str:
        return self.request.cookies.get(COOKIE, "")

    @property
    def path(self) -> str:
        return str(self.request.scope["path"])

    @property
    def state(self) -> Any:
        """What was found out before: `after`, `trace` and `address`."""
        return self.request.state

    def text(self, name: str) -> str:
        """A value of the form, with the line ends that the shop keeps and nothing around it."""
        return self.typed.get(name, "").strip().replace("\r\n", "\n")

    def asked(self, name: str) -> str:
        """A value of the query; no text of the shop can hold a null character."""
        return self.request.query_params.get(name, "").replace("\0", "")

    def draw(self, template: str, *, title: str, shared: bool = False, **values: Any) -> Response:
        """A page; a `shared` one is the same for everybody."""
        refused, wrong, advice, status = self.refused, "", "", 200
        if refused is not None:
            found = re.search(r"\$\.(\w+)", refused.detail) if refused.code == "invalid-request" else None
            wrong = found[1] if found else FIELD_OF.get(refused.code, "")
            advice = ADVICE.get(wrong if found else refused.code, refused.detail)
            status = refused.status
        html = TEMPLATES.get_template(template).render(
            visit=self, typed=self.typed, title=title, shared=shared, wrong=wrong, advice=advice, **values
        )
        keep = "no-store" if self.session or refused else SHARED if shared else "private, no-cache"
        return HTMLResponse(html, status, {"Cache-Control": keep, **(refused.headers if refused else {})})


Handler = Callable[[Visit], Awaitable[Response]]


def page(
    path: str,
    show: Handler | None = None,
    *,
    submit: Handler | None = None,
    who: Literal["all alike", "anyone", "user", "staff"] = "anyone",
) -> Route:
    """What is seen under a path, and what its form does: only for our own pages, and if refused seen again."""

    async def answer(request: Request) -> Response:
        visit, unsafe = Visit(request), request.method not in SAFE_METHODS
        try:
            if unsafe and not came_from_us(request):
                raise Problem(403, "foreign-form", "This form was not sent by one of our pages, so nothing was done.")
            if who != "all alike" and visit.token:
                visit.session = await accounts.session(visit.shop, visit.token)
            if who in ("user", "staff") and (visit.session is None or visit.session.user is None):
                return go_to(f"/sign-in?{urlencode({'next': visit.path if show else '/'})}")
            if who == "staff" and not visit.user.is_staff:
                raise Problem(403, "staff-only", "This page is for the people who run the shop.")
            if unsafe and submit:
                visit.typed = await typed(request)
                try:
                    return await submit(visit)
                except Problem as problem:
                    visit.refused = problem
            if show is None:
                raise visit.refused or Problem(405, "method-not-allowed", "There is nothing to see here.")
            return await show(visit)
        except Problem as problem:
            return problem_page(request, problem, visit.session)

    methods = [method for method, handler in (("GET", show), ("POST", submit)) if handler]
    return Route(path, answer, methods=methods, name=(show or submit or answer).__name__)


async def typed(request: Request) -> dict[str, str]:
    """What a form says; a form may name any encoding, and with some of them write what is no text."""
    try:
        form = (await request.form()).items()
        return {name: text.encode().decode().replace("\0", "") for name, text in form if isinstance(text, str)}
    except UnicodeError:
        raise Problem(400, "bad-form", "This form is not written as text.") from None


def came_from_us(request: Request) -> bool:
    """What the browser says about a form: tokens would not do, as pages that the edge keeps are the same for all."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    try:
        origin = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:
        return False
    return origin != "" and origin in (request.headers.get("x-forwarded-host"), request.headers.get("host"))


def problem_page(request: Request, problem: Problem, session: Session | None = None) -> Response:
    """For whatever goes wrong outside a form."""
    title = HTTPStatus(problem.status).phrase.capitalize()
    return Visit(request, session, refused=problem).draw("problem.html", title=title, shared=session is None)


def go_to(path: str) -> Response:
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def local_path(text: str) -> str:
    """Where to go on; home if the text is anything but a path of ours."""
    return text if LOCAL_PATH.fullmatch(text) else "/"


def keep(visit: Visit, answer: Response, value: str, cookie: str = COOKIE) -> Response:
    """In the browser, for as long as a session lasts."""
    seconds, https = accounts.SESSION_DAYS * 86_400, visit.request.scope["scheme"] == "https"
    answer.set_cookie(cookie, value, seconds, httponly=True, secure=https, samesite="lax")
    return answer
