"""The `blueprint` command: arguments, exit codes, and nothing else. Each command imports only what it needs.

Exit codes: 0 done, 1 a check did not hold, 2 the request or the environment file is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from workbench.commands import (
    check,
    compare,
    cost,
    deploy,
    destroy,
    pin,
    prices,
    sandbox,
    schema,
    shop,
    smoke,
    stages,
    synth,
)

COMMANDS = (stages, synth, compare, cost, prices, check, schema, shop, sandbox, pin, deploy, destroy, smoke)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blueprint", description="Five ways to run a web app on AWS, as code.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when somebody asks: importing the reader of package metadata takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print("blueprint", version("aws-scaling-blueprints"))
        except PackageNotFoundError:
            print("blueprint, not installed")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
