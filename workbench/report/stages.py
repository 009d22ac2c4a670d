"""The stages as tables: what each is built from, what it carries, and what changed from the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from blueprint.parts import Cache, Cdn, Fleet, Postgres, SingleServer, Stage, Workers
from workbench.report import text

# The parts in the order in which a request meets them from the inside out, as they are called in tables.
LABELS = {
    "server": "server",
    "database": "database",
    "fleet": "fleet",
    "cache": "cache",
    "cdn": "edge",
    "workers": "workers",
}


def describe(part: object) -> str:
    """One part in a few words, with its sizes."""
    match part:
        case SingleServer():
            return f"{part.instance_type}, {part.data_volume_gib} GiB data volume"
        case Postgres():
            words = [part.instance_type, f"{part.storage_gib} GiB", "Multi-AZ" if part.multi_az else "one zone"]
            return ", ".join(words + ([_count(part.read_replicas, "read replica")] if part.read_replicas else []))
        case Fleet():
            return f"{part.minimum}-{part.maximum} x {part.instance_type}"
        case Cache():
            return f"{_count(part.shards, 'shard')} x {_count(part.replicas_per_shard + 1, 'node')}, {part.node_type}"
        case Cdn():
            return f"CloudFront ({part.price_class})"
        case Workers():
            return f"{_count(len(part.jobs), 'job')}, each with its own queue"
    raise TypeError(f"nobody has said how to describe {part!r}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _without(stage: Stage, name: str) -> str:
    return "on the server" if name == "database" and stage.server is not None else "-"


def matrix(stages: Sequence[Stage], *, width: int, more: Mapping[str, Sequence[str]] | None = None) -> str:
    """All stages side by side; `more` adds rows of its own, one cell a stage."""
    rows = [["carries", *(stage.carries for stage in stages)]]
    for name, label in LABELS.items():
        row, before = [label], None
        for stage in stages:
            part = getattr(stage, name)
            same = part is not None and part == before
            row.append("as before" if same else describe(part) if part is not None else _without(stage, name))
            before = part
        rows.append(row)
    rows.append(["breaks next", *(stage.breaks_next for stage in stages)])
    rows += [[label, *cells] for label, cells in (more or {}).items()]
    return text.table(["", *(f"{stage.number} {stage.name}" for stage in stages)], rows, width=width)


def markdown(stages: Sequence[Stage], *, more: Mapping[str, Sequence[str]] | None = None) -> str:
    """One row a stage, for documents: what is new there, and why one leaves again; `more` adds columns of its own."""
    more = more or {}
    titles = ["", "stage", "carries", *more, "what is new", "what breaks next"]
    lines = [_row(titles), _row(["---"] * len(titles))]
    before: Stage | None = None
    for number, stage in enumerate(stages):
        new = "<br>".join(f"{mark} {what}" for mark, what in _news(before, stage))
        added = [column[number] for column in more.values()]
        lines.append(_row([str(stage.number), f"**{stage.name}**", stage.carries, *added, new, stage.breaks_next]))
        before = stage
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _news(before: Stage | None, stage: Stage) -> list[tuple[str, str]]:
    news = []
    for name, label in LABELS.items():
        old, new = getattr(before, name, None), getattr(stage, name)
        if new is not None and new != old:
            news.append((label, describe(new)))
        elif new is None and old is not None:
            news.append(("no", f"{label} any more"))
    return news


def detail(stage: Stage, before: Stage | None, *, width: int) -> str:
    """One stage in full: why it exists, what it is built from, and what one changes to get there."""
    built = [(label, describe(part)) for name, label in LABELS.items() if (part := getattr(stage, name)) is not None]
    sections = [
        f"Stage {stage.number}: {stage.name}",
        text.pairs([("carries", stage.carries), ("why", stage.why), ("breaks next", stage.breaks_next)], width=width),
        "Built from\n" + text.pairs(built, width=width, indent="  "),
    ]
    if stage.workers is not None:
        jobs = [
            [job.name, ", ".join(job.events), f"{job.timeout_seconds} s", f"{job.memory_mib} MiB", str(job.concurrency)]
            for job in stage.workers.jobs
        ]
        sections.append(text.table(["job", "when", "at most", "memory", "at a time"], jobs, width=width))
    if before is not None:
        title = f"Changed from stage {before.number}, {before.name}"
        sections.append(title + "\n" + text.pairs(changes(before, stage), width=width, indent="  "))
    return "\n\n".join(sections)


def changes(before: Stage, stage: Stage) -> list[tuple[str, str]]:
    """Part by part, what differs between two stages."""
    found = []
    for name, label in LABELS.items():
        old, new = getattr(before, name), getattr(stage, name)
        if old is None and new is not None:
            found.append((f"+ {label}", describe(new)))
        elif old is not None and new is None:
            found.append((f"- {label}", f"{describe(old)}: gone"))
        elif old != new:
            found += [(f"~ {label}", line) for line in _differences(old, new)]
    return found


def _differences(old: Any, new: Any) -> list[str]:
    """The fields that differ, as `read replicas: 1 -> 2`."""
    assert is_dataclass(old)
    assert is_dataclass(new)
    return [
        f"{field.name.replace('_', ' ')}: {getattr(old, field.name)} -> {getattr(new, field.name)}"
        for field in fields(old)
        if getattr(old, field.name) != getattr(new, field.name)
    ]


def as_data(stage: Stage) -> dict[str, Any]:
    """A stage for machines, field by field as in blueprint/parts.py."""
    return asdict(stage)
