"""The page in a real browser: what readers see, what mouse, fingers and keys do, and that nobody else is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.workbench import hostile
from workbench.compare import compare, facts
from workbench.report.page import comparison_page, stages_page
from workbench.synth import ROOT
from workbench.templates import read_assembly
from workbench.usage import named

pytestmark = pytest.mark.slow
DESK: ViewportSize = {"width": 1500, "height": 900}
PHONE: ViewportSize = {"width": 420, "height": 860}
BUILD = ROOT / "build"
# What is too pale or too small to be read, outside of the picture; each finding is a sentence.
AUDIT = """() => {
  const found = new Set();
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const parts = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => colour.slice(0, 3)
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    const visible = text && element.checkVisibility({ opacityProperty: true });
    if (!visible || element.closest('svg, script, template, .unseen, .skip')) continue;
    const style = getComputedStyle(element);
    const [dark, bright] = [light(parts(style.color)), light(ground(element))].sort((one, two) => one - two);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.add(`contrast ${contrast.toFixed(1)} of "${text}"`);
    if (parseFloat(style.fontSize) < 14) found.add(`${style.fontSize} of "${text}"`);
  }
  for (const control of document.querySelectorAll('button, a, input, summary, [tabindex="0"]')) {
    const said = control.textContent.trim() || control.getAttribute('aria-label') || control.labels?.[0]?.textContent;
    if (!said) found.add(`says nothing: ${control.outerHTML.slice(0, 120)}`);
  }
  const levels = [...document.querySelectorAll('h1, h2, h3')].map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) found.add('not one main heading');
  return [...found];
}"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def files(production: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of a page of all stages, of one pair, and of one that strangers have written."""
    stages = [facts(f"stage {n}", read_assembly(production[n]), named("moderate")) for n in sorted(production)]
    pages = {
        "stages": stages_page(stages),
        "pair": comparison_page(compare(stages[2], stages[3])),
        "hostile": comparison_page(hostile.comparison(" ".join(hostile.TEXTS[:-1]))),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


Show = Callable[..., Page]


@pytest.fixture
def show(chromium: Browser, files: dict[str, str]) -> Iterator[Show]:
    """Opens a page; whatever the browser complains of or asks for fails the test at its end."""
    complaints: list[str] = []
    asked: list[str] = []
    contexts = []

    def opened(
        name: str = "stages",
        *,
        size: ViewportSize = DESK,
        dark: bool = False,
        script: bool = True,
    ) -> Page:
        context = chromium.new_context(
            viewport=size,
            color_scheme="dark" if dark else "light",
            has_touch=size is PHONE,
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        context.set_default_timeout(5_000)
        contexts.append(context)
        page = context.new_page()
        file, _, choice = name.partition("#")
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        page.goto(f"{files[file]}#{choice}" if choice else files[file])
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
    assert asked
    assert set(asked) <= set(files.values())


def picture(page: Page) -> str:
    return page.locator(".canvas > svg > title").text_content() or ""


def scale(page: Page) -> float:
    return float(page.evaluate("document.querySelector('.canvas > svg').getScreenCTM().a"))


def wait_until(page: Page, expression: str) -> None:
    """What `wait_for_function` waits for: the page's own rules forbid its way of asking a second time."""
    deadline = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never: {expression}"
        page.wait_for_timeout(20)


def seen(page: Page, selector: str) -> bool:
    """Whether the middle of the first such element is on the screen."""
    box = page.locator(selector).first.bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    return 0 <= box["y"] + box["height"] / 2 <= size["height"] and 0 <= box["x"] + box["width"] / 2 <= size["width"]


# --- What is seen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "dark"), [("light", DESK, False), ("dark", DESK, True), ("phone", PHONE, False)]
)
def test_the_page_can_be_read(show: Show, name: str, size: ViewportSize, dark: bool) -> None:
    page = show("stages#3-4", size=size, dark=dark)
    expect(page.locator("h1")).to_have_text("stage 3 →to stage 4")
    assert page.evaluate(SIDEWAYS) == 0
    assert page.evaluate(AUDIT) == []
    BUILD.mkdir(exist_ok=True)
    page.screenshot(path=BUILD / f"page-{name}.png", full_page=True)


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_no_pair_scrolls_sideways(show: Show, size: ViewportSize) -> None:
    page = show(size=size)
    for before in "12345":
        for after in "12345".replace(before, ""):
            page.evaluate(f"location.hash = '{before}-{after}'")
            page.locator(f"article[data-before='{before}'][data-after='{after}']").wait_for()
            assert page.evaluate(SIDEWAYS) == 0


def test_on_a_phone_every_row_is_a_card_that_says_what_its_cells_are(show: Show) -> None:
    page = show("pair", size=PHONE)
    cell = page.locator("#resources tbody td[data-label=change]").first
    assert cell.evaluate("(cell) => getComputedStyle(cell, '::before').content") == '"change"'
    box = page.locator("#resources tbody tr").first.bounding_box()
    assert box is not None
    assert box["width"] > 360


def test_a_page_of_strangers_is_only_text(show: Show) -> None:
    for size in (DESK, PHONE):
        page = show("hostile", size=size)
        assert page.evaluate(SIDEWAYS) == 0
        assert page.locator("main img, main script, main a:not([href^='#'])").count() == 0
        expect(page.locator("h1")).to_contain_text("<img src=x onerror=alert(1)>")


def test_without_a_script_the_first_pair_is_there_and_no_dead_control(show: Show) -> None:
    page = show(script=False)
    expect(page.locator("h1")).to_contain_text("stage 1")
    expect(page.locator(".canvas > svg")).to_be_visible()
    expect(page.locator("#resources tbody tr").last).to_be_visible()
    assert page.locator("button:visible, input:visible").count() == 0


def test_on_paper_the_picture_is_on_the_first_page_and_nothing_is_folded(show: Show) -> None:
    page = show("pair", dark=True)
    BUILD.mkdir(exist_ok=True)
    page.pdf(path=BUILD / "page-print.pdf", format="A4", print_background=True)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("button:visible, input:visible, summary:visible, .bar:visible").count() == 0
    expect(page.locator("#properties tbody tr").last).to_be_visible()
    expect(page.locator("#cost tbody tr").last).to_be_visible()
    assert page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"


# --- What can be chosen -----------------------------------------------------------------------------------------------


def test_the_picker_changes_the_pair_and_the_address(show: Show) -> None:
    page = show()
    page.get_by_role("radio", name="To stage 5").check()
    expect(page.locator("h1")).to_contain_text("stage 1 →to stage 5")
    page.get_by_role("radio", name="From stage 3").check()
    expect(page).to_have_url(page.url.partition("#")[0] + "#3-5")
    expect(page).to_have_title("stage 3 → stage 5 · Compare")
    expect(page.get_by_role("status")).to_contain_text("stage 3 → stage 5")
    page.get_by_role("button", name="Swap the sides").click()
    expect(page.locator("h1")).to_contain_text("stage 5 →to stage 3")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("stage 3 →to stage 5")
    expect(page.get_by_role("radio", name="To stage 5")).to_be_checked()


def test_the_same_stage_on_both_sides_means_the_other_way_round(show: Show) -> None:
    page = show("stages#3-4")
    page.get_by_role("radio", name="From stage 4").check()
    expect(page.locator("h1")).to_contain_text("stage 4 →to stage 3")


@pytest.mark.parametrize(("choice", "first"), [("5-2", "stage 5"), ("9-9", "stage 1"), ("constructor", "stage 1")])
def test_the_address_keeps_the_choice(show: Show, choice: str, first: str) -> None:
    page = show(f"stages#{choice}")
    expect(page.locator("h1")).to_contain_text(f"{first} →")


@pytest.mark.parametrize(
    ("name", "before", "after"), [("stages#3-4", "stage 3", "stage 4"), ("pair", "stage 3", "stage 4")]
)
def test_the_picture_shows_either_side_or_the_changes(show: Show, name: str, before: str, after: str) -> None:
    page = show(name)
    assert picture(page) == f"{before} → {after}"
    for choice, title in (("Before", before), ("After", after), ("Changes", f"{before} → {after}")):
        page.get_by_role("radio", name=choice, exact=True).check()
        assert picture(page) == title


def test_light_and_dark_can_be_switched(show: Show) -> None:
    page = show(dark=True)
    colour = "getComputedStyle(document.body).backgroundColor"
    drawn = "getComputedStyle(document.querySelector('.canvas > svg')).backgroundColor"
    before = page.evaluate(f"[{colour}, {drawn}]")
    button = page.get_by_role("button", name="Dark colours")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    after = page.evaluate(f"[{colour}, {drawn}]")
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, False]


