"""The same picture as a Mermaid flowchart, which hosts of repositories draw in comments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from workbench.compare.scene import Mark, Node, Place, Scene
from workbench.report.picture.measure import visible

GROUPS = {
    Place.EDGE: "Edge", Place.PUBLIC: "Public", Place.APP: "App", Place.DATA: "Data", Place.MESSAGING: "Messaging",
    Place.SERVICES: "Services",
}  # fmt: skip
CLASSES = {
    Mark.NEW: "new", Mark.CHANGED: "changed", Mark.MAYBE: "replaced", Mark.REPLACED: "replaced",
    Mark.REMOVED: "removed",
}  # fmt: skip
# Strokes alone, so that a text has the colour that a reader's theme gives it.
STYLES = {
    "new": "stroke:#1a7f37,stroke-width:3px",
    "changed": "stroke:#bf8700,stroke-width:3px",
    "replaced": "stroke:#cf222e,stroke-width:4px",
    "removed": "stroke:#8c959f,stroke-dasharray:4",
}
LONGEST = 60
_UNSAFE = re.compile(r"[^\w .,:/→·+()@*=-]")


def mermaid(scene: Scene) -> str:
    """A flowchart of what matters: things by tier with their changes, and the arrows between them."""
    drawn = [node for node in scene.nodes if node.place in GROUPS]
    if not drawn:
        return 'flowchart LR\n  nothing["Nothing in these templates can be drawn"]\n'
    ids = _ids(drawn)
    ends = {end for arrow in scene.arrows for end in (arrow.source, arrow.target)}
    lines = ["flowchart LR"]
    for place, title in GROUPS.items():
        inside = [node for node in drawn if node.place is place]
        if inside:
            lines.append(f"  subgraph {place.value}[{title}]")
            alike = Counter(_text(node) if node.id not in ends else node.id for node in inside)
            for node in inside:
                count = alike.pop(_text(node) if node.id not in ends else node.id, 0)
                lines += [f"    {_node(node, ids, count)}"] if count else []
            lines.append("  end")
    arrows = {
        (ids[arrow.source], ids[arrow.target]): (arrow.label, arrow.mark)
        for arrow in reversed(scene.arrows)
        if arrow.source in ids and arrow.target in ids and ids[arrow.source] != ids[arrow.target]
    }
    for (source, target), (label, mark) in reversed(arrows.items()):
        way = "-.->" if mark is Mark.REMOVED else "==>" if mark is Mark.NEW else "-->"
        lines.append(f"  {source} {way}{_label(label)} {target}")
    used = {CLASSES[node.mark] for top in drawn for node in top.all() if node.mark}
    lines += [f"  classDef {name} {style}" for name, style in STYLES.items() if name in used]
    if scene.more:
        lines.append(f'  more["+ {scene.more} more"]')
    return "\n".join(lines) + "\n"


def _ids(drawn: list[Node]) -> Mapping[str, str]:
    """Short names for things; what a thing holds goes by the name of the whole, except workers."""
    found: dict[str, str] = {}
    for node in drawn:
        found[node.id] = f"n{len(set(found.values()))}"
        for member in node.members:
            found[member.id] = found[node.id]
    return found


def _node(node: Node, ids: Mapping[str, str], count: int) -> str:
    times = f" x {count}" if count > 1 else ""
    kind = f":::{CLASSES[node.mark]}" if node.mark else ""
    return f'{ids[node.id]}["{_text(node)}{times}"]{kind}'


def _text(node: Node) -> str:
    told = [*(str(fact) for fact in node.facts), *_inside(node)]
    if node.guard:
        told.append(node.guard.title)
    mark = f"{node.mark.value}: " if node.mark else ""
    return "<br/>".join(_escaped(one) for one in (mark + node.title, *told))


def _inside(node: Node) -> Iterator[str]:
    """What a thing holds, by name, with what becomes of each."""
    for member in node.members:
        if member.keys:
            facts = [str(fact) for fact in member.facts if fact.before]
            mark = f" {member.mark.value}" if member.mark else ""
            yield f"{member.title}{mark}{': ' if facts else ''}{', '.join(facts)}"


def _label(text: str) -> str:
    return f'|"{_escaped(text)}"|' if text else ""


def _escaped(text: str) -> str:
    """Text that ends no string and starts no element; whatever could is written as a number."""
    short = visible(text)
    short = short if len(short) <= LONGEST else short[: LONGEST - 1] + "…"
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};" if found[0] != "…" else "…", short)
