"""What `blueprint sandbox` says of the local AWS: where it is, how to reach it, and what it is not."""

from __future__ import annotations

import platform
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from blueprint.environment import UNSET_ACCOUNT
from workbench.report.text import pairs, table
from workbench.sandbox.local import REGION, Running

NOT_SIMULATED = (
    "Rollback: what failed stays as it is, and the stack says where and why. Deploy again with --no-rollback, or "
    "destroy. An update that cannot delete what it leaves behind has failed as well; in AWS it is complete.",
    "Time: everything is there at once. A database takes AWS minutes, and a distribution more.",
    "Rights: roles and policies are kept, and nothing is refused because of them.",
    "Machines: hosts do not boot, so no site answers; nobody can connect to databases and caches; certificates and "
    "mail identities count as confirmed; the search index's job sets its messages aside.",
    "Waiting: a failed message comes again within seconds, batches do not fill up, each function runs once at a time.",
    "Schedules, alarms, scaling and backups: they are kept, and nothing sets them off.",
)
# What would send calls elsewhere, or with other credentials, although the variables of the local AWS are set.
ELSEWHERE = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_SESSION_TOKEN")


def script(running: Running, variables: Mapping[str, str]) -> str:
    """Lines for a shell, whose other `variables` are these."""
    foreign = sorted({*ELSEWHERE, *(name for name in variables if name.startswith("AWS_ENDPOINT_URL_"))})
    exports = [f"export {name}={shlex.quote(value)}" for name, value in running.variables.items()]
    return "\n".join([f"unset {' '.join(foreign)}", *exports])


def started(
    running: Running,
    *,
    folder: Path,
    lambdas: Path,
    limits: Sequence[str],
    only_kept: Mapping[str, str],
    forgotten: Mapping[str, Mapping[str, str]],
    width: int,
    verbose: bool,
) -> str:
    """Everything that somebody who is about to use it has to know; `verbose` brings what is not kept, one by one."""
    properties = [(f"{kind}.{name}", why) for kind, names in forgotten.items() for name, why in names.items()]
    few = f"Details: {len(only_kept)} types are only remembered, and {len(properties)} properties not even that"
    said = [*limits, *NOT_SIMULATED, functions(lambdas), few + (":" if verbose else "; --verbose lists them.")]
    parts = [
        f"A local AWS runs at {running.url}: account {UNSET_ACCOUNT}, in memory, for this machine only.\n"
        "It answers only those who have its access key, which is a new one with every start.",
        f"  {pointing(folder)}\n      points a terminal at it, each one anew\n"
        f"  cdk bootstrap aws://{UNSET_ACCOUNT}/{REGION}\n      once, before the first deployment\n"
        f"  {command('down', folder)}\n      ends it, and what was deployed is gone",
        "What it does not do:\n"
        + "\n".join(
            textwrap.fill(one, width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
            for one in said
        ),
    ]
    if verbose:
        parts.append(pairs(sorted([*only_kept.items(), *properties]), width=width, indent="  "))
    return "\n\n".join(parts)


def runs_already(running: Running, folder: Path, *, now: datetime) -> str:
    """Where, since when, and how a terminal gets there."""
    minutes = int((now - datetime.fromisoformat(running.since)).total_seconds() / 60)
    number, unit = (minutes, "minute") if minutes < 120 else (minutes // 60, "hour")
    lasting = f"for {number} {unit}{'s' * (number != 1)}" if number else "since a moment ago"
    return f"A local AWS runs already at {running.url}, {lasting}.\n\n  {pointing(folder)}"


def ended(running: Running | None, folder: Path) -> str:
    """That it is gone, and how a terminal gets back to where it was before."""
    if running is None:
        return f"No local AWS runs in {folder}."
    return (
        f"The local AWS at {running.url} has ended. A terminal that was pointed at it stays so until it is closed, or:"
        f"\n\n  unset {' '.join(running.variables)}"
    )


def pointing(folder: Path) -> str:
    return f'eval "$({command("env", folder)})"'


def functions(lambdas: Path) -> str:
    """With what the deployed functions run, compared with what they are deployed with."""
    pinned = sorted(
        {
            (match[1], match[2])
            for lock in lambdas.glob("*/requirements.txt")
            for match in re.finditer(r"^(\S+)==(\S+) ", lock.read_text(encoding="utf-8"), re.MULTILINE)
        }
    )
    others = [
        f"{name} {here or 'missing'} instead of {wanted}"
        for name, wanted in pinned
        if (here := _installed(name)) != wanted
    ]
    same = f"{len(pinned) - len(others)} of the {len(pinned)} packages that they lock have the same version here"
    return (
        f"Lambda itself: functions run their deployed code with Python {platform.python_version()} and the packages "
        f"of this environment. {same}" + (f"; {', '.join(others)}." if others else ".")
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def command(name: str, folder: Path, default: Path = Path("build/sandbox")) -> str:
    """How to call a command of ours for the sandbox in a folder."""
    return f"blueprint sandbox {name}" + ("" if folder == default else f" --folder {shlex.quote(str(folder))}")


def status(facts: Mapping[str, Any], *, width: int) -> str:
    """The same facts as `--json` shows."""
    stacks = [[each["name"], each["region"], each["status"], str(each["resources"])] for each in facts["stacks"]]
    runs = [
        [name, str(counts["invocations"]), str(counts["errors"])] for name, counts in sorted(facts["functions"].items())
    ]
    parts = [f"A local AWS runs at {facts['url']} since {facts['since']} (process {facts['pid']})"]
    parts.append(
        table(["stack", "region", "status", "resources"], stacks, width=width) if stacks else "Nothing is deployed."
    )
    parts.append(table(["function", "runs", "failed"], runs, width=width) if runs else "No function has run.")
    return "\n\n".join(parts)
