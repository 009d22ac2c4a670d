"""The shop's commands: `python -m shop COMMAND`.

Exit codes: 0 done, 1 it did not work, 2 the request or a setting is wrong.
"""

from __future__ import annotations

import argparse
import logging.config
import os
import re
import secrets
import sys
import time
from collections.abc import Callable

import psycopg

from shop import environment, observe
from shop.problems import Problem
from shop.settings import BadSetting, server

FAILED, WRONG = 1, 2


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except BadSetting as problem:
        return _complain(problem, WRONG)
    except Problem as problem:
        return _complain(problem.detail, FAILED)
    except psycopg.Error as error:
        return _complain(f"the database: {error}", FAILED)
    except KeyboardInterrupt:
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shop", description="A small web shop.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(run=run)
        return added

    command("serve", _serve, "answer requests until SIGTERM; SIGHUP reads the settings again")
    command("relay", _relay, "publish what the outbox holds until SIGTERM; one relay at a time does, others wait")
    migrate = command("migrate", _migrate, "bring the schema up to date")
    migrate.add_argument("--role", help="who shall own what is created, such as shop_owner")
    migrate.add_argument("--url", help="another way in than PGHOST, PGUSER and the like, or else the settings")
    seed = command("seed", _seed, "fill the catalogue up to a number of products")
    seed.add_argument("--products", type=_count, default=100_000, help="how many there shall be (default: 100000)")
    staff = command("staff", _staff, "make somebody staff, with an account and a password where there is none")
    staff.add_argument("action", choices=["add"])
    staff.add_argument("email", type=_address)
    command("copy-files", _copy_files, "put what FILES_FOLDER holds into FILES_BUCKET, and compare; again does no harm")
    command("openapi", _openapi, "print the description of the API")
    return parser


def _complain(problem: object, code: int) -> int:
    print("shop:", " ".join(str(problem).split()), file=sys.stderr)
    return code


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 10_000_000:
        raise argparse.ArgumentTypeError("it has to be a number from 0 to 10000000")
    return number


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no e-mail address")
    return text


def _serve(_: argparse.Namespace) -> int:
    settings = environment.settings()  # before the server's libraries, so that a bad one is said at once
    from shop.serve import serve

    return serve(settings)


def _relay(_: argparse.Namespace) -> int:
    settings = environment.settings(keep=True)
    from shop.relay import Relay

    observe.environment = settings.name
    logging.config.dictConfig(observe.LOGGING)
    Relay(settings).run()
    return 0


def _migrate(options: argparse.Namespace) -> int:
    url = _conninfo(options.url) if options.url or not os.environ.get("PGHOST") else ""
    from shop.migrate import CannotMigrate, migrate

    try:
        applied = migrate(url, role=options.role)
    except CannotMigrate as problem:
        return _complain(problem, FAILED)
    for name in applied:
        print(f"applied {name}")
    print("the schema is up to date")
    return 0


def _seed(options: argparse.Namespace) -> int:
    conninfo = _conninfo()
    from shop import seed

    began = time.monotonic()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        added = seed.fill(connection, options.products)
    print(f"{added} products added in {time.monotonic() - began:.1f} s")
    return 0


def _staff(options: argparse.Namespace) -> int:
    conninfo = _conninfo()
    from shop.accounts import HASHER

    password = secrets.token_urlsafe(15)
    with psycopg.connect(conninfo) as connection:
        known = connection.execute("update users set is_staff = true where lower(email) = lower(%s)", [options.email])
        if known.rowcount:
            print(f"{options.email} is staff now")
            return 0
        connection.execute(
            "insert into users (email, name, password_hash, is_staff) values (%s, 'Staff', %s, true)",
            [options.email, HASHER.hash(password)],
        )
    print(f"{options.email}, password: {password}")
    return 0


def _copy_files(_: argparse.Namespace) -> int:
    settings = environment.settings(keep=True)
    from shop.files import Bucket, Folder

    if settings.files_bucket is None:
        raise BadSetting("FILES_BUCKET is missing: there is nowhere to copy to")
    copied, present = Bucket(settings.files_bucket).copy(Folder(settings.files_folder))
    print(f"{copied} files copied, {present} were there")
    return 0


def _openapi(_: argparse.Namespace) -> int:
    from shop import api

    print(api.document().decode())
    return 0


def _conninfo(url: str | None = None) -> str:
    """How to reach the primary with the rights of the settings or of a URL, as libpq reads it."""
    primary = server("--url", url) if url else environment.settings(keep=True).primary
    from shop.relay import conninfo

    return conninfo(primary)


if __name__ == "__main__":
    sys.exit(main())
