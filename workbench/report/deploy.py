"""What a deployment shows before, between and after: what will happen, what speaks against it, where things are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blueprint.environment import Environment
from workbench.compare import Comparison, Risk, verdict
from workbench.deploy.gate import LONGEST_REASON
from workbench.deploy.leftovers import Kept
from workbench.deploy.outcome import Outcome
from workbench.deploy.plan import Plan, Step
from workbench.deploy.preflight import Answer, Check
from workbench.report.text import terminal_width
from workbench.report.words import impact_word, plain, usd

MARKS = {Answer.HOLDS: "ok", Answer.WARNS: "look", Answer.EXPIRED: "stop", Answer.REFUSES: "stop"}
MOST = 12  # of one list; `blueprint compare` has them all


def check(one: Check) -> str:
    return f"  {MARKS[one.answer]:<4}  {one.name}: {plain(one.text)}"


def prospect(plan: Plan, accepted: str | None) -> str:
    """What will happen, what it costs, and what somebody should look at."""
    environment, comparison = plan.environment, plan.comparison
    now = comparison.after.cost
    lines = [
        "",
        f"{environment.name}: account {environment.account}, {environment.region}, profile {environment.profile}, "
        f"stage {environment.stage.number} ({environment.stage.name})",
        _headline(comparison, accepted) if plan.before.stacks else f"New: {len(comparison.resources)} resources.",
        f"Cost: {usd(now.usd)} USD a month at moderate use{'' if now.complete else ', and parts without a price'}"
        + (f", {usd(comparison.before.cost.usd)} before" if plan.before.stacks else "")
        + _budget(environment.budget_usd, now.usd),
    ]
    risks = [finding.text for finding in comparison.findings if finding.risk >= Risk.NOTICE]
    if plan.before.stacks:
        lines += _listed("Look at", risks)
    for step in plan.steps:
        lines += _listed("Leaves its template or may become another", _losses(step))
    lines += ["", *(f"Pass {number}: {_way(step)}" for number, step in enumerate(plan.steps, 1))]
    return "\n".join(lines)


def _budget(most: int | None, cost: float) -> str:
    return f"; the budget is {usd(most)}{', which that exceeds' if cost > most else ''}" if most else ""


def _headline(comparison: Comparison, accepted: str | None) -> str:
    """The verdict; what it warns of, somebody may have accepted."""
    said = verdict(comparison)
    if accepted is None or comparison.risk < Risk.NOTICE:
        return said
    return f"Accepted with your reason: {plain(accepted, LONGEST_REASON)}\n{said.partition(': ')[2]}"


def _losses(step: Step) -> Iterable[str]:
    for loss in step.outlook.losses:
        yield f"{loss.stack}.{loss.id} ({loss.type}): {impact_word(loss.impact)}"


def _way(step: Step) -> str:
    direction = "down, consumers before owners" if step.outlook.down else "up"
    touched = [role for role in step.outlook.order if step.outlook.touches(role)]
    return f"{step.wanted.title}; {direction}: {', '.join(touched) or 'nothing to do'}"


def _listed(title: str, texts: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(texts))
    shown = [f"  - {plain(text)}" for text in found[:MOST]]
    more = [f"  and {len(found) - MOST} more"] if len(found) > MOST else []
    return ["", f"{title}:", *shown, *more] if found else []


def refused(objections: Sequence[str]) -> str:
    return "\n".join(["Refused. Nothing was changed:", *(f"  - {plain(text, 2_000)}" for text in objections)])


def done(plan: Plan, asked: str, found: Outcome | None) -> str:
    """Where things are now, nowhere on a local AWS, and what comes next."""
    stage, name = plan.environment.stage, plan.environment.name
    lines = ["", f"Deployed: {name} at stage {stage.number} ({stage.name})"]
    later = f"  later      {stage.breaks_next}"
    if found is None:
        smoke = f"make shop, then blueprint smoke {asked} --url http://127.0.0.1:8000"
        return "\n".join([*lines, "  look       blueprint sandbox status", f"  next       {smoke}", later])
    sessions = found.sessions or ("no host yet; look again when one has started",)
    lines += [
        f"  site       {found.url or 'no address'}",
        f"  dashboard  {found.dashboard or 'none'}",
        *(f"  {'host' if not number else '':<9}  {command}" for number, command in enumerate(sessions[:3])),
        f"  next       blueprint smoke {asked}",
    ]
    if plan.before.stacks:
        lines.append(f"{'':<13}on hosts that were there before: /opt/shop/boot.sh settings, so that they hear of it")
    return "\n".join([*lines, later])


def going(
    environment: Environment,
    stacks: Sequence[str],
    kept: Sequence[Kept],
    parameters: Sequence[str],
    keeps_data: bool,
) -> str:
    """What will be destroyed, and what stays."""
    lines = ["", f"{_place(environment)}: will be destroyed, in this order: {', '.join(stacks)}"]
    lines += ["", "With all parameters under its name, whoever wrote them:"] if parameters else []
    lines += [f"  - {plain(path)}" for path in parameters]
    lines += _listed(
        "Stays, because its template says so", [f"{one.stack} {one.name} ({one.id}): {one.why}" for one in kept]
    )
    if not keeps_data:
        lines += ["", "Everything else goes, with all that it holds: this environment keeps nothing."]
    return "\n".join(lines)


def gone(environment: Environment, kept: Sequence[Kept], deleted: Sequence[str], tagged: Sequence[str]) -> str:
    """What is left of an environment that was destroyed."""
    lines = [f"  parameter  {path}: deleted" for path in deleted]
    lines += ["  Kept, and paid for until somebody deletes it:"] if kept else []
    lines += [f"  stays      {one.type} {one.id} ({one.name}): {one.why}" for one in kept]
    ends = tuple(f"{mark}{one.id}" for one in kept for mark in "/:")
    lines += _tagged([arn for arn in tagged if not arn.endswith(ends) and all(arn != one.id for one in kept)])
    return "\n".join(["", f"Destroyed: {_place(environment)}", *(lines or ["  nothing is left"])])


def nobody(environment: Environment, parameters: Sequence[str], tagged: Sequence[str]) -> str:
    """What is left where no stack of an environment was found."""
    lines = ["", f"Nothing was deleted: {_place(environment)} has no stack"]
    lines += [f"  parameter  {plain(path)}: stays, since no stack says whose it is" for path in parameters]
    return "\n".join(lines + _tagged(tagged))


def _place(environment: Environment) -> str:
    return f"{environment.name} in account {environment.account}, {environment.region}"


def _tagged(arns: Sequence[str]) -> list[str]:
    width = terminal_width()
    title = (
        "  Listed by AWS for about an hour, or a key waiting for its end: nothing to do. "
        "What still has the environment's tag after that was left behind:"
    )
    return [title] * bool(arns) + [f"  tagged     {plain(arn, width)}" for arn in arns]
