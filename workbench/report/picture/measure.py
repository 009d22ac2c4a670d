"""How wide text is, without a browser: in the widest of the fonts that pages name, so that all others fit as well."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

FONTS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'
# Thousandths of the font's size for the characters from space to tilde, in DejaVu Sans, regular and bold.
_REGULAR = (
    318, 401, 460, 838, 637, 951, 780, 275, 391, 391, 500, 838, 318, 361, 318, 337, 637, 637, 637, 637, 637, 637, 637,
    637, 637, 637, 337, 337, 838, 838, 838, 531, 1000, 685, 687, 699, 771, 632, 576, 775, 752, 295, 295, 656, 558, 863,
    749, 788, 604, 788, 695, 635, 611, 732, 685, 989, 686, 611, 686, 391, 337, 391, 838, 500, 500, 613, 635, 550, 635,
    616, 353, 635, 634, 278, 278, 580, 278, 975, 634, 612, 635, 635, 412, 521, 393, 634, 592, 818, 592, 592, 525, 637,
    337, 637, 838,
)  # fmt: skip
_BOLD = (
    349, 457, 521, 838, 696, 1002, 873, 307, 458, 458, 523, 838, 380, 416, 380, 366, 696, 696, 696, 696, 696, 696, 696,
    696, 696, 696, 400, 400, 838, 838, 838, 581, 1000, 774, 763, 734, 831, 684, 684, 821, 837, 373, 373, 775, 638, 996,
    837, 851, 733, 851, 771, 721, 683, 813, 774, 1104, 771, 725, 726, 458, 366, 458, 838, 500, 500, 675, 716, 593, 716,
    679, 436, 716, 712, 343, 343, 666, 343, 1042, 712, 688, 716, 716, 494, 596, 479, 712, 652, 924, 646, 652, 583, 712,
    366, 712, 838,
)  # fmt: skip
_OTHERS = {"→": 838, "·": 380, "…": 1000}
_WIDEST = 1105  # of what is not in the table: letters of other scripts, and signs
# What no reader can see, or what turns text around.
_UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    """One line of what can be seen of a text."""
    kept = "".join(each if each.isascii() else _one(each) for each in " ".join(text.split()))
    return "".join(each for each in kept if each.isprintable())


def _one(character: str) -> str:
    kind = unicodedata.category(character)
    # Marks that are put over others could pile up on what stands above and below.
    return "" if kind in _UNSEEN or kind.startswith("M") else " " if kind == "Zs" else character


@lru_cache(maxsize=4096)
def width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a text may become at most."""
    table = _BOLD if bold else _REGULAR
    total = 0
    for each in text:
        place = ord(each) - 32
        total += table[place] if 0 <= place < len(table) else _OTHERS.get(each, _WIDEST)
    return total * size / 1000


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """As much of a text as there is room for."""
    if width(text, size, bold=bold) <= room:
        return text
    short = text[: int(room / (size * 0.275)) + 1]
    while short and width(short + "…", size, bold=bold) > room:
        short = short[:-1]
    return short.rstrip() + "…"
