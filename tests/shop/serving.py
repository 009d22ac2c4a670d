"""The whole shop behind a real port, in a thread, for tests that are its visitors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from shop.app import create
from shop.settings import Settings
from workbench.lab.servers import LOOPBACK, free_port

SECONDS_TO_START = 20


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Where it is, once it answers."""
    port = free_port()
    config = uvicorn.Config(create(settings), host=LOOPBACK, port=port, log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + SECONDS_TO_START
    while not server.started:
        assert thread.is_alive(), "the shop ended while it started"
        assert time.monotonic() < deadline, "the shop did not start"
        time.sleep(0.01)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join()
