"""Every test, in two runs side by side: what waits for servers and command lines, and what computes with templates.

Neither half needs what the other one makes. `pytest` alone runs both one after the other.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / "build" / "tests-with-servers.log"
PYTEST = [sys.executable, "-m", "pytest"]
WITH_SERVERS = ["tests/shop", "tests/workbench/sandbox/test_end_to_end.py"]
SECONDS_TO_STOP = 20
WITHOUT = [f"--ignore={path}" for path in WITH_SERVERS]


def main() -> int:
    print(f"What needs servers runs beside this: {LOG}", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log:
        beside = subprocess.Popen([*PYTEST, *WITH_SERVERS], cwd=ROOT, stdout=log, stderr=log)
    rest = subprocess.Popen([*PYTEST, *WITHOUT], cwd=ROOT)
    try:
        rest.wait()
        print("What needs servers:", flush=True)
        beside.wait()
    except KeyboardInterrupt:
        return max(map(_stopped, (rest, beside))) or 1
    print(LOG.read_text(encoding="utf-8"), end="", flush=True)
    return rest.returncode or beside.returncode


def _stopped(half: subprocess.Popen[bytes]) -> int:
    """The code of a half that was interrupted too, once it has ended its servers; some tests swallow an interrupt."""
    while True:
        try:
            return half.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            half.send_signal(signal.SIGINT)
        except KeyboardInterrupt:
            print("It is ending its servers ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
