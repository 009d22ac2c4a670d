"""Text on a page of a PDF, in letters of most of the world's scripts."""

from __future__ import annotations

import unicodedata
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import font_source_sans_pro
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import getFont, registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

# Latin, Greek and Cyrillic letters travel inside the file.
PLAIN, BOLD = "SourceSansPro-Regular", "SourceSansPro-Bold"
# Chinese, Japanese and Korean ones would make it megabytes larger: a font that most readers bring along is only named.
# A codec knows which letters such a font has; the first one wins where several have them.
FAR_EAST = {"HeiseiKakuGo-W5": "shift_jis", "HYGothic-Medium": "euc_kr", "STSong-Light": "gbk"}
UNKNOWN = "?"  # a letter that none of them has
LONGEST = 200  # letters that may have room in a line

# When this is imported, and not when it is first used: then two threads could do it at once.
for name in (PLAIN, BOLD):
    registerFont(TTFont(name, Path(font_source_sans_pro.font_directory, f"{name}.ttf")))
for name in FAR_EAST:
    registerFont(UnicodeCIDFont(name))


def write(page: Canvas, x: float, y: float, text: str, font: str, size: float, *, room: float | None = None) -> None:
    """One line that begins at `x`, cut off where there is no room."""
    parts = _parts(text, font)
    while room is not None and _width(parts, size) > room:
        text = text[:LONGEST].rstrip("…")[:-1] + "…"
        parts = _parts(text, font)
    for name, part in parts:
        page.setFont(name, size)
        page.drawString(x, y, part)
        x += stringWidth(part, name, size)


def write_to(page: Canvas, x: float, y: float, text: str, font: str, size: float) -> None:
    """One line that ends at `x`."""
    write(page, x - _width(_parts(text, font), size), y, text, font, size)


def _width(parts: list[tuple[str, str]], size: float) -> float:
    return float(sum(stringWidth(part, name, size) for name, part in parts))


def _parts(text: str, font: str) -> list[tuple[str, str]]:
    """The text in parts, each with a font that has its letters; what has no shape is left out."""
    letters = [letter for letter in unicodedata.normalize("NFC", text) if unicodedata.category(letter)[0] != "C"]
    own = getFont(font).face.charToGlyph
    foreign = [letter for letter in letters if ord(letter) not in own]
    other = max(FAR_EAST, key=lambda name: sum(_has(name, letter) for letter in foreign))

    def place(letter: str) -> tuple[str, str]:
        if ord(letter) in own:
            return font, letter
        return (other, letter) if _has(other, letter) else (font, UNKNOWN)

    placed = (place(letter) for letter in letters)
    return [(name, "".join(map(itemgetter(1), part))) for name, part in groupby(placed, key=itemgetter(0))]


def _has(far_east: str, letter: str) -> bool:
    try:
        return len(letter.encode(FAR_EAST[far_east])) == 2
    except UnicodeEncodeError:
        return False
