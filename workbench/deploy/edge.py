"""Whether visitors come through the edge already: asked before the load balancer is closed to everybody else."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import urlopen

from workbench.deploy import Refused

HEALTH = "/healthz"


def wait_for_edge(
    address: str,
    *,
    attempts: int = 90,
    pause: float = 10,
    settle: float = 120,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Until a request passes the distribution and is answered by a host; then until no resolver knows the old way."""
    for _ in range(attempts):
        if answers_through_edge(address + HEALTH):
            sleep(settle)
            return
        sleep(pause)
    raise Refused(
        f"{address}{HEALTH} is not answered through CloudFront after {attempts * pause:.0f} s. The load balancer is "
        "still open to both, so the site is up; when it is answered, deploy again: only the second pass is left"
    )


def answers_through_edge(url: str) -> bool:
    """Whether the distribution has passed the request on and has brought an answer back."""
    try:
        with urlopen(url, timeout=10) as answer:
            return "cloudfront" in answer.headers.get("via", "").lower()
    except HTTPError as problem:  # the firewall may not know this machine; that the edge says so is enough
        return problem.code == 403 and "cloudfront" in problem.headers.get("via", "").lower()
    except OSError:
        return False
