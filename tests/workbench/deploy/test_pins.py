"""Pins: asked from AWS, written into the file without touching anything else."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprint.environment import ENVIRONMENTS, BadEnvironment, load
from workbench.cli import main
from workbench.deploy import Refused, pins
from workbench.deploy.live import Aws
from workbench.deploy.pins import rewritten, write

NEW = {"image": "ami-0123456789abcdef0", "edge_prefix_list": "pl-0aaaaaaaaaaaaaaaa"}
IMAGE = {"image": NEW["image"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[pins]\nimage = "ami-1"  # keep me\n', '[pins]\nimage = "ami-0123456789abcdef0"  # keep me\n'),
        ("[pins]\nimage='ami-1'", "[pins]\nimage='ami-0123456789abcdef0'"),
        ("[pins] # mine\nb = 2\n", '[pins] # mine\nimage = "ami-0123456789abcdef0"\nb = 2\n'),
        ("[pins]\n#\n# image = 1\n\n[tags]\n", '[pins]\n#\n# image = 1\nimage = "ami-0123456789abcdef0"\n\n[tags]\n'),
        ("[pins]", '[pins]\nimage = "ami-0123456789abcdef0"\n'),
        ("a = 1", 'a = 1\n\n[pins]\nimage = "ami-0123456789abcdef0"\n'),
        ("a = 1\r\n[pins]\r\nb = 2\r\n", 'a = 1\r\n[pins]\r\nimage = "ami-0123456789abcdef0"\r\nb = 2\r\n'),
        ('pins.image = "ami-1"\n', 'pins.image = "ami-0123456789abcdef0"\n'),
        ('pins = { image = "ami-1", x = 1 }\n', 'pins = { image = "ami-0123456789abcdef0", x = 1 }\n'),
    ],
)
def test_only_the_pin_changes(before: str, after: str) -> None:
    assert rewritten(before, IMAGE) == after


@pytest.mark.parametrize(
    "text", ["pins = { x = 1 }\n", "pins.x = 1\n", '[pins]\nimage = """\nami-1"""\n', '[pins]\nimage = "\\u0061mi-1"\n']
)
def test_a_layout_that_cannot_be_edited_safely_is_refused_with_the_line_to_write(text: str) -> None:
    with pytest.raises(Refused, match=r'write under \[pins\]: image = "ami-0123456789abcdef0"'):
        rewritten(text, IMAGE)


@pytest.mark.parametrize("name", ["production", "sandbox"])
def test_our_own_files_keep_every_other_line(name: str) -> None:
    before = (ENVIRONMENTS / f"{name}.toml").read_text(encoding="utf-8")
    after = rewritten(before, NEW)
    assert tomllib.loads(after)["pins"] == NEW
    kept = set(before.splitlines()) & set(after.splitlines())
    assert len(set(before.splitlines()) - kept) == (2 if name == "production" else 1)
    assert rewritten(after, NEW) == after


@given(st.text(alphabet="abz#=[]\"'\n \\.-0", max_size=60))
def test_whatever_the_comments_are_only_pins_change(comment: str) -> None:
    lines = "".join(f"# {line}\n" for line in comment.split("\n"))
    before = f'{lines}name = "x"\n{lines}[pins]\n{lines}image = "ami-1"\n{lines}[tags]\na = "ami-1"\n'
    after = rewritten(before, NEW)
    assert tomllib.loads(after) == {"name": "x", "pins": NEW, "tags": {"a": "ami-1"}}
    assert [line for line in after.splitlines() if line.startswith("#")] == [
        line for line in before.splitlines() if line.startswith("#")
    ]


def test_what_would_be_no_valid_environment_is_never_written(environment_file: Callable[..., Path]) -> None:
    file = environment_file()
    before = file.read_bytes()
    with pytest.raises(BadEnvironment, match="image"):
        write(file, {"image": "no image"})
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_is_no_neighbour_of_its_own_draft(
    environment_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = environment_file('account = "123456789012"')
    monkeypatch.setattr(pins, "load", partial(load, folder=file.parent))
    write(file, IMAGE)
    assert load(str(file)).pins.image == IMAGE["image"]


def test_a_link_stays_a_link_and_rights_stay_as_they_were(
    environment_file: Callable[..., Path], tmp_path: Path
) -> None:
    file, link = environment_file(), tmp_path / "link.toml"
    file.chmod(0o640)
    link.symlink_to(file)
    write(link, IMAGE)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert tomllib.loads(file.read_text(encoding="utf-8"))["pins"] == IMAGE


@pytest.mark.usefixtures("aws")
def test_the_command_shows_old_and_new_and_writes_both(
    environment_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = environment_file('# mine\n[pins]\nedge_prefix_list = "pl-3b927c52"')
    assert main(["pin", str(file)]) == 0
    pins = tomllib.loads(file.read_text(encoding="utf-8"))["pins"]
    assert pins["image"].startswith("ami-")
    said = capsys.readouterr().out
    assert f"image: not pinned -> {pins['image']}" in said
    assert f"edge_prefix_list: pl-3b927c52 -> {pins['edge_prefix_list']}" in said
    assert "# mine\n" in file.read_text(encoding="utf-8")
    assert main(["pin", str(file)]) == 0
    assert f"{pins['image']} is the newest" in capsys.readouterr().out


def test_the_image_can_be_asked_for_alone(aws: Aws, calls: list[str], environment_file: Callable[..., Path]) -> None:
    assert aws
    file = environment_file()
    assert main(["pin", str(file), "--image"]) == 0
    assert list(tomllib.loads(file.read_text(encoding="utf-8"))["pins"]) == ["image"]
    assert "DescribeManagedPrefixLists" not in calls


def test_the_made_up_ids_of_a_local_aws_are_not_written(
    calls: list[str],
    environment_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = environment_file()
    before = file.read_bytes()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:5566")
    assert main(["pin", str(file)]) == 1
    assert "http://127.0.0.1:5566 is a local AWS, which makes up its ids" in capsys.readouterr().err
    assert (file.read_bytes(), calls) == (before, [])


def test_a_wrong_file_is_said_as_everywhere(
    environment_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pin", str(environment_file('domain = "x"'))]) == 2
    assert "domain" in capsys.readouterr().err
