"""What a deployment shows before, between and after: what will happen, what speaks against it, where things are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blueprint.environment import Environment
from workbench.compare import verdict
from workbench.compare.model import Risk
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


def prospect(plan: Plan) -> str:
    """What will happen, what it costs, and what somebody should look at."""
    environment, comparison = plan.environment, plan.comparison
    now = comparison.after.cost
    lines = [
        "",
        f"{environment.name}: account {environment.account}, {environment.region}, profile {environment.profile}, "
        f"stage {environment.stage.number} ({environment.stage.name})",
        verdict(comparison) if plan.before.stacks else f"New: {len(comparison.resources)} resources.",
        f"Cost: {usd(now.usd)} USD a month at moderate use{'' if now.complete else ', and parts without a price'}"
        + (f", {usd(comparison.before.cost.usd)} before" if plan.before.stacks else ""),
    ]
    risks = [finding.text for finding in comparison.findings if finding.risk >= Risk.NOTICE]
    if plan.before.stacks:
        lines += _listed("Look at", risks)
    for step in plan.steps:
        lines += _listed("Leaves its template or may become another", _losses(step))
    lines += ["", *(f"Pass {number}: {_way(step)}" for number, step in enumerate(plan.steps, 1))]
    return "\n".join(lines)


def _losses(step: Step) -> Iterable[str]:
    names = {stack.role: stack for stack in step.outlook.before.stacks}
    for loss in step.outlook.losses:
        yield f"{names[loss.stack].name_of(loss.id)} ({loss.stack}, {loss.type}): {impact_word(loss.impact)}"


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


def done(plan: Plan, asked: str, found: Outcome) -> str:
    """Where things are now, and what comes next."""
    stage, name = plan.environment.stage, plan.environment.name
    sessions = found.sessions or ("no host yet; look again when one has started",)
    lines = [
        "",
        f"Deployed: {name} at stage {stage.number} ({stage.name})",
        f"  site       {found.url or 'no address'}",
        f"  dashboard  {found.dashboard or 'none'}",
        *(f"  {'host' if not number else '':<9}  {command}" for number, command in enumerate(sessions[:3])),
        f"  next       blueprint smoke {asked}",
    ]
    if plan.before.stacks:
        lines.append("             /opt/shop/boot.sh settings on hosts that were there before, so that they hear of it")
    return "\n".join([*lines, f"  later      {stage.breaks_next}"])


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
    lines = [f"  stays      {one.type} {one.id} ({one.name}): {one.why}" for one in kept]
    lines += [f"  parameter  {path}: deleted" for path in deleted]
    lines += _tagged(tagged)
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
    title = ["  AWS still lists under the environment's tag, also what was deleted within the hour:"] if arns else []
    return title + [f"  tagged     {plain(arn, width)}" for arn in arns]
