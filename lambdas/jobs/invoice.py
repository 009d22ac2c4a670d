"""The invoice of an order as PDF: the same bytes whenever it is made again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from jobs.events import Refused
from jobs.lettering import BOLD, PLAIN, write, write_to

SELLER = "Corner Shop"
GREEN, INK, QUIET, RULE = (HexColor(colour) for colour in ("#1f5f4a", "#23211d", "#5d584e", "#dcd7cb"))
WIDTH, HEIGHT = A4
LEFT, RIGHT, TOP, BOTTOM = 56, WIDTH - 56, HEIGHT - 64, 72
QUANTITY, PRICE = RIGHT - 170, RIGHT - 85
ROW = 22


def key(order_id: str) -> str:
    """Where in the files bucket an invoice lies."""
    return f"invoices/{order_id}.pdf"


def render(document: Mapping[str, Any]) -> bytes:
    """The invoice of an order's document; raises Refused when it is none, or does not add up."""
    try:
        order, customer = document["order"], document["customer"]
        lines = [(str(line["name"]), int(line["quantity"]), int(line["price_cents"])) for line in order["lines"]]
        number, total = str(order["id"]), int(order["total_cents"])
        day = f"{datetime.fromisoformat(order['placed_at']).astimezone(UTC):%-d %B %Y}"
        facts = {"Number": number, "Date": day, "Billed to": str(customer["name"]), "": str(customer["email"])}
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"not the document of an order: {error!r}") from None
    if total != sum(quantity * cents for _, quantity, cents in lines):
        raise Refused(f"the lines of order {number} do not add up to {total} cents")
    file = BytesIO()
    sheet = Sheet(file, number)
    sheet.head(facts)
    for name, quantity, cents in lines:
        sheet.line(name, quantity, cents)
    sheet.total(total)
    sheet.page.save()
    return file.getvalue()


class Sheet:
    """The pages of one invoice, written from the top down; `y` is how far."""

    def __init__(self, file: BytesIO, number: str) -> None:
        # Invariant: without the time of day and without random numbers.
        self.page = Canvas(file, pagesize=A4, invariant=1, lang="en")
        self.page.setTitle(f"Invoice {number}")
        self.page.setAuthor(SELLER)
        self.number, self.y = number, TOP

    def head(self, facts: Mapping[str, str]) -> None:
        self.page.setFillColor(GREEN)
        self.page.rect(0, HEIGHT - 8, WIDTH, 8, stroke=0, fill=1)
        write(self.page, LEFT, TOP, SELLER, BOLD, 13)
        self.page.setFillColor(INK)
        write_to(self.page, RIGHT, TOP - 6, "Invoice", BOLD, 26)
        self.y = TOP - 60
        for label, value in facts.items():
            self.page.setFillColor(QUIET)
            write(self.page, LEFT, self.y, label, PLAIN, 10)
            self.page.setFillColor(INK)
            write(self.page, LEFT + 70, self.y, value, PLAIN, 11, room=RIGHT - LEFT - 70)
            self.y -= 18
        self.y -= 24
        self._begin()

    def line(self, name: str, quantity: int, cents: int) -> None:
        self._make_room()
        write(self.page, LEFT, self.y - 15, name, PLAIN, 11, room=QUANTITY - LEFT - 50)
        for edge, figure in ((QUANTITY, str(quantity)), (PRICE, money(cents)), (RIGHT, money(quantity * cents))):
            write_to(self.page, edge, self.y - 15, figure, PLAIN, 11)
        self._rule(self.y - ROW)

    def total(self, cents: int) -> None:
        self._make_room()
        write_to(self.page, PRICE, self.y - 18, "Total", BOLD, 12)
        write_to(self.page, RIGHT, self.y - 18, money(cents), BOLD, 12)

    def _begin(self) -> None:
        """The foot of a page and the titles of its columns."""
        self.page.setFillColor(QUIET)
        write(self.page, LEFT, 40, f"{SELLER} · Invoice {self.number}", PLAIN, 8.5)
        write_to(self.page, RIGHT, 40, f"Page {self.page.getPageNumber()}", PLAIN, 8.5)
        write(self.page, LEFT, self.y, "Article", PLAIN, 10)
        for edge, title in ((QUANTITY, "Quantity"), (PRICE, "Price"), (RIGHT, "Amount")):
            write_to(self.page, edge, self.y, title, PLAIN, 10)
        self.page.setFillColor(INK)
        self._rule(self.y - 7)

    def _make_room(self) -> None:
        if self.y - ROW < BOTTOM:
            self.page.showPage()
            self.y = TOP
            self._begin()

    def _rule(self, y: float) -> None:
        self.y = y
        self.page.setStrokeColor(RULE)
        self.page.setLineWidth(0.6)
        self.page.line(LEFT, y, RIGHT, y)


def money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02}"
