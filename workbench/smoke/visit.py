"""The steps of the test: a visitor looks around, and then buys one piece of the cheapest product that he has seen."""

from __future__ import annotations

import html
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any
from urllib.parse import quote, urlsplit

from workbench.smoke.client import Client, Failed, NotYet

API = "/api/v1"
SLOWEST = 30.0  # seconds for an answer: the shop gives up after 22, and what stands before it soon after
DOWN = (502, 503, 504)
ELSEWHERE = (301, 302, 307, 308)
PAGES, TRIES_AT_EDGE = 10, 4
# What a header has to say, at the least.
PROTECTION = {
    "Content-Security-Policy": "default-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
ONLY_HTTPS = {"Strict-Transport-Security": "max-age="}
NAME = "Smoke test"
# SES takes mail to it from any account, delivers it to nobody and counts no bounce.
MAILBOX = "success+smoke-test-{}@simulator.amazonses.com"


@dataclass(frozen=True)
class Site:
    """A shop to visit, what is promised of it, and where to look when it does not keep that."""

    url: str
    edge: bool = False  # CloudFront
    look: tuple[str, ...] = ("Is it open, and what does its log say? That of `make shop` is build/shop/shop.log.",)
    look_for_jobs: tuple[str, ...] = ()
    to_fill: str = "make shop fills its own; elsewhere: python -m shop seed --products 300"


@dataclass(frozen=True)
class Result:
    """What came of a step; of one that failed also the last question, what came back, and what to do next."""

    step: str
    passed: bool
    seconds: float
    text: str
    asked: str = ""
    answered: str = ""
    advice: tuple[str, ...] = ()


def smoke(site: Site, *, buys: bool, patience: float, say: Callable[[str], None]) -> Iterator[Result]:
    """Each step that holds, and the first that does not. `patience`: seconds for hosts that boot, and for the job."""
    visit = Visit(site, patience, say)
    client = visit.client
    for step, check in (visit.looking | (visit.buying if buys else {})).items():
        began, problem = time.monotonic(), None
        try:
            text = check()
        except Failed as failed:
            text, problem = str(failed), failed
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as strange:
            text = f"the answer is not what the API describes ({type(strange).__name__}: {strange})"
            problem = Failed(text)
        seconds = time.monotonic() - began
        if problem is not None:
            answered = str(client.answer) if client.answer else "nothing"
            advice = (*problem.advice, *_by_status(client), *site.look)
            yield Result(step, False, seconds, text, client.asked, answered, advice)
            return
        yield Result(step, True, seconds, text)


def _by_status(client: Client) -> Iterator[str]:
    status, server = (client.answer.status, client.answer.headers.get("Server", "")) if client.answer else (0, "")
    if status == 403 and server.startswith(("CloudFront", "awselb")):
        yield "The firewall turned it away: is this machine's address in open_to of the environment's file?"
    if status == 429:
        yield "Too many requests came from this address; wait a minute, then try again."


class Visit:
    """One visitor; what a step learns, the next ones need."""

    def __init__(self, site: Site, patience: float, say: Callable[[str], None]) -> None:
        self._site, self._patience, self._say = site, patience, say
        self.client = Client(site.url, min(SLOWEST, patience))
        self._product: Any = None
        self._order: Any = None
        self._total = 0
        mark = secrets.token_hex(6)
        self._key = f"smoke-test-{mark}"
        self._credentials = {"email": MAILBOX.format(mark), "password": secrets.token_urlsafe(18)}
        self.looking: dict[str, Callable[[], str]] = {
            "site answers": lambda: self._with_patience(self._healthy),
            "first page, headers": self._protected,
            "catalogue": self._catalogue,
            "pages": self._pages,
            "edge": self._kept_at_edge,
            "search": self._search,
        }
        self.buying: dict[str, Callable[[], str]] = {
            "sign up": self._sign_up,
            "sign in": self._sign_in,
            "cart": self._fill_cart,
            "order": self._place_order,
            "same key again": self._place_again,
            "history": self._history,
            "invoice": lambda: self._with_patience(self._invoice),
            "sign out": self._sign_out,
        }

    def _with_patience(self, step: Callable[[], str]) -> str:
        until, pause = time.monotonic() + self._patience, 0.5
        while True:
            try:
                return step()
            except NotYet as problem:
                left = until - time.monotonic()
                if left <= 0:
                    raise Failed(f"{problem}, for {self._patience:g} s", *problem.advice) from None
                self._say(f"{problem}; asking again for up to {ceil(left)} s")
                time.sleep(min(pause, left))
                pause = min(2 * pause, 8.0)

    def _healthy(self) -> str:
        answer = self.client.ask("GET", "/healthz")
        if answer.status in DOWN:
            raise NotYet(f"answered {answer.status}", "A host that has just been made needs some minutes to boot.")
        if answer.status != 200 or b'"status":"ok"' not in answer.body.replace(b" ", b""):
            raise Failed(f'answered {answer.status}, not {{"status": "ok"}}: whoever answers here is not the shop')
        return self._site.url

    def _protected(self) -> str:
        url = self._site.url
        https = url.startswith("https:")
        home = self.client.get("/")
        for name, wanted in (PROTECTION | (ONLY_HTTPS if https else {})).items():
            if wanted not in (said := home.headers.get(name, "")):
                raise Failed(f"the header {name} is {said or 'missing'!r}, and has to say {wanted!r}")
        if not https:
            return "the security headers are there; plain http"
        if urlsplit(url).port is None:
            plain = self.client.ask("GET", url.replace("https:", "http:", 1))
            to = urlsplit(plain.headers.get("Location", ""))
            if plain.status not in ELSEWHERE or (to.scheme, to.hostname) != ("https", urlsplit(url).hostname):
                raise Failed(f"plain http does not lead to {url}")
        return "https, and the security headers are there"

    def _catalogue(self) -> str:
        """The cheapest product in stock of the first page that has any; one that is sold out if none has."""
        cursor, seen = "", list[Any]()
        for _ in range(PAGES):
            page = self.client.get(f"{API}/products?limit=100&cursor={quote(cursor)}").json
            seen += page["items"]
            cursor = page["next"] or ""
            if not cursor or any(product["stock"] > 0 for product in page["items"]):
                break
        if not seen:
            raise Failed("the catalogue is empty, so there is nothing to look at or to buy", self._site.to_fill)
        self._product = min(seen, key=lambda product: (product["stock"] <= 0, product["price_cents"], product["id"]))
        return f"{len(seen)} products seen, of which {self._product['name']!r} is the cheapest in stock"

    def _pages(self) -> str:
        if b"/products/" not in self.client.get("/").body:
            raise Failed("the first page shows no product")
        page = self.client.get(f"/products/{self._product['id']}").body.decode()
        if self._product["name"] not in html.unescape(page):
            raise Failed(f"the product's page does not name {self._product['name']!r}")
        if "text/css" not in self.client.get("/static/shop.css").headers.get("Content-Type", ""):
            raise Failed("the style sheet is none")
        return "the catalogue, the product and their style sheet"

    def _kept_at_edge(self) -> str:
        path = f"/products/{self._product['id']}"
        answer = self.client.get(path)
        if "cloudfront" not in answer.headers.get("Via", "").lower():
            if self._site.edge:
                raise Failed("CloudFront is promised, and this did not come through it", "Does the domain lead there?")
            return "none in front, and none promised"
        for _ in range(TRIES_AT_EDGE):  # each of its machines asks once for itself
            answer = self.client.get(path)
            if "hit from" in (said := answer.headers.get("X-Cache", "")).lower():
                return f"CloudFront has kept a product's page: {said}"
        raise Failed(f"CloudFront keeps no product's page: X-Cache is {said!r} after {TRIES_AT_EDGE + 1} times")

    def _search(self) -> str:
        words = " ".join(re.findall(r"\w+", self._product["name"])) or self._product["category"]
        found = self.client.get(f"{API}/search?limit=100&q={quote(words)}").json["items"]
        if not any(product["name"] == self._product["name"] for product in found):
            advice = "The search index is written by the search job; `python -m shop seed` writes what is missing."
            raise Failed(f"{words!r} finds {len(found)} products, and not the one of this name", advice)
        return f"{words!r} finds it"

    def _sign_up(self) -> str:
        new = {**self._credentials, "name": NAME}
        person = self.client.expect(201, "POST", f"{API}/users", new, Idempotency_Key=self._key).json
        if person["email"] != new["email"]:
            raise Failed(f"signed up as somebody else: {person['email']!r}")
        return f"{NAME}, {new['email']}"

    def _sign_in(self) -> str:
        token = self.client.expect(201, "POST", f"{API}/sessions", self._credentials).json["token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        if self.client.get(f"{API}/me").json["email"] != self._credentials["email"]:
            raise Failed("the token is somebody else's")
        return "the token is this customer's"

    def _fill_cart(self) -> str:
        if self._product["stock"] <= 0:
            raise Failed("nothing that was seen is in stock", "Add stock as staff, or seed more products.")
        put = self.client.expect(200, "PUT", f"{API}/cart/lines/{self._product['id']}", {"quantity": 1}).json
        ((product, quantity),) = [(line["product_id"], line["quantity"]) for line in put["lines"]]
        if (product, quantity) != (self._product["id"], 1):
            raise Failed(f"the cart holds {quantity} of product {product} instead of one of {self._product['id']}")
        self._total = put["total_cents"]
        return f"one piece, {self._total / 100:.2f} USD"

    def _buy(self) -> Any:
        at_this_price = {"total_cents": self._total}
        return self.client.expect(201, "POST", f"{API}/orders", at_this_price, Idempotency_Key=self._key).json

    def _place_order(self) -> str:
        self._order = self._buy()
        if [line["product_id"] for line in self._order["lines"]] != [self._product["id"]]:
            raise Failed("the order is of something else than was in the cart")
        return f"{self._order['id']}"

    def _place_again(self) -> str:
        if (again := self._buy()) != self._order:
            raise Failed(f"a second order came of it: {again['id']}, after {self._order['id']}")
        return "the same order, not a second one"

    def _history(self) -> str:
        listed = [order["id"] for order in self.client.get(f"{API}/orders").json["items"]]
        if listed != [self._order["id"]]:
            raise Failed(f"it lists {listed} instead of the one order")
        return "the order, once"

    def _invoice(self) -> str:
        answer = self.client.ask("GET", f"{API}/orders/{self._order['id']}/invoice")
        if answer.status == 404 and answer.json["code"] == "no-invoice-yet":
            raise NotYet("there is no invoice", *self._site.look_for_jobs)
        if answer.status != 200 or not answer.body.startswith(b"%PDF"):
            raise Failed(f"answered {answer.status}, not a PDF")
        return f"a PDF of {len(answer.body):,} bytes: the jobs of an order are done"

    def _sign_out(self) -> str:
        self.client.expect(204, "DELETE", f"{API}/sessions/current")
        self.client.expect(401, "GET", f"{API}/me")
        return "the token opens nothing any more"
