"""The page as text: what it holds and in which order, and that no template can add anything to it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.workbench import hostile
from workbench.compare import Comparison, Facts, compare, facts, verdict
from workbench.compare.model import Availability, Capacity, Ceiling
from workbench.compare.model import Path as RequestPath
from workbench.report.compare.sections import Row, Section, sections
from workbench.report.page import comparison_page, stages_page, view
from workbench.report.page.charts import availability_bars, capacity_bars, cost_by_block
from workbench.templates import read_assembly
from workbench.usage import named

NOTHING: Mapping[str, str] = {}
VOID = {"meta", "input", "link", "img", "br", "hr", "wbr"}
URLS = {"src", "href", "action", "formaction", "data", "poster", "srcset", "xlink:href", "ping", "background"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    inside: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self) -> Iterator[Element]:
        yield self
        for element in self.inside:
            yield from element.all()

    def find(self, tag: str, wanted: Mapping[str, str] = NOTHING) -> list[Element]:
        return [
            element
            for element in self.all()
            if element.tag == tag
            and all(element.attributes.get(name.strip("_")) == value for name, value in wanted.items())
        ]

    @property
    def words(self) -> str:
        return " ".join(element.text.strip() for element in self.all() if element.text.strip())


class Tree(HTMLParser):
    """HTML as a browser would nest it; a tag that closes nothing, or the wrong thing, is an error."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(source)
        self.close()
        assert self.open == [self.root], [element.tag for element in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag} {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


@pytest.fixture(scope="module")
def stages(production: dict[int, Path]) -> list[Facts]:
    return [facts(f"stage {n}", read_assembly(production[n]), named("moderate")) for n in sorted(production)]


@pytest.fixture(scope="module")
def source(stages: list[Facts]) -> str:
    return stages_page(stages)


@pytest.fixture(scope="module")
def tree(source: str) -> Element:
    return Tree(source).root


@pytest.fixture(scope="module")
def pair(stages: list[Facts]) -> Comparison:
    """Stage 3 as it becomes stage 4."""
    return compare(stages[2], stages[3])


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_every_stage_stands_beside_every_other(tree: Element) -> None:
    shown = [(each.attributes["data-before"], each.attributes["data-after"]) for each in tree.find("article")]
    assert sorted(shown) == sorted((before, after) for before in "12345" for after in "12345" if before != after)
    assert shown[0] == ("1", "2"), "the one that is read without a script"


def test_only_the_first_pair_is_laid_out_before_it_is_chosen(tree: Element) -> None:
    (main,) = tree.find("main")
    assert len(main.find("article")) == 1
    assert len(tree.find("template")) == 19 + 5


def test_the_plain_picture_of_a_stage_is_there_once(tree: Element) -> None:
    pictures = [each for each in tree.find("svg") if each.attributes.get("role") == "img" and each.find("title")]
    assert len([each for each in pictures if each.attributes.get("class") == "picture"]) == 20 + 5


def test_the_verdict_comes_first_then_the_picture_then_every_section(pair: Comparison) -> None:
    (article,) = Tree(comparison_page(pair)).root.find("article")
    assert [each.tag for each in article.inside[:2]] == ["header", "figure"]
    assert [each.attributes["id"] for each in article.inside[2:]] == [each.id for each in sections(pair)]
    assert article.inside[0].find("p", {"class": "said"})[0].text == verdict(pair)


def test_every_row_of_every_section_is_on_the_page(pair: Comparison) -> None:
    tree = Tree(comparison_page(pair)).root
    for section in sections(pair):
        (part,) = tree.find("section", {"id": section.id})
        told = [row.words.replace(" full first", "") for row in part.find("tr")]
        for row in section.rows:
            said = " ".join(cell.strip() for cell in row.cells if cell.strip())
            assert said in told, said


def test_what_changed_is_tied_to_its_place_in_the_picture(pair: Comparison) -> None:
    (article,) = Tree(comparison_page(pair)).root.find("article")
    drawn = {key for each in article.find("g") for key in each.attributes.get("data-keys", "").split()}
    (resources,) = article.find("section", {"id": "resources"})
    rows = [row.attributes["data-keys"].split() for row in resources.find("tr") if "data-keys" in row.attributes]
    assert len([keys for keys in rows if drawn & set(keys)]) > len(rows) / 2
    assert any("DatabasePrimary" in key for key in drawn)


@pytest.mark.slow
def test_the_same_stages_make_the_same_bytes(stages: list[Facts], source: str) -> None:
    assert stages_page(stages) == source


def test_five_stages_fit_into_four_megabytes(source: str) -> None:
    assert len(source.encode()) < 4_000_000


# --- What must not be in it -------------------------------------------------------------------------------------------


def test_the_policy_knows_the_one_style_and_the_one_script(tree: Element) -> None:
    (policy,) = (each.attributes["content"] for each in tree.find("meta") if "http-equiv" in each.attributes)
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        (element,) = tree.find(tag)
        assert element.attributes == {}
        known = b64encode(sha256(element.text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{known}';" in policy


def test_nothing_is_loaded_and_nothing_is_styled_or_scripted_in_place(tree: Element, source: str) -> None:
    for element in tree.all():
        assert "style" not in element.attributes, element.tag
        assert not [name for name in element.attributes if name.startswith("on")], element.tag
        assert all(value.startswith("#") for name, value in element.attributes.items() if name in URLS), element
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", source)


def test_no_id_is_there_twice_at_a_time(tree: Element) -> None:
    (body,) = tree.find("body")
    always = [each for part in body.inside if part.tag not in ("main", "template") for each in part.all()]
    sides = [each for template in tree.find("template") for each in template.find("svg")]
    for article in tree.find("article"):
        ids = [each.attributes["id"] for each in [*always, *article.all()] if "id" in each.attributes]
        assert len(ids) == len(set(ids))
    ids = [each.attributes["id"] for svg in sides for each in svg.all() if "id" in each.attributes]
    assert len(ids) == len(set(ids))


def kinds(source: str) -> set[tuple[str, ...]]:
    """Which elements there are, with which attributes, and what those say that a browser acts on."""
    acted_on = ("class", "href", "id", "role", "type")
    found = set()
    for each in Tree(source).root.all():
        told = {name: value if name in acted_on else "" for name, value in each.attributes.items()}
        if "class" in told:  # how long words are decides only where they break
            told["class"] = re.sub(r" short\d", "", told["class"])
        found.add((each.tag, *(f"{name}={value}" for name, value in sorted(told.items()))))
    return found


@pytest.mark.parametrize("number", range(len(hostile.TEXTS)))
def test_no_template_adds_an_element_an_attribute_or_a_link(number: int) -> None:
    source = comparison_page(hostile.comparison(hostile.TEXTS[number]))
    found = kinds(source)
    harmless = comparison_page(hostile.comparison("Word/Word")), comparison_page(hostile.comparison("Word"))
    assert found <= kinds(harmless[0]) | kinds(harmless[1])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]", source)


def test_a_section_that_lets_something_through_is_not_trusted(
    pair: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = Section("rights", "Rights", "\u202eanswer", ("", "who"), (Row(("+", "<b>\u202eevil\x1b[0m")),))
    monkeypatch.setattr(view, "sections", lambda _: [careless])
    (part,) = Tree(comparison_page(pair)).root.find("section")
    assert part.find("b") == []
    assert "\u202e" not in part.words
    assert "<b>\ufffdevil\ufffd[0m" in part.words


# --- Charts -----------------------------------------------------------------------------------------------------------


def test_the_blocks_add_up_to_the_total(pair: Comparison) -> None:
    *blocks, total = cost_by_block(pair)
    assert total.cells[1:3] == (f"{pair.before.cost.usd:,.0f}", f"{pair.after.cost.usd:,.0f}")
    for column, side in ((1, pair.before), (2, pair.after)):
        told = sum(float(block.cells[column].replace(",", "").replace("-", "0")) for block in blocks)
        assert told == pytest.approx(side.cost.usd, abs=len(blocks) / 2)


def test_the_dearest_block_fills_its_bar(pair: Comparison) -> None:
    bars = [block.bars for block in cost_by_block(pair) if block.bars]
    assert max(side for bar in bars for side in (bar.before, bar.after) if side is not None) == 100


def with_capacity(side: Facts, *ceilings: tuple[str, float | None]) -> Facts:
    made = (Ceiling(name, 100, "of them", used, "here") for name, used in ceilings)
    return replace(side, capacity=Capacity(tuple(made)))


def test_a_ceiling_that_is_exceeded_goes_beyond_its_line(pair: Comparison) -> None:
    before = with_capacity(pair.before, ("connections", 40), ("gone", 10))
    after = with_capacity(pair.after, ("connections", 110), ("hosts", 50), ("hidden", None))
    bars = capacity_bars(replace(pair, before=before, after=after))
    over = bars["connections"]
    assert over.limit is not None
    assert over.before is not None
    assert over.over
    assert over.before == pytest.approx(over.limit * 0.4)
    assert over.badge == "full first"
    assert (bars["hosts"].before, bars["hosts"].over, bars["hosts"].badge) == (None, False, "")
    assert bars["hidden"].after is None
    assert bars["gone"].after is None
    assert "before 40%, after 110%" in over.said


def test_downtimes_share_one_scale_and_unknown_has_no_bar(pair: Comparison) -> None:
    before, after = (
        replace(side, availability=Availability(tuple(RequestPath(name, (), share) for name, share in paths), ()))
        for side, paths in (
            (pair.before, [("read", 0.998), ("write", 0.99)]),
            (pair.after, [("read", 0.999), ("write", None)]),
        )
    )
    bars = availability_bars(replace(pair, before=before, after=after))
    assert bars["write"].before == pytest.approx(100)
    assert bars["read"].before == pytest.approx(20)
    assert bars["read"].after == pytest.approx(10)
    assert bars["write"].after is None
    assert "after unknown" in bars["write"].said
