"""`blueprint shop`: the shop on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.commands import complain

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    shop = commands.add_parser(
        "shop",
        help="open the shop on this machine",
        description="Open the shop on this machine, with a PostgreSQL of its own, until Ctrl-C.",
    )
    shop.add_argument("--port", type=int, default=8000, help="where it listens on 127.0.0.1 (default: 8000)")
    shop.add_argument("--folder", type=Path, default=Path("build/shop"), help="its data (default: build/shop)")
    shop.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from workbench.lab.laptop import CannotRun, Laptop

    try:
        Laptop(options.folder, options.port).run()
    except CannotRun as problem:
        return complain(problem)
    return 0
