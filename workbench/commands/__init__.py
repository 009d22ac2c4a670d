"""The commands of `blueprint`, one module each: its arguments, and what it does with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blueprint.parts import Stage

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FAILED = 1
WRONG = 2


class UnknownStage(Exception):
    """Nobody knows the stage that was asked for; the message says which ones there are."""


def chosen_stages(wanted: Sequence[str] | None) -> list[Stage]:
    """The stages asked for, in order; all when none is."""
    from blueprint.stages import STAGES, find

    try:
        numbers = {find(name).number for name in wanted} if wanted else {stage.number for stage in STAGES}
    except KeyError as unknown:
        raise UnknownStage(unknown_stage(unknown.args[0])) from None
    return [stage for stage in STAGES if stage.number in numbers]


def complain(message: object) -> int:
    print(message, file=sys.stderr)
    return WRONG


def unknown_stage(wanted: str) -> str:
    from difflib import get_close_matches

    from blueprint.stages import STAGES

    close = get_close_matches(wanted, [stage.name for stage in STAGES], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(f"{stage.number} {stage.name}" for stage in STAGES)
    return f"There is no stage {wanted!r}{hint}\nThe stages are: {known}"
