"""What a smoke test found, as lines while it goes on, and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from blueprint.mistakes import printable
from workbench.smoke.visit import Result


def line(result: Result) -> str:
    """One step; where it failed, also what was asked, what came back and what to do next."""
    mark = "ok    " if result.passed else "FAILED"
    lines = [f"{mark}  {result.step:<19} {result.seconds:5.1f} s  {printable(result.text)}"]
    if not result.passed:
        lines += [f"  asked  {printable(result.asked)}", f"  came   {printable(result.answered)}"]
        lines += [f"  next   {printable(advice)}" for advice in result.advice]
    return "\n".join(lines)


def as_data(url: str, results: Sequence[Result], *, bought: bool) -> dict[str, Any]:
    """All of it; `bought` says whether an order was wanted, not whether it came about."""
    passed = all(result.passed for result in results)
    steps = [{**asdict(result), "seconds": round(result.seconds, 3)} for result in results]
    return {"url": url, "passed": passed, "buys": bought, "steps": steps}
