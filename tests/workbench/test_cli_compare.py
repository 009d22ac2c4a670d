"""`blueprint compare` and `blueprint cost` as people type them: what a side may be, what is written, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.commands import compare as command
from workbench.compare.model import Kind
from workbench.synth import ROOT

Capture = pytest.CaptureFixture[str]


def template(path: Path, **resources: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": value}} for name, value in resources.items()}
    path.write_text(json.dumps({"Resources": body}))
    return path


# --- Sides ------------------------------------------------------------------------------------------------------------


def test_two_assemblies_on_disk(production: dict[int, Path], capsys: Capture) -> None:
    assert main(["compare", str(production[3]), str(production[4])]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{production[3]} → {production[4]}\n")
    assert "Database/Primary" in said


def test_two_stages_of_an_environment(capsys: Capture) -> None:
    assert main(["compare", "1", "managed-database"]) == 0
    assert capsys.readouterr().out.startswith("stage 1 → stage 2\n")


def test_an_environment_and_itself_at_another_stage(capsys: Capture) -> None:
    assert main(["compare", "sandbox", "--stage", "2"]) == 0
    assert "sandbox at stage 2\n" in capsys.readouterr().out


def test_a_file_of_the_kit_is_found_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "sandbox.toml", "--stage", "2"]) == 0
    assert "sandbox at stage 2\n" in capsys.readouterr().out


def test_templates_of_anybody_in_json_and_yaml(tmp_path: Path, capsys: Capture) -> None:
    before = template(tmp_path / "before.json", Jobs="jobs")
    after = tmp_path / "after.yaml"
    after.write_text("Resources:\n  Jobs:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: !Sub work\n")
    assert main(["compare", str(before), str(after)]) == 0
    assert "replaced" in capsys.readouterr().out


def start_against_head(environment: str, clone: Path) -> subprocess.Popen[str]:
    """In a clone of its own, so that this one gets no second working tree."""
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(clone)], check=True)
    file = clone / "environments" / "sandbox.toml"
    file.write_text(file.read_text().replace("stage = 1", "stage = 2", 1))
    specification = str(ROOT / "node_modules" / "aws-cdk" / "db.json.gz")
    paths = os.pathsep.join(str(clone / folder) for folder in ("", "constructs", "lambdas"))
    return subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "compare", environment, "--base", "HEAD"],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": paths, "BLUEPRINT_SPECIFICATION": specification},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_an_environment_at_a_revision_against_how_it_is_here(tmp_path: Path) -> None:
    clones = {"sandbox": tmp_path / "by-name", "environments/sandbox.toml": tmp_path / "by-path"}
    running = {clone: start_against_head(environment, clone) for environment, clone in clones.items()}
    for clone, process in running.items():
        said, complaints = process.communicate()
        assert process.returncode == 0, complaints
        assert said.startswith("sandbox at HEAD → sandbox at stage 2\n")
        assert "Database/Primary" in said
        trees = subprocess.run(["git", "-C", clone, "worktree", "list"], check=True, capture_output=True, text=True)
        assert len(trees.stdout.splitlines()) == 1


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "3"], "these arguments do not name two sides"),
        (["compare", "3", "4", "5"], "these arguments do not name two sides"),
        (["compare", "3", "--stage", "4"], "these arguments do not name two sides"),
        (["compare", "3", "4", "--base", "HEAD"], "these arguments do not name two sides"),
        (["compare", "--all", "--format", "json"], "--all makes one HTML page, not json"),
        (["compare", "nothing", "4"], "'nothing' is no stage, no environment, and no file or folder that is there"),
        (["compare", "3", "9"], "'9' is no stage"),
        (["compare", "old/cdk.out", "4"], "'old/cdk.out' is no stage"),
        (["compare", "/dev/null", "4"], "/dev/null is neither a file nor a folder"),
        (["compare", "3", "4", "--output", "report.pdf"], "report.pdf names no known form"),
        (["compare", "3", "4", "--longest", "10"], "--longest 10 could not hold the verdict"),
        (["compare", "sandbox", "--base", "no-such-revision"], "'no-such-revision' is no revision of this repository"),
        (["compare", "sandbox", "--base", "--help"], None),
        (["compare", "sandbox", "--stage", "9"], "'9' is no stage; the stages are 1 monolith"),
        (["compare", "nothing.json", "4"], "nothing.json does not exist"),
        (["cost", "nothing.json"], "nothing.json does not exist"),
        (["cost", "9"], "'9' is no stage"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(arguments: list[str], said: str | None, capsys: Capture) -> None:
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said is None or said in captured.err
    assert "Traceback" not in captured.err


def test_a_side_that_is_no_template_names_its_file(tmp_path: Path, capsys: Capture) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"Resources": ')
    assert main(["compare", str(broken), str(broken)]) == 2
    assert str(broken) in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, capsys: Capture) -> None:
    side = str(template(tmp_path / "a.json", Jobs="jobs"))
    (tmp_path / "taken").write_text("")
    assert main(["compare", side, side, "--output", str(tmp_path / "taken" / "report.md")]) == 2
    assert "cannot write" in capsys.readouterr().err


# --- Output -----------------------------------------------------------------------------------------------------------


def test_the_help_names_every_condition() -> None:
    assert [kind for kind in Kind if kind not in command.EPILOG] == []


@pytest.mark.parametrize(
    ("ending", "begins"),
    [
        (".txt", "a"),
        (".md", "<!-- blueprint compare -->"),
        (".json", "{"),
        (".html", "<!doctype html>"),
        (".svg", "<svg"),
    ],
)
def test_the_ending_of_the_file_chooses_the_form(
    ending: str, begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    template(Path("a.json"), Jobs="jobs")
    template(Path("b.json"), Jobs="work")
    assert main(["compare", "a.json", "b.json", "--output", f"new/report{ending}"]) == 0
    assert Path(f"new/report{ending}").read_text(encoding="utf-8").lower().startswith(begins)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"wrote new/report{ending}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "new"], (
        "and nothing else is written"
    )


def test_the_same_sides_give_the_same_bytes_in_every_form(production: dict[int, Path], capsys: Capture) -> None:
    for form in command.FORMATS:
        printed = []
        for _ in range(2):
            assert main(["compare", str(production[3]), str(production[4]), "--format", form]) == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1], form


@pytest.mark.parametrize(("conditions", "status"), [("replace-stateful", 1), ("open-network,grant", 0)])
def test_a_condition_that_holds_ends_with_1(conditions: str, status: int, tmp_path: Path, capsys: Capture) -> None:
    before, after = template(tmp_path / "a.json", Jobs="jobs"), template(tmp_path / "b.json", Jobs="work")
    assert main(["compare", str(before), str(after), "--fail-on", conditions]) == status
    assert ("--fail-on replace-stateful: " in capsys.readouterr().err) == (status == 1)


def test_an_unknown_condition_is_refused_with_those_there_are(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "3", "4", "--fail-on", "replace-statefull"])
    assert ended.value.code == 2
    assert "replace-stateful" in capsys.readouterr().err


# --- Cost -------------------------------------------------------------------------------------------------------------


def test_cost_says_what_a_stage_costs_with_use_and_without(production: dict[int, Path], capsys: Capture) -> None:
    totals = []
    for usage in ("none", "low", "moderate", "high"):
        assert main(["cost", str(production[4]), "--usage", usage, "--json"]) == 0
        totals.append(json.loads(capsys.readouterr().out)["usd_a_month"])
    assert totals == sorted(totals)
    assert totals[0] > 1_000


def test_cost_of_a_template_without_a_region_asks_for_one(tmp_path: Path, capsys: Capture) -> None:
    side = tmp_path / "a.json"
    side.write_text(json.dumps({"Resources": {"Gate": {"Type": "AWS::EC2::NatGateway", "Properties": {}}}}))
    assert main(["cost", str(side), "--usage", "none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["usd_a_month"] is None
    assert main(["cost", str(side), "--usage", "none", "--json", "--region", "us-east-1"]) == 0
    assert json.loads(capsys.readouterr().out)["usd_a_month"] == pytest.approx(0.045 * 730)


def test_prices_are_not_refreshed_without_credentials(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert main(["prices", "refresh", "--dry-run"]) == 2
    assert "Sign in first" in capsys.readouterr().err
