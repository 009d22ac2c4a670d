"""Pin everything again: Python's packages here, in the functions and on the hosts, and Node's.

requirements.lock is for every machine that the kit is worked on with. Each folder that is deployed has a
requirements.txt of its own, made from its requirements.in: the versions are those of requirements.lock, so what is
deployed is what was tested, and each package is one wheel for the Python and the processor over there.

Versions that are already locked stay; `--upgrade` takes the newest ones that the requirements allow.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "shop"
OLDEST, FUNCTIONS, HOSTS = "3.11", "3.14", "3.13"
BIN = Path(sys.executable).parent
UV_COMPILE = [str(BIN / "uv"), "pip", "compile", "--quiet", "--no-python-downloads", "--generate-hashes", "--no-header"]
UV_COMPILE += ["--no-annotate"]
OVER_THERE = ["--python-platform=aarch64-manylinux_2_28", "--only-binary=:all:", "--constraints=requirements.lock"]
# The Lambda runtime brings boto3 along, and what boto3 itself needs.
BOTO3 = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
HEADER = """\
# Every package at one version, with the hashes of all its files. Made by `make lock`, used by set-up.
"""
HEADER_OVER_THERE = """\
# For Python {python} on arm64: every package as one wheel. Made by `make lock` from requirements.in.
"""


def uv_compile(*arguments: str) -> str:
    """What uv pins; it goes where pip goes."""
    ours = {"UV_DEFAULT_INDEX": os.environ.get("PIP_INDEX_URL"), "SSL_CERT_FILE": os.environ.get("PIP_CERT")}
    environment = {name: value for name, value in ours.items() if value} | os.environ
    done = subprocess.run(
        [*UV_COMPILE, *arguments], cwd=ROOT, env=environment, check=True, text=True, capture_output=True
    )
    return done.stdout


def lock_here(*options: str) -> None:
    """For all supported Pythons and systems. An editable install has no hash, so the project itself is left out."""
    lock = ROOT / "requirements.lock"
    arguments = ["--universal", f"--python-version={OLDEST}", f"--output-file={lock}", *options]
    uv_compile(*arguments, "--no-emit-package=aws-scaling-blueprints", "requirements-dev.txt")
    pinned = lock.read_text(encoding="utf-8").partition("\n# The following packages were excluded")[0]
    lock.write_text(HEADER + pinned, encoding="utf-8")


def lock_over_there() -> None:
    """For each folder that is deployed: first with the hashes of all files, then with those of the fetched wheels."""
    pythons = {path.parent: FUNCTIONS for path in sorted(ROOT.glob("lambdas/*/requirements.in"))} | {SHOP: HOSTS}
    for folder, python in pythons.items():
        arguments = [*OVER_THERE, f"--python-version={python}", str(folder / "requirements.in")]
        if python == FUNCTIONS:
            arguments += [f"--no-emit-package={name}" for name in BOTO3]
        header = HEADER_OVER_THERE.format(python=python)
        (folder / "requirements.txt").write_text(header + uv_compile(*arguments), encoding="utf-8")
    subprocess.run([sys.executable, "tools/wheels.py"], cwd=ROOT, check=True)
    for folder, python in pythons.items():
        wheels = {sha256(wheel.read_bytes()).hexdigest() for wheel in ROOT.glob(f".wheels/{python}/*.whl")}
        keep_one_hash_each(folder / "requirements.txt", wheels)


def keep_one_hash_each(lock: Path, wheels: set[str]) -> None:
    """The same wheel everywhere, whatever else a mirror offers."""
    header, _, pinned = lock.read_text(encoding="utf-8").partition("\n")
    lines = []
    for package, hashes in re.findall(r"^(\S+==\S+) \\\n((?: +--hash=.*\n)+)", pinned, re.MULTILINE):
        (fetched,) = wheels.intersection(re.findall(r"sha256:(\w+)", hashes))
        lines.append(f"{package} --hash=sha256:{fetched}\n")
    lock.write_text(f"{header}\n{''.join(lines)}", encoding="utf-8")


def lock_node() -> None:
    subprocess.run(
        [BIN / "npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=ROOT,
        check=True,
    )
    lock = ROOT / "package-lock.json"
    pinned = json.loads(lock.read_text(encoding="utf-8"))
    for package in pinned["packages"].values():
        package.pop("funding", None)  # addresses that nothing here needs
    lock.write_text(json.dumps(pinned, indent=2) + "\n", encoding="utf-8")


def main(options: list[str]) -> int:
    lock_here(*options)
    lock_over_there()
    lock_node()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
