"""The process of the local AWS: moto's services behind one port, and our own CloudFormation in front of them."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.route53.models import HostedZoneIdentifier
from werkzeug.serving import make_server

from blueprint.environment import UNSET_ACCOUNT
from workbench.lab.servers import LOOPBACK
from workbench.sandbox.api import answer
from workbench.sandbox.engine import Engine
from workbench.sandbox.kinds import KINDS
from workbench.sandbox.kinds.kind import FAILURES
from workbench.sandbox.local import FUNCTIONS, KEY
from workbench.sandbox.runner import Runner
from workbench.sandbox.stacks import Stacks

_SIGNED = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
# Which of moto's gaps the server itself bridges: nothing here makes a recovery point, and moto has no list of them.
_RECOVERY_POINTS = re.compile(r"/backup-vaults/[^/]+/recovery-points/?")
_DENIED = (
    '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
    "<Code>{}</Code><Message>{}</Message></Error><RequestId>request-id</RequestId></ErrorResponse>"
)
_NO_ROLE = (
    "Not authorized to perform: sts:AssumeRole on resource: {}: the local AWS has no such role; bootstrap it first"
)
_NO_KEY = 'This local AWS only answers the access key of its start. In your terminal: eval "$(blueprint sandbox env)"'


def make_zone_ids_as_in_aws() -> None:
    """Ids of hosted zones begin with Z there, and environment files accept no others; moto's are any letters."""
    generate = HostedZoneIdentifier.generate

    def with_z(self: HostedZoneIdentifier, *arguments: Any, **named: Any) -> str:
        return f"Z{generate(self, *arguments, **named)[1:]}"

    HostedZoneIdentifier.generate = with_z  # type: ignore[method-assign]


class QuietHandler(MotoRequestHandler):
    """The log is for what goes wrong."""

    def log_request(self, *_: Any) -> None:
        pass


class Application:
    """Sends each request to whoever its signature says it is for, if whoever sends it has the key.

    What is deployed runs with the rights of whoever started it, and everything on this machine reaches the port, web
    pages in a browser included.
    """

    def __init__(self, stacks: Stacks, key: str) -> None:
        self._stacks, self._key = stacks, key
        self._engine = Engine(stacks, KINDS)
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def say(status: int, kind: str, text: str) -> Iterable[bytes]:
            start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", kind)])
            return [text.encode()]

        signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
        key, region, service = signed.groups() if signed else ("", "", "")
        if not self._knows(key):
            if "json" in environ.get("CONTENT_TYPE", ""):
                told = {"__type": "InvalidClientTokenId", "message": _NO_KEY}
                return say(403, "application/x-amz-json-1.1", json.dumps(told))
            return say(403, "text/xml", _DENIED.format("InvalidClientTokenId", _NO_KEY))
        if environ["PATH_INFO"] == "/sandbox/stacks":
            return say(200, "application/json", json.dumps(self._contents()))
        if service == "backup" and _RECOVERY_POINTS.fullmatch(environ["PATH_INFO"]):
            return say(200, "application/json", '{"RecoveryPoints": []}')
        if service in ("cloudformation", "sts"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            if service == "cloudformation":
                status, text = answer(self._engine, region, body.decode())
                return say(status, "text/xml", text)
            form = dict(parse_qsl(body.decode()))
            if form.get("Action") == "AssumeRole" and not self._has_role(form.get("RoleArn", "")):
                return say(403, "text/xml", _DENIED.format("AccessDenied", _NO_ROLE.format(form.get("RoleArn"))))
        return self._moto(environ, start_response)  # type: ignore[no-any-return]

    def _knows(self, key: str) -> bool:
        """Whether it is the one of the start, or that of a role which somebody took who has this one."""
        return key == self._key or any(key in one["aws"].access_keys for one in list(iam_backends.values()))

    def _has_role(self, arn: str) -> bool:
        """Whether we have this role; moto lets everybody have any role of any account."""
        aws = self._stacks.aws("us-east-1")
        try:
            return bool(aws.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]["Arn"] == arn)
        except FAILURES:
            return False

    def _contents(self) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "region": one.region, "status": one.status, "resources": len(one.resources)}
            for one in self._stacks.all()
        ]


def serve(port: int, folder: Path) -> None:
    """Answer on this port of this machine until the process is told to end."""
    os.environ |= {"MOTO_ACCOUNT_ID": UNSET_ACCOUNT, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    make_zone_ids_as_in_aws()
    application = Application(Stacks(), os.environ[KEY])
    server = make_server(LOOPBACK, port, application, threaded=True, request_handler=QuietHandler)
    runner = Runner(f"http://{LOOPBACK}:{port}", os.environ[KEY], folder / FUNCTIONS)
    runner.start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        runner.stop()
        server.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    serve(options.port, options.folder)
