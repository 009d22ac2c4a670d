"""The pages in a real browser, without a line of script: what people see, and what the browser complains of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.shop.serving import Furnished, furnished
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow
PHONE = {"width": 320, "height": 720}  # the narrowest there are
PASSWORD = "correct horse battery"
# What a screen reader, a keyboard or a small screen would stumble over; each finding is a sentence.
AUDIT = """async () => {
  const found = [], name = (element) => element.outerHTML.slice(0, 120);
  const all = (selector) => [...document.querySelectorAll(selector)];
  if (all('h1').length !== 1) found.push(`${all('h1').length} main headings`);
  if (!document.documentElement.lang) found.push('no language');
  if (!document.title.includes(' · ')) found.push('no title of its own');
  for (const landmark of ['header', 'nav', 'main', 'footer'])
    if (!all(landmark).length) found.push(`no ${landmark}`);
  const labelled = 'input:not([type=hidden]), select, textarea';
  for (const field of all(labelled)) if (!field.labels.length) found.push(`no label: ${name(field)}`);
  for (const control of all('a, button')) {
    const text = control.textContent.trim() || control.querySelector('img')?.alt || '';
    if (!text) found.push(`says nothing: ${name(control)}`);
  }
  for (const image of all('img')) {
    if (!image.hasAttribute('alt')) found.push(`no alternative: ${name(image)}`);
    if (image.loading !== 'lazy') await image.decode().catch(() => found.push(`broken: ${name(image)}`));
  }
  const ids = all('[id]').map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) found.push(`twice: #${id}`);
  for (const reference of ['aria-describedby', 'aria-labelledby'])
    for (const element of all(`[${reference}]`))
      for (const id of element.getAttribute(reference).trim().split(/\\s+/))
        if (!document.getElementById(id)) found.push(`${reference} of nothing: #${id}`);
  const levels = all('h1, h2, h3, h4').map((heading) => Number(heading.tagName[1]));
  levels.forEach((level, index) => {
    if (index && level > levels[index - 1] + 1) found.push(`h${level} follows h${levels[index - 1]}`);
  });
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) found.push(`scrolls sideways by ${wide}px`);
  for (const control of all('.button, .links a, .links button, input:not([type=hidden]), select'))
    if (control.checkVisibility() && control.getBoundingClientRect().height < 44) found.push(`small: ${name(control)}`);

  const parts = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([red, green, blue]) => [red, green, blue]
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility() || element.closest('svg, .skip')) continue;
    const pair = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((one, two) => two - one);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(1)}: ${name(element)}`);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def lasting(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with furnished(postgres, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def database(lasting: Furnished) -> psycopg.Connection:
    lasting.renew()
    return lasting.database


@pytest.fixture
def address(lasting: Furnished, database: psycopg.Connection) -> str:
    assert not database.closed
    return lasting.address


@pytest.fixture
def complaints() -> list[str]:
    """What the browser had to say, of script, of style and of what it was refused."""
    return []


@pytest.fixture
def context(chromium: Browser, address: str, complaints: list[str]) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=address)
    context.set_default_timeout(10_000)
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def sign_up(page: Page, name: str) -> None:
    page.goto("/sign-up")
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail").fill(f"{name.lower()}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def buy(page: Page, product: int, quantity: int = 1) -> None:
    """Up to the checkout."""
    page.goto(f"/products/{product}")
    page.get_by_label("Quantity").select_option(str(quantity))
    page.get_by_role("button", name="Put in the cart").click()
    page.get_by_role("link", name="Check out").click()


def make_staff(database: psycopg.Connection, name: str) -> None:
    database.execute("update users set is_staff = true where email = %s", (f"{name.lower()}@example.com",))


def test_somebody_finds_buys_and_gets_what_he_is_owed(
    page: Page, database: psycopg.Connection, complaints: list[str]
) -> None:
    found = database.execute("select name from products where id = 7").fetchone()
    assert found is not None
    page.goto("/")
    page.get_by_label("Search the shop").fill(found[0])
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=found[0], exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(found[0])
    page.get_by_label("Quantity").select_option("3")
    page.get_by_role("button", name="Put in the cart").click()
    expect(page.get_by_role("spinbutton")).to_have_value("3")
    page.get_by_role("spinbutton").fill("2")
    page.get_by_role("button", name="Update").click()
    expect(page.get_by_role("spinbutton")).to_have_value("2")
    page.get_by_role("link", name="Check out").click()
    # Nobody knows him yet; the cart and where he was going survive.
    page.get_by_role("link", name="Make an account").click()
    page.get_by_label("Name").fill("A customer")
    page.get_by_label("E-mail").fill("customer@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your order")
    total = page.locator("dd.total").text_content()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_text("Thank you. The order is in")).to_be_visible()
    expect(page.locator("dd.total")).to_have_text(str(total))
    invoice = page.request.get(str(page.get_by_role("link", name="Invoice").get_attribute("href")))
    assert invoice.headers["content-type"] == "application/pdf"
    assert invoice.body().startswith(b"%PDF-")
    page.get_by_role("link", name="Mail").first.click()
    expect(page.get_by_text("Mail to customer@example.com")).to_be_visible()
    expect(page.locator("details[open]").filter(has_text="Mail to")).to_contain_text(str(total))
    page.get_by_role("link", name="Cart").click()
    expect(page.get_by_text("Nothing in here yet.")).to_be_visible()
    assert complaints == []


def test_going_back_and_ordering_again_is_not_a_second_order(page: Page) -> None:
    sign_up(page, "Customer")
    buy(page, 1)
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    page.go_back()
    again = page.get_by_role("button", name="Place the order")
    if again.count():
        again.click()
    page.goto("/orders")
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)


def test_a_double_click_puts_in_once_and_another_visit_adds(page: Page) -> None:
    for there in ("1", "2", "3"):
        page.goto("/products/1")
        page.get_by_role("button", name="Put in the cart").dblclick()
        expect(page.get_by_role("spinbutton")).to_have_value(there)
    page.go_back()
    page.get_by_role("button", name="Put in the cart").click()
    expect(page.get_by_role("spinbutton")).to_have_value("4")
    page.reload()
    expect(page.get_by_role("spinbutton")).to_have_value("4")


def test_fields_side_by_side_stand_on_one_line(page: Page, database: psycopg.Connection) -> None:
    sign_up(page, "Staff")
    make_staff(database, "Staff")
    page.goto("/staff/products/1")
    for part in ("label", "input"):
        first, second = (each.bounding_box() for each in page.locator(f".pair {part}").all())
        assert first
        assert second
        assert first["y"] == second["y"]


def test_nobody_sees_what_is_another_ones(chromium: Browser, page: Page, address: str) -> None:
    sign_up(page, "Owner")
    buy(page, 1)
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    order = page.url
    with chromium.new_context(base_url=address) as context:
        other = context.new_page()
        sign_up(other, "Other")
        answer = other.goto(order)
        assert answer is not None
        assert answer.status == 404
        assert other.request.get(f"{order}/invoice.pdf").status == 404
        other.goto("/orders")
        expect(other.get_by_text("You have not ordered anything yet.")).to_be_visible()
        other.goto("/mail")
        expect(other.get_by_text("Nothing has been written to you yet.")).to_be_visible()


def test_what_is_sold_out_meanwhile_is_said_where_the_order_is_placed(page: Page, database: psycopg.Connection) -> None:
    sign_up(page, "Customer")
    buy(page, 1, quantity=5)
    database.execute("update products set stock = 2 where id = 1")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("alert")).to_contain_text("only 2 left")
    page.get_by_role("link", name="Change the cart").click()
    expect(page.get_by_text("Only 2 left.")).to_be_visible()
    page.get_by_role("spinbutton").fill("2")
    page.get_by_role("button", name="Update").click()
    page.get_by_role("link", name="Check out").click()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    page.goto("/products/1")
    expect(page.get_by_text("Out of stock")).to_be_visible()
    expect(page.get_by_role("button", name="Put in the cart")).to_have_count(0)


def test_staff_add_a_product_with_a_picture_and_ship_what_is_bought(
    page: Page, database: psycopg.Connection, tmp_path: Path, complaints: list[str]
) -> None:
    Image.new("RGB", (1200, 900), "darkorange").save(tmp_path / "picture.jpg")
    sign_up(page, "Staff")
    make_staff(database, "Staff")
    page.goto("/staff")
    page.get_by_role("link", name="Add a product").click()
    page.get_by_label("Name").fill("An orange")
    page.get_by_label("Category").fill("Kitchen")
    page.get_by_label("Price").fill("2.50")
    page.get_by_label("Stock").fill("8")
    page.get_by_label("Description").fill("Round.\nSweet.")
    page.get_by_role("button", name="Add the product").click()
    page.get_by_label("New picture").set_input_files(tmp_path / "picture.jpg")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="See it in the shop").click()
    picture = page.locator("img.picture")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 960)
    product = page.url.rpartition("/")[2]
    page.goto("/search?q=orange")
    thumbnail = page.locator("img.picture")
    expect(thumbnail).to_have_js_property("naturalWidth", 320)
    assert complaints == []

    buy(page, int(product))
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    order = page.url
    page.goto("/staff")
    page.get_by_role("button", name="Mark as shipped").click()
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    page.goto(order)
    expect(page.get_by_text("The order has been shipped.")).to_be_visible()


def test_what_was_typed_is_still_there_beside_the_reason(page: Page) -> None:
    page.goto("/sign-up")
    page.get_by_label("Name").fill("A customer")
    page.get_by_label("E-mail").fill("customer@localhost")  # an address to browsers, but not to the shop
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("alert")).to_have_text("An e-mail address looks like name@example.com.")
    expect(page.get_by_label("E-mail")).to_have_value("customer@localhost")
    expect(page.get_by_label("E-mail")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name")).to_have_value("A customer")
    expect(page.get_by_label("Password")).to_have_value("")


def test_a_form_on_somebody_elses_page_does_nothing(page: Page, address: str, database: psycopg.Connection) -> None:
    sign_up(page, "Customer")
    foreign = address.replace("127.0.0.1", "localhost")  # another site to browsers, with the same server behind it
    page.route(
        f"{foreign}/evil",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{address}/cart"><input name="product_id" value="1">'
            '<input name="quantity" value="1"><button>Win</button></form>',
        ),
    )
    page.goto(f"{foreign}/evil")
    with page.expect_response(f"{address}/cart") as answer:
        page.get_by_role("button", name="Win").click()
    assert answer.value.status == 403
    assert database.execute("select count(*) from cart_lines").fetchone() == (0,)


def test_the_keyboard_reaches_the_content_first_and_shows_where_it_is(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    outline = skip.evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Everything")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 800}], ids=["phone", "desktop"])
def test_every_page_is_fit_to_read_and_to_use(
    page: Page, database: psycopg.Connection, complaints: list[str], viewport: dict[str, int], scheme: str
) -> None:
    page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    longest = "Unbelievablylongnameofaproduct" * 5
    database.execute("update products set name = %s, category = %s where id = 2", (longest, longest[:60]))
    database.execute("update products set stock = 0 where id = 3")
    found = {}

    def audit(path: str = "") -> None:
        if path:
            page.goto(path)
        found[re.sub(r"[0-9a-f-]{36}", "ID", path or page.url)] = page.evaluate(AUDIT)

    for path in ("/", "/categories/Garden", "/search?q=in", "/search?q=nothinglikethis", "/products/1", "/products/2"):
        audit(path)
    for path in ("/products/3", "/nowhere", "/cart", "/sign-in", "/sign-up"):
        audit(path)
    sign_up(page, "Customer")
    make_staff(database, "Customer")
    for path in ("/orders", "/mail", "/checkout", "/staff/products/new"):
        audit(path)
    for product in (2, 1):
        buy(page, product, quantity=2)
    database.execute("update products set stock = 1 where id = 2")
    audit("/cart")
    audit("/checkout")
    page.get_by_role("button", name="Place the order").click()
    audit()
    database.execute("update products set stock = 9 where id = 2")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    audit()
    for path in ("/orders", "/mail", "/staff", "/staff/products/2"):
        audit(path)
    page.get_by_label("Price").fill("nothing")
    page.get_by_role("button", name="Save").click()
    audit()
    assert {path: problems for path, problems in found.items() if problems} == {}
    # A browser also notes the answers that say so themselves.
    assert [text for text in complaints if not re.search(r"status of (404|409|400)", text)] == []
