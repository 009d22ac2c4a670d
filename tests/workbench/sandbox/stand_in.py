"""Stands in for the server of the local AWS where only its process matters: it starts at once and keeps nothing."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

STACKS = [{"name": "shop-network", "region": "us-east-1", "status": "CREATE_COMPLETE", "resources": 12}]


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(STACKS).encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if "BROKEN" in os.environ:
        sys.exit("moto is missing")
    if "STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    HTTPServer(("127.0.0.1", options.port), Answers).serve_forever()


if __name__ == "__main__":
    main()
