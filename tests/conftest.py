"""Shared by all tests: Node and CDK's settings, and every stage of both profiles, synthesised once a session."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from blueprint.environment import Environment, load
from blueprint.stages import STAGES
from workbench.lab.servers import LocalAws, Postgres, Valkey
from workbench.synth import ROOT, prepare, synth

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before any test module imports aws_cdk.
prepare()
os.environ["PATH"] = str(ROOT / ".venv" / "bin") + os.pathsep + os.environ["PATH"]

# PostgreSQL runs as another user when we are root, and must reach its folder. pytest closes its common folder to
# everybody else whenever a run begins, so each run has one of its own.
_TEMPORARY = tempfile.TemporaryDirectory(prefix="blueprints-")
os.environ["PYTEST_DEBUG_TEMPROOT"] = _TEMPORARY.name

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

Template = dict[str, Any]
Templates = Callable[[str, int], dict[str, Template]]
Assemblies = Callable[[str], dict[int, Path]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh", action="store_true", help="write golden files and generated text again")


@pytest.fixture(scope="session")
def refresh(request: pytest.FixtureRequest) -> bool:
    """Whether expected output is to be written instead of compared."""
    return bool(request.config.getoption("--refresh"))


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> Assemblies:
    """Profile -> stage number -> assembly; synthesised when a test first asks for the profile."""
    made: dict[str, dict[int, Path]] = {}

    def of(profile: str) -> dict[int, Path]:
        if profile not in made:
            folder = tmp_path_factory.mktemp(profile)
            made[profile] = {
                stage.number: synth(load(profile, stage=str(stage.number)), folder / str(stage.number), bundle=False)
                for stage in STAGES
            }
        return made[profile]

    return of


@pytest.fixture(scope="session")
def load_production() -> Callable[[int], Environment]:
    """The production environment at a stage, for a test to change."""
    return lambda stage: load("production", stage=str(stage))


@pytest.fixture(name="synth")
def synthesise(tmp_path: Path) -> Callable[[Environment], Path]:
    """Assemblies of environments that only one test needs."""
    made = count()
    return lambda environment: synth(environment, tmp_path / f"assembly-{next(made)}", bundle=False)


@pytest.fixture(scope="session")
def production(assemblies: Assemblies) -> dict[int, Path]:
    """The assembly of every stage as environments/production.toml describes it."""
    return assemblies("production")


@pytest.fixture(scope="session")
def sandbox(assemblies: Assemblies) -> dict[int, Path]:
    """The assembly of every stage as environments/sandbox.toml describes it."""
    return assemblies("sandbox")


@pytest.fixture(scope="session")
def templates(assemblies: Assemblies) -> Templates:
    """(profile, stage) -> role of the stack -> template; read only, since every test sees the same ones."""
    read: dict[tuple[str, int], dict[str, Template]] = {}

    def of(profile: str, stage: int) -> dict[str, Template]:
        if (profile, stage) not in read:
            read[profile, stage] = {
                path.name.removesuffix(".template.json").rpartition("-")[2]: json.loads(path.read_text("utf-8"))
                for path in sorted(assemblies(profile)[stage].glob("*.template.json"))
            }
        return read[profile, stage]

    return of


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL, started when a test first asks for it, with the shop's schema in the database `template`."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.sql("create role shop_app login; create database template")
    for migration in sorted((ROOT / "shop" / "migrations").glob("*.sql")):
        server.sql(migration.read_text(encoding="utf-8"), database="template")
    server.sql("grant select, insert, update, delete on all tables in schema public to shop_app", database="template")
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """An empty shop of a test's own, as the application's role sees it."""
    name = f"shop_{uuid4().hex}"
    postgres.sql(f"create database {name} template template")
    yield postgres.url(name, user="shop_app")
    postgres.sql(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A real cache cluster of three shards; a test that stops nodes starts a cluster of its own."""
    cluster = Valkey(tmp_path_factory.mktemp("valkey"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS for programs that are processes of their own; tests in this process use `mock_aws` instead."""
    server = LocalAws(tmp_path_factory.mktemp("aws"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser; where there is none its tests are skipped, but never in CI. While it runs, asyncio is taken."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        message = f"none of {', '.join(BROWSERS)} is on PATH"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to start for root.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.getuid() == 0 else [])
        yield browser
        browser.close()
