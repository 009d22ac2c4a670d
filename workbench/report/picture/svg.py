"""A picture as SVG: light and dark through custom properties, every thing with the keys of what it stands for."""

from __future__ import annotations

import html
from collections.abc import Iterator

from workbench.compare.scene import Mark, Scene
from workbench.report.picture.layout import layout
from workbench.report.picture.measure import FONTS, visible
from workbench.report.picture.parts import BADGE, Badge, Card, Frame, Icon, Label, Line, Picture, Rect, Text
from workbench.report.picture.symbols import icons, symbols

SPREAD = "Copies whose zone is left to AWS are spread over the zones in order."
HEAD = 9  # the length of an arrow's head
CLASSES = {
    Mark.NEW: "new", Mark.CHANGED: "changed", Mark.MAYBE: "maybe", Mark.REPLACED: "replaced", Mark.REMOVED: "removed",
}  # fmt: skip
LIGHT = """--p-page:#fff;--p-card:#fff;--p-edge:#cfd6df;--p-ink:#1c2733;--p-soft:#57636f;--p-line:#6b7785;
--p-region:#f7f9fb;--p-vpc:#fff;--p-vpc-edge:#b9a3e8;--p-vpc-ink:#5b32b4;--p-public:#f1f7ea;--p-inner:#eef5fb;
--p-group:#fff;--p-new:#1a7f37;--p-changed:#8a5a00;--p-replaced:#c4232f;--p-removed:#66707b;--p-on:#fff"""
DARK = """--p-page:#0e141b;--p-card:#1b242e;--p-edge:#3a4653;--p-ink:#e8edf2;--p-soft:#a4b0bc;--p-line:#8c99a6;
--p-region:#121a22;--p-vpc:#151e27;--p-vpc-edge:#6f58a8;--p-vpc-ink:#bfa6ff;--p-public:#18281f;--p-inner:#192a37;
--p-group:#1b242e;--p-new:#4fc46c;--p-changed:#e0a83a;--p-replaced:#ff7b80;--p-removed:#8f9ba7;--p-on:#0e141b"""
STYLE = f"""
.symbols{{position:absolute}}
.picture{{{LIGHT};font-family:{FONTS.replace('"', "'")};background:var(--p-page)}}
@media (prefers-color-scheme:dark){{:root:not([data-theme=light]) .picture,.picture.alone{{{DARK}}}}}
:root[data-theme=dark] .picture{{{DARK}}}
.picture text{{fill:var(--p-ink);font-size:12px;white-space:pre}}
.picture .title{{font-size:13px;font-weight:600}}
.picture .fact,.picture .guard,.picture .caption{{fill:var(--p-soft)}}
.picture .old{{fill:var(--p-soft);text-decoration:line-through}}
.picture .delta{{font-weight:600;fill:var(--p-changed)}}
.picture .network{{font-size:13px;font-weight:600;fill:var(--p-vpc-ink)}}
.picture .frame rect{{fill:none;stroke:none}}
.picture .region>rect{{fill:var(--p-region);stroke:var(--p-edge);stroke-dasharray:2 4;stroke-width:1.4}}
.picture .region .caption{{font-weight:600}}
.picture .vpc>rect{{fill:var(--p-vpc);stroke:var(--p-vpc-edge);stroke-width:1.4}}
.picture .public>rect{{fill:var(--p-public)}}
.picture .app>rect,.picture .data>rect{{fill:var(--p-inner)}}
.picture .card>rect,.picture .plain>rect{{fill:var(--p-card);stroke:var(--p-edge)}}
.picture .group>rect{{fill:var(--p-group);stroke:var(--p-edge)}}
.picture .icon-users{{color:var(--p-ink)}}
.picture .line{{fill:none;stroke:var(--p-line);stroke-width:1.4;stroke-linejoin:round}}
.picture .head{{fill:var(--p-line)}}
.picture .copies .line{{stroke-dasharray:5 3}}
.picture .label rect{{fill:var(--p-page)}}
.picture .label.on-region rect{{fill:var(--p-region)}}.picture .label.on-vpc rect{{fill:var(--p-vpc)}}
.picture .label.on-public rect{{fill:var(--p-public)}}
.picture .label.on-app rect,.picture .label.on-data rect{{fill:var(--p-inner)}}
.picture .label text{{fill:var(--p-soft)}}
.picture .badge text{{font-size:11.5px;font-weight:700;fill:var(--p-on)}}
.picture .new{{--mark:var(--p-new)}}.picture .changed{{--mark:var(--p-changed)}}
.picture .replaced,.picture .maybe{{--mark:var(--p-replaced)}}.picture .removed{{--mark:var(--p-removed)}}
.picture .node.marked>rect{{stroke:var(--mark);stroke-width:2}}
.picture .node.removed>rect,.picture .ghost>rect{{stroke-dasharray:5 4}}
.picture .ghost>text{{fill:var(--p-removed)}}
.picture .ghost>use,.picture .ghost>.step{{opacity:.4}}
.picture .badge>rect{{fill:var(--mark)}}
.picture .maybe .badge>rect{{fill:var(--p-card);stroke:var(--mark);stroke-width:1.4}}
.picture .maybe .badge text{{fill:var(--mark)}}
.picture .arrow.marked .line{{stroke:var(--mark);stroke-width:2.2}}
.picture .arrow.marked .head{{fill:var(--mark)}}
.picture .arrow.removed .line{{stroke-width:1.4;stroke-dasharray:2 4;opacity:.7}}
.picture .arrow.removed .head{{opacity:.7}}
.picture .label.marked text{{fill:var(--mark)}}
.picture .node.lit>rect{{stroke:var(--p-ink);stroke-width:2.5}}
"""


