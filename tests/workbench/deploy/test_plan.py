"""A whole deployment before it begins, and the commands that show and run it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from blueprint.environment import UNSET_ACCOUNT, load
from tests.workbench.deploy.memory import Memory
from tests.workbench.deploy.test_command_line import Recorder
from workbench.cli import main
from workbench.commands.deploy import agreed
from workbench.deploy import Refused, command_line, guard
from workbench.deploy import plan as planning
from workbench.deploy.edge import answers_through_edge, wait_for_edge
from workbench.deploy.guard import Caller
from workbench.deploy.live import Aws, Deployed
from workbench.deploy.plan import Plan, objections, plan, record
from workbench.deploy.preflight import Answer, Check
from workbench.synth import synth
from workbench.templates import read_assembly

REASON = "the runbook has run, see its record"
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def at(stage: int) -> Callable[[Memory, Path], Plan]:
    def make(memory: Memory, folder: Path) -> Plan:
        wanted = load("sandbox", stage=str(stage))
        return plan(wanted, memory, folder, lambda other: load("sandbox", stage=str(other)), bundle=False)

    return make


def test_two_passes_follow_one_another(sandbox: dict[int, Path], tmp_path: Path) -> None:
    found = at(4)(Memory.of(sandbox[3]), tmp_path)
    first, second = found.steps
    assert first.assembly != second.assembly
    assert first.outlook.touches("edge")
    assert not second.outlook.touches("edge")
    assert {change.stack for change in second.outlook.changes.values()} == {"network", "web"}
    assert second.wanted.waits_for_edge


def test_what_is_deployed_already_changes_nothing(sandbox: dict[int, Path], tmp_path: Path) -> None:
    (only,) = at(4)(Memory.of(sandbox[4]), tmp_path).steps
    assert not only.outlook.changes


def test_a_stack_that_takes_no_update_stops_the_plan(sandbox: dict[int, Path], tmp_path: Path) -> None:
    memory = Memory.of(sandbox[4])
    memory.stacks["shop-web"] = Deployed("shop-web", "UPDATE_IN_PROGRESS", memory.stacks["shop-web"].template)
    with pytest.raises(Refused, match="shop-web is UPDATE_IN_PROGRESS"):
        at(4)(memory, tmp_path)


@pytest.mark.parametrize(
    ("answer", "reason", "stops"),
    [
        (Answer.HOLDS, None, False),
        (Answer.WARNS, None, False),
        (Answer.REFUSES, None, True),
        (Answer.REFUSES, REASON, True),
        (Answer.EXPIRED, None, True),
        (Answer.EXPIRED, REASON, False),
    ],
)
def test_a_reason_lets_an_expired_pin_pass_and_nothing_that_is_missing(
    sandbox: dict[int, Path], tmp_path: Path, answer: Answer, reason: str | None, stops: bool
) -> None:
    memory = Memory.of(sandbox[1])
    check = Check("image", answer, "is 200 days old")
    found = objections(at(1)(memory, tmp_path), memory, [check], reason=reason, drained=False)
    assert found == ["image: is 200 days old"] * stops


def test_all_objections_are_told_at_once(sandbox: dict[int, Path], tmp_path: Path) -> None:
    memory = Memory.of(sandbox[2], **{"shop/database/active": "host"})
    found = objections(at(3)(memory, tmp_path), memory, [], reason=None, drained=False)
    assert len(found) == 3
    assert "--reason" in found[0]
    assert "/shop/database/active says host" in found[1]
    assert "/shop/files/active does not say bucket" in found[2]


def test_a_reason_is_recorded_where_everybody_sees_it(aws: Aws, sandbox: dict[int, Path], tmp_path: Path) -> None:
    found, caller = at(2)(Memory.of(sandbox[1]), tmp_path), Caller("123456789012", "arn:aws:iam::123456789012:user/me")
    record(found, caller, aws, tmp_path, NOW, reason=None, drained=False)
    ssm = aws.client("ssm")
    assert ssm.describe_parameters()["Parameters"] == []
    record(found, caller, aws, tmp_path, NOW, reason=REASON, drained=True)
    told = json.loads(ssm.get_parameter(Name="/blueprint-deployments/shop")["Parameter"]["Value"])
    assert told["reason"] == REASON
    assert told["by"] == caller.arn
    assert told["at"] == "2026-11-01T12:00:00+00:00"
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["reason"] for line in log] == [None, REASON]


# --- Between the passes -----------------------------------------------------------------------------------------------


@pytest.fixture
def edge() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """A server whose next answers a test lists: status, and what it says that it came through."""
    answers: list[tuple[int, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, via = answers.pop(0)
            self.send_response(status)
            self.send_header("Via", via)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    server.server_close()
    thread.join()


THROUGH = "1.1 abc.cloudfront.net (CloudFront)"


@pytest.mark.parametrize(
    ("status", "via", "answered"),
    [
        (200, THROUGH, True),
        (200, "", False),  # the domain still leads to the load balancer
        (502, THROUGH, False),  # the edge does not reach the load balancer
        (403, THROUGH, True),  # the firewall does not know this machine
        (403, "", False),
        (404, THROUGH, False),
    ],
)
def test_the_edge_answers_when_a_host_has_answered_through_it(
    edge: tuple[str, list[tuple[int, str]]], status: int, via: str, answered: bool
) -> None:
    address, answers = edge
    answers.append((status, via))
    assert answers_through_edge(address) is answered


def test_the_lock_waits_for_the_edge_and_for_resolvers(edge: tuple[str, list[tuple[int, str]]]) -> None:
    address, answers = edge
    answers += [(502, THROUGH), (200, ""), (200, THROUGH)]
    slept: list[float] = []
    wait_for_edge(address, pause=3, settle=60, sleep=slept.append)
    assert slept == [3, 3, 60]


def test_an_edge_that_never_answers_leaves_the_load_balancer_open() -> None:
    with pytest.raises(Refused, match="still open to both"):
        wait_for_edge("http://127.0.0.1:9", attempts=2, sleep=lambda _: None)


# --- As a person runs it ----------------------------------------------------------------------------------------------


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, aws: Aws, tmp_path: Path) -> tuple[Memory, Recorder]:
    """A local AWS that the commands find: bootstrapped, with a memory for what is deployed and a silent `cdk`."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", UNSET_ACCOUNT)
    monkeypatch.setattr(
        guard.guard, "__kwdefaults__", {"variables": {"AWS_ENDPOINT_URL": "http://127.0.0.1"}, "folder": tmp_path}
    )
    monkeypatch.setattr(planning, "FOLDER", tmp_path / "deploy")
    memory, run = Memory(), Recorder()

    def cdk(assembly: Path) -> Callable[[list[str]], None]:
        def call(arguments: list[str]) -> None:
            run(arguments)
            names = [word for word in arguments if word.startswith("shop-")]
            for stack in read_assembly(assembly).stacks:
                if stack.name in names and arguments[0] == "deploy":
                    memory.stacks[stack.name] = Deployed(stack.name, "CREATE_COMPLETE", stack.template)
                elif stack.name in names:
                    del memory.stacks[stack.name]

        return call

    monkeypatch.setattr(command_line, "cdk", cdk)
    monkeypatch.setattr(planning, "synth", lambda wanted, folder, **_: synth(wanted, folder, bundle=False))
    monkeypatch.setattr("workbench.deploy.live.Account", lambda _: memory)
    aws.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    return memory, run


