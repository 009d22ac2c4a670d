"""How long comparing takes, beside what `cdk diff` takes for the same pair in the same run; exit 1 below the bar.

Both sides are assemblies on disk, and every figure is a whole process. `cdk diff` looks at one stack at a time, so its
figure is the sum over all stacks.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BLUEPRINT, CDK = str(BIN / "blueprint"), str(BIN / "cdk")
TIMES = 5
FASTER_BAR = 4.0
RESOURCES = 500


def seconds(*command: str) -> float:
    """The whole process, from start to exit. `cdk diff` may look for credentials; there are none."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    quiet |= {"AWS_EC2_METADATA_DISABLED": "true", "CDK_DISABLE_CLI_TELEMETRY": "true"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=quiet)
    took = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def median(*command: str) -> float:
    return statistics.median(seconds(*command) for _ in range(TIMES))


def large(path: Path, *, generation: int) -> Path:
    """One template with as many resources as CloudFormation takes, half of them different in each generation."""
    resources = {
        f"Queue{number}": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "VisibilityTimeout": number + generation * (number % 2),
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": [f"Queue{max(0, number - 1)}", "Arn"]},
                    "maxReceiveCount": 5,
                },
            },
        }
        for number in range(RESOURCES)
    }
    path.write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    return path


def row(name: str, figure: str, bar: str, met: bool) -> None:
    print(f"{name:<44} {figure:>8}   bar {bar:>7}   {'met' if met else 'MISSED'}", flush=True)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        seconds(BLUEPRINT, "synth", "production", "--out", folder)
        stages = work / "production"
        before, after = str(stages / "stage-3"), str(stages / "stage-4")
        report = median(BLUEPRINT, "compare", before, after)
        page = median(BLUEPRINT, "compare", "--all", str(stages), "--output", str(work / "stages.html"))
        pair = [str(large(work / f"{generation}.json", generation=generation)) for generation in (1, 2)]
        huge = median(BLUEPRINT, "compare", *pair)
        peer = sum(
            seconds(CDK, "diff", stack.name.partition(".")[0], "--exclusively", f"--app={after}", f"--template={stack}")
            for stack in sorted(Path(before).glob("*.template.json"))
        )
    row("compare stage 3 with 4, in the terminal", f"{report:.2f}s", "0.7s", report <= 0.7)
    row("the page of all five stages", f"{page:.2f}s", "2.0s", page <= 2)
    row(f"two templates with {RESOURCES} resources", f"{huge:.2f}s", "2.0s", huge <= 2)
    row(
        "cdk diff over the same stacks, times slower",
        f"{peer / report:.1f}x",
        f"{FASTER_BAR}x",
        peer / report >= FASTER_BAR,
    )
    return 0 if peer / report >= FASTER_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