def svg(scene: Scene, *, title: str, idprefix: str) -> str:
    """The picture for a page that holds `symbols()` and `STYLE`; `idprefix` keeps its ids apart."""
    return _written(scene, layout(scene), title, idprefix, "picture", "")


def standalone(scene: Scene, *, title: str) -> str:
    """The picture as a file of its own."""
    picture = layout(scene)
    used = frozenset(icon.name for card in picture.cards for icon in card.icons)
    inner = symbols(used).partition("<defs>")[2].partition("</defs>")[0]
    return _written(scene, picture, title, "picture", "picture alone", f"<defs>{inner}</defs><style>{STYLE}</style>")


def _written(scene: Scene, picture: Picture, title: str, idprefix: str, kind: str, before: str) -> str:
    wide, high = _n(picture.width), _n(picture.height)
    size = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    ids = f"{_escaped(idprefix)}-title", f"{_escaped(idprefix)}-desc"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" {size} role="img" aria-labelledby="{" ".join(ids)}">',
        f'<title id="{ids[0]}">{_escaped(title)}</title><desc id="{ids[1]}">{_escaped(described(scene))}</desc>',
        before,
        f'<rect width="{wide}" height="{high}" fill="var(--p-page)"/>' if before else "",
        *(_frame(frame) for frame in picture.frames),
        *(_card(card) for card in picture.cards if card.kind == "group"),
        *(_line(line) for line in picture.lines),
        *(_card(card) for card in picture.cards if card.kind != "group"),
        *(_label(label) for label in picture.labels),
        *(_text(note) for note in picture.notes),
        "</svg>",
    ]
    return "".join(parts)


def described(scene: Scene) -> str:
    """What the picture shows, in words."""
    if scene.empty:
        return "Nothing in these templates can be drawn."
    names = {node.id: visible(node.title) for node in scene.all()}
    things = [visible(node.title) + (f" ({node.mark.value.lower()})" if node.mark else "") for node in scene.nodes]
    ways = [
        f"{names[arrow.source]} to {names[arrow.target]}" + (f" {visible(arrow.label)}" if arrow.label else "")
        for arrow in scene.arrows
        if arrow.source in names and arrow.target in names
    ]
    said = f"Things: {', '.join(things)}. Arrows: {', '.join(ways) or 'none'}."
    return f"{said} {SPREAD}" if any(node.members and node.zones for node in scene.nodes) else said


def _frame(frame: Frame) -> str:
    inner = "".join(
        [_rect(frame.rect, 8 if frame.kind in ("region", "vpc") else 5), *map(_text, frame.texts), _badge(frame.badge)]
    )
    return f'<g class="frame {frame.kind}{_marked(frame.mark)}"{_keys(frame.keys)}>{inner}</g>'


