"""What the hosts' files repeat from the building blocks, because they cannot import them."""

from __future__ import annotations

import re

import pytest

from building_blocks.load_balancer import INTERNAL_PATHS
from building_blocks.network import CIDR
from workbench.synth import ROOT

HOST = ROOT / "shop" / "host"


def test_postgresql_admits_the_networks_own_addresses() -> None:
    assert CIDR in (HOST / "pg_hba.conf").read_text()


@pytest.mark.parametrize("name", ["nginx-plain.conf", "nginx-secure.conf"])
def test_the_single_host_hides_the_same_paths_as_the_load_balancer(name: str) -> None:
    (hidden,) = re.findall(r"location ~ (\S+) {\s+return 404;", (HOST / name).read_text())
    for path in INTERNAL_PATHS:
        assert re.match(hidden, path.replace("*", "anything"))
    for path in ("/", "/healthz", "/products/metrics", "/readyzzz"):
        assert not re.match(hidden, path)
