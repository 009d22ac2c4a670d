"""Which accounts are closed to an environment that keeps nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprint.environment import BadEnvironment, load

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
        ('profile = "production"\naccount = "123456789012"', "is that of other.toml, whose data is kept"),
        ('profile = "production"\naccount = 123456789012', "is that of other.toml, whose data is kept"),
        ('profile = "no such"\naccount = "123456789012"', "is that of other.toml, whose data is kept"),
        ('account = "123456789012"', "is that of other.toml, whose data is kept"),
        ("this is not TOML", "other.toml cannot be read"),
        ('profile = "production"\naccount = "210987654321"', ""),
        ('profile = "production"', ""),
        ('profile = "sandbox"\naccount = "123456789012"', ""),
    ],
)
def test_a_sandbox_stays_out_of_an_account_that_keeps_data(tmp_path: Path, other: str, refused: str) -> None:
    (tmp_path / "try.toml").write_text(FILE.format(profile="sandbox", account="123456789012"), encoding="utf-8")
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    if refused:
        with pytest.raises(BadEnvironment, match=rf"try.toml:4: account: .*{refused}.*, found \"1234"):
            load("try", folder=tmp_path)
    else:
        assert load("try", folder=tmp_path).account == "123456789012"


def test_an_environment_without_an_account_is_nobodys_neighbour(tmp_path: Path) -> None:
    (tmp_path / "try.toml").write_text(FILE.format(profile="sandbox", account="000000000000"), encoding="utf-8")
    (tmp_path / "other.toml").write_text("this is not TOML", encoding="utf-8")
    assert load("try", folder=tmp_path)
