"""Whether visitors come through the edge already: asked before the load balancer is closed to everybody else."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from workbench.deploy import Refused

HEALTH = "/healthz"


def wait_for_edge(
    address: str | None,
    *,
    attempts: int = 90,
    pause: float = 10,
    settle: float = 120,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Until a request passes the distribution and is answered by a host; then until no resolver knows the old way."""
    if address is None:
        raise Refused("there is no distribution that could be waited for; nothing was locked")
    missing = ""
    for _ in range(attempts):
        missing = missing_at_edge(address + HEALTH)
        if not missing:
            sleep(settle)
            return
        sleep(pause)
    raise Refused(
        f"{address}{HEALTH} is not answered by a host through CloudFront after {attempts * pause:.0f} s: {missing}. "
        "The load balancer is still open to both, so the site is up; when it is answered, deploy again: only the "
        "second pass is left"
    )


def missing_at_edge(url: str) -> str:
    """What is missing until the distribution has passed a request on and brought a host's answer back; "" is nothing.

    An error proves nothing: CloudFront says 403 itself for a name that no distribution has, for what its firewall
    blocks and for what its origin refused, all with the same headers.
    """
    try:
        with urlopen(url, timeout=10) as answer:
            through = "cloudfront" in answer.headers.get("via", "").lower()
            return "" if through else "it was answered, but not through CloudFront; resolvers still know the old way"
    except HTTPError as problem:
        if problem.code != 403:
            return f"the answer was {problem.code}"
        return (
            "the answer was 403: the distribution does not know this name, or its firewall turns this machine away. "
            "Look from one that may visit the site; where it is answered, deploy from there, or without this wait by "
            "`cdk deploy --all`"
        )
    except (OSError, HTTPException) as problem:
        return str(getattr(problem, "reason", problem))
