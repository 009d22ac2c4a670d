"""The rotation's four steps against a simulated AWS: once, twice, and when something is in the way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends

from workbench.synth import ROOT

pytestmark = pytest.mark.slow

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
MOTO_ACCOUNT = "123456789012"
SOURCE = ROOT / "lambdas" / "rotate_master_secret" / "handler.py"


class Context:
    """Says how much time is left: less with each question."""

    def __init__(self, milliseconds: int = 300_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        self.milliseconds -= 20_000
        return self.milliseconds


class Rotation:
    """A database with its secret, and Secrets Manager's part in a rotation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rds: Any = boto3.client("rds", region_name="eu-west-1")
        self.secrets: Any = boto3.client("secretsmanager", region_name="eu-west-1")
        self.rds.create_db_instance(
            DBInstanceIdentifier="shop",
            DBInstanceClass="db.t4g.medium",
            Engine="postgres",
            AllocatedStorage=100,
            MasterUsername="boss",
            MasterUserPassword="the-first-one",
        )
        value = {"username": "boss", "password": "the-first-one", "host": "shop.example.com", "port": 5433}
        self.arn = self.secrets.create_secret(Name="master", SecretString=json.dumps(value))["ARN"]
        self.handler = ModuleType("handler")
        exec(compile(SOURCE.read_text(encoding="utf-8"), str(SOURCE), "exec"), self.handler.__dict__)
        self.calls: list[dict[str, Any]] = []
        self.status, self.waiting = "available", False
        self.slept: list[float] = []
        real_modify, real_describe = self.handler.rds.modify_db_instance, self.handler.rds.describe_db_instances

        def modify(**arguments: Any) -> Any:
            self.calls.append(arguments)
            return real_modify(**arguments)

        def describe(**arguments: Any) -> Any:
            answer = real_describe(**arguments)
            instance = answer["DBInstances"][0]
            instance["DBInstanceStatus"] = self.status
            instance["PendingModifiedValues"] = {"MasterUserPassword": "****"} if self.waiting else {}
            return answer

        monkeypatch.setattr(self.handler.rds, "modify_db_instance", modify)
        monkeypatch.setattr(self.handler.rds, "describe_db_instances", describe)
        monkeypatch.setattr(self.handler.time, "sleep", self.slept.append)

    def begin(self, **value: str) -> str:
        """Make a pending version without a value, as Secrets Manager does before it calls; no request of ours can."""
        version = str(uuid.uuid4())
        secret = secretsmanager_backends[MOTO_ACCOUNT]["eu-west-1"].secrets[self.arn]
        assert isinstance(secret, FakeSecret)
        secret.remove_version_stages_from_old_versions(["AWSPENDING"])
        secret.versions[version] = {
            "createdate": 0,
            "version_id": version,
            "version_stages": ["AWSPENDING"],
            **value,
        }
        return version

    def step(self, step: str, version: str, context: Context | None = None) -> None:
        event = {"SecretId": self.arn, "ClientRequestToken": version, "Step": step}
        self.handler.handler(event, context or Context())

    def value(self, stage: str = "AWSCURRENT") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.secrets.get_secret_value(SecretId=self.arn, VersionStage=stage)["SecretString"]
        )
        return found


@pytest.fixture
def rotation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotation]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("INSTANCE", "shop")
    with mock_aws():
        yield Rotation(monkeypatch)


def test_after_four_steps_the_new_password_is_the_databases_and_the_current_one(rotation: Rotation) -> None:
    version = rotation.begin()
    for step in STEPS:
        rotation.step(step, version)
    assert rotation.value()["password"] != "the-first-one"
    assert [call["MasterUserPassword"] for call in rotation.calls] == [rotation.value()["password"]]
    assert rotation.value("AWSPREVIOUS")["password"] == "the-first-one"


def test_everything_but_the_password_stays_in_the_secret(rotation: Rotation) -> None:
    before, version = rotation.value(), rotation.begin()
    rotation.step("createSecret", version)
    assert {**rotation.value("AWSPENDING"), "password": ""} == {**before, "password": ""}


def test_each_step_can_run_twice(rotation: Rotation) -> None:
    version = rotation.begin()
    for step in STEPS:
        rotation.step(step, version)
        rotation.step(step, version)
    assert {call["MasterUserPassword"] for call in rotation.calls} == {rotation.value()["password"]}
    assert rotation.value("AWSPREVIOUS")["password"] == "the-first-one"


def test_a_second_rotation_follows_the_first(rotation: Rotation) -> None:
    passwords = []
    for _ in range(2):
        version = rotation.begin()
        for step in STEPS:
            rotation.step(step, version)
        passwords.append(rotation.value()["password"])
    assert len({"the-first-one", *passwords}) == 3
    assert rotation.value("AWSPREVIOUS")["password"] == passwords[0]