@pytest.mark.slow
def test_a_deployment_shows_cost_and_way_and_where_things_are(
    account: tuple[Memory, Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", "sandbox", "--yes"]) == 0
    assert account[1].stacks == [("deploy", "network data web edge workers signals")]
    said = capsys.readouterr().out
    for expected in (
        "ok    bootstrap in us-east-1: version 30, 6 is needed",
        "New: ",
        " USD a month at moderate use",
        "Pass 1: stage 1 (monolith); up: network, data, web, signals",
        "Deployed: shop at stage 1 (monolith)",
        "site       http://ServerAddress",
        "#dashboards/dashboard/Dashboard",
        "aws ssm start-session --region us-east-1 --target ServerHost",
    ):
        assert expected in said


@pytest.mark.parametrize(
    ("answer", "typed", "expected"),
    [
        ("y", False, True),
        (" YES ", False, True),
        ("", False, False),
        ("n", False, False),
        ("shop", False, False),
        ("shop", True, True),
        ("y", True, False),
        ("Shop", True, False),
        (None, False, False),
        (None, True, False),
    ],
)
def test_a_person_agrees_with_a_letter_or_where_data_is_kept_by_typing_the_name(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, typed: bool, expected: bool
) -> None:
    def ask(_: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", ask)
    assert agreed("shop", "Deploy", typed=typed) is expected


@pytest.mark.slow
def test_without_a_person_nothing_is_deployed(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["deploy", "sandbox"]) == 1
    assert account[1].calls == []


@pytest.mark.slow
def test_a_dry_run_changes_nothing(account: tuple[Memory, Recorder], aws: Aws, tmp_path: Path) -> None:
    assert main(["deploy", "sandbox", "--dry-run"]) == 0
    assert account[1].calls == []
    assert not (tmp_path / "deploy" / "shop" / "log.jsonl").exists()
    assert len(aws.client("ssm").describe_parameters()["Parameters"]) == 1


@pytest.mark.slow
def test_three_to_four_is_shown_as_two_passes(
    account: tuple[Memory, Recorder], sandbox: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[3]))
    assert main(["deploy", "sandbox", "--stage", "4", "--yes", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Pass 1: stage 4 (cached), load balancer still open to both; up: " in said
    assert "Pass 2: stage 4 (cached), load balancer locked; up: network, web" in said
    assert run.calls == []


@pytest.mark.slow
def test_two_to_three_is_refused_until_the_rows_have_moved(
    account: tuple[Memory, Recorder], sandbox: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[2]))
    memory.parameters |= {"/shop/database/active": "host", "/shop/files/active": "bucket"}
    move = ["deploy", "sandbox", "--stage", "3", "--yes", "--reason", REASON]
    assert main(move) == 1
    said = capsys.readouterr()
    assert "Refused. Nothing was changed:" in said.err
    assert "/shop/database/active says host" in said.err
    assert "Leaves its template or may become another:" in said.out
    assert run.calls == []
    memory.parameters["/shop/database/active"] = "managed"
    assert main([*move, "--dry-run"]) == 0


@pytest.mark.slow
def test_an_environment_file_that_is_wrong_is_no_refusal(account: tuple[Memory, Recorder]) -> None:
    assert account
    assert main(["deploy", "no-such-environment"]) == 2


@pytest.mark.slow
def test_a_destroyed_sandbox_leaves_nothing_and_says_what_it_removed(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aws: Aws,
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))
    swept: list[tuple[str, str]] = []
    monkeypatch.setattr("workbench.deploy.leftovers.sweep", lambda *named: swept.append(named))
    aws.client("ssm").put_parameter(Name="/shop/database/active", Value="host", Type="String")
    assert main(["destroy", "sandbox", "--yes"]) == 0
    assert swept == [("shop", "us-east-1")]
    assert [call[1] for call in run.calls] == ["shop-signals", "shop-web", "shop-data", "shop-network"]
    assert all(call[0] == "destroy" and {"--exclusively", "--force"} <= set(call) for call in run.calls)
    assert "/shop/database/active: deleted, since no stack owned it" in capsys.readouterr().out


@pytest.mark.slow
def test_what_still_carries_the_tag_is_listed(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: Aws
) -> None:
    assert account
    monkeypatch.setattr("workbench.deploy.leftovers.sweep", lambda *_: None)
    aws.client("sns").create_topic(Name="left", Tags=[{"Key": "shop:environment", "Value": "shop"}])
    assert main(["destroy", "sandbox", "--yes"]) == 0
    assert "arn:aws:sns:us-east-1:000000000000:left" in capsys.readouterr().out


@pytest.mark.slow
def test_protected_production_is_not_destroyed(
    account: tuple[Memory, Recorder], production: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    memory, run = account
    memory.deploy(read_assembly(production[3]))
    assert main(["destroy", "production", "--yes"]) == 1
    said = capsys.readouterr()
    assert "Stays, because its template says so:" in said.out
    assert "update-termination-protection" in said.err
    assert run.calls == []


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "status"), [("shop-prod", 0), ("y", 1)])
def test_production_goes_only_when_its_name_is_typed(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch, typed: str, status: int
) -> None:
    assert account
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert main(["destroy", "production"]) == status
