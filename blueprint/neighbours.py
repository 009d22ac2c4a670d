"""Where an environment may live: beside no other of its name, and away from kept data if it keeps nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blueprint import toml_file
from blueprint.mistakes import BadEnvironment, Problem, printable, shown
from blueprint.profiles import PROFILES


def quarrels(given: Mapping[str, Any], file: Path, folder: Path) -> Iterator[Problem]:
    """Every environment in `folder` that would share stacks or lose data with the one that `file` gives."""
    name, account, profile = str(given["name"]), str(given["account"]), str(given["profile"])
    deletes = not PROFILES[profile].keep_data
    for beside in sorted(folder.rglob("*.toml")):
        if beside.resolve() == file.resolve():
            continue
        where = printable(str(beside.relative_to(folder)))
        try:
            other, _ = toml_file.parse(toml_file.read(beside, where, folder), where)
        except BadEnvironment:
            if deletes:
                what = f"may be that of an environment whose data is kept: {where} cannot be read"
                yield Problem(("account",), what, shown(account), f"put {where} right first")
            continue
        if str(other.get("account")) != account:
            continue
        kept = PROFILES.get(str(other.get("profile")))
        if deletes and (kept is None or kept.keep_data):
            what = f"is that of {where}, whose data is kept, and the profile {profile} deletes without asking"
            yield Problem(("account",), what, shown(account), "use another account")
        # A draft may lie elsewhere; but in another region it would share the stack in us-east-1.
        drafted = folder.resolve() not in file.resolve().parents and other.get("region") == given["region"]
        if other.get("name") == name and not drafted:
            what = f"is that of {where} too, in the same account, where both would have the same stacks"
            yield Problem(("name",), what, shown(name), "choose another, or remove one of the files")