def _card(card: Card) -> str:
    parts = [
        f"<title>{_escaped(card.name)}</title>",
        _rect(card.rect, 7),
        *map(_icon, card.icons),
        *map(_text, card.texts),
    ]
    if card.step:
        (x1, y), (x2, _) = card.step
        parts.append(f'<g class="step"><path class="line" d="M{_n(x1)} {_n(y)}H{_n(x2 - 6)}"/>{_head(x2, y, 1, 0)}</g>')
    parts.append(_badge(card.badge))
    ghost = " ghost" if card.ghost else ""
    return f'<g class="node {card.kind}{_marked(card.mark)}{ghost}"{_keys(card.keys)}>{"".join(parts)}</g>'


def _line(line: Line) -> str:
    (x1, y1), (x2, y2) = line.points[-2:]
    dx, dy = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
    points = [*line.points[:-1], (x2 - dx * (HEAD - 2), y2 - dy * (HEAD - 2))]
    kind = "arrow copies" if line.copies else "arrow"
    way = f'<path class="line" d="{"".join(_path(points))}"/>'
    return f'<g class="{kind}{_marked(line.mark)}">{way}{_head(x2, y2, dx, dy)}</g>'


def _path(points: list[tuple[float, float]]) -> Iterator[str]:
    """Along the points, with small round corners."""
    yield f"M{_n(points[0][0])} {_n(points[0][1])}"
    for (x0, y0), (x1, y1), (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        into, out = abs(x1 - x0) + abs(y1 - y0), abs(x2 - x1) + abs(y2 - y1)
        turn = min(6, into / 2, out / 2)
        ax, ay = x1 - turn * ((x1 > x0) - (x1 < x0)), y1 - turn * ((y1 > y0) - (y1 < y0))
        bx, by = x1 + turn * ((x2 > x1) - (x2 < x1)), y1 + turn * ((y2 > y1) - (y2 < y1))
        yield f"L{_n(ax)} {_n(ay)}Q{_n(x1)} {_n(y1)} {_n(bx)} {_n(by)}"
    yield f"L{_n(points[-1][0])} {_n(points[-1][1])}"


def _head(x: float, y: float, dx: int, dy: int) -> str:
    left, right = (x - HEAD * dx + 4 * dy, y - HEAD * dy + 4 * dx), (x - HEAD * dx - 4 * dy, y - HEAD * dy - 4 * dx)
    return f'<path class="head" d="M{_n(x)} {_n(y)}L{_n(left[0])} {_n(left[1])}L{_n(right[0])} {_n(right[1])}z"/>'


def _label(label: Label) -> str:
    ground = f" on-{label.ground}" if label.ground else ""
    return f'<g class="label{_marked(label.mark)}{ground}">{_rect(label.rect, 3)}{_text(label.text)}</g>'


def _badge(badge: Badge | None) -> str:
    if badge is None:
        return ""
    text = Text(badge.rect.x + 6, badge.rect.y + 12.2, badge.mark.value, "mark", BADGE, True)
    return f'<g class="badge">{_rect(badge.rect, 8)}{_text(text)}</g>'


def _icon(icon: Icon) -> str:
    name = icon.name if icon.name in icons() else "events"
    box = f'x="{_n(icon.rect.x)}" y="{_n(icon.rect.y)}" width="{_n(icon.rect.w)}" height="{_n(icon.rect.h)}"'
    return f'<use href="#icon-{name}" class="icon-{name}" {box}/>'


def _text(text: Text) -> str:
    return f'<text class="{text.style}" x="{_n(text.x)}" y="{_n(text.y)}">{_escaped(text.text)}</text>'


def _rect(rect: Rect, round: float) -> str:
    return f'<rect x="{_n(rect.x)}" y="{_n(rect.y)}" width="{_n(rect.w)}" height="{_n(rect.h)}" rx="{_n(round)}"/>'


def _marked(mark: Mark | None) -> str:
    return f" marked {CLASSES[mark]}" if mark else ""


def _keys(keys: tuple[tuple[str, str], ...]) -> str:
    return f' data-keys="{_escaped(" ".join(".".join(key) for key in keys))}"' if keys else ""


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _n(number: float) -> str:
    """A number as short as it goes."""
    return f"{number:.1f}".rstrip("0").rstrip(".")


__all__ = ["STYLE", "described", "standalone", "svg", "symbols"]
