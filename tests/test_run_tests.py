"""What `make test` runs side by side counts as a whole: no half hides what the other one found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import run_tests

# Each half is told by what it is asked to run or to leave out.
HALF = "import os, sys; print('looked', flush=True); {0} if 'tests/shop' in sys.argv else {1}"
PASSES, FAILS, DIES = "sys.exit(0)", "sys.exit(1)", "os.kill(os.getpid(), 9)"


@pytest.mark.parametrize(
    ("with_servers", "without", "good"),
    [
        (PASSES, PASSES, True),
        (FAILS, PASSES, False),
        (PASSES, FAILS, False),
        (FAILS, FAILS, False),
        (DIES, PASSES, False),
        (PASSES, DIES, False),
    ],
)
def test_one_half_that_fails_is_a_failure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    with_servers: str,
    without: str,
    good: bool,
) -> None:
    monkeypatch.setattr(run_tests, "LOG", tmp_path / "log")
    monkeypatch.setattr(run_tests, "PYTEST", [sys.executable, "-c", HALF.format(with_servers, without)])
    assert (run_tests.main() == 0) is good
    assert capfd.readouterr().out.count("looked\n") == 2, "what both halves say is shown"
