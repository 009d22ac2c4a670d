"""Set-up: what it needs, what it refuses, what it leaves alone, and that a second run needs no network."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.synth import ROOT

BOOTSTRAP = ROOT / "tools" / "bootstrap.py"
FILES = ("Makefile", "pyproject.toml", "requirements.lock", "package.json", "package-lock.json", "tools/bootstrap.py")
# What the functions and the hosts ask for, and the lock that is made from it.
DEPLOYED = {
    str(path.relative_to(ROOT)): str(path.with_suffix(".txt").relative_to(ROOT))
    for path in [*sorted(ROOT.glob("lambdas/*/requirements.in")), ROOT / "shop" / "requirements.in"]
}
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_NO_INDEX": "0",
    "PIP_RETRIES": "0",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_CACHE_DIR": "1",
    "npm_config_registry": "http://127.0.0.1:9/",
}
# What is fetched already stands for a registry.
FETCHED = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": " ".join(folder.as_uri() for folder in sorted(ROOT.glob(".wheels/*"))),
    "PIP_CONFIG_FILE": os.devnull,
}

# A Python that says it is an old one; everything else about it is the Python that runs the tests.
OLD_PYTHON = """#!/bin/sh
exec {python} -c 'import runpy, sys
sys.version_info = (3, 9, 18, "final", 0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")' "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that set-up works with, in a folder where nothing has been set up."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "MFLAGS"))}
    return subprocess.run(
        command, cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_an_old_python_can_read_the_bootstrap() -> None:
    ast.parse(BOOTSTRAP.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_the_bootstrap_needs_the_standard_library_only() -> None:
    tree = ast.parse(BOOTSTRAP.read_text(encoding="utf-8"))
    modules = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert modules
    assert {name.partition(".")[0] for name in modules} <= sys.stdlib_module_names


def test_a_python_that_is_too_old_is_refused_with_both_versions(checkout: Path) -> None:
    old = checkout / "python3.9"
    old.write_text(OLD_PYTHON.format(python=sys.executable), encoding="utf-8")
    old.chmod(0o755)
    done = run("make", f"PYTHON={old}", "synth", cwd=checkout)
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "3.9.18" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert run(str(old), "tools/bootstrap.py", cwd=checkout).returncode == 2
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there_is_named(checkout: Path) -> None:
    done = run("make", "PYTHON=python9.9", "synth", cwd=checkout)
    assert done.returncode == 2
    assert "python9.9 is not on PATH" in done.stderr


@pytest.mark.slow
def test_a_failed_download_names_the_step_and_leaves_it_undone(checkout: Path) -> None:
    for _ in range(2):  # the second run must not take the first one's failure for success
        done = run(sys.executable, "tools/bootstrap.py", cwd=checkout, **NO_NETWORK)
        assert done.returncode == 3
        assert "Set-up stopped at step 2 of 6, Python packages." in done.stderr
        assert "HTTPS_PROXY" in done.stderr
        assert "PIP_INDEX_URL" in done.stderr
        assert list(json.loads((checkout / ".venv" / "set-up.json").read_text())) == ["virtual environment"]
        assert not (checkout / ".venv" / "bin" / "cdk").exists()


def test_a_second_run_needs_no_network_and_does_nothing() -> None:
    if not (ROOT / ".venv" / "set-up.json").exists():
        pytest.fail("these tests belong to an environment made by `make`: run `make test`")
    done = run(sys.executable, str(BOOTSTRAP), cwd=ROOT, **NO_NETWORK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_help_lists_every_target_and_is_what_bare_make_prints(checkout: Path) -> None:
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert targets == set(phony.group(1).split())
    done = run("make", cwd=checkout)
    assert done.returncode == 0
    assert {line.split()[1] for line in done.stdout.splitlines()} == targets


@pytest.mark.parametrize("name", ["requirements.lock", "package-lock.json", *DEPLOYED.values()])
def test_lock_files_hold_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.findall(r"https?://|file://|--index-url|--find-links|\"resolved\"", text)
    assert len(re.findall(r"sha256:|sha512-", text)) > 0


def test_every_locked_python_package_has_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.partition("\n")[2])
    assert len(entries) > 40
    assert not [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_lock_holds_exactly_what_the_requirements_ask_for() -> None:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for name in ("requirements.txt", "requirements-dev.txt", *DEPLOYED):
        asked = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)$", (ROOT / name).read_text(), re.MULTILINE)
        assert asked
        assert {package: locked.get(normal(package)) for package, _ in asked} == dict(asked)


def test_what_is_deployed_is_locked_at_the_versions_that_the_tests_run_with() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    here, asked = pins("requirements.lock"), (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert len(DEPLOYED) == 7
    for wanted, lock in DEPLOYED.items():
        assert f"-r {wanted}" in asked
        assert pins(lock).items() <= here.items()
        assert set(re.findall(r"^([a-z0-9-]+)", (ROOT / wanted).read_text(), re.MULTILINE)) <= set(pins(lock))
        lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
        assert re.fullmatch(r"# For Python 3\.\d+ on arm64: .*", lines[0])
        assert [line for line in lines[1:] if re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line)] == lines[1:]


@pytest.fixture
def deploying(tmp_path: Path) -> Path:
    """What is needed to fetch wheels, in a folder that has none."""
    for name in ("tools/wheels.py", *DEPLOYED.values()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def wheels(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.glob(".wheels/*/*")}


@pytest.mark.slow
def test_the_wheels_to_deploy_are_those_of_the_locks_and_no_others(deploying: Path) -> None:
    stale = deploying / ".wheels" / "3.14" / "forgotten-1.0-py3-none-any.whl"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    done = run(sys.executable, "tools/wheels.py", cwd=deploying, **FETCHED)
    assert (done.returncode, done.stdout) == (0, "")
    assert wheels(deploying) == wheels(ROOT)
    assert not stale.exists()


@pytest.mark.slow
def test_a_wheel_with_another_hash_is_not_taken(deploying: Path) -> None:
    lock = deploying / "lambdas" / "analytics" / "requirements.txt"
    lock.write_text(re.sub(r"(wrapt.*sha256:)\w+", r"\g<1>" + "0" * 64, lock.read_text()))
    for other in deploying.glob("lambdas/*/requirements.txt"):
        if other != lock:
            other.unlink()
    done = run(sys.executable, "tools/wheels.py", cwd=deploying, **FETCHED)
    assert done.returncode == 1
    assert "wrapt" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [name for name in wheels(deploying) if "wrapt" in name]


@pytest.mark.slow
def test_wheels_that_cannot_be_fetched_are_the_fault_of_the_connection(deploying: Path) -> None:
    done = run(sys.executable, "tools/wheels.py", cwd=deploying, **NO_NETWORK)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_cdk_command_uses_the_pinned_versions() -> None:
    pinned = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]["aws-cdk"]
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]["node_modules/aws-cdk"]
    assert locked["version"] == pinned
    done = run(str(ROOT / ".venv" / "bin" / "cdk"), "--version", cwd=ROOT, PATH="/usr/bin:/bin")
    assert done.returncode == 0
    assert done.stdout.split()[0] == pinned
