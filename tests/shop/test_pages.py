"""The pages as a browser asks for them, over a real database; what only a browser sees is in test_browser.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from pathlib import Path

import httpx
import psycopg
import pytest
from PIL import Image
from starlette.routing import Route

from shop import carts, front, pages, seed
from tests.shop.serving import Furnished, furnished
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow
SECRET = "correct horse battery"
OURS = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """One visitor with cookies of his own; sends forms as a browser sends those of our own pages."""

    def __init__(self, server: str, **headers: str) -> None:
        self.client = httpx.Client(base_url=server, headers={"Host": "shop.example.com", **headers}, verify=False)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, **fields: object) -> httpx.Response:
        return self.client.post(path, data=fields, headers=OURS)

    def sign_up(self, name: str) -> Browser:
        about = {"name": name, "email": f"{name.lower()}@example.com", "password": SECRET, "key": f"sign-up {name}"}
        assert self.post("/sign-up", **about).status_code == 303
        return self

    def order(self, product: int = 1, quantity: int = 1) -> str:
        """Buy something as a person does; where the order is then seen."""
        self.post("/cart", product_id=product, more=quantity)
        page = self.get("/checkout")
        answer = self.post("/checkout", key=hidden(page, "key"), total_cents=hidden(page, "total_cents"))
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return unescape(found[1])


def advice(page: httpx.Response) -> str:
    found = re.search(r'id="problem" role="alert">([^<]*)<', page.text)
    assert found, page.text
    return unescape(found[1]).strip()


def png(colour: str = "teal") -> bytes:
    file = BytesIO()
    Image.new("RGB", (400, 300), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def lasting(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    """The whole shop, behind one proxy."""
    with furnished(postgres, tmp_path_factory.mktemp("shop"), FRONT_HOPS="1") as shop:
        yield shop


@pytest.fixture
def shop(lasting: Furnished) -> Furnished:
    lasting.renew()
    return lasting


@pytest.fixture
def server(shop: Furnished) -> str:
    return shop.address


@pytest.fixture
def database(shop: Furnished) -> psycopg.Connection:
    return shop.database


@pytest.fixture
def visitor(server: str) -> Browser:
    return Browser(server)


@pytest.fixture
def customer(server: str) -> Browser:
    return Browser(server).sign_up("Customer")


@pytest.fixture
def staff(server: str, database: psycopg.Connection) -> Browser:
    browser = Browser(server).sign_up("Staff")
    database.execute("update users set is_staff = true where email = 'staff@example.com'")
    return browser


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://shop.example.com"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Origin": "http://shop.example.com"}, 303),
        ({"Origin": "https://shop.example.com"}, 303),
        ({"Origin": "https://www.example.com", "X-Forwarded-Host": "www.example.com"}, 303),
        ({"Origin": "http://shop.example.com:8080"}, 403),
        ({"Origin": "http://shop.example.com.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Referer": "http://shop.example.com/"}, 403),
        ({}, 403),
    ],
)
def test_a_form_is_let_in_only_if_the_browser_says_that_it_is_ours(
    visitor: Browser, headers: dict[str, str], status: int
) -> None:
    form = {"product_id": "1", "quantity": "1"}
    assert visitor.client.post("/cart", data=form, headers=headers).status_code == status


def unsafe_paths() -> list[str]:
    """Every path of ours that takes anything but reading, filled in with what a visitor could ask for."""
    found = [route for route in pages.routes if isinstance(route, Route) and set(route.methods or ()) - {"GET", "HEAD"}]
    return [re.sub(r"\{[^}]*\}", "1", route.path) for route in found]


def test_there_are_forms_to_be_guarded() -> None:
    assert {"/cart", "/checkout", "/sign-out", "/staff/products/1/picture"} <= set(unsafe_paths())


@pytest.mark.parametrize("path", unsafe_paths())
def test_no_form_is_taken_from_elsewhere(staff: Browser, path: str) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = staff.client.post(path, headers=headers)
        assert answer.status_code == 403
        assert "not sent by one of our pages" in answer.text


@pytest.mark.parametrize("path", unsafe_paths())
def test_nothing_is_sent_to_a_path_that_the_edge_keeps(path: str) -> None:
    assert not path.startswith(("/products", "/static", "/api"))


def test_a_product_is_the_same_page_for_everybody(visitor: Browser, customer: Browser) -> None:
    seen, seen_by_customer = visitor.get("/products/1"), customer.get("/products/1")
    assert seen.content == seen_by_customer.content
    assert seen.headers["cache-control"] == "public, max-age=0, s-maxage=30"
    for page in (seen, seen_by_customer):
        assert "set-cookie" not in page.headers
        assert 'type="hidden" name="key"' not in page.text


@pytest.mark.parametrize("path", ["/", "/categories/Kitchen", "/search?q=oak", "/products/2", "/cart", "/sign-in"])
def test_who_only_looks_gets_no_cookie(visitor: Browser, path: str) -> None:
    page = visitor.get(path)
    assert page.status_code == 200
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize("path", ["/", "/search?q=oak", "/cart", "/checkout", "/orders", "/mail", "/sign-up"])
def test_a_page_with_somebodys_name_is_kept_nowhere(customer: Browser, path: str) -> None:
    page = customer.get(path)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_session_cookie_is_out_of_reach(server: str, scheme: str, secure: bool) -> None:
    visitor = Browser(server, **{"X-Forwarded-Proto": scheme})
    answer = visitor.post("/cart", product_id=1, quantity=1)
    name, *attributes = [part.strip().lower() for part in answer.headers["set-cookie"].split(";")]
    assert name.startswith("session=")
    assert {"httponly", "samesite=lax", "path=/", "max-age=2592000"} <= set(attributes)
    assert ("secure" in attributes) == secure


def test_signing_in_gives_another_token_and_keeps_the_cart(visitor: Browser) -> None:
    visitor.post("/cart", product_id=3, quantity=2)
    before = visitor.client.cookies["session"]
    visitor.sign_up("Newcomer")
    assert visitor.client.cookies["session"] != before
    assert 'name="quantity" min="0" max="99" required\n            value="2"' in visitor.get("/cart").text


def test_signing_out_ends_the_session_and_forgets_the_cookie(customer: Browser) -> None:
    token = customer.client.cookies["session"]
    assert customer.post("/sign-out").headers["location"] == "/"
    assert "session" not in customer.client.cookies
    customer.client.cookies.set("session", token)
    assert customer.get("/orders").headers["location"] == "/sign-in?next=%2Forders"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/orders", "/orders"),
        ("/search?q=a%20b&cursor=x", "/search?q=a%20b&cursor=x"),
        ("", "/"),
        ("orders", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/orders\r\nSet-Cookie: a=b", "/"),
        ("/" + "a" * 600, "/"),
    ],
)
def test_after_signing_in_only_a_path_of_ours_follows(asked: str, given: str) -> None:
    assert front.local_path(asked) == given


@pytest.mark.usefixtures("customer")
def test_signing_in_leads_to_where_somebody_wanted_to_go(visitor: Browser) -> None:
    assert visitor.get("/checkout").headers["location"] == "/sign-in?next=%2Fcheckout"
    assert hidden(visitor.get("/sign-in?next=%2Fcheckout"), "next") == "/checkout"
    assert hidden(visitor.get("/sign-in?next=%2F%2Fevil.example"), "next") == "/"
    about = {"email": "customer@example.com", "password": SECRET}
    assert visitor.post("/sign-in", **about, next="//evil.example").headers["location"] == "/"
    assert visitor.post("/sign-in", **about, next="/checkout").headers["location"] == "/checkout"


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"email": "nobody"}, 400, "An e-mail address looks like name@example.com."),
        ({"email": "customer@example.com"}, 409, "This address has an account already."),
        ({"password": "short"}, 400, "A password has at least 10 characters."),
        ({"name": "x" * 201}, 400, "A name is one line of at most 200 characters."),
    ],
)
@pytest.mark.usefixtures("customer")
def test_a_refused_account_says_why_and_loses_nothing_but_the_password(
    visitor: Browser, changes: dict[str, str], status: int, told: str
) -> None:
    typed = {"name": 'A <b> & "c"', "email": "new@example.com", "password": SECRET, "next": "/mail", **changes}
    page = visitor.post("/sign-up", **typed, key="a key")
    assert page.status_code == status
    assert advice(page) == told
    (field,) = changes
    assert re.search(rf'id="{field}"[^>]* aria-invalid="true" aria-describedby="[^"]*problem"', page.text)
    for name in ("name", "email", "next", "key"):
        assert hidden(page, name) == {**typed, "key": "a key"}[name]
    assert typed["password"] not in page.text


@pytest.mark.usefixtures("customer")
def test_a_wrong_password_is_told_without_saying_who_exists(visitor: Browser) -> None:
    told = {
        advice(visitor.post("/sign-in", email=email, password="not the password"))
        for email in ("customer@example.com", "nobody@example.com")
    }
    assert told == {"E-mail or password is wrong."}


@pytest.mark.usefixtures("customer")
def test_whoever_has_an_account_already_is_led_to_it(visitor: Browser) -> None:
    about = {"name": "Again", "email": "customer@example.com", "password": SECRET, "next": "/checkout"}
    page = visitor.post("/sign-up", **about, key="a key")
    assert re.search(r'id="problem"[^>]*>[^<]*<a href="/sign-in\?next=/checkout">Sign in</a>', page.text)


def test_who_has_signed_in_is_not_asked_to(customer: Browser) -> None:
    assert customer.get("/sign-in").headers["location"] == "/orders"
    assert customer.get("/sign-in?next=%2Fcheckout").headers["location"] == "/checkout"
    assert customer.post("/sign-in", email="customer@example.com", password="wrong").status_code == 401


@pytest.mark.parametrize("path", ["/products/1", "/nowhere"])
def test_what_is_the_same_for_all_leads_to_ones_own(visitor: Browser, customer: Browser, path: str) -> None:
    for browser in (visitor, customer):
        assert '<a href="/orders">Account</a>' in browser.get(path).text


@pytest.mark.parametrize("path", ["/staff", "/orders/00000000-0000-4000-8000-000000000000"])
def test_a_refusal_to_somebody_we_know_has_his_navigation(customer: Browser, path: str) -> None:
    page = customer.get(path)
    assert page.status_code in (403, 404)
    assert "Sign out" in page.text
    assert page.headers["cache-control"] == "no-store"


def test_a_list_goes_on_until_every_product_was_shown_once(visitor: Browser) -> None:
    path, shown = "/", []
    while path:
        page = visitor.get(path).text
        shown += [int(number) for number in re.findall(r'href="/products/(\d+)"', page)]
        following = re.search(r'href="([^"]*)" rel="next"', page)
        path = unescape(following[1]) if following else ""
    assert shown == list(range(1, 61))


def test_a_search_goes_on_with_the_same_words(visitor: Browser) -> None:
    found = visitor.get("/search?q=in+%26").text  # every description has this word
    assert "Search for “in &amp;”" in found
    following = re.search(r'href="([^"]*)" rel="next"', found)
    assert following
    more = visitor.get(unescape(following[1])).text
    assert "Search for “in &amp;”" in more
    products = [set(re.findall(r'href="/products/(\d+)"', page)) for page in (found, more)]
    assert [len(numbers) for numbers in products] == [24, 24]
    assert not products[0] & products[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [("oak", "4 products found."), ("everyday oak mug", "1 product found."), ("in", "More than 24 products found.")],
)
def test_a_search_says_how_much_there_is(visitor: Browser, words: str, told: str) -> None:
    page = visitor.get(f"/search?q={words}").text
    assert f"<p>{told}</p>" in page
    following = re.search(r'href="([^"]*)" rel="next"', page)
    if following:
        assert "found." not in visitor.get(unescape(following[1])).text


def test_a_category_shows_its_own_products_only(visitor: Browser) -> None:
    page = visitor.get("/categories/Garden").text
    assert len(re.findall(r'href="/products/\d+"', page)) == 8
    assert len(set(re.findall(r"hue-(\d)", page))) == 1
    assert 'href="/categories/Garden" aria-current="page"' in page


@pytest.mark.parametrize(
    "path",
    [
        "/products/999999",
        "/products/abc",
        "/products/99999999999999999999",
        "/nowhere",
        "/images/1/small",
        "/images/00000000-0000-0000-0000-000000000000/huge",
    ],
)
def test_what_is_not_there_is_told_as_a_page(visitor: Browser, path: str) -> None:
    page = visitor.get(path)
    assert page.status_code == 404
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.text.count("<h1>") == 1


@pytest.mark.parametrize(
    "path",
    ["/?cursor=forged", "/?cursor=%00", "/search?q=%00", "/search?q=%00oak%27--", "/categories/%00", "/orders/%00"],
)
def test_nothing_in_an_address_breaks_a_page(customer: Browser, path: str) -> None:
    assert customer.get(path).status_code in (200, 303, 400, 404)


def test_null_characters_in_a_form_are_left_out(visitor: Browser) -> None:
    answer = visitor.post("/sign-up", name="A\0B", email="ab@example.com", password=SECRET, key="k")
    assert answer.status_code == 303
    assert "AB, ab@example.com" in visitor.get("/orders").text


def test_the_cart_holds_what_was_last_said_of_a_product(visitor: Browser) -> None:
    for quantity in (3, 5):
        assert visitor.post("/cart", product_id=1, quantity=quantity).headers["location"] == "/cart"
    assert 'value="5"' in visitor.get("/cart").text
    visitor.post("/cart", product_id=1, quantity=0)
    assert "Nothing in here yet." in visitor.get("/cart").text


def test_putting_in_adds_to_what_is_there(visitor: Browser) -> None:
    for more, there in ((3, 3), (1, 4), (1, 5), (94, 99), (5, 99)):
        assert visitor.post("/cart", product_id=4, more=more).headers["location"] == "/cart"
        page = visitor.get("/cart").text
        assert f'value="{there}"' in page
        assert ("No order takes more than 99 of it." in page) == (there == 99)


def test_the_same_click_sent_twice_adds_once(visitor: Browser) -> None:
    for there in (2, 4):
        for _ in range(2):
            visitor.post("/cart", product_id=1, more=2)
        assert f'value="{there}"' in visitor.get("/cart").text
    visitor.post("/cart", product_id=1, more=2)
    visitor.post("/cart", product_id=1, more=1)
    assert 'value="7"' in visitor.get("/cart").text


def test_nothing_that_a_browser_claims_to_have_seen_breaks_the_cart(visitor: Browser) -> None:
    visitor.post("/cart", product_id=1, more=1)
    visitor.client.headers["Cookie"] = f'session={visitor.client.cookies["session"]}; cart_seen="{"x" * 9000}\\000"'
    assert visitor.post("/cart", product_id=1, more=1).status_code == 303


@pytest.mark.parametrize("more", ["0", "-1", "100", "some"])
def test_what_cannot_be_added_is_told_and_changes_nothing(visitor: Browser, more: str) -> None:
    visitor.post("/cart", product_id=1, more=2)
    page = visitor.post("/cart", product_id=1, more=more)
    assert advice(page) == "A quantity is a whole number from 0 to 99."
    assert 'value="2"' in page.text


def test_a_cart_that_is_full_says_so(visitor: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carts, "MOST_LINES", 1)
    visitor.post("/cart", product_id=1, more=1)
    page = visitor.post("/cart", product_id=2, more=1)
    assert page.status_code == 409
    assert advice(page) == "A cart holds 1 different products at most."


def test_what_has_no_picture_looks_the_same_everywhere(customer: Browser) -> None:
    where = customer.order(product=2)
    customer.post("/cart", product_id=2, more=1)
    pages_with_it = [customer.get(path).text for path in ("/products/2", "/cart", "/checkout", where)]
    (look,) = {tuple(re.findall(r"art (hue-\d shift-\d)", page)) for page in pages_with_it}
    assert len(look) == 1


@pytest.mark.parametrize("quantity", ["", "-1", "100", "1.5", "many", "9" * 5000])
def test_a_quantity_that_makes_no_sense_stands_beside_the_reason(visitor: Browser, quantity: str) -> None:
    visitor.post("/cart", product_id=1, quantity=2)
    page = visitor.post("/cart", product_id=1, quantity=quantity)
    assert page.status_code == 400
    assert advice(page) == "A quantity is a whole number from 0 to 99."
    assert f'value="{quantity}" aria-invalid="true"' in page.text


def test_a_cart_says_what_is_not_there_any_more(visitor: Browser, database: psycopg.Connection) -> None:
    visitor.post("/cart", product_id=1, quantity=5)
    database.execute("update products set stock = 2 where id = 1")
    assert "Only 2 left." in visitor.get("/cart").text
    database.execute("update products set stock = 0 where id = 1")
    assert "Out of stock." in visitor.get("/cart").text


@pytest.mark.parametrize("path", ["/cart", "/checkout"])
@pytest.mark.parametrize(("left", "offer"), [(2, "Set to 2"), (0, "Remove")])
def test_what_is_too_much_is_put_right_where_it_is_said(
    customer: Browser, database: psycopg.Connection, path: str, left: int, offer: str
) -> None:
    customer.post("/cart", product_id=1, more=5)
    database.execute("update products set stock = %s where id = 1", (left,))
    page = customer.get(path)
    assert f'name="quantity" value="{left}">{offer}' in page.text
    form = {"product_id": 1, "quantity": left, "next": path}
    assert customer.post("/cart", **form).headers["location"] == path
    lines = database.execute("select quantity from cart_lines").fetchall()
    assert lines == ([(left,)] if left else [])


def test_a_cart_leads_to_pages_of_ours_only(visitor: Browser) -> None:
    answer = visitor.post("/cart", product_id=1, more=1, next="//evil.example")
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("left", [0, 3, 9, 10])
def test_a_product_says_when_little_of_it_is_left(visitor: Browser, database: psycopg.Connection, left: int) -> None:
    database.execute("update products set stock = %s where id = 1", (left,))
    listed, alone = visitor.get("/categories/Kitchen").text, visitor.get("/products/1").text
    for page in (listed, alone):
        assert ('<span class="badge few">Only' in page) == (0 < left < 10)
        assert ('<span class="badge bad">Out of stock</span>' in page) == (left == 0)
    assert ('<li class="card gone">' in listed) == (left == 0)


def test_an_order_sent_twice_is_one_order(customer: Browser) -> None:
    customer.post("/cart", product_id=1, quantity=2)
    page = customer.get("/checkout")
    form = {name: hidden(page, name) for name in ("key", "total_cents")}
    first, second = customer.post("/checkout", **form), customer.post("/checkout", **form)
    assert first.headers["location"] == second.headers["location"]
    assert customer.get("/orders").text.count('href="/orders/') == 1


def test_what_another_tab_has_ordered_is_no_mistake(customer: Browser) -> None:
    customer.post("/cart", product_id=1, more=2)
    tabs = [customer.get("/checkout") for _ in range(2)]
    _, second = (
        customer.post("/checkout", key=hidden(tab, "key"), total_cents=hidden(tab, "total_cents")) for tab in tabs
    )
    assert second.status_code == 409
    assert 'role="alert"' not in second.text
    assert 'Perhaps you have <a href="/orders">ordered already</a>.' in second.text


def test_each_look_at_the_checkout_is_an_attempt_of_its_own(customer: Browser) -> None:
    customer.post("/cart", product_id=1, quantity=2)
    keys = {hidden(customer.get("/checkout"), "key") for _ in range(3)}
    assert len(keys) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_nobody_pays_another_price_than_he_saw(customer: Browser, database: psycopg.Connection) -> None:
    customer.post("/cart", product_id=1, quantity=2)
    page = customer.get("/checkout")
    database.execute("update products set price_cents = price_cents + 100 where id = 1")
    refused = customer.post("/checkout", key=hidden(page, "key"), total_cents=hidden(page, "total_cents"))
    assert refused.status_code == 409
    assert advice(refused).startswith("A price or your cart has changed")
    assert int(hidden(refused, "total_cents")) == int(hidden(page, "total_cents")) + 200
    assert "now" not in page.text
    shown = customer.post("/checkout", **{name: hidden(page, name) for name in ("key", "total_cents", "price-1")})
    assert "Was $9.95, now $10.95." in shown.text
    again = customer.post("/checkout", key=hidden(refused, "key"), total_cents=hidden(refused, "total_cents"))
    assert again.status_code == 303


@pytest.mark.parametrize("total", ["", "-1", "x", "9" * 5000])
def test_a_total_that_nobody_was_shown_buys_nothing(customer: Browser, total: str) -> None:
    customer.post("/cart", product_id=1, quantity=2)
    form = {"key": "k", "total_cents": total, "price-1": total}
    assert customer.post("/checkout", **form).status_code in (400, 409)
    assert "You have not ordered anything yet." in customer.get("/orders").text


def test_what_is_sold_out_is_told_at_the_checkout(customer: Browser, database: psycopg.Connection) -> None:
    customer.post("/cart", product_id=1, quantity=5)
    page = customer.get("/checkout")
    database.execute("update products set stock = 2 where id = 1")
    refused = customer.post("/checkout", key=hidden(page, "key"), total_cents=hidden(page, "total_cents"))
    assert refused.status_code == 409
    assert "only 2 left" in advice(refused)


def test_an_order_shows_what_was_bought_and_has_an_invoice(customer: Browser) -> None:
    where = customer.order(product=2, quantity=3)
    page = customer.get(where)
    assert '<h2><a href="/products/2">' in page.text
    number = where.rpartition("/")[2]
    assert f"<h1>Order {number[:8]}</h1>" in page.text
    assert page.text.count("<time") == 1
    for path in (where, "/orders", "/mail"):
        text = re.sub(r"<[^>]*>", "", customer.get(path).text)
        assert number[:8] in text
        assert (number in text) == (path == "/mail")  # the letter itself has all of it, as the invoice has
    invoice = customer.get(f"{where}/invoice.pdf")
    assert invoice.headers["content-type"] == "application/pdf"
    assert invoice.headers["cache-control"] == "no-store"
    assert invoice.content.startswith(b"%PDF-")


@pytest.mark.parametrize(("quantity", "told"), [(1, "1 piece ·"), (3, "3 pieces ·")])
def test_the_list_of_orders_says_how_much_each_is(customer: Browser, quantity: int, told: str) -> None:
    customer.order(quantity=quantity)
    assert told in customer.get("/orders").text


def test_a_link_to_more_that_is_no_longer_good_leads_back_to_the_start(visitor: Browser) -> None:
    page = visitor.get("/?cursor=stale")
    assert page.status_code == 400
    assert "Please start from the first page." in page.text


def test_somebody_elses_order_is_as_good_as_none(server: str, customer: Browser, staff: Browser) -> None:
    where = customer.order()
    other = Browser(server).sign_up("Other")
    for path in (where, f"{where}/invoice.pdf"):
        assert customer.get(path).status_code == 200
        assert other.get(path).status_code == 404
        assert staff.get(path).status_code == 404
        assert Browser(server).get(path).headers["location"].startswith("/sign-in?next=")


def test_mail_is_for_the_one_it_was_written_to(server: str, customer: Browser) -> None:
    customer.order()
    assert "Mail to customer@example.com" in customer.get("/mail").text
    other = Browser(server).sign_up("Other").get("/mail").text
    assert "customer@example.com" not in other
    assert "No mail service is set up here" in other


STAFF_ONLY = [
    "/staff",
    "/staff/products/new",
    "/staff/products/1",
    "/staff/products/1/picture",
    "/staff/orders/1/shipment",
]


@pytest.mark.parametrize("path", STAFF_ONLY)
def test_the_back_of_the_shop_is_for_staff(visitor: Browser, customer: Browser, path: str) -> None:
    if not path.endswith("shipment"):
        assert customer.get(path).status_code == 403
        assert visitor.get(path).headers["location"].startswith("/sign-in?next=%2Fstaff")
    if path != "/staff":
        assert customer.post(path).status_code == 403
        assert visitor.post(path).headers["location"].startswith("/sign-in")


def test_staff_ship_an_order_once(customer: Browser, staff: Browser) -> None:
    where = customer.order()
    page = staff.get("/staff")
    assert "customer@example.com" in page.text
    assert f"Order {where.rpartition('/')[2][:8]}" in page.text
    assert re.search(r'<li>1 . <a href="/staff/products/1">Everyday Oak Mug</a>', page.text)
    shipment = f"/staff{where}/shipment"
    done = staff.post(shipment, key=hidden(page, "key")).headers["location"]
    assert "Marked as shipped" in staff.get(done).text
    assert "The order has been shipped." in customer.get(where).text
    assert "Nothing waits." in staff.get("/staff").text
    assert staff.post(shipment, key="another").status_code == 409


def test_staff_add_and_change_a_product(staff: Browser, visitor: Browser) -> None:
    about = {"name": "<script>alert(1)</script>", "category": "Odds & Ends / Rest", "description": "One.\r\nTwo."}
    added = staff.post("/staff/products/new", **about, price="12.50", stock="7", key="k")
    assert added.status_code == 303, advice(added)
    where = added.headers["location"].partition("?")[0]
    number = where.rpartition("/")[2]
    assert "The product is in the shop." in staff.get(added.headers["location"]).text
    assert "The product is in the shop." not in visitor.get(f"/products/{number}?done=added").text  # the edge keeps it
    page = visitor.get(f"/products/{number}").text
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "$12.50" in page
    assert "One.\nTwo." in page
    category = re.search(r'href="(/categories/[^"]*)"', page)
    assert category
    assert "$12.50" in visitor.get(category[1]).text
    for _ in range(2):  # sent again, it takes nothing more away
        changed = staff.post(where, **about, price="$13", stock_change="-5", key="k")
        assert changed.status_code == 303
        assert "Saved." in staff.get(changed.headers["location"]).text
    page = visitor.get(f"/products/{number}").text
    assert "$13.00" in page
    assert "Only 2 left" in page


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"price": "12,50"}, "A price is in dollars and cents"),
        ({"price": "-1"}, "A price is in dollars and cents"),
        ({"stock_change": "some"}, "The stock changes by a whole number"),
        ({"stock_change": "-1000"}, "The stock would be less than nothing"),
        ({"category": ""}, "A category is one line"),
        ({"description": " "}, "A description has at least one character"),
    ],
)
def test_a_refused_change_of_a_product_loses_nothing(staff: Browser, changes: dict[str, str], told: str) -> None:
    typed = {
        "name": "Typed",
        "category": "Kitchen",
        "description": "Text",
        "price": "1.00",
        "stock_change": "1",
        "key": "k",
        **changes,
    }
    page = staff.post("/staff/products/1", **typed)
    assert page.status_code in (400, 409)
    assert advice(page).startswith(told)
    (field,) = changes
    assert re.search(rf'id="{field}"[^>]* aria-invalid="true"', page.text)
    for name in ("name", "category", "price", "stock_change"):
        assert hidden(page, name) == typed[name].strip() or name in changes


def test_staff_give_a_product_a_picture(staff: Browser, visitor: Browser) -> None:
    files = {"file": ("picture.png", png(), "image/png")}
    answer = staff.client.post("/staff/products/1/picture", data={"key": "k"}, files=files, headers=OURS)
    assert answer.headers["location"].startswith("/staff/products/1?")
    assert "The new picture is in the shop." in staff.get(answer.headers["location"]).text
    source = re.search(r'src="(/images/[^"]*/medium)"', visitor.get("/products/1").text)
    assert source
    for size, longest in (("medium", 960), ("small", 320)):
        picture = visitor.get(source[1].replace("medium", size))
        assert picture.headers["content-type"] == "image/webp"
        assert picture.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert picture.headers["x-content-type-options"] == "nosniff"
        assert picture.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert max(Image.open(BytesIO(picture.content)).size) <= longest


def test_until_there_is_a_thumbnail_the_picture_itself_is_shown_for_a_moment(
    staff: Browser, visitor: Browser, shop: Furnished
) -> None:
    files = {"file": ("picture.png", png(), "image/png")}
    staff.client.post("/staff/products/1/picture", data={"key": "k"}, files=files, headers=OURS)
    for thumbnail in (shop.files / "thumbnails").rglob("*.webp"):
        thumbnail.unlink()
    source = re.search(r'src="(/images/[^"]*/medium)"', visitor.get("/products/1").text)
    assert source
    picture = visitor.get(source[1])
    assert picture.content == png()
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["cache-control"] == "public, max-age=5"


def test_something_stands_in_for_a_picture_that_is_gone(visitor: Browser) -> None:
    picture = visitor.get("/images/00000000-0000-4000-8000-000000000000/small")
    assert picture.status_code == 200
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["cache-control"] == "public, max-age=5"


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"GIF8", b"%PDF-1.7"])
def test_only_pictures_are_taken_as_pictures(staff: Browser, data: bytes) -> None:
    files = {"file": ("picture.png", data, "image/png")}
    page = staff.client.post("/staff/products/1/picture", data={"key": "k"}, files=files, headers=OURS)
    assert page.status_code == 400
    assert "cannot be taken" in advice(page)


@pytest.mark.parametrize("cents_and_text", [(0, "$0.00"), (5, "$0.05"), (1250, "$12.50"), (123456789, "$1,234,567.89")])
def test_prices_are_dollars_and_cents(cents_and_text: tuple[int, str]) -> None:
    cents, text = cents_and_text
    assert front.money(cents) == text


def test_every_category_of_the_seed_has_a_hue_of_its_own() -> None:
    hues = [front.look(category, 1)["hue"] for category in seed.CATEGORIES]
    assert len(set(hues)) == len(hues)


def test_no_page_carries_script_or_style_of_its_own() -> None:
    for template in (Path(front.__file__).parent / "templates").glob("*.html"):
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", template.read_text("utf-8")), template.name
