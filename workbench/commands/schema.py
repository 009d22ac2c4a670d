"""`blueprint schema`: what an environment file may hold."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from workbench.commands import FAILED

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    schema = commands.add_parser(
        "schema",
        help="write the JSON schema of environment files",
        description="Write environments/environment.schema.json, which editors use to complete and to check.",
    )
    schema.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is out of date")
    schema.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from blueprint.environment import schema
    from workbench.synth import ROOT

    path = ROOT / "environments" / "environment.schema.json"
    text = json.dumps(schema(), indent=2) + "\n"
    if not options.check:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        print(f"{path} is out of date; write it again: blueprint schema", file=sys.stderr)
        return FAILED
    return 0
