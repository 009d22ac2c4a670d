"""`blueprint sandbox`: a local AWS to practise on with the real CDK command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.commands import FAILED, complain

if TYPE_CHECKING:
    from workbench.commands import Commands

PORT = 5566
FOLDER = Path("build/sandbox")


def add(commands: Commands) -> None:
    sandbox = commands.add_parser(
        "sandbox",
        help="a local AWS to practise on",
        description="A local AWS for the real `cdk bootstrap`, `deploy`, `diff` and `destroy`: no account, no bill, "
        "nothing kept. It listens on 127.0.0.1 only.",
    )
    actions = sandbox.add_subparsers(title="actions", metavar="ACTION", required=True)
    action: Callable[..., argparse.ArgumentParser] = actions.add_parser

    up = action("up", help="start it", description="Start it, and say how to reach it and what it does not do.")
    up.add_argument("--port", type=int, help=f"where it listens on 127.0.0.1 (default: {PORT})")
    up.add_argument("--verbose", action="store_true", help="also list every type and property that is not kept in full")
    up.set_defaults(run=start)
    status = action("status", help="whether it runs, and what is in it", description="What is deployed in it.")
    status.add_argument("--json", action="store_true", help="for machines")
    status.set_defaults(run=show)
    env = action("env", help="lines that point a shell at it", description='For: eval "$(blueprint sandbox env)"')
    env.set_defaults(run=point)
    down = action("down", help="end it", description="End it. Everything that was deployed in it is gone.")
    down.set_defaults(run=end)
    for each in (up, status, env, down):
        each.add_argument("--folder", type=Path, default=FOLDER, help=f"its files (default: {FOLDER})")


def start(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from workbench.report import sandbox as report
    from workbench.report.text import terminal_width
    from workbench.sandbox.api import LIMITS
    from workbench.sandbox.kinds import FORGOTTEN, ONLY_KEPT
    from workbench.sandbox.local import CannotStart, Local
    from workbench.synth import ROOT

    local = Local(options.folder)
    try:
        ran = local.status()
        running = ran or local.up(options.port or PORT, lambda text: print(text, file=sys.stderr, flush=True))
    except CannotStart as problem:
        return complain(problem)
    if options.port not in (None, running.port):
        return complain(
            f"It runs at port {running.port}, not {options.port}. To move it, end it first: "
            f"{report.command('down', options.folder)}"
        )
    if ran and not options.verbose:
        print(report.runs_already(ran, options.folder, now=datetime.now(UTC)))
        return 0
    print(
        report.started(
            running,
            folder=options.folder,
            lambdas=ROOT / "lambdas",
            limits=LIMITS,
            only_kept=ONLY_KEPT,
            forgotten=FORGOTTEN,
            width=terminal_width(),
            verbose=options.verbose,
        )
    )
    return 0


def show(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from workbench.report import sandbox as report
    from workbench.report.text import terminal_width
    from workbench.sandbox.local import CannotStart, Local

    try:
        local = Local(options.folder)
        running = local.status()
        if running is None:
            print(json.dumps({"running": False}) if options.json else _silence(options.folder))
            return FAILED
        facts = {"running": True, "url": running.url, **asdict(running), **local.contents(running)}
        del facts["key"]  # that is for `env` only
    except CannotStart as problem:
        return complain(problem)
    print(json.dumps(facts, indent=2) if options.json else report.status(facts, width=terminal_width()))
    return 0


def point(options: argparse.Namespace) -> int:
    from workbench.report.sandbox import script
    from workbench.sandbox.local import CannotStart, Local

    try:
        running = Local(options.folder).status()
    except CannotStart as problem:
        return complain(problem)
    if running is None:
        print(_silence(options.folder), file=sys.stderr)
        return FAILED
    print(script(running, os.environ))
    return 0


def end(options: argparse.Namespace) -> int:
    from workbench.report import sandbox as report
    from workbench.sandbox.local import CannotStart, Local

    try:
        ended = Local(options.folder).down()
    except CannotStart as problem:
        return complain(problem)
    print(report.ended(ended, options.folder))
    return 0


def _silence(folder: Path) -> str:
    from workbench.report.sandbox import command

    return f"No local AWS runs in {folder}. Start one: {command('up', folder)}"
