"""Credentials that open nothing, so that no test can reach an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from blueprint.environment import UNSET_ACCOUNT, Environment, load
from tests.conftest import Assemblies
from tests.workbench.deploy.memory import Memory, Recorder
from workbench.deploy import command_line, guard
from workbench.deploy import plan as planning
from workbench.deploy.live import Aws
from workbench.synth import synth
from workbench.templates import Assembly, read_assembly

Synth = Callable[..., Path]

SANDBOX = """\
name = "try"
stage = 1
profile = "sandbox"
region = "us-east-1"
open_to = ["203.0.113.10/32"]
{more}
"""


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    settings = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    # Images take moto a second to read; who asks about one turns this back on.
    for name, value in {**settings, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws() -> Iterator[Aws]:
    """An account of moto's, empty."""
    with mock_aws():
        yield Aws("us-east-1")


@pytest.fixture
def calls(aws: Aws) -> Iterator[list[str]]:
    """The operations that are called from here on."""
    assert aws
    boto3.setup_default_session()
    called: list[str] = []
    session = boto3.DEFAULT_SESSION
    assert session is not None
    session.events.register("before-call.*", lambda model, **_: called.append(model.name))
    yield called
    boto3.DEFAULT_SESSION = None


@pytest.fixture
def environment_file(tmp_path: Path) -> Callable[..., Path]:
    """A sandbox environment of a test's own, with more lines if wanted."""

    def write(more: str = "") -> Path:
        file = tmp_path / "try.toml"
        file.write_text(SANDBOX.format(more=more), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="session")
def shared_synth(assemblies: Assemblies, tmp_path_factory: pytest.TempPathFactory) -> Synth:
    """`synth` that writes each environment once, for all tests, wherever it is told to."""
    folder = tmp_path_factory.mktemp("shared")
    made: dict[str, Path] = {}

    def of(environment: Environment, *_: object, **__: object) -> Path:
        if environment == load(environment.profile, stage=str(environment.stage.number)):
            return assemblies(environment.profile)[environment.stage.number]
        if repr(environment) not in made:
            made[repr(environment)] = synth(environment, folder / str(len(made)), bundle=False)
        return made[repr(environment)]

    return of


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, aws: Aws, tmp_path: Path, shared_synth: Synth) -> tuple[Memory, Recorder]:
    """A local AWS that the commands find: bootstrapped, with a memory for what is deployed and a silent `cdk`."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", UNSET_ACCOUNT)
    monkeypatch.setattr(guard, "is_local", lambda *_: True)
    monkeypatch.setattr(planning, "FOLDER", tmp_path / "deploy")
    memory, run = Memory(), Recorder()

    def cdk(assembly: Path) -> Callable[[list[str]], None]:
        def call(arguments: list[str]) -> None:
            run(arguments)
            asked = tuple(stack for stack in read_assembly(assembly).stacks if stack.name in arguments)
            if arguments[0] == "deploy":
                memory.deploy(Assembly(asked))
            else:
                for stack in asked:
                    del memory.stacks[stack.name]

        return call

    monkeypatch.setattr(command_line, "cdk", cdk)
    monkeypatch.setattr(planning, "synth", shared_synth)
    monkeypatch.setattr("workbench.synth.synth", shared_synth)
    monkeypatch.setattr("workbench.deploy.live.Account", lambda _: memory)
    aws.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    return memory, run
