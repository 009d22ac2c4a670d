"""A whole deployment before it begins: each pass with its templates, what it will do, and what speaks against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from blueprint.environment import Environment
from blueprint.profiles import PROFILES
from workbench.deploy import Refused, moves
from workbench.deploy.gate import Outlook, foresee, lock_problems, loss_problems
from workbench.deploy.guard import Caller, Clients
from workbench.deploy.live import Live, as_of_now, deployed, stuck
from workbench.deploy.preflight import Answer, Check
from workbench.synth import ROOT, synth
from workbench.templates import Assembly, read_assembly

# Names of environments are shorter than the first step of this path, so it is nobody's own.
RECORD = "/blueprint-deployments/{name}"
FOLDER = ROOT / "build" / "deploy"


@dataclass(frozen=True, eq=False)
class Step:
    """One pass, ready to go."""

    wanted: moves.Pass
    assembly: Path
    outlook: Outlook


@dataclass(frozen=True, eq=False)
class Plan:
    """All passes of one deployment."""

    environment: Environment
    before: Assembly
    steps: tuple[Step, ...]

    @property
    def after(self) -> Assembly:
        return self.steps[-1].outlook.after

    @property
    def outlook(self) -> Outlook:
        """All passes taken as one."""
        return foresee(self.before, self.after)

    @property
    def keeps_data(self) -> bool:
        return PROFILES[self.environment.profile].keep_data


def plan(
    environment: Environment, live: Live, folder: Path, at_stage: Callable[[int], Environment], *, bundle: bool = True
) -> Plan:
    """What deploying an environment over what is there takes; nothing is changed by asking."""
    last = synth(environment, folder / "assembly", bundle=bundle)
    after = as_of_now(read_assembly(last), live)
    problems = list(stuck(after, live))
    if problems:
        raise Refused("\n".join(problems))
    there = before = deployed(after, live)
    steps: list[Step] = []
    for wanted in moves.passes(environment, before, at_stage):
        assembly, then = last, after
        if wanted.environment != environment:
            assembly = synth(wanted.environment, folder / "first-pass", bundle=bundle)
            then = as_of_now(read_assembly(assembly), live)
        steps.append(Step(wanted, assembly, foresee(there, then)))
        # A stack that is empty in this pass is gone in the next.
        there = replace(then, stacks=tuple(stack for stack in then.stacks if stack.resources))
    return Plan(environment, before, tuple(steps))


def objections(plan: Plan, live: Live, checks: list[Check], *, reason: str | None, drained: bool) -> list[str]:
    """Everything because of which the deployment does not begin."""
    found = [f"{check.name}: {check.text}" for check in checks if _stops(check, reason)]
    for step in plan.steps:
        found += lock_problems(step.outlook)
        found += loss_problems(step.outlook, reason)
        found += moves.unprepared(plan.environment, step.outlook, live, drained=drained)
    return list(dict.fromkeys(found))


def _stops(check: Check, reason: str | None) -> bool:
    return check.answer is Answer.REFUSES or (check.answer is Answer.EXPIRED and not reason)


def record(
    plan: Plan, caller: Caller, aws: Clients, folder: Path, now: datetime, *, reason: str | None, drained: bool
) -> None:
    """Who deployed what, when and why: beside the assembly, and with a reason in the account too, where all see it."""
    told = {
        "at": now.isoformat(timespec="seconds"),
        "by": caller.arn,
        "stage": plan.environment.stage.number,
        "passes": [step.wanted.title for step in plan.steps],
        "losses": sorted({f"{loss.stack}.{loss.id}" for step in plan.steps for loss in step.outlook.losses}),
        "reason": reason,
        "drained": drained,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(told) + "\n")
    if reason or drained:
        del told["losses"]  # the parameter has 4 KiB, and the log has them
        path = RECORD.format(name=plan.environment.name)
        aws.client("ssm").put_parameter(Name=path, Value=json.dumps(told), Type="String", Overwrite=True)
