"""How long things take, each against its bar; exit 1 when the one that is a promise is missed.

The promise is a ratio within one run, so it holds on any machine: all five stages in one process against stage 5
alone, whole processes, CDK's own validation off. The seconds beside it are for a machine with two cores.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BLUEPRINT = str(BIN / "blueprint")
PYTEST = [sys.executable, "-m", "pytest"]
RATIO_BAR = 2.5

# What is reported beside the ratio: a name, the command, how often, and the bar in seconds.
REPORTED = (
    ("blueprint stages", [BLUEPRINT, "stages"], 5, 0.3),
    ("make quick, warm", ["make", "quick"], 2, 60.0),
    ("all gates, both profiles", [*PYTEST, "-m", "gate"], 1, 60.0),
)


def seconds(command: list[str]) -> float:
    """The whole process, from start to exit."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def row(name: str, figure: str, bar: str, met: bool) -> None:
    print(f"{name:<34} {figure:>8}   bar {bar:>7}   {'met' if met else 'MISSED'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="repetitions of the two synthesis runs (default: 5)")
    parser.add_argument("--ratio-only", action="store_true", help="leave out what is only reported")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as out:
        synth = [BLUEPRINT, "synth", "production", "--out", out]
        seconds([*synth, "--stage", "5"])  # compiles and fills caches; both sides start warm
        alone, together = [], []
        for _ in range(options.times):  # in turn, so that a busy moment hits both
            alone.append(seconds([*synth, "--stage", "5"]))
            together.append(seconds(synth))
    ratio = statistics.median(together) / statistics.median(alone)
    print(f"{'stage 5 alone':<34} {statistics.median(alone):7.2f}s   median of {options.times}")
    print(f"{'all five stages, one process':<34} {statistics.median(together):7.2f}s   median of {options.times}")
    row("five stages against stage 5 alone", f"{ratio:.2f}x", f"{RATIO_BAR}x", ratio <= RATIO_BAR)

    for name, command, times, bar in () if options.ratio_only else REPORTED:
        seconds(command)
        figure = statistics.median(seconds(command) for _ in range(times))
        row(name, f"{figure:.2f}s", f"{bar}s", figure <= bar)
    return 0 if ratio <= RATIO_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
