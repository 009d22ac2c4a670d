"""What the documents say is what the kit does: their commands run, and text that the kit prints is up to date."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.synth import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("environments/*.md")])

# Commands that a test of documents cannot or need not run, and what runs them instead.
RUN_ELSEWHERE = {
    "make test": "this is it",
    "make quick": "a part of `make test`",
    "make lint": "a part of `make test`",
    "make compare": "tests/workbench/test_cli_compare.py compares, and the page is opened in a browser",
    "make shop": "tests/workbench/test_laptop.py opens it and buys something",
    "blueprint check production --stage 4": "tests/workbench/test_cli_check.py, tests/stacks/test_gates.py",
    "make golden": "tests/stacks/test_golden.py compares what it would write",
}
# Documents whose blocks are one sitting in one shell, and what runs all of them in a row.
ONE_SITTING = {"docs/sandbox.md": "tests/workbench/sandbox/test_end_to_end.py, with a port and a folder of its own"}

FENCE = re.compile(r"^```(?:console|sh|shell|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"^<!-- output: (?P<command>.+?) -->\n(?P<text>.*?)^<!-- /output -->$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The commands of each block, without the output that may stand below them."""
    return [
        [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        for block in FENCE.findall(text)
    ]


def blocks() -> Iterator[tuple[str, list[str]]]:
    for path in DOCUMENTS:
        if str(path.relative_to(ROOT)) in ONE_SITTING:
            continue
        for number, block in enumerate(commands(path.read_text(encoding="utf-8")), start=1):
            yield f"{path.relative_to(ROOT)}, block {number}", block


def run(block: list[str]) -> subprocess.CompletedProcess[str]:
    script = [command for command in block if command not in RUN_ELSEWHERE]
    # As a reader has it: nothing of ours on PATH until the block itself activates the environment.
    path = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if ".venv" not in entry)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


Runs = Mapping[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Every block, two at a time: each is a shell of its own, and none needs what another one writes."""
    with ThreadPoolExecutor(2) as pool:
        yield {where: pool.submit(run, block) for where, block in blocks()}


@pytest.mark.slow
@pytest.mark.parametrize(("where", "block"), [pytest.param(*block, id=block[0]) for block in blocks()])
def test_commands_in_documents_run(where: str, block: list[str], runs: Runs) -> None:
    assert block, f"{where} shows no command; start each one with '$ '"
    done = runs[where].result()
    assert done.returncode == 0, f"{where}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def output(command: str) -> str:
    """What one of our commands prints, in this process and at a fixed width."""
    program, *arguments = shlex.split(command)
    assert program == "blueprint", f"only our own output is generated, not that of {program}"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main(arguments)
    return printed.getvalue().rstrip("\n") + "\n"


def with_output(text: str) -> str:
    """A document with every generated part as the command prints it now."""

    def renew(part: re.Match[str]) -> str:
        printed = output(part["command"])
        body = f"```text\n{printed}```\n" if part["text"].startswith("```") else printed
        return f"<!-- output: {part['command']} -->\n{body}<!-- /output -->"

    return GENERATED.sub(renew, text)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_text_in_documents_is_up_to_date(path: Path, refresh: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = path.read_text(encoding="utf-8")
    assert len(GENERATED.findall(text)) == text.count("<!-- output:"), "a generated part is not closed"
    renewed = with_output(text)
    if refresh:
        path.write_text(renewed, encoding="utf-8")
    else:
        assert text == renewed, "write it again: make golden"


def test_the_picture_in_the_readme_is_up_to_date(refresh: bool, tmp_path: Path) -> None:
    shown, drawn = ROOT / "docs" / "pictures" / "from-3-to-4.svg", tmp_path / "drawn.svg"
    assert main(["compare", "3", "4", "--output", str(shown if refresh else drawn)]) == 0
    assert refresh or shown.read_bytes() == drawn.read_bytes(), "draw it again: make golden"


def test_the_readme_shows_the_stages_and_the_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    generated = {part["command"] for part in GENERATED.finditer(text)}
    assert {"blueprint synth production --markdown", "blueprint --help"} <= generated
    assert commands(text)[0] == ["make synth", "make test"]


def test_stale_generated_text_is_seen() -> None:
    stale = "a\n<!-- output: blueprint stages --markdown -->\nold\n<!-- /output -->\nb\n"
    renewed = with_output(stale)
    assert renewed != stale
    assert "**monolith**" in renewed
    assert with_output(renewed) == renewed


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    inside = [target for target in targets if target and "://" not in target]
    assert not [target for target in inside if not (path.parent / target).exists()]
