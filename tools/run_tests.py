"""Every test, in two runs side by side: what waits for servers and command lines, and what computes with templates.

Neither half needs what the other one makes. `pytest` alone runs both one after the other.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / "build" / "tests-with-servers.log"
PYTEST = [sys.executable, "-m", "pytest"]
WITH_SERVERS = ["tests/shop", "tests/workbench/sandbox/test_end_to_end.py"]
WITHOUT = [f"--ignore={path}" for path in WITH_SERVERS]


def main() -> int:
    print(f"What needs servers runs beside this: {LOG}", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log:
        beside = subprocess.Popen([*PYTEST, *WITH_SERVERS], cwd=ROOT, stdout=log, stderr=log)
    try:
        code = subprocess.call([*PYTEST, *WITHOUT], cwd=ROOT)
        print("What needs servers:", flush=True)
        beside.wait()
    except KeyboardInterrupt:
        return beside.wait() or 1  # it was interrupted, too, and stops its servers
    print(LOG.read_text(encoding="utf-8"), end="", flush=True)
    return code or beside.returncode


if __name__ == "__main__":
    sys.exit(main())
