"""How long the import of each function takes, over what boto3 alone takes; exit 1 when one misses the bar.

Every figure is a median of fresh processes, in processor time: importing waits for nothing, and what else the machine
does is not counted. What a job imports only with its first event stands apart: that is paid too, at another time. So
does the import without byte code: only the runtime's own Python could compile for it, so a deployed package has none,
and a cold start pays the third column; the exit code follows the first.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LAMBDAS = ROOT / "lambdas"
BAR_MS = 100
TIMES = 7
NO_BYTE_CODE = "import sys; sys.dont_write_bytecode = True; sys.pycache_prefix = '/nonexistent'"
# What else the first event imports.
LATER = {"image_resize": "import jobs.thumbnails; from PIL import Image, ImageCms, ImageOps; Image.preinit()"}
PROGRAM = """
import time
begun = time.process_time()
import boto3
runtime = time.process_time() - begun
{before}
started = time.process_time()
import handler
imported = time.process_time()
{later}
print(1000 * (imported - started), 1000 * (time.process_time() - imported), 1000 * runtime)
"""
# As the stacks and Lambda set them; importing a handler calls nobody.
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_NAME": "job",
    "LAMBDA_TASK_ROOT": "/var/task",  # traces are written where this is set
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "SHOP_NAME": "shop",
    "STATE_TABLE": "state",
    "FILES_BUCKET": "files",
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/queue",
    "DEAD_LETTERS_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/dead-letters",
    "MAIL_FROM": "shop@example.com",
    "MAIL_RULES": "rules",
    "STREAM": "stream",
    "DATABASE_PARAMETERS": "/shop/database",
    "POWERTOOLS_SERVICE_NAME": "job",
}


def jobs() -> list[str]:
    return sorted(path.parent.name for path in LAMBDAS.glob("*/requirements.in"))


class Run(NamedTuple):
    """Milliseconds in one process: the handler's import, what its first event imports on top, and boto3 before both."""

    handler: float
    later: float
    boto3: float


def runs(job: str, *, before: str = "pass", times: int = TIMES) -> list[Run]:
    """One run for each process."""
    command = [sys.executable, "-c", PROGRAM.format(before=before, later=LATER.get(job, "pass"))]
    path = os.pathsep.join([str(LAMBDAS / job), str(LAMBDAS)])
    variables = {**os.environ, **VARIABLES, "PYTHONPATH": path}
    found = []
    for _ in range(times):
        done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
        found.append(Run(*map(float, done.stdout.split())))
    return found


def verdict(milliseconds: float) -> str:
    return "met" if milliseconds <= BAR_MS else "MISSED"


def main() -> int:
    missed = False
    print(f"{'over boto3, in ms':<20} {'import':>8} {'first event':>12} {'no byte code':>13}   bar {BAR_MS}")
    for job in jobs():
        runs(job, times=1)  # writes byte code
        handler, later, _ = (statistics.median(column) for column in zip(*runs(job), strict=True))
        bare = statistics.median(run.handler for run in runs(job, before=NO_BYTE_CODE))
        missed = missed or handler > BAR_MS
        said = f"{verdict(handler)}, as deployed {verdict(bare)}"
        print(f"{job:<20} {handler:8.0f} {later:12.0f} {bare:13.0f}   {said}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
