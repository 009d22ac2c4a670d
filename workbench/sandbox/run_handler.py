"""What runs in the process of one deployed function: `python -I run_handler.py DESCRIPTOR FOLDER HANDLER`.

It imports the handler, says so, and then answers one event after the other, as JSON, until nobody asks any more. What
the handler prints is its log.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any


class Context:
    """What a handler may ask about its invocation."""

    def __init__(self, facts: dict[str, Any], seconds: float) -> None:
        self.__dict__.update(facts)
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.monotonic()) * 1000))


def main(descriptor: str, folder: str, handler: str) -> None:
    connection: Any = Connection(int(descriptor))
    sys.path.insert(0, folder)
    module, _, name = handler.rpartition(".")
    try:
        function = getattr(importlib.import_module(module.replace("/", ".")), name)
    except Exception as error:
        connection.send_bytes(failure(error))
        return
    connection.send_bytes(b"{}")
    while True:
        try:
            asked = json.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            payload = function(asked["event"], Context(asked["facts"], asked["seconds"]))
            said = json.dumps({"payload": payload}).encode()  # Lambda, too, takes only what is JSON
        except Exception as error:
            said = failure(error)
        connection.send_bytes(said)


def failure(error: Exception) -> bytes:
    """The error as Lambda reports it; the log has it too."""
    traceback.print_exc()
    trace = traceback.format_tb(error.__traceback__)
    facts = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace}
    return json.dumps({"error": facts}).encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
