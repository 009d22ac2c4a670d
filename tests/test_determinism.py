"""The same input gives the same bytes, whoever runs it and from where, with the CDK command line or without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blueprint.environment import load
from workbench.synth import ROOT, synth

CDK = ROOT / ".venv" / "bin" / "cdk"

# Unpacked packages of CDK, kept in the home folder unless this says otherwise; unpacking them again takes seconds.
PACKAGES = {"JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache")}

# One process differs from the other in everything that must not matter.
HERE = {"TZ": "UTC", "PYTHONHASHSEED": "1", "LANG": "C.UTF-8"}
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "4242", "LANG": "C", "USER": "somebody-else"}


def written(assembly: Path) -> dict[str, bytes]:
    """Templates and asset manifests, which hold the hash of every asset."""
    found = {
        path.name: path.read_bytes()
        for pattern in ("*.template.json", "*.assets.json")
        for path in assembly.glob(pattern)
    }
    assert len(found) >= 12, f"six stacks and their assets expected, found {sorted(found)}"
    return found


def run_app(outdir: Path, home: Path, stage: int, differing: dict[str, str], cwd: Path) -> dict[str, bytes]:
    """Synthesise in a process of its own."""
    home.mkdir()
    script = (
        "import sys; from pathlib import Path; from blueprint.environment import load;"
        "from workbench.synth import synth;"
        "synth(load('production', stage=sys.argv[1]), Path(sys.argv[2]), bundle=False)"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(stage), str(outdir)],
        cwd=cwd,
        env=os.environ | PACKAGES | {"HOME": str(home)} | differing,
        check=True,
    )
    return written(outdir)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 5])
def test_two_processes_write_the_same_bytes(stage: int, tmp_path: Path) -> None:
    first = run_app(tmp_path / "first", tmp_path / "home", stage, HERE, cwd=ROOT)
    second = run_app(tmp_path / "a" / "second", tmp_path / "other home", stage, ELSEWHERE, cwd=tmp_path)
    assert first == second


@pytest.mark.parametrize("stage", [1, 5])
def test_synthesis_does_not_depend_on_what_the_process_did_before(
    stage: int, production: dict[int, Path], tmp_path: Path
) -> None:
    again = synth(load("production", stage=str(stage)), tmp_path / "again", bundle=False)
    assert written(again) == written(production[stage])


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["production", "sandbox"])
@pytest.mark.parametrize("stage", [3, 5])
def test_the_cdk_command_line_writes_the_same_bytes(
    stage: int, profile: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    in_process: dict[int, Path] = request.getfixturevalue(profile)
    subprocess.run(
        [CDK, "synth", "--quiet", "--output", tmp_path, "-c", f"environment={profile}", "-c", f"stage={stage}"],
        cwd=ROOT,
        check=True,
    )
    assert written(tmp_path) == written(in_process[stage])


@pytest.mark.slow
def test_the_app_alone_writes_the_same_bytes(production: dict[int, Path], tmp_path: Path) -> None:
    settings = '{"environment": "production", "stage": "3"}'
    environment = os.environ | {"CDK_OUTDIR": str(tmp_path / "out"), "CDK_CONTEXT_JSON": settings}
    subprocess.run([sys.executable, ROOT / "app.py"], cwd=tmp_path, env=environment, check=True)
    assert written(tmp_path / "out") == written(production[3])


@pytest.mark.slow
def test_the_app_takes_another_name_and_release_from_the_command_line(tmp_path: Path) -> None:
    asked = {"environment": "production", "stage": "3", "name": "trial", "release": "a" * 64}
    environment = os.environ | {"CDK_OUTDIR": str(tmp_path / "out"), "CDK_CONTEXT_JSON": json.dumps(asked)}
    subprocess.run([sys.executable, ROOT / "app.py"], cwd=tmp_path, env=environment, check=True)
    wanted = load("production", stage="3", name="trial", release="a" * 64)
    assert written(tmp_path / "out") == written(synth(wanted, tmp_path / "in-process", bundle=False))


def test_the_app_refuses_a_bad_environment_without_a_traceback(tmp_path: Path) -> None:
    environment = os.environ | {"CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": '{"stage": "9"}'}
    done = subprocess.run(
        [sys.executable, ROOT / "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "stage" in done.stderr
    assert "Traceback" not in done.stderr
