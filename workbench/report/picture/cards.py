"""One thing as a card: its icon, title and facts in as much room as it is given."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from workbench.compare.scene import Fact, Mark, Node
from workbench.report.picture.measure import fitted, visible, width
from workbench.report.picture.parts import TEXT, TITLE, Badge, Card, Icon, Rect, Text

PAD = 10
ICON, SMALL = 32, 24
GAP = 10  # between an icon and what is written beside it
ROW = 17  # one line of text
HEAD = 44  # the line at the top of a thing that holds others
STEP = 24  # the arrow between a queue and its worker
MOST_LINES = 4


def card(node: Node, x: float, y: float, room: float, *, least: float = 0, ghost: bool = False) -> Card:
    """An icon with text beside it."""
    small = not node.facts and not node.guard and len(node.icons) == 1
    size = SMALL if small or len(node.icons) > 1 else ICON
    left = x + PAD
    icons: list[Icon] = []
    step: tuple[tuple[float, float], ...] = ()
    for name in node.icons:
        icons.append(Icon(name, Rect(left, 0, size, size)))
        left += size + STEP
    left += GAP - STEP
    lines = _lines(node, x + room - PAD - left)
    body = max(least - guard_height(node), max(size, ROW * len(lines)) + 2 * (PAD - 2))
    height = body + guard_height(node)
    top = y + (body - ROW * len(lines)) / 2
    texts = [_text(left, top + 13 + ROW * number, style, said) for number, (style, said) in enumerate(lines)]
    middle = y + body / 2
    icons = [replace(icon, rect=replace(icon.rect, y=middle - size / 2)) for icon in icons]
    if len(icons) > 1:
        step = ((icons[0].rect.right + 4, middle), (icons[1].rect.x - 4, middle))
    if node.guard:
        more_texts, more_icons = _guard(node.guard, x + PAD, y + body, room - 2 * PAD)
        texts += more_texts
        icons += more_icons
    return _made(node, "card", Rect(x, y, room, height), texts, icons, ghost, step)


def bar(node: Node, x: float, y: float, room: float, height: float = HEAD, *, ghost: bool = False) -> Card:
    """One line: icon, title and facts side by side; what it holds stands below."""
    icon = Icon(node.icons[0], Rect(x + PAD, y + (HEAD - 28) / 2, 28, 28))
    left, base = icon.rect.right + GAP, y + HEAD / 2 + 4.5
    right = x + room - PAD
    texts, icons = [], [icon]
    if node.guard:
        said = guard_text(node.guard)
        right -= width(said, TEXT)
        texts.append(Text(right, base, said, "guard", bold=False))
        right -= 28
        icons.append(Icon(node.guard.icons[0], Rect(right, y + (HEAD - 22) / 2, 22, 22)))
        right -= 16
    title = fitted(visible(node.title), right - left, TITLE, bold=True)
    texts.insert(0, _text(left, base, "title", title))
    left += width(title, TITLE, bold=True) + 14
    for number, fact in enumerate(node.facts):
        style, said = _said(fact)
        dot = "· " if number else ""
        if left + width(dot + said, TEXT, bold=style == "delta") > right:
            break
        if dot:
            texts.append(_text(left, base, "fact", "·"))
            left += width(dot, TEXT)
        texts.append(_text(left, base, style, said))
        left += width(said, TEXT, bold=style == "delta") + 6
    return _made(node, "group", Rect(x, y, room, height), texts, icons, ghost, ())


def card_height(node: Node, room: float) -> float:
    return card(node, 0, 0, room).rect.h


def bar_width(node: Node) -> float:
    """How wide a bar must be to say everything."""
    facts = [width(said, TEXT, bold=style == "delta") + 18 for style, said in map(_said, node.facts)]
    guard = width(guard_text(node.guard), TEXT) + 44 if node.guard else 0
    return 2 * PAD + 28 + GAP + width(visible(node.title), TITLE, bold=True) + 14 + sum(facts) + guard


def guard_text(guard: Node) -> str:
    said = " · ".join([guard.title, *(visible(str(fact)) for fact in guard.facts)])
    return f"{said} · {guard.mark.value.lower()}" if guard.mark else said


def guard_height(node: Node) -> float:
    """How much of a card is for the firewall in it."""
    return SMALL + 12 if node.guard else 0


def _guard(guard: Node, x: float, y: float, room: float) -> tuple[list[Text], list[Icon]]:
    icon = Icon(guard.icons[0], Rect(x + (ICON - SMALL) / 2, y + 2, SMALL, SMALL))
    left = x + ICON + GAP
    said = fitted(guard_text(guard), room - ICON - GAP, TEXT)
    return [Text(left, y + 2 + SMALL / 2 + 4.5, said, "guard")], [icon]


def _lines(node: Node, room: float) -> list[tuple[str, str]]:
    """Title and facts; a title of two words may take two lines, and a change that is too long is told in two."""
    title = visible(node.title)
    lines = [("title", part) for part in _broken(title, room)]
    for fact in node.facts:
        style, said = _said(fact)
        if style == "delta" and width(said, TEXT, bold=True) > room:
            before, _, after = said.partition(" → ")
            lines += [("old", fitted(before, room, TEXT)), ("delta", fitted(f"→ {after}", room, TEXT, bold=True))]
        else:
            lines.append((style, fitted(said, room, TEXT, bold=style == "delta")))
    return lines[:MOST_LINES]


def _broken(title: str, room: float) -> list[str]:
    if width(title, TITLE, bold=True) <= room or " " not in title:
        return [fitted(title, room, TITLE, bold=True)]
    words = title.split(" ")
    ends = accumulate(width(f" {word}", TITLE, bold=True) for word in words[:-1])
    room_and_space = room + width(" ", TITLE, bold=True)
    split = max(1, sum(end <= room_and_space for end in ends))
    return [fitted(" ".join(part), room, TITLE, bold=True) for part in (words[:split], words[split:])]


def _said(fact: Fact) -> tuple[str, str]:
    return ("delta", visible(str(fact))) if fact.before else ("fact", visible(fact.text))


def _text(x: float, y: float, style: str, said: str) -> Text:
    bold = style in ("title", "delta")
    return Text(x, y, said, style, TITLE if style == "title" else TEXT, bold)


def _made(
    node: Node,
    kind: str,
    rect: Rect,
    texts: list[Text],
    icons: list[Icon],
    ghost: bool,
    step: tuple[tuple[float, float], ...],
) -> Card:
    ghost = ghost or node.mark is Mark.REMOVED
    facts = [visible(str(fact)) for fact in node.facts]
    guard = [guard_text(node.guard)] if node.guard else []
    name = ", ".join([visible(node.title), *facts, *guard, *([node.mark.value.lower()] if node.mark else [])])
    name += f": {visible(node.note)}" if node.note else ""
    badge = Badge.at(node.mark, rect.x - 6, rect.y - 9) if node.mark else None
    keys = (*node.keys, *(node.guard.keys if node.guard else ()))
    return Card(node.id, kind, rect, keys, name, node.mark, tuple(texts), tuple(icons), badge, ghost, step)
