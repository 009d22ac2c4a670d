"""Pin everything again: requirements.lock from the requirements files, package-lock.json from package.json.

Versions that are already locked stay; `--upgrade` takes the newest ones that the requirements allow.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
BIN = Path(sys.executable).parent
PIP_COMPILE = [str(BIN / "pip-compile"), "--quiet", "--generate-hashes", "--allow-unsafe", "--strip-extras"]
PIP_COMPILE += ["--no-header", "--no-emit-options", "--no-emit-index-url", "--no-emit-find-links"]
PIP_COMPILE += ["--no-emit-trusted-host"]
HEADER = """\
# Every package at one version, with the hashes of all its files. Made by `make lock` with Python 3.11, used by set-up.
"""


def lock_python(*options: str) -> None:
    """An editable install has no hash, so `-e .` is left out of what is locked."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("requirements.txt", "requirements-dev.txt"):
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines(keepends=True)
            Path(folder, name).write_text("".join(line for line in lines if not line.startswith("-e ")), "utf-8")
        locked = Path(folder, "requirements.lock")
        if (ROOT / locked.name).exists():
            shutil.copy(ROOT / locked.name, locked)
        subprocess.run([*PIP_COMPILE, *options, "-o", locked.name, "requirements-dev.txt"], cwd=folder, check=True)
        (ROOT / locked.name).write_text(HEADER + locked.read_text("utf-8").removeprefix(HEADER), "utf-8")


def lock_node() -> None:
    subprocess.run(
        [BIN / "npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=ROOT,
        check=True,
    )


def main(options: list[str]) -> int:
    if sys.version_info[:2] != OLDEST:
        print("The lock is made with Python 3.11, the oldest one supported: newer ones need less.", file=sys.stderr)
        return 2
    lock_python(*options)
    lock_node()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
