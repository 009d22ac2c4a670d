"""The same input gives the same bytes, whoever runs it and from where, with the CDK command line or without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import aws_cdk as cdk
import pytest

from blueprint.environment import load
from tests.conftest import Assemblies
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


def start_synth(
    outdir: Path, home: Path, differing: dict[str, str], cwd: Path, *stages: str
) -> subprocess.Popen[bytes]:
    """Synthesise in a process of its own, while another one does the same."""
    home.mkdir()
    script = (
        "import sys; from pathlib import Path; from blueprint.environment import load;"
        "from workbench.synth import synth;"
        "[synth(load('production', stage=each), Path(sys.argv[1], each), bundle=False) for each in sys.argv[2:]]"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(outdir), *stages],
        cwd=cwd,
        env=os.environ | PACKAGES | {"HOME": str(home)} | differing,
    )


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "a" / "second"
    here = start_synth(first, tmp_path / "home", HERE, ROOT, "1", "5")
    elsewhere = start_synth(second, tmp_path / "other home", ELSEWHERE, tmp_path, "5", "1")
    assert (here.wait(), elsewhere.wait()) == (0, 0)
    for stage in ("1", "5"):
        assert written(first / stage) == written(second / stage), stage


@pytest.mark.parametrize("stage", [1, 5])
def test_synthesis_does_not_depend_on_what_the_process_did_before(
    stage: int, production: dict[int, Path], tmp_path: Path
) -> None:
    again = synth(load("production", stage=str(stage)), tmp_path / "again", bundle=False)
    assert written(again) == written(production[stage])


@pytest.mark.slow
@pytest.mark.parametrize("stage", [3, 5])
def test_the_cdk_command_line_writes_the_same_bytes(stage: int, assemblies: Assemblies, tmp_path: Path) -> None:
    profiles = "production", "sandbox"
    running = [
        subprocess.Popen(
            [CDK, "synth", "--quiet", "-o", tmp_path / profile, "-c", f"environment={profile}", "-c", f"stage={stage}"],
            cwd=ROOT,
        )
        for profile in profiles
    ]
    assert [process.wait() for process in running] == [0, 0]
    for profile in profiles:
        assert written(tmp_path / profile) == written(assemblies(profile)[stage]), profile


@pytest.mark.slow
def test_the_app_alone_writes_the_same_bytes_also_under_another_name_and_release(tmp_path: Path) -> None:
    asked = {"environment": "production", "stage": "3", "name": "trial", "release": "a" * 64}
    environment = os.environ | {"CDK_OUTDIR": str(tmp_path / "out"), "CDK_CONTEXT_JSON": json.dumps(asked)}
    running = subprocess.Popen([sys.executable, ROOT / "app.py"], cwd=tmp_path, env=environment)
    wanted = load("production", stage="3", name="trial", release="a" * 64)
    in_process = synth(wanted, tmp_path / "in-process", bundle=False)
    assert running.wait() == 0
    assert written(tmp_path / "out") == written(in_process)


def test_the_app_refuses_a_bad_environment_without_a_traceback(tmp_path: Path) -> None:
    environment = os.environ | {"CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": '{"stage": "9"}'}
    done = subprocess.run(
        [sys.executable, ROOT / "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "stage" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [("stge", "-c stge= is unknown; there are environment, "), ("env", "-c env= is unknown; ")],
)
def test_the_app_refuses_an_option_that_only_resembles_one(
    option: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Asked(cdk.App):
        def __init__(self, context: dict[str, object]) -> None:
            super().__init__(context=context | {option: "2", "aws:cdk:enable-path-metadata": False})

    monkeypatch.setattr(cdk, "App", Asked)
    with pytest.raises(SystemExit) as ended:
        run_path(str(ROOT / "app.py"))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(said)
