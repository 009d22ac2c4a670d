"""Fetch templates that other people have published into `.peers`: those in the source package of cfn-lint.

Comparing is tried on them, and none is copied into this repository. The package is that of requirements.lock, checked
against its hash.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"
PACKAGE, INSIDE = "cfn-lint", "test/fixtures/templates/"
DOWNLOAD = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
DOWNLOAD += ["--require-hashes", "--no-deps", "--no-binary=:all:", "--no-build-isolation"]


def main() -> int:
    locked = re.search(rf"^{PACKAGE}==.*(\n .*)*", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M)
    assert locked, f"requirements.lock does not hold {PACKAGE}"
    with TemporaryDirectory() as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(locked[0], encoding="utf-8")
        done = subprocess.run([*DOWNLOAD, f"--dest={folder}", f"--requirement={wanted}"], check=False)
        if done.returncode:
            return done.returncode  # pip has said why
        shutil.rmtree(PEERS, ignore_errors=True)
        unpack(next(Path(folder).glob("*.tar.gz")))
    return 0


def unpack(package: Path) -> None:
    """The templates of the package, under the names that they have there."""
    with tarfile.open(package) as archive:
        for member in archive.getmembers():
            _, _, name = member.name.partition("/")
            template = name.startswith(INSIDE) and name.endswith((".json", ".yaml"))
            content = archive.extractfile(member) if template else None
            if content is None:
                continue
            path = PEERS.joinpath(*PurePosixPath(name.removeprefix(INSIDE)).parts)
            assert path.resolve().is_relative_to(PEERS), f"{member.name} leads out of its package"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


if __name__ == "__main__":
    sys.exit(main())
