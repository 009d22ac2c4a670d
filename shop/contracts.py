"""What the shop is told and what it answers, as types: JSON, forms and the API's description all come from these."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert

from shop.problems import Problem

LARGEST_ID = 2**63 - 1
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
Item = TypeVar("Item")


def text(shortest: int, longest: int, pattern: str) -> Meta:
    r"""What PostgreSQL, HTML and mail headers can all take. `\Z`, as `$` would also stand before a last line break."""
    return Meta(min_length=shortest, max_length=longest, pattern=rf"^{pattern}\Z")


# One line without control characters; or many, without the one character that PostgreSQL cannot keep.
LINE, LINES = r"[^\x00-\x1f\x7f]*", r"[^\x00]*"
Name = Annotated[str, text(1, 200, LINE)]
Words = Annotated[str, text(1, 4000, LINES)]
CategoryName = Annotated[str, text(1, 60, LINE)]
Email = Annotated[str, text(3, 254, rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(\.{LABEL})+")]
Endpoint = Annotated[str, text(1, 256, r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:endpoint/[A-Za-z0-9/_.-]+")]
Cursor = Annotated[str, text(0, 300, r"[A-Za-z0-9_-]*")]
Cents = Annotated[int, Meta(ge=0, le=100_000_000)]
Stock = Annotated[int, Meta(ge=0, le=1_000_000)]
Limit = Annotated[int, Meta(ge=1, le=100)]


class Told(Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends: all of it, within limits, and nothing besides."""


class NewUser(Told):
    email: Email
    name: Name
    password: Annotated[str, text(10, 200, LINES)]


class Credentials(Told):
    email: Email
    password: Annotated[str, text(1, 200, LINES)]


MOST_PIECES = 99  # of one product in a cart


class PutLine(Told):
    quantity: Annotated[int, Meta(ge=1, le=MOST_PIECES)]


class NewOrder(Told):
    """With a total: buy only at the price that was shown."""

    total_cents: Annotated[int, Meta(ge=0, le=LARGEST_ID)] | UnsetType = UNSET


class NewDevice(Told):
    endpoint: Endpoint


class NewProduct(Told):
    name: Name
    description: Words
    category: CategoryName
    price_cents: Cents
    stock: Stock = 0


class ProductChange(Told):
    """`stock_change` is added to what is there, as customers go on buying while staff count."""

    name: Name | UnsetType = UNSET
    description: Words | UnsetType = UNSET
    category: CategoryName | UnsetType = UNSET
    price_cents: Cents | UnsetType = UNSET
    stock_change: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | UnsetType = UNSET


class Continued(Told):
    cursor: Cursor = ""
    limit: Limit = 24


class Listing(Continued):
    category: Annotated[str, text(0, 60, LINE)] = ""


class Question(Continued, kw_only=True):
    q: Name


class Product(Struct, frozen=True):
    id: int
    name: str
    description: str
    category: str
    price_cents: int
    stock: int
    image: UUID | None
    version: int


class Category(Struct, frozen=True):
    name: str
    products: int


class CartLine(Struct, frozen=True):
    product_id: int
    name: str
    category: str
    price_cents: int
    quantity: int
    stock: int
    image: UUID | None


class Cart(Struct, frozen=True):
    lines: list[CartLine]
    total_cents: int


class OrderLine(Struct, frozen=True):
    product_id: int
    name: str
    price_cents: int
    quantity: int


class Order(Struct, frozen=True):
    id: UUID
    status: Literal["placed", "shipped"]
    total_cents: int
    placed_at: datetime
    lines: list[OrderLine]


class Person(Struct, frozen=True):
    id: UUID
    email: str
    name: str
    is_staff: bool


class Token(Struct, frozen=True):
    token: str


class Image(Struct, frozen=True):
    id: UUID


class Device(Struct, frozen=True):
    id: UUID
    endpoint: str


class Page(Struct, Generic[Item], frozen=True):
    """Some of a list; `next` is the cursor of what comes after."""

    items: list[Item]
    next: str | None = None


class ProblemDetails(Struct, frozen=True):
    """Why not (RFC 9457); `code` is for programs and never changes."""

    type: str
    title: str
    status: int
    code: str
    detail: str


Accepted = TypeVar("Accepted", bound=Told)


def check(kind: type[Accepted], values: Mapping[str, Any]) -> Accepted:
    """The values of a form or a query as what they have to be; the problem names the field."""
    try:
        return convert(values, kind, strict=False)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: Exception) -> Problem:
    return Problem(400, "invalid-request", f"{error}.")


def missing(kind: str) -> Problem:
    """Not there, or not for him: nobody learns which of the two."""
    return Problem(404, f"no-such-{kind}", f"There is no such {kind}.")


def known_product(given: str | int) -> int:
    """The id as we write it and as the database can hold it; no other can be there."""
    digits = str(given)
    if len(digits) > 19 or not (digits.isascii() and digits.isdigit()) or digits[0] == "0" or int(digits) > LARGEST_ID:
        raise missing("product")
    return int(digits)


def known_id(given: str | UUID, kind: str) -> UUID:
    """The id as we write it; no other can be there."""
    try:
        found = UUID(str(given))
    except ValueError:
        raise missing(kind) from None
    if str(found) != str(given):
        raise missing(kind)
    return found
