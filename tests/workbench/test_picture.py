"""The picture: nothing in it touches what it should not, and the SVG holds exactly what was laid out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from playwright.sync_api import Browser

import workbench.compare.scene
from tests.conftest import Assemblies
from tests.workbench.handmade import resource
from tests.workbench.test_scene import RESOURCES, Scenes, ref, scenes_of, system
from workbench.compare.scene import Mark, Scene, scene
from workbench.compare.scene.inside import OTHER_STORES
from workbench.compare.scene.regional import SHARED
from workbench.report.picture import STYLE, mermaid, standalone, svg, symbols
from workbench.report.picture.layout import layout
from workbench.report.picture.measure import visible, width
from workbench.report.picture.parts import BADGE, TEXT, TITLE, Card, Frame, Label, Line, Picture, Rect, Text
from workbench.report.picture.symbols import icons
from workbench.report.picture.tracks import Run, tracks
from workbench.templates.reading import System

SVG = "{http://www.w3.org/2000/svg}"
PROFILES = ("production", "sandbox")
STAGES = range(1, 6)
SIDES = [((stage,), profile) for profile in PROFILES for stage in STAGES]
PAIRS = [(pair, profile) for profile in PROFILES for pair in permutations(STAGES, 2)]


@pytest.fixture(scope="module")
def scenes(assemblies: Assemblies) -> Scenes:
    """The scene of every stage, and of every pair."""
    return scenes_of(assemblies)


# --- geometry ---------------------------------------------------------------------------------------------------------


def problems(picture: Picture) -> list[str]:
    """Everything in a picture that touches what it should not, or leaves the place that it has."""
    rules = (crowded_labels, crossed_things, crowded_texts, overlapping_cards, lines_along_each_other, outside)
    return [found for rule in rules for found in rule(picture)]


def owners(picture: Picture) -> list[Card | Frame]:
    """Everything that holds text, and may have a badge."""
    return [*picture.cards, *picture.frames]


def texts(picture: Picture) -> list[tuple[Text, Card | Frame]]:
    return [(text, owner) for owner in owners(picture) for text in owner.texts]


def badges(picture: Picture) -> list[Rect]:
    return [owner.badge.rect for owner in owners(picture) if owner.badge]


def crowded_labels(picture: Picture) -> Iterator[str]:
    """No label touches another one, a badge, an icon, other text, or any line but its own."""
    for one, other in combinations(picture.labels, 2):
        if one.rect.touches(other.rect):
            yield f"label {one.text.text} touches label {other.text.text}"
    fixed = [(rect, "a badge") for rect in badges(picture)]
    fixed += [(icon.rect, "an icon") for card in picture.cards for icon in card.icons]
    fixed += [(text.rect, text.text) for text, _ in texts(picture)]
    fixed += [(card.rect, card.id) for card in picture.cards if card.kind != "group"]
    for label in picture.labels:
        own = picture.lines[label.line]
        yield from (f"label {label.text.text} touches {what}" for rect, what in fixed if label.rect.touches(rect))
        for line in picture.lines:
            if line is not own and any(label.rect.touches(part) for part in line.segments()):
                yield f"label {label.text.text} touches the line {line.source} -> {line.target}"
        if not any(label.rect.touches(part) for part in own.segments()):
            yield f"label {label.text.text} is not on its line"


def crossed_things(picture: Picture) -> Iterator[str]:
    """No line runs through a card, a text or a badge."""
    rects = {card.id: card.rect for card in picture.cards}
    for line in picture.lines:
        name = f"line {line.source} -> {line.target}"
        parts = list(line.segments())
        if any(part.w and part.h for part in parts):
            yield f"{name} is neither level nor upright"
        for card in picture.cards:
            around = card.kind == "group" and any(card.rect.holds(rects[end]) for end in (line.source, line.target))
            inner = Rect(card.rect.x + 1, card.rect.y + 1, card.rect.w - 2, card.rect.h - 2)
            if card.id not in (line.source, line.target) and not around and any(part.touches(inner) for part in parts):
                yield f"{name} crosses {card.id}"
        for text, _ in texts(picture):
            if any(part.touches(text.rect) for part in parts):
                yield f"{name} crosses the text {text.text}"
        if any(part.touches(badge) for part in parts for badge in badges(picture)):
            yield f"{name} crosses a badge"


def crowded_texts(picture: Picture) -> Iterator[str]:
    """Texts stay in their boxes, and away from each other, from icons and from badges."""
    every = texts(picture)
    for text, owner in every:
        if not (owner.rect.x <= text.rect.x and text.rect.right <= owner.rect.right):
            yield f"text {text.text} is wider than its box"
        if not (owner.rect.y <= text.rect.y and text.rect.bottom <= owner.rect.bottom):
            yield f"text {text.text} is higher than its box"
        for card in picture.cards:
            if any(text.rect.touches(icon.rect) for icon in card.icons):
                yield f"text {text.text} touches an icon"
        if any(text.rect.touches(badge) for badge in badges(picture)):
            yield f"text {text.text} touches a badge"
    for (one, _), (other, _) in combinations(every, 2):
        # Lines of one text stand closer than letters could be high.
        if one.rect.touches(other.rect, -4):
            yield f"text {one.text} touches text {other.text}"


def overlapping_cards(picture: Picture) -> Iterator[str]:
    """Cards stand beside each other, or one inside the other."""
    for one, other in combinations(picture.cards, 2):
        if one.rect.touches(other.rect) and not one.rect.holds(other.rect) and not other.rect.holds(one.rect):
            yield f"{one.id} overlaps {other.id}"


def lines_along_each_other(picture: Picture) -> Iterator[str]:
    """Lines share a way only if they share an end."""
    for one, other in combinations(picture.lines, 2):
        if one.source == other.source or one.target == other.target:
            continue
        for part, another in ((a, b) for a in one.segments() for b in other.segments()):
            upright = part.w == another.w == 0 and abs(part.x - another.x) < 6
            level = part.h == another.h == 0 and abs(part.y - another.y) < 6
            together = (
                min(part.bottom, another.bottom) - max(part.y, another.y)
                if upright
                else min(part.right, another.right) - max(part.x, another.x)
            )
            if (upright or level) and together > 8:
                yield f"{one.source} -> {one.target} runs along {other.source} -> {other.target}"


def outside(picture: Picture) -> Iterator[str]:
    view = Rect(0, 0, picture.width, picture.height)
    rects = [owner.rect for owner in owners(picture)] + [label.rect for label in picture.labels]
    rects += [text.rect for text, _ in texts(picture)] + [note.rect for note in picture.notes] + badges(picture)
    rects += [part for line in picture.lines for part in line.segments()]
    yield from (f"{rect} is outside" for rect in rects if not view.holds(rect))


@pytest.mark.parametrize(("stages", "profile"), [*SIDES, *PAIRS])
def test_nothing_touches_what_it_should_not(scenes: Scenes, stages: tuple[int, ...], profile: str) -> None:
    drawn = scenes(*stages, profile=profile)
    picture = layout(drawn)
    assert problems(picture) == []
    assert len(picture.lines) == len(drawn.arrows), "every arrow is there"
    assert len(picture.labels) == sum(bool(line.said) for line in picture.lines), "every label has found a place"
    assert {card.id for card in picture.cards} == {node.id for top in drawn.nodes for node in (top, *top.members)}


def example(scenes: Scenes) -> Picture:
    return layout(scenes(3, 4))


def shifted(label: Label, rect: Rect) -> Label:
    return replace(label, rect=Rect(rect.x, rect.y, label.rect.w, label.rect.h))


Breaking = Callable[[Picture], Picture]
BREAKINGS: dict[str, Breaking] = {
    "touches label": lambda one: replace(one, labels=(*one.labels, replace(one.labels[0]))),
    "touches a badge": lambda one: replace(one, labels=(shifted(one.labels[0], badges(one)[0]), *one.labels[1:])),
    "touches an icon": lambda one: replace(
        one, labels=(shifted(one.labels[0], one.cards[5].icons[0].rect), *one.labels[1:])
    ),
    "touches the line": lambda one: replace(one, labels=(replace(one.labels[0], line=1), *one.labels[1:])),
    "is not on its line": lambda one: replace(one, labels=(shifted(one.labels[0], Rect(0, 0, 1, 1)),)),
    "crosses": lambda one: replace(one, lines=(*one.lines, Line("a", "b", ((0, 300), (one.width, 300))))),
    "neither level nor upright": lambda one: replace(one, lines=(Line("a", "b", ((0, 0), (9, 9))),), labels=()),
    "is wider than its box": lambda one: replace(
        one, cards=(replace(one.cards[0], rect=replace(one.cards[0].rect, w=60)), *one.cards[1:])
    ),
    "is higher than its box": lambda one: replace(
        one, cards=(replace(one.cards[0], rect=replace(one.cards[0].rect, h=10)), *one.cards[1:])
    ),
    "overlaps": lambda one: replace(
        one, cards=(*one.cards, replace(one.cards[-1], id="x", rect=one.cards[-1].rect.moved(20, 20)))
    ),
    "runs along": lambda one: replace(one, lines=(*one.lines, replace(one.lines[0], source="x", target="y"))),
    "is outside": lambda one: replace(one, height=one.height - 60),
    "touches text": lambda one: replace(one, cards=(*one.cards, replace(one.cards[0], id="x"))),
}


@pytest.mark.parametrize("said", BREAKINGS)
def test_the_rules_see_what_they_are_there_for(scenes: Scenes, said: str) -> None:
    broken = BREAKINGS[said](example(scenes))
    rects = {card.id: card.rect for card in broken.cards}
    ends = {end for line in broken.lines for end in (line.source, line.target)} - rects.keys()
    extra = tuple(
        replace(broken.cards[0], id=end, rect=Rect(0, 0, 0, 0), texts=(), icons=(), badge=None) for end in ends
    )
    assert any(said in found for found in problems(replace(broken, cards=(*broken.cards, *extra))))


def test_things_keep_their_column_from_stage_to_stage(scenes: Scenes) -> None:
    def left(stage: int, title: str) -> float:
        drawn = scenes(stage)
        ids = {node.title: node.id for node in drawn.nodes}
        return next(card.rect.x for card in layout(drawn).cards if card.id == ids[title])

    assert left(2, "Users") == left(5, "Users")
    assert abs(left(2, "RDS PostgreSQL 17") - left(5, "RDS PostgreSQL 17")) < 40


@pytest.mark.parametrize("stage", STAGES)
def test_on_a_page_of_1500_pixels_no_text_is_smaller_than_11(scenes: Scenes, stage: int) -> None:
    picture = layout(scenes(stage))
    shrunk = min(1, 1460 / picture.width)
    assert min(TEXT, TITLE) * shrunk >= 11
    assert BADGE * shrunk >= 10.5


def crossings(picture: Picture) -> int:
    """How often lines cross that have no end in common."""
    pairs = [
        (part, another)
        for one, other in combinations(picture.lines, 2)
        if one.source != other.source and one.target != other.target
        for part in one.segments()
        for another in other.segments()
    ]
    both = [(a, b) if a.w == 0 else (b, a) for a, b in pairs if (a.w == 0) != (b.w == 0)]
    return sum(level.x < up.x < level.right and up.y < level.y < up.bottom for up, level in both)


@pytest.mark.parametrize("stage", STAGES)
def test_lines_of_a_stage_hardly_cross(scenes: Scenes, stage: int) -> None:
    assert crossings(layout(scenes(stage))) <= 5


def test_lines_in_a_lane_are_in_the_order_in_which_they_cross_least() -> None:
    upper = Run(0, "upper", begin=0, end=100, from_low=True, to_low=False, room=0)
    lower = Run(1, "lower", begin=50, end=150, from_low=True, to_low=False, room=0)
    assert list(tracks([upper, lower], 12)) == [(1,), (0,)]
    assert list(tracks([lower, upper], 12)) == [(1,), (0,)]


def test_lines_that_share_their_way_or_never_meet_share_a_track() -> None:
    one = Run(0, "one", begin=0, end=40, from_low=True, to_low=False, room=0)
    below = Run(1, "below", begin=90, end=120, from_low=True, to_low=False, room=0)
    beside = Run(2, "one", begin=0, end=80, from_low=True, to_low=False, room=30)
    assert {frozenset(track): size for track, size in tracks([one, below], 12).items()} == {frozenset({0, 1}): 12}
    assert tracks([one, beside], 12) == {(0, 2): 30}


def test_the_same_scene_makes_the_same_picture(scenes: Scenes) -> None:
    drawn = scenes(4, 5)
    assert svg(drawn, title="a", idprefix="b") == svg(drawn, title="a", idprefix="b")


def test_a_picture_is_made_in_an_instant(scenes: Scenes) -> None:
    drawn = scenes(5, 2)
    took = []
    for _ in range(5):
        start = time.process_time()
        svg(drawn, title="a", idprefix="b")
        took.append(time.process_time() - start)
    assert min(took) < 0.025


@given(before=RESOURCES, after=RESOURCES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_templates_of_any_shape_make_a_picture(before: dict[str, object], after: dict[str, object]) -> None:
    drawn = scene(system(after), system(before), {})
    picture = layout(drawn)
    along = set(lines_along_each_other(picture))  # where everybody calls everybody, lines may have to
    assert set(problems(picture)) == along
    ElementTree.fromstring(svg(drawn, title="a", idprefix="b"))
    assert mermaid(drawn).startswith("flowchart LR")


def test_an_empty_scene_says_so() -> None:
    drawn = svg(Scene(), title="a", idprefix="b")
    assert "Nothing in these templates can be drawn." in drawn


def test_what_found_no_room_is_counted() -> None:
    many = {f"Bucket{number}": resource("AWS::S3::Bucket") for number in range(70)}
    assert "+ 10 more" in svg(scene(system(many)), title="a", idprefix="b")


# --- the SVG ----------------------------------------------------------------------------------------------------------


def box(element: ElementTree.Element) -> tuple[float, ...]:
    return tuple(float(element.get(name, "nan")) for name in ("x", "y", "width", "height"))


def rounded(rect: Rect) -> tuple[float, ...]:
    return tuple(float(f"{side:.1f}") for side in (rect.x, rect.y, rect.w, rect.h))


def test_the_svg_holds_exactly_what_was_laid_out(scenes: Scenes) -> None:
    drawn = scenes(3, 4)
    picture = layout(drawn)
    root = ElementTree.fromstring(svg(drawn, title="a", idprefix="b"))
    rects = [owner.rect for owner in owners(picture)] + [label.rect for label in picture.labels] + badges(picture)
    assert sorted(map(box, root.iter(f"{SVG}rect"))) == sorted(map(rounded, rects))
    images = [icon.rect for card in picture.cards for icon in card.icons]
    assert sorted(map(box, root.iter(f"{SVG}use"))) == sorted(map(rounded, images))
    said = [text.text for text, _ in texts(picture)] + [label.text.text for label in picture.labels]
    said += [owner.mark.value for owner in owners(picture) if owner.mark and owner.badge]
    assert sorted(text.text or "" for text in root.iter(f"{SVG}text")) == sorted(said)
    lines = root.findall(f".//{SVG}g[@class]/{SVG}path[@class='line']")
    steps = sum(bool(card.step) for card in picture.cards)
    assert len(lines) == len(picture.lines) + steps


def test_every_thing_carries_the_keys_of_what_it_stands_for(scenes: Scenes) -> None:
    drawn = scenes(5)
    root = ElementTree.fromstring(svg(drawn, title="a", idprefix="b"))
    written = {key for group in root.iter(f"{SVG}g") for key in (group.get("data-keys") or "").split()}
    stands_for = {".".join(key) for node in drawn.all() for key in node.keys}
    stands_for |= {".".join(key) for vpc in drawn.vpcs for key in vpc.keys}
    stands_for |= {".".join(key) for vpc in drawn.vpcs for subnet in vpc.subnets for key in subnet.keys}
    assert written == stands_for


def test_a_picture_is_an_image_with_a_name_and_a_description(scenes: Scenes) -> None:
    root = ElementTree.fromstring(svg(scenes(3, 4), title="3 to 4", idprefix="pair"))
    named = {element.get("id"): element.text for element in root if element.get("id")}
    assert root.get("role") == "img"
    assert (root.get("aria-labelledby") or "").split() == ["pair-title", "pair-desc"]
    assert named["pair-title"] == "3 to 4"
    assert "CloudFront (new)" in (named["pair-desc"] or "")
    assert "Auto Scaling group to ElastiCache Valkey :6380" in (named["pair-desc"] or "")


def test_marks_can_be_told_without_colours(scenes: Scenes) -> None:
    root = ElementTree.fromstring(svg(scenes(5, 2), title="a", idprefix="b"))
    for group in root.iter(f"{SVG}g"):
        kinds = (group.get("class") or "").split()
        if "node" in kinds and "marked" in kinds:
            assert {text.text for text in group.iter(f"{SVG}text")} & {mark.value for mark in Mark}
    assert re.search(r"\.removed \.line\{[^}]*dasharray", STYLE)


HOSTILE = (
    "<script>alert(1)</script>",
    "\" onload=\"alert(1)' x='",
    "&lt;b&gt; ]]> <!-- --> <![CDATA[",
    "\u202eright to left\u2066\u200b",
    "\x00\x07\x1b[31m\ud800\ufffe",
    "a\u0301\u0301\u0301\u0301\u0301\u0301",
    "日本語 \U0001f600 \ufdfd",
    "long" * 500,
)


def named(name: str) -> System:
    """Things that are called so in every way that a picture tells."""
    things = {
        "Bucket": resource("AWS::S3::Bucket"),
        "Vpc": resource("AWS::EC2::VPC", CidrBlock=name),
        "Subnet": resource("AWS::EC2::Subnet", VpcId=ref("Vpc"), AvailabilityZone=name, CidrBlock=name),
        "Host": resource("AWS::EC2::Instance", SubnetId=ref("Subnet"), InstanceType=name),
        "Database": resource("AWS::RDS::DBInstance", Engine=name, DBInstanceClass=name, AllocatedStorage=name),
        "Domain": resource("AWS::Route53::RecordSet", Name=name, Type="A", ResourceRecords=[name]),
        name: resource("AWS::Lambda::Function", MemorySize=name),
    }
    return system(things, paths={key: f"{name}/{key}/{name}" for key in things}, region=name)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_neither_break_out_of_the_picture_nor_disturb_it(name: str) -> None:
    drawn = scene(named(name))
    assert problems(layout(drawn)) == []
    for written in (svg(drawn, title=name, idprefix="a"), standalone(drawn, title=name)):
        root = ElementTree.fromstring(written)
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            "svg", "title", "desc", "defs", "style", "symbol", "rect", "g", "path", "text", "use", "circle", "polygon",
        }  # fmt: skip
        assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
        assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x1b]", written)


def test_what_nobody_can_see_is_left_out() -> None:
    assert visible("a\u202eb\x07c\u200b\n d\ud800") == "abc d"
    assert visible("a\u0301\u0301") == "a"


# --- files and symbols ------------------------------------------------------------------------------------------------


def test_symbols_hold_every_icon_once_and_little_else(scenes: Scenes) -> None:
    root = ElementTree.fromstring(symbols().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    ids = [symbol.get("id") for symbol in root.iter(f"{SVG}symbol")]
    assert ids == [f"icon-{name}" for name in sorted(icons())]
    assert len(symbols()) < 40_000
    used = {icon.name for number in STAGES for card in layout(scenes(number)).cards for icon in card.icons}
    assert used <= icons().keys()


def test_every_kind_of_thing_has_its_icon() -> None:
    folder = Path(workbench.compare.scene.__file__).parent
    source = "".join(file.read_text("utf-8") for file in sorted(folder.glob("*.py")))
    named_alone = set(re.findall(r'\(\(?"([a-z]+)",\)', source))
    named_in_pairs = set(re.findall(r'\("([a-z]+)", "([a-z]+)"\), ', source))
    kinds = named_alone | {icon for pair in named_in_pairs for icon in pair}
    kinds |= {icon for icon, _, _ in OTHER_STORES.values()} | {shared.icon for shared in SHARED}
    assert len(kinds) > 20
    assert kinds <= icons().keys()


def test_a_file_of_its_own_needs_nothing_else(scenes: Scenes) -> None:
    written = standalone(scenes(3, 4), title="a")
    root = ElementTree.fromstring(written)
    ids = {element.get("id") for element in root.iter()}
    assert {(use.get("href") or "").removeprefix("#") for use in root.iter(f"{SVG}use")} <= ids
    assert "prefers-color-scheme:dark" in written
    assert not re.search(r"(?:href|src|url\()\s*=?\s*['\"(]?https?:", written)
    assert "@import" not in written


def test_the_icons_come_with_a_word_about_whose_they_are() -> None:
    from importlib.resources import files

    notice = (files("workbench.report.picture") / "icons" / "NOTICE").read_text("utf-8")
    assert "Amazon Web Services" in notice
    assert "aws-react-icons" in notice


# --- in a browser -----------------------------------------------------------------------------------------------------


MEASURE = """() => [...document.querySelectorAll("svg.picture text")].map(one => {
  const style = getComputedStyle(one);
  return [one.textContent, one.getBBox().width, parseFloat(style.fontSize), Number(style.fontWeight) >= 600];
})"""


@pytest.mark.slow
def test_no_text_is_wider_in_a_browser_than_was_reckoned_with(scenes: Scenes, chromium: Browser) -> None:
    page = chromium.new_page()
    looked_at = 0
    for stages in ((1,), (5,), (3, 4), (5, 2)):
        page.set_content(standalone(scenes(*stages), title="a"))
        for text, measured, size, bold in page.evaluate(MEASURE):
            assert measured <= width(text, size, bold=bold) + 0.6, text
            looked_at += 1
    page.close()
    assert looked_at > 200


@pytest.mark.slow
@pytest.mark.parametrize("bold", [False, True])
def test_every_printable_character_is_as_wide_as_the_table_says_at_most(chromium: Browser, bold: bool) -> None:
    page = chromium.new_page()
    page.set_content(f'<svg class="picture"><style>{STYLE}</style><text id="t"></text></svg>')
    measure = """([text, weight]) => {
      const one = document.getElementById("t");
      one.style.fontWeight = weight; one.style.fontSize = "100px"; one.textContent = text;
      return one.getComputedTextLength();
    }"""
    for text in (*map(chr, range(33, 127)), "→", "·", "…"):
        assert page.evaluate(measure, [text, 700 if bold else 400]) <= width(text, 100, bold=bold) + 0.5, text
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "theme", "dark"), [
    ("light", "", False), ("dark", "", True), ("dark", "light", False), ("light", "dark", True),
])  # fmt: skip
def test_a_picture_follows_the_reader_and_the_page(
    scenes: Scenes, chromium: Browser, scheme: str, theme: str, dark: bool
) -> None:
    page = chromium.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    drawn = svg(scenes(4), title="a", idprefix="b")
    page.set_content(f'<html data-theme="{theme}"><style>{STYLE}</style>{symbols()}{drawn}</html>')
    red, *_ = page.evaluate(
        "() => getComputedStyle(document.querySelector('.picture .title')).fill.match(/\\d+/g).map(Number)"
    )
    assert (red > 128) is dark
    page.close()
