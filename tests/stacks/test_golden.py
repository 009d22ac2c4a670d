"""Production templates equal their golden files; sandbox is written down as its difference from production."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprint.stages import STAGES
from tests.conftest import Templates
from tests.golden_files import GOLDEN, dump, mismatch, normalise, property_diff

NUMBERS = [stage.number for stage in STAGES]


def settle(path: Path, text: str, refresh: bool) -> None:
    """Compare with the golden file, or write it."""
    if refresh:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    problem = mismatch(path, text)
    assert not problem, "\n" + problem


@pytest.mark.parametrize("stage", NUMBERS)
def test_production_equals_its_golden_files(stage: int, templates: Templates, refresh: bool) -> None:
    found = {role: dump(template) for role, template in templates("production", stage).items()}
    folder = GOLDEN / str(stage)
    obsolete = [path for path in folder.glob("*.yaml") if path.stem not in found]
    if refresh:
        for path in obsolete:
            path.unlink()
    else:
        assert not obsolete, "no stack for these golden files; write them again: make golden"
    for role, text in found.items():
        settle(folder / f"{role}.yaml", text, refresh)


@pytest.mark.parametrize("stage", NUMBERS)
def test_sandbox_differs_from_production_only_where_written_down(
    stage: int, templates: Templates, refresh: bool
) -> None:
    from blueprint.environment import load

    sides = [
        normalise(templates(profile, stage), name=load(profile, stage=str(stage)).name)
        for profile in ("production", "sandbox")
    ]
    settle(GOLDEN / str(stage) / "sandbox.diff", property_diff(*sides), refresh)


def test_a_mismatch_shows_the_lines_and_how_to_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.golden_files.GOLDEN", tmp_path / "tests" / "golden")
    golden = tmp_path / "tests" / "golden" / "1" / "data.yaml"
    golden.parent.mkdir(parents=True)
    golden.write_text("Size: 1\n", encoding="utf-8")
    problem = mismatch(golden, "Size: 2\n")
    assert "-Size: 1\n+Size: 2" in problem
    assert "make golden" in problem
    assert mismatch(golden, "Size: 1\n") == ""


def test_golden_text_leaves_out_hashes_and_keeps_the_rest() -> None:
    template = {
        "Resources": {
            "B": {"Properties": {"Key": f"{'0a' * 32}.zip", "Script": "one\ntwo\n"}, "Type": "X"},
            "A": {"Type": "Y", "Properties": {"Vpc": {"Ref": "Bc"}, "Arn": {"Fn::GetAtt": ["B", "Arn"]}}},
        }
    }
    assert dump(template) == (
        "Resources:\n"
        "  A:\n    Type: Y\n    Properties:\n      Vpc: !Ref Bc\n      Arn: !GetAtt B.Arn\n"
        "  B:\n    Type: X\n    Properties:\n      Key: <asset>.zip\n      Script: |\n        one\n        two\n"
    )


def test_the_property_diff_names_the_resource_the_property_and_both_values() -> None:
    old = {"data": {"Resources": {"Db": {"Type": "T", "DeletionPolicy": "Snapshot"}, "Gone": {"Type": "G"}}}}
    new = {"data": {"Resources": {"Db": {"Type": "T", "DeletionPolicy": "Delete"}, "New": {"Type": "N"}}}}
    assert property_diff(old, new).splitlines() == [
        "data",
        "  ~ Db (T)",
        "    DeletionPolicy: Snapshot -> Delete",
        "  - Gone (G)",
        "  + New (N)",
    ]
    assert property_diff(old, old) == ""
