"""Running the pinned CDK command line on an assembly, one stack after the other, its output passed on as it comes."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from workbench.deploy import Refused
from workbench.deploy.gate import Outlook, refuse_unforeseen
from workbench.deploy.live import Live
from workbench.synth import ROOT
from workbench.templates import StackTemplate

Run = Callable[[Sequence[str]], None]
"""Runs `cdk` with these arguments, or raises Refused."""

# Somebody has agreed already, to more than the command line could show.
AGREED = ("--require-approval", "never", "--progress", "events")
ALONE = ("--exclusively", *AGREED)


def cdk(assembly: Path) -> Run:
    """The command line for one assembly, in a folder without settings, so that only what we say counts."""
    program, folder = ROOT / ".venv" / "bin" / "cdk", assembly.resolve()

    def run(arguments: Sequence[str]) -> None:
        if not program.exists():
            raise Refused(f"{program} is not there; set it up: make set-up")
        try:
            done = subprocess.run(
                [str(program), *arguments, "--app", str(folder)],
                cwd=folder.parent,
                env={**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "1"},
                check=False,
            )
        except KeyboardInterrupt:
            told = "Interrupted. AWS goes on with what it has begun; look at the stacks before the next try"
            raise Refused(told) from None
        if done.returncode:
            raise Refused(f"cdk {' '.join(arguments)} ended with {done.returncode}; what it printed above says why")

    return run


def deploy(outlook: Outlook, live: Live, run: Run, reason: str | None) -> None:
    """Deploy every stack in the order of the direction; CloudFormation's word on changed ones is asked before."""
    # A name of its own, so that two who deploy at a time execute only what each of them has read.
    name = f"blueprint-deploy-{secrets.token_hex(4)}"
    named = ["--change-set-name", name, *AGREED]
    for group in groups(outlook):
        if len(group) > 1 or not is_judged(group[0], outlook):
            run(["deploy", *(stack.name for stack in group), *ALONE])
            continue
        (stack,) = group
        run(["deploy", stack.name, "--exclusively", "--method", "prepare-change-set", *named])
        said = live.change_set(stack.name, stack.region, name)
        try:
            refuse_unforeseen(stack, said, outlook, reason)
        except Refused:
            live.discard(stack.name, stack.region, name)
            raise
        if said.empty:
            live.discard(stack.name, stack.region, name)
        else:
            run(["deploy", stack.name, "--method", "execute-change-set", *named])


def groups(outlook: Outlook) -> Iterator[list[StackTemplate]]:
    """What one call deploys: going up, neighbours about which there is nothing to ask; everything else alone.

    Empty ones stay among their neighbours: the command line skips them, and knows the order only by the whole chain.
    """
    stacks = [stack for role in outlook.order if (stack := outlook.after.stack(role)) is not None]
    for alone, found in groupby(stacks, key=lambda stack: outlook.down or is_judged(stack, outlook)):
        neighbours = list(found)
        for group in [[stack] for stack in neighbours] if alone else [neighbours]:
            if any(stack.resources or _is_there(stack, outlook) for stack in group):
                yield group


def is_judged(stack: StackTemplate, outlook: Outlook) -> bool:
    """Whether there is something that CloudFormation may say: of a stack that exists and stays, anything differs."""
    there = outlook.before.stack(stack.role)
    return there is not None and bool(stack.resources) and _told(there) != _told(stack)


def _told(stack: StackTemplate) -> tuple[object, ...]:
    """What the command line tells CloudFormation of a stack."""
    return stack.template, stack.tags, stack.termination_protection


def _is_there(stack: StackTemplate, outlook: Outlook) -> bool:
    return outlook.before.stack(stack.role) is not None
