"""The processes that answer, and the one that watches over them."""

from __future__ import annotations

from socket import socket

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from shop import environment, observe
from shop.settings import BadSetting, Settings

# Longer than the slowest request; the unit's TimeoutStopSec is longer again, so that systemd never has to kill.
SECONDS_TO_FINISH = 25
# The load balancer keeps its connections for 60 seconds; whoever closes first must be the load balancer.
SECONDS_IDLE = 75
# A worker that starts on a busy host may be silent for a while.
SECONDS_OF_SILENCE = 20
# What was sent to a worker that ends may still be on its way.
SECONDS_TO_ARRIVE = 0.5


class Patient(HttpToolsProtocol):
    """A connection. An idle one ends with its worker, which listens once more before."""

    def shutdown(self) -> None:
        self.loop.call_later(SECONDS_TO_ARRIVE, super().shutdown)


class Processes(Multiprocess):
    """Workers that share one socket: the one that dies is replaced, and SIGHUP replaces them one after the other.

    SIGHUP is how a running shop follows a change of its settings. It stays as it is when they make no sense, and when
    the new worker does not come up.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket]) -> None:
        self._settings = environment.HandedDown()
        super().__init__(config, sockets)

    def handle_hup(self) -> None:
        try:
            self._settings.read_again()
        except BadSetting as problem:
            observe.log("the settings stay as they were", level="error", reason=str(problem))
        else:
            super().handle_hup()

    def terminate_all(self) -> None:
        for door in self.sockets:  # what comes now is refused at once instead of waiting for nobody
            door.close()
        super().terminate_all()


def serve(settings: Settings) -> int:
    """Until SIGTERM. One process has the same watcher over it as several: alone, it could not follow SIGHUP."""
    observe.environment = settings.name
    host, port = settings.listen
    config = uvicorn.Config(
        "shop.app:create",
        factory=True,
        host=host,
        port=port,
        workers=settings.processes,
        loop="uvloop",
        http=Patient,
        ws="none",
        lifespan="on",
        log_config=observe.LOGGING,
        access_log=False,
        server_header=False,
        # Of the addresses that proxies write, the number of ours says which one to believe; see middleware.address.
        proxy_headers=False,
        timeout_keep_alive=SECONDS_IDLE,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
        timeout_worker_healthcheck=SECONDS_OF_SILENCE,
    )
    try:
        door = config.bind_socket()
    except SystemExit:  # uvicorn has logged why
        return 1
    observe.log("listening", address=host, port=door.getsockname()[1], environment=settings.name)
    processes = Processes(config, [door])
    processes.run()
    observe.log("stopped", environment=settings.name)
    return int(any(process.exitcode == STARTUP_FAILURE for process in processes.processes))
