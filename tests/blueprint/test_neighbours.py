"""Which accounts are closed to an environment that keeps nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprint.environment import BadEnvironment, load
from workbench.synth import ROOT

FILE = """\
name = "try"
stage = 1
profile = "{profile}"
account = "{account}"
region = "us-east-1"
open_to = ["203.0.113.10/32"]
"""


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        ('profile = "production"\naccount = "123456789012"', "is that of teams/other.toml, whose data is kept"),
        ('profile = "production"\naccount = 123456789012', "is that of teams/other.toml, whose data is kept"),
        ('profile = "no such"\naccount = "123456789012"', "is that of teams/other.toml, whose data is kept"),
        ('account = "123456789012"', "is that of teams/other.toml, whose data is kept"),
        ("this is not TOML", "teams/other.toml cannot be read"),
        ('profile = "production"\naccount = "210987654321"', ""),
        ('profile = "production"', ""),
        ('profile = "sandbox"\naccount = "123456789012"', ""),
    ],
)
def test_a_sandbox_stays_out_of_an_account_that_keeps_data(tmp_path: Path, other: str, refused: str) -> None:
    (tmp_path / "try.toml").write_text(FILE.format(profile="sandbox", account="123456789012"), encoding="utf-8")
    where = tmp_path / "teams" / "other.toml"
    where.parent.mkdir()
    where.write_text(other, encoding="utf-8")
    if refused:
        with pytest.raises(BadEnvironment, match=rf"try.toml:4: account: .*{refused}.*, found \"1234"):
            load("try", folder=tmp_path)
    else:
        assert load("try", folder=tmp_path).account == "123456789012"


@pytest.mark.parametrize("other", ['profile = "production"\naccount = "123456789012"', "this is not TOML"])
def test_an_environment_that_keeps_data_may_live_beside_others(tmp_path: Path, other: str) -> None:
    text = (ROOT / "environments" / "production.toml").read_text(encoding="utf-8")
    text = text.replace('# account = "123456789012"', 'account = "123456789012"')
    (tmp_path / "try.toml").write_text(text, encoding="utf-8")
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    assert load("try", folder=tmp_path).account == "123456789012"


def test_an_environment_without_an_account_is_nobodys_neighbour(tmp_path: Path) -> None:
    (tmp_path / "try.toml").write_text(FILE.format(profile="sandbox", account="000000000000"), encoding="utf-8")
    (tmp_path / "other.toml").write_text("this is not TOML", encoding="utf-8")
    assert load("try", folder=tmp_path)


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        ({}, True),
        ({"region": "eu-west-1"}, True),
        ({"name": "trial"}, False),
        ({"account": "210987654321"}, False),
    ],
)
def test_two_environments_of_one_account_have_names_of_their_own(
    tmp_path: Path, other: dict[str, str], refused: bool
) -> None:
    given = {"name": "try", "account": "123456789012", "region": "us-east-1"}
    text = FILE.format(profile="sandbox", account=given["account"])
    (tmp_path / "try.toml").write_text(text, encoding="utf-8")
    for key, value in other.items():
        text = text.replace(given[key], value)
    (tmp_path / "other.toml").write_text(text, encoding="utf-8")
    if refused:
        with pytest.raises(BadEnvironment, match=r'try.toml:1: name: is that of other.toml too, .*, found "try"'):
            load("try", folder=tmp_path)
    else:
        assert load("try", folder=tmp_path)
        taken = other.get("name")
        if taken:
            with pytest.raises(BadEnvironment, match=f'name: is that of other.toml too, .*, found "{taken}"'):
                load("try", name=taken, folder=tmp_path)


@pytest.mark.parametrize(("region", "refused"), [("us-east-1", False), ("eu-west-1", True)])
def test_a_draft_elsewhere_may_have_the_name_of_its_original_in_the_same_region(
    tmp_path: Path, region: str, refused: bool
) -> None:
    text, folder = FILE.format(profile="sandbox", account="123456789012"), tmp_path / "environments"
    folder.mkdir()
    (folder / "try.toml").write_text(text, encoding="utf-8")
    draft = tmp_path / "draft.toml"
    draft.write_text(text.replace("us-east-1", region), encoding="utf-8")
    if refused:
        with pytest.raises(BadEnvironment, match=r"draft.toml:1: name: is that of try.toml too"):
            load(str(draft), folder=folder)
    else:
        assert load(str(draft), folder=folder)
