"""How long the import of each function takes, over what boto3 alone takes; exit 1 when one misses the bar.

Every figure is a median of fresh processes. What a job imports only with its first event stands apart: that is paid
too, at another time. So does the import without byte code, as in a package whose modules were never compiled.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAMBDAS = ROOT / "lambdas"
BAR_MS = 100
TIMES = 7
NO_BYTE_CODE = "import sys; sys.dont_write_bytecode = True; sys.pycache_prefix = '/nonexistent'"
# What else the first event imports.
LATER = {"image_resize": "import jobs.thumbnails; from PIL import Image, ImageCms, ImageOps; Image.preinit()"}
PROGRAM = """
import time, boto3
{before}
started = time.perf_counter()
import handler
imported = time.perf_counter()
{later}
print(1000 * (imported - started), 1000 * (time.perf_counter() - imported))
"""
# As the stacks set them; importing a handler calls nobody.
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
    "POWERTOOLS_METRICS_NAMESPACE": "ShopWorkers",
}


def jobs() -> list[str]:
    return sorted(path.parent.name for path in LAMBDAS.glob("*/requirements.in"))


def milliseconds(job: str, *, before: str = "pass", times: int = TIMES) -> tuple[float, float]:
    """Of the handler's import, and of what its first event imports on top; medians."""
    program = PROGRAM.format(before=before, later=LATER.get(job, "pass"))
    path = os.pathsep.join([str(LAMBDAS / job), str(LAMBDAS)])
    command = [sys.executable, "-c", program]
    runs = [
        subprocess.run(
            command, env={**os.environ, **VARIABLES, "PYTHONPATH": path}, check=True, capture_output=True, text=True
        )
        for _ in range(times)
    ]
    first, later = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    return statistics.median(first), statistics.median(later)


def main() -> int:
    missed = 0
    print(f"{'over boto3, in ms':<20} {'import':>8} {'first event':>12} {'no byte code':>13}   bar {BAR_MS}")
    for job in jobs():
        milliseconds(job, times=1)  # writes byte code
        first, later = milliseconds(job)
        bare, _ = milliseconds(job, before=NO_BYTE_CODE)
        missed += first > BAR_MS
        print(f"{job:<20} {first:8.0f} {later:12.0f} {bare:13.0f}   {'MISSED' if first > BAR_MS else 'met'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
