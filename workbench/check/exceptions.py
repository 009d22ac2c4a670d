"""What a rule may let pass: where, why, and until when. An exception that has ended fails like what it excused."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from workbench.check.rule import Finding, Wanted

FILE = Path(__file__).with_name("exceptions.toml")
SHORTEST_REASON = 20


@dataclass(frozen=True)
class Exemption:
    """One rule, let pass in one place. `scope` are patterns of `<stack role>/<resource type>`."""

    id: str
    rule: str
    scope: tuple[str, ...]
    reason: str
    expires: date
    only_without_domain: bool = False

    def excuses(self, finding: Finding, wanted: Wanted) -> bool:
        if finding.rule != self.rule or (self.only_without_domain and wanted.domain):
            return False
        return any(fnmatchcase(f"{finding.stack}/{finding.type}", pattern) for pattern in self.scope)


def load(path: Path = FILE) -> tuple[Exemption, ...]:
    """The exceptions in a file. One that says too little is refused."""
    found = []
    for row in tomllib.loads(path.read_text(encoding="utf-8")).get("exception", []):
        exemption = Exemption(**{**row, "scope": tuple(row["scope"])})
        if len(exemption.reason) < SHORTEST_REASON or not isinstance(exemption.expires, date):
            raise ValueError(f"{path.name}: {exemption.id} needs a reason that a reviewer would accept, and a date")
        found.append(exemption)
    return tuple(found)