def test_after_a_failure_the_whole_rotation_goes_on_with_the_same_password(rotation: Rotation) -> None:
    version = rotation.begin()
    rotation.step("createSecret", version)
    rotation.step("setSecret", version)
    rotation.waiting = True
    with pytest.raises(rotation.handler.NotReady):
        rotation.step("testSecret", version)
    rotation.waiting = False
    for step in STEPS:
        rotation.step(step, version)
    assert [call["MasterUserPassword"] for call in rotation.calls] == [rotation.value()["password"]] * 2


def test_what_rds_refuses_in_a_password_is_never_in_one(rotation: Rotation) -> None:
    for _ in range(20):
        version = rotation.begin()
        rotation.step("createSecret", version)
        password = rotation.value("AWSPENDING")["password"]
        assert len(password) == 30
        assert not set(password) & set("/@\"' \\")


def test_changes_that_wait_for_the_maintenance_window_go_on_waiting(rotation: Rotation) -> None:
    version = rotation.begin()
    rotation.step("createSecret", version)
    rotation.step("setSecret", version)
    assert [set(call) for call in rotation.calls] == [{"DBInstanceIdentifier", "MasterUserPassword"}]


@pytest.mark.parametrize(("status", "waiting"), [("available", True), ("resetting-master-credentials", False)])
def test_the_test_waits_and_then_gives_up_while_rds_is_not_done(rotation: Rotation, status: str, waiting: bool) -> None:
    version = rotation.begin()
    rotation.step("createSecret", version)
    rotation.status, rotation.waiting = status, waiting
    with pytest.raises(rotation.handler.NotReady, match="shop is"):
        rotation.step("testSecret", version, Context(120_000))
    assert rotation.slept == [10] * 4
    assert rotation.value()["password"] == "the-first-one"


def test_the_test_passes_as_soon_as_rds_is_done(rotation: Rotation, monkeypatch: pytest.MonkeyPatch) -> None:
    version = rotation.begin()
    rotation.step("createSecret", version)
    rotation.waiting = True

    def sleep(_seconds: float) -> None:
        rotation.waiting = False

    monkeypatch.setattr(rotation.handler.time, "sleep", sleep)
    rotation.step("testSecret", version)
    assert not rotation.waiting


def test_the_trial_run_at_set_up_changes_nothing(rotation: Rotation) -> None:
    """Without an immediate rotation Secrets Manager calls the third step alone, with a version that it drops again."""
    before = rotation.value()
    rotation.step("testSecret", rotation.begin(secret_string=json.dumps(before)))
    assert (rotation.value(), rotation.calls) == (before, [])


def test_no_password_is_set_while_the_instance_is_busy(rotation: Rotation) -> None:
    version = rotation.begin()
    rotation.step("createSecret", version)
    rotation.status = "modifying"
    with pytest.raises(rotation.handler.NotReady, match="modifying"):
        rotation.step("setSecret", version)
    assert not rotation.calls


def test_a_secret_about_another_user_is_refused(rotation: Rotation) -> None:
    rotation.secrets.put_secret_value(
        SecretId=rotation.arn, SecretString=json.dumps({"username": "shop_app", "password": "x"})
    )
    version = rotation.begin()
    rotation.step("createSecret", version)
    with pytest.raises(ValueError, match="not about the master user"):
        rotation.step("setSecret", version)
    assert not rotation.calls


def test_no_password_is_set_before_there_is_one(rotation: Rotation) -> None:
    version = rotation.begin()
    with pytest.raises(rotation.handler.secrets.exceptions.ResourceNotFoundException):
        rotation.step("setSecret", version)
    assert not rotation.calls


@pytest.mark.parametrize("step", STEPS)
def test_a_version_that_the_secret_does_not_have_is_refused(rotation: Rotation, step: str) -> None:
    with pytest.raises(ValueError, match="none of this secret"):
        rotation.step(step, str(uuid.uuid4()))


def test_a_version_that_is_neither_pending_nor_current_is_refused(rotation: Rotation) -> None:
    old = str(uuid.uuid4())
    rotation.secrets.put_secret_value(
        SecretId=rotation.arn, ClientRequestToken=old, SecretString="{}", VersionStages=["KEPT"]
    )
    with pytest.raises(ValueError, match="not the pending one"):
        rotation.step("setSecret", old)


def test_a_version_that_is_current_already_is_left_alone(rotation: Rotation) -> None:
    stages = rotation.secrets.describe_secret(SecretId=rotation.arn)["VersionIdsToStages"]
    [current] = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
    for step in STEPS:
        rotation.step(step, current)
    assert not rotation.calls


def test_an_unknown_step_is_refused(rotation: Rotation) -> None:
    with pytest.raises(ValueError, match="no such step"):
        rotation.step("eraseSecret", rotation.begin())


def test_no_value_of_the_secret_is_logged(rotation: Rotation, capsys: pytest.CaptureFixture[str]) -> None:
    version = rotation.begin()
    for step in STEPS:
        rotation.step(step, version)
    output = capsys.readouterr().out
    assert [json.loads(line)["step"] for line in output.splitlines()] == list(STEPS)
    assert rotation.value()["password"] not in output
    assert "the-first-one" not in output
