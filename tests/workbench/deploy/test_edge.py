"""Whether visitors come through the edge: what a server answers, and what that proves."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from workbench.deploy import Refused
from workbench.deploy.edge import missing_at_edge, wait_for_edge

THROUGH = "1.1 abc.cloudfront.net (CloudFront)"
Answers = list[tuple[int, str]]


@pytest.fixture
def edge() -> Iterator[tuple[str, Answers]]:
    """A server whose next answers a test lists: status, and what it says that it came through."""
    answers: Answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, via = answers.pop(0)
            self.send_response(status)
            self.send_header("Via", via)
            self.send_header("X-Cache", "Miss from cloudfront" if status == 200 else "Error from cloudfront")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "via", "missing"),
    [
        (200, THROUGH, ""),
        (200, "", "not through CloudFront"),  # the domain still leads to the load balancer
        (502, THROUGH, "the answer was 502"),  # the edge does not reach the load balancer
        (404, THROUGH, "the answer was 404"),
        (403, "", "the answer was 403"),
        (403, THROUGH, "the distribution does not know this name, or its firewall turns this machine away"),
    ],
)
def test_only_the_answer_of_a_host_through_the_edge_proves_it(
    edge: tuple[str, Answers], status: int, via: str, missing: str
) -> None:
    address, answers = edge
    answers.append((status, via))
    found = missing_at_edge(address)
    assert missing in found if missing else found == ""


def test_the_lock_waits_for_the_edge_and_for_resolvers(edge: tuple[str, Answers]) -> None:
    address, answers = edge
    answers += [(502, THROUGH), (200, ""), (403, THROUGH), (200, THROUGH)]
    slept: list[float] = []
    wait_for_edge(address, pause=3, settle=60, sleep=slept.append)
    assert slept == [3, 3, 3, 60]


def test_an_edge_that_never_answers_leaves_the_load_balancer_open() -> None:
    with pytest.raises(Refused, match=r"after 20 s: .*refused.* still open to both"):
        wait_for_edge("http://127.0.0.1:9", attempts=2, sleep=lambda _: None)


def test_a_firewall_that_blocks_this_machine_is_told_with_a_way_on(edge: tuple[str, Answers]) -> None:
    address, answers = edge
    answers.append((403, THROUGH))
    with pytest.raises(Refused, match=r"Look from one that may visit the site.*cdk deploy --all"):
        wait_for_edge(address, attempts=1, sleep=lambda _: None)


def test_without_a_distribution_nothing_is_waited_for() -> None:
    with pytest.raises(Refused, match="no distribution that could be waited for; nothing was locked"):
        wait_for_edge(None, attempts=0)
