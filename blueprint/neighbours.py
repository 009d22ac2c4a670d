"""Where an environment may live: one that keeps nothing stays out of an account that holds another one's data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blueprint import toml_file
from blueprint.mistakes import BadEnvironment, Problem, printable, shown
from blueprint.profiles import PROFILES


def beside_data(profile: str, account: str, folder: Path) -> Iterator[Problem]:
    """Every environment in `folder` whose data is in this account, or may be, if `profile` deletes without asking."""
    for file in [] if PROFILES[profile].keep_data else sorted(folder.glob("*.toml")):
        name = printable(file.name)
        try:
            other, _ = toml_file.parse(toml_file.read(file, name, folder), name)
        except BadEnvironment:
            what = f"may be that of an environment whose data is kept: {name} cannot be read"
            yield Problem(("account",), what, shown(account), f"put {name} right first")
            continue
        kept = PROFILES.get(str(other.get("profile")))
        if str(other.get("account")) == account and (kept is None or kept.keep_data):
            what = f"is that of {name}, whose data is kept, and the profile {profile} deletes without asking"
            yield Problem(("account",), what, shown(account), "use another account")
