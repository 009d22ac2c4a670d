"""What `make test` runs side by side is one: no half hides what the other one found, and both end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import run_tests
from workbench.synth import ROOT

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


# The half with servers swallows the first interrupt; each takes its time to end what it has started.
STUBBORN = """
import sys, time
for _ in range(2 if 'tests/shop' in sys.argv else 1):
    try:
        print('begun', file=sys.stderr, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        pass
time.sleep(0.6)
print('ended', file=sys.stderr, flush=True)
sys.exit(2)
"""
RUN = """
import sys
from pathlib import Path
from tools import run_tests
run_tests.LOG, run_tests.SECONDS_TO_STOP = Path(sys.argv[1]), 2
run_tests.PYTEST = [sys.executable, '-c', sys.argv[2]]
sys.exit(run_tests.main())
"""


def test_an_interrupt_ends_both_halves_also_the_one_that_swallows_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = subprocess.Popen(
        [sys.executable, "-c", RUN, log, STUBBORN],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert running.stderr is not None
    assert running.stderr.readline() == "begun\n"
    while not log.exists() or "begun" not in log.read_text(encoding="utf-8"):
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(30) == 2
    assert running.stderr.read() == "ended\n", "it was not killed, and could end its servers"
    assert log.read_text(encoding="utf-8") == "begun\nbegun\nended\n"
