"""What the hosts' files repeat from the building blocks and from the shop, because they cannot import them."""

from __future__ import annotations

import inspect
import re

import pytest

from building_blocks import cdn
from building_blocks.files import ARCHIVE
from building_blocks.load_balancer import INTERNAL_PATHS
from building_blocks.network import CIDR
from shop.database import READ_SECONDS, WRITE_SECONDS
from shop.middleware import BODY_SECONDS, PICTURE_BODY, SECONDS_FOR_JOBS, SECONDS_TO_ANSWER
from shop.serve import SECONDS_TO_FINISH
from shop.settings import load
from shop.work import JOB_SECONDS
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


def test_nginx_passes_on_what_the_shop_reads_of_a_picture_and_no_more() -> None:
    (most,) = re.findall(r"client_max_body_size (\d+)m;", (HOST / "nginx.conf").read_text())
    assert int(most) * 1024**2 == PICTURE_BODY


def test_a_picture_as_large_as_its_form_says_fits_with_all_that_a_form_adds() -> None:
    (megabytes,) = re.findall(r"at most ([\d.]+) MB", (ROOT / "shop/templates/staff_product.html").read_text())
    assert float(megabytes) * 1024**2 + 4096 <= PICTURE_BODY


def test_whoever_waits_for_the_shop_waits_longer_than_its_slowest_answer() -> None:
    """From what a request is made of to whoever stops waiting for it: nothing that was begun in time is cut off."""
    pool_seconds = load({"DATABASE_URL": "postgresql://a@b/c"}).pool_timeout
    assert BODY_SECONDS + pool_seconds + WRITE_SECONDS <= SECONDS_TO_ANSWER
    assert max(READ_SECONDS, JOB_SECONDS) < SECONDS_FOR_JOBS < SECONDS_TO_ANSWER < SECONDS_TO_FINISH
    (proxy,) = re.findall(r"proxy_read_timeout (\d+)s;", (HOST / "nginx.conf").read_text())
    (edge,) = re.findall(r"read_timeout=seconds\((\d+)\)", inspect.getsource(cdn))
    assert min(int(proxy), int(edge)) > SECONDS_TO_ANSWER


def test_systemd_waits_longer_than_the_shop_takes_to_finish() -> None:
    (seconds,) = re.findall(r"TimeoutStopSec=(\d+)", (HOST / "shop-process.conf").read_text())
    assert int(seconds) >= SECONDS_TO_FINISH + 5


def test_uploads_are_where_the_shop_may_write() -> None:
    (uploads,) = re.findall(r"uploads=(\S+)", (HOST / "server.sh").read_text())
    process = (HOST / "shop-process.conf").read_text()
    assert f"ReadWritePaths=-{uploads}\n" in process
    assert f"RequiresMountsFor={uploads}\n" in process


def test_the_archive_goes_where_the_bucket_lets_it_expire() -> None:
    assert f"key={ARCHIVE}$cluster/" in (HOST / "wal.sh").read_text()
