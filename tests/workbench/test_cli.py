"""The `blueprint` command: what it prints, for whom, and how it says no."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from blueprint.parts import Stage
from blueprint.stages import STAGES
from tests.conftest import Assemblies
from workbench import synth
from workbench.cli import main
from workbench.report import text
from workbench.report.stages import LABELS, changes, describe, matrix


def test_every_part_of_a_stage_has_a_row_in_the_matrix() -> None:
    parts = {field.name for field in fields(Stage) if field.default is None}
    assert set(LABELS) == parts


def test_every_part_of_every_stage_is_described_with_its_size() -> None:
    described = [describe(part) for stage in STAGES for name in LABELS if (part := getattr(stage, name)) is not None]
    assert len(described) > len(STAGES)
    assert all(any(letter.isdigit() for letter in words) for words in described)


def test_a_part_that_nobody_described_is_an_error() -> None:
    with pytest.raises(TypeError, match="how to describe"):
        describe(object())


def test_stages_prints_all_five_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for expected in ("1 monolith", "5 asynchronous", "on the server", "2-6 x t4g.medium", "as before", "breaks next"):
        assert expected in words


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_matrix_fits_the_terminal_and_breaks_no_word(width: int) -> None:
    printed = matrix(STAGES, width=width)
    assert max(map(len, printed.splitlines())) <= width
    for word in ("concurrent", "cache.t4g.medium", "asynchronous", "Application", "(PriceClass_100)"):
        assert word in printed


def test_a_table_gives_the_space_it_has_to_the_columns_that_wrap() -> None:
    printed = text.table(["a", "b"], [["x", "one two three"], ["y", "four"]], width=10)
    assert printed.splitlines() == ["a  b", "-  -------", "x  one two", "   three", "", "y  four"]


@pytest.mark.parametrize("wanted", ["3", "load-balanced"])
def test_one_stage_is_found_by_number_and_by_name(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages", wanted]) == 0
    printed = capsys.readouterr().out
    for expected in (
        "Stage 3: load-balanced",
        STAGES[2].carries,
        "1 read replica",
        "Changed from stage 2, managed-database",
        "- server    t4g.medium, 50 GiB data volume: gone",
        "~ database  read replicas: 0 -> 1",
        "+ fleet     2-6 x t4g.medium",
    ):
        assert expected in printed


def test_the_last_stage_lists_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages", "5"]) == 0
    printed = capsys.readouterr().out
    assert STAGES[4].workers is not None
    assert all(job.name in printed for job in STAGES[4].workers.jobs)


def test_a_stage_does_not_differ_from_itself() -> None:
    assert [changes(stage, stage) for stage in STAGES] == [[]] * len(STAGES)


def test_stages_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert [stage["number"] for stage in every] == [1, 2, 3, 4, 5]
    assert every[3]["cache"] == {"node_type": "cache.t4g.medium", "shards": 3, "replicas_per_shard": 1}
    assert main(["stages", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == every[3]


@pytest.mark.parametrize("command", [["stages", "cachd"], ["synth", "--stage", "cachd"]])
def test_an_unknown_stage_is_refused_with_a_suggestion(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "There is no stage 'cachd'; did you mean 'cached'?" in printed.err
    assert "5 asynchronous" in printed.err


@pytest.mark.parametrize("command", [[], ["stage"], ["stages", "--json", "--markdown"]])
def test_a_wrong_command_line_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    assert "usage: blueprint" in capsys.readouterr().err


def test_an_environment_that_is_not_there_is_refused_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "nowhere", "--stage", "1"]) == 2
    printed = capsys.readouterr().err
    assert "nowhere" in printed
    assert "Traceback" not in printed


def test_stages_needs_neither_cdk_nor_pydantic() -> None:
    code = (
        "import sys; from workbench.cli import main; main(['stages']); main(['stages', '3']);"
        "sys.exit(', '.join(sorted({'aws_cdk', 'jsii', 'pydantic', 'yaml', 'boto3'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=synth.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_synth_writes_one_assembly_a_stage_and_prints_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", "sandbox", "--stage", "1", "cached", "--name", "trial", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    for number in (1, 4):
        counts = synth.resources(tmp_path / "trial" / f"stage-{number}")
        assert {name.split("-")[0] for name in counts} == {"trial"}
        assert sum(counts.values()) > 20
        assert f"stage {number} " in printed.err
        assert str(sum(counts.values())) in printed.out
    assert "resources" in printed.out
    assert not (tmp_path / "trial" / "stage-2").exists()


def test_synth_for_machines_names_assemblies_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "--stage", "1", "--out", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["stage"] == 1
    assert row["resources"] == synth.resources(Path(row["assembly"]))


def test_synth_does_not_empty_a_folder_that_is_not_an_assembly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letter = tmp_path / "sandbox" / "stage-1" / "letter.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("keep me", encoding="utf-8")
    assert main(["synth", "--stage", "1", "--out", str(tmp_path)]) == 2
    assert "holds no assembly" in capsys.readouterr().err
    assert letter.exists()


def test_strict_synthesis_is_refused_once_validation_has_been_switched_off(assemblies: Assemblies) -> None:
    assemblies("sandbox")
    with pytest.raises(RuntimeError, match="new process"):
        synth.prepare(strict=True)


def test_templates_that_cdk_refuses_fail_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, strict: bool, bundle: bool) -> None:
        raise synth.Invalid(f"refused, strict={strict}, bundle={bundle}")

    monkeypatch.setattr(synth, "synth", refuse)
    assert main(["synth", "--stage", "2", "--out", str(tmp_path), "--strict"]) == 1
    assert capsys.readouterr().err == "stage 2: refused, strict=True, bundle=False\n"


def test_the_schema_for_editors_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--check"]) == 0, capsys.readouterr().err


def test_a_stale_schema_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synth, "ROOT", tmp_path)
    (tmp_path / "environments").mkdir()
    path = tmp_path / "environments" / "environment.schema.json"
    assert main(["schema", "--check"]) == 1
    path.write_text("{}\n", encoding="utf-8")
    assert main(["schema", "--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert main(["schema"]) == 0
    assert main(["schema", "--check"]) == 0


def test_the_version_is_the_one_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("blueprint")


@pytest.mark.parametrize("out", ["/dev/null/x", "/proc/x"])
def test_synth_says_at_once_that_it_cannot_write_there(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "--stage", "1", "--out", out]) == 2
    assert f"cannot write to {out}" in capsys.readouterr().err
