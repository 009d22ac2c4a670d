"""Long words of templates, and where a line may break in them."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

LONGEST_WORD = 24  # that is never broken
_PAUSE = re.compile(r"(?<=[./:])(?=[^\s./:])")


def breakable(text: str) -> Markup | str:
    """The text, with places in long words where a line rather breaks than anywhere: "arn:", "aws:", "s3:"."""
    if all(len(word) <= LONGEST_WORD for word in text.split()):
        return text
    return Markup(" ").join(_paused(word) for word in text.split(" "))


def _paused(word: str) -> Markup:
    return escape(word) if len(word) <= LONGEST_WORD else Markup("<wbr>").join(_PAUSE.split(word))
