"""How much of the time AWS commits to answer a read, a write and the work in the background.

Things in series multiply; of copies side by side one is enough. The figures are thresholds below which AWS refunds,
not measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from workbench.compare.aspects.losses import losses
from workbench.compare.aspects.paths import paths
from workbench.compare.model import Availability, Facts, Finding, Kind, Link, Path, Risk
from workbench.templates import Key
from workbench.templates.reading import System


def availability(system: System) -> Availability:
    """The paths that a template has, and what happens when something is lost."""
    found = (Path(name, links, series(links)) for name, links in paths(system))
    return Availability(tuple(found), losses(system))


def parallel(availability: float | None, copies: int) -> float | None:
    """Of several copies one is enough."""
    return None if availability is None else 1 - (1 - availability) ** copies


def series(links: Iterable[Link]) -> float | None:
    """All of them are needed; unknown as soon as one is."""
    known = [parallel(link.availability, link.copies) for link in links]
    return None if None in known else math.prod(each for each in known if each is not None)


# --- Both sides -------------------------------------------------------------------------------------------------------


def compare(before: Facts, after: Facts) -> list[Finding]:
    """Paths that are more or less available, and losses that are survived now, or no longer."""
    old, new = ({path.name: path for path in side.availability.paths} for side in (before, after))
    found = [_path(old[name], new[name]) for name in new if name in old]
    return [*(each for each in found if each), *_survival(before, after)]


def _path(before: Path, after: Path) -> Finding | None:
    old, new = before.availability, after.availability
    if old == new or (old is not None and new is not None and math.isclose(old, new, rel_tol=0, abs_tol=1e-9)):
        return None
    what = f"The {after.name} path"
    if old is None or new is None:
        unknown = [link.name for link in (after if new is None else before).links if link.availability is None]
        names = ", ".join(unknown[:3])
        if new is None:
            return Finding(Risk.NOTICE, Kind.AVAILABILITY, f"{what} has no known availability any more: {names}.")
        return Finding(Risk.ROUTINE, Kind.AVAILABILITY, f"{what} is committed to {_spoken(after)}; it was not known.")
    known = {link.key for link in before.links}
    added = [link.name for link in after.links if link.key not in known and link.availability != 1]
    more = f" It passes more: {', '.join(added)}." if added and new < old else ""
    text = f"{what} is committed to {_spoken(after)}, instead of {_spoken(before)}.{more}"
    # More parts in series are the price of what they bring; a part that is gone or weaker is something else.
    risk = Risk.NOTICE if new < old and _weaker(before, after) else Risk.ROUTINE
    return Finding(risk, Kind.AVAILABILITY, text)


def _spoken(path: Path) -> str:
    return f"{(path.availability or 0) * 100:.3f} % ({path.downtime_minutes or 0:,.1f} minutes down a month)"


def _weaker(before: Path, after: Path) -> bool:
    """Whether something on the path is gone, or has become less available than it was."""
    old, new = _by_key(before), _by_key(after)
    return any(new.get(key, 0) < availability for key, availability in old.items())


def _by_key(path: Path) -> dict[Key | None, float]:
    found: dict[Key | None, float] = {}
    for link in path.links:
        found[link.key] = found.get(link.key, 1) * (parallel(link.availability, link.copies) or 0)
    return found


def _survival(before: Facts, after: Facts) -> Iterator[Finding]:
    old = {loss.of: loss for loss in before.availability.losses}
    for loss in after.availability.losses:
        if loss.of not in old or old[loss.of].survived == loss.survived:
            continue
        if loss.survived:
            text = f"Losing {loss.of} no longer stops the system: {loss.effect}."
            yield Finding(Risk.ROUTINE, Kind.AVAILABILITY, text)
        else:
            text = f"Losing {loss.of} stops the system, which it did not before ({loss.effect}; back: {loss.rto})."
            yield Finding(Risk.NOTICE, Kind.AVAILABILITY, text)
