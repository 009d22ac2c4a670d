"""The catalogue that one begins with: the same for everybody, however often it is made."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import psycopg
import pytest

from shop import seed
from shop.__main__ import main
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

PRODUCTS = "select id, name, description, category, price_cents, stock from products order by id"


def add(database_url: str, products: int) -> str:
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as said:
        patched.setenv("DATABASE_URL", database_url)
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        assert main(["seed", "--products", str(products)]) == 0
    return said.getvalue()


def test_a_hundred_thousand_names_are_all_different_and_every_price_is_one() -> None:
    products = list(seed.products(0, 100_000))
    assert len({name for name, *_ in products}) == 100_000
    assert {category for _, _, category, _, _ in products} == set(seed.CATEGORIES)
    assert all(300 < cents < 20_000 and 0 < stock <= 200 for *_, cents, stock in products)


def test_the_first_ones_are_what_one_would_show() -> None:
    first = list(seed.products(0, 300))
    assert not any("No." in name for name, *_ in first)
    assert len({name.split()[-1] for name, *_ in first}) > 50


def test_it_fills_up_to_a_number_and_again_does_nothing(database_url: str) -> None:
    assert add(database_url, 30).startswith("30 products added")
    assert add(database_url, 30).startswith("0 products added")
    assert add(database_url, 20).startswith("0 products added")
    assert add(database_url, 50).startswith("20 products added")
    with psycopg.connect(database_url) as connection:
        rows = [row[1:] for row in connection.execute(PRODUCTS).fetchall()]
    assert rows == list(seed.products(0, 50)), "in two steps the same as at once"


def test_what_is_there_can_be_found(database_url: str) -> None:
    add(database_url, 40)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(*) from product_search where document @@ 'mug'::tsquery").fetchone()
    assert row is not None
    assert row[0] == sum("Mug" in name for name, *_ in seed.products(0, 40)) > 0


def test_two_at_once_fill_it_once(database_url: str) -> None:
    def fill() -> subprocess.Popen[bytes]:
        variables = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lambdas'}", "DATABASE_URL": database_url}
        command = [sys.executable, "-m", "shop", "seed", "--products", "500"]
        return subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)

    assert [process.wait() for process in (fill(), fill())] == [0, 0]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(*) from products").fetchone()
    assert row == (500,)