def test_figures_at_the_top_lead_to_their_sections(show: Show) -> None:
    page = show("stages#3-4")
    page.locator(".tile", has_text="Cost of a month").click()
    assert seen(page, "#cost h2")
    assert page.url.endswith("#3-4")


# --- The picture ------------------------------------------------------------------------------------------------------


def test_buttons_keys_and_the_wheel_zoom(show: Show) -> None:
    page = show("pair")
    whole = scale(page)
    page.get_by_role("button", name="Zoom in").click()
    assert scale(page) == pytest.approx(whole * 1.4, rel=0.02)
    page.get_by_role("button", name="Zoom out").click()
    assert scale(page) == pytest.approx(whole, rel=0.02)
    canvas = page.locator(".canvas")
    canvas.focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert scale(page) == pytest.approx(whole * 1.96, rel=0.02)
    page.keyboard.press("0")
    assert scale(page) == pytest.approx(whole, rel=0.02)
    canvas.hover()
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, 200)
    wait_until(page, f"scrollY > {top}")
    assert scale(page) == pytest.approx(whole, rel=0.02), "the wheel alone is for the page"
    page.keyboard.down("Control")
    page.mouse.wheel(0, -50)
    page.keyboard.up("Control")
    wait_until(page, f"document.querySelector('.canvas > svg').getScreenCTM().a > {whole * 1.1}")


