"""Fetch the wheels that functions and hosts run with into `.wheels`, each checked against the hash in its lock.

Synthesis only unpacks them, so that it needs no network. What is there already is not fetched again, and what no lock
names any more is removed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".wheels"
# Amazon Linux 2023 has glibc 2.34, on hosts as in functions; wheels for these older ones run there.
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
DOWNLOAD = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
DOWNLOAD += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
DOWNLOAD += [f"--platform={platform}" for platform in PLATFORMS]


def fetch(python: str, locks: list[Path]) -> None:
    """All wheels for one version of Python."""
    folder = WHEELS / python
    wanted = [f"--requirement={lock}" for lock in locks]
    subprocess.run([*DOWNLOAD, f"--python-version={python}", f"--dest={folder}", *wanted], check=True)
    locked = {digest for lock in locks for digest in re.findall(r"sha256:(\w+)", lock.read_text(encoding="utf-8"))}
    for wheel in folder.iterdir():
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in locked:
            wheel.unlink()


def main() -> int:
    by_python = defaultdict(list)
    for lock in [*sorted(ROOT.glob("lambdas/*/requirements.txt")), ROOT / "shop" / "requirements.txt"]:
        python = re.match(r"# For Python (\d+\.\d+) ", lock.read_text(encoding="utf-8"))
        if python is None:
            sys.exit(f"{lock} does not say for which Python it is; make it again: make lock")
        by_python[python[1]].append(lock)
    try:
        for version, locks in by_python.items():
            fetch(version, locks)
    except subprocess.CalledProcessError as problem:
        return problem.returncode  # pip has said why
    return 0


if __name__ == "__main__":
    sys.exit(main())