def test_arrows_and_the_mouse_move_a_picture_that_is_zoomed(show: Show) -> None:
    page = show("pair")
    canvas = page.locator(".canvas")
    place = "(canvas) => [canvas.scrollLeft, canvas.scrollTop]"
    canvas.focus()
    for _ in range(3):
        page.keyboard.press("+")
    left, top = canvas.evaluate(place)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert canvas.evaluate(place) == [left + 80, top + 80]
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 400, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 260, steps=4)
    page.mouse.up()
    assert canvas.evaluate(place) == [left + 180, top + 120]
    expect(page.locator(".inspector")).to_be_hidden()


def test_what_is_under_the_mouse_stays_there_while_it_zooms(show: Show) -> None:
    page = show("pair")
    thing = page.locator(".canvas .node[data-keys*=DatabasePrimary]").first
    thing.scroll_into_view_if_needed()
    before = thing.bounding_box()
    assert before is not None
    page.mouse.move(before["x"], before["y"])
    page.keyboard.down("Control")
    page.mouse.wheel(0, -60)
    page.keyboard.up("Control")
    wait_until(page, "document.querySelector('.canvas.zoomed')")
    after = thing.bounding_box()
    assert after is not None
    assert after["width"] > before["width"]
    assert after["x"] == pytest.approx(before["x"], abs=3)
    assert after["y"] == pytest.approx(before["y"], abs=3)


def test_two_fingers_zoom(show: Show) -> None:
    page = show("pair", size=PHONE)
    whole = scale(page)
    page.locator(".canvas").scroll_into_view_if_needed()
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 100), ("touchMove", 120)):
        points = [{"x": x - apart / 2, "y": y, "id": 0}, {"x": x + apart / 2, "y": y, "id": 1}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert scale(page) > whole * 1.5


# --- Rows and things --------------------------------------------------------------------------------------------------

PRIMARY = "#resources tr[data-keys*='DatabasePrimary']"
THING = ".canvas .node[data-keys*='DatabasePrimary']"


def test_a_row_under_the_mouse_lights_its_thing_and_the_other_way_round(show: Show) -> None:
    page = show("pair")
    page.locator(PRIMARY).hover()
    expect(page.locator(".ring.lit").first).to_be_visible()
    page.locator(THING).first.hover()
    expect(page.locator(PRIMARY)).to_contain_class("lit")
    page.mouse.move(5, 5)
    expect(page.locator("tr.lit")).to_have_count(0)


def test_a_row_leads_to_its_thing_and_the_thing_back_to_its_rows(show: Show) -> None:
    page = show("pair")
    page.locator(PRIMARY).locator("th").click()
    assert seen(page, THING)
    panel = page.get_by_role("complementary", name="About what is chosen in the picture")
    expect(panel).to_contain_text("db.t4g.medium")
    panel.get_by_role("button", name="Database · Database/Primary (RDS DBInstance) · changed").click()
    assert seen(page, PRIMARY)
    expect(page.locator(PRIMARY)).to_contain_class("pinned lit")
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_a_row_that_is_not_in_the_picture_of_one_side_shows_the_changes(show: Show) -> None:
    page = show("pair")
    page.get_by_role("radio", name="Before", exact=True).check()
    page.locator("#cost tr[data-keys*='CacheGroup']").first.locator("th").click()
    assert picture(page) == "stage 3 → stage 4"
    assert seen(page, ".ring.pinned")


def test_everything_can_be_done_with_keys(show: Show) -> None:
    page = show("pair")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#attention .locate").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 2
    page.keyboard.press("Enter")
    expect(page.locator(".inspector")).to_be_visible()
    assert page.evaluate("document.activeElement.className").startswith("canvas")
    page.keyboard.press("Escape")
    expect(page.locator(".inspector")).to_be_hidden()
    page.locator(THING).first.focus()
    expect(page.locator(".ring.lit").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".inspector li")).not_to_have_count(0)


def test_long_tables_are_cut_until_somebody_wants_them(show: Show) -> None:
    page = show("pair")
    table = page.locator("#cost table").last
    rows = table.locator("tbody tr")
    expect(rows.last).to_be_hidden()
    page.locator("#cost .more").click()
    expect(rows.last).to_be_visible()
    expect(page.locator("#cost .more")).to_have_count(0)
