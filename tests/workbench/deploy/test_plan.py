"""A whole deployment before it begins, and the command that shows and runs it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from blueprint.environment import load
from blueprint.profiles import PROFILES
from tests.conftest import Assemblies
from tests.workbench.deploy.conftest import Synth
from tests.workbench.deploy.memory import Memory, Recorder
from workbench.cli import main
from workbench.commands.deploy import agreed
from workbench.deploy import Refused, guard
from workbench.deploy import plan as planning
from workbench.deploy.gate import LONGEST_REASON, foresee
from workbench.deploy.guard import Caller
from workbench.deploy.live import Aws, Deployed, deployed
from workbench.deploy.moves import Pass
from workbench.deploy.outcome import Outcome
from workbench.deploy.plan import Plan, Step, changed_since, objections, own_folder, plan, recorded
from workbench.deploy.preflight import Answer, Check
from workbench.templates import read_assembly

REASON = "the runbook has run, see its record"
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


Make = Callable[..., Plan]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, shared_synth: Synth, tmp_path: Path) -> Make:
    """(stage, what is deployed) -> the plan; of environments/sandbox.toml, or as the rest says."""
    monkeypatch.setattr(planning, "synth", shared_synth)

    def of(stage: int, memory: Memory, name: str | None = None, profile: str = "sandbox") -> Plan:
        wanted = load(profile, stage=str(stage), name=name)
        return plan(wanted, memory, tmp_path, lambda other: load(profile, stage=str(other), name=name))

    return of


def test_two_passes_follow_one_another(make: Make, sandbox: dict[int, Path]) -> None:
    found = make(4, Memory.of(sandbox[3]))
    first, second = found.steps
    assert first.assembly != second.assembly
    assert first.outlook.touches("edge")
    assert not second.outlook.touches("edge")
    assert {change.stack for change in second.outlook.changes.values()} == {"network", "web"}
    assert second.wanted.waits_for_edge


def test_what_is_deployed_already_changes_nothing(make: Make, sandbox: dict[int, Path]) -> None:
    (only,) = make(4, Memory.of(sandbox[4])).steps
    assert not only.outlook.changes


def test_a_stack_that_takes_no_update_stops_the_plan(make: Make, sandbox: dict[int, Path]) -> None:
    memory = Memory.of(sandbox[4])
    memory.stacks["shop-web"] = Deployed("shop-web", "UPDATE_IN_PROGRESS", memory.stacks["shop-web"].template)
    with pytest.raises(Refused, match="shop-web is UPDATE_IN_PROGRESS"):
        make(4, memory)


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
    make: Make, sandbox: dict[int, Path], answer: Answer, reason: str | None, stops: bool
) -> None:
    memory = Memory.of(sandbox[1])
    check = Check("image", answer, "is 200 days old")
    found = objections(make(1, memory), memory, [check], reason=reason, drained=False)
    assert found == ["image: is 200 days old"] * stops


def test_all_objections_are_told_at_once(make: Make, sandbox: dict[int, Path]) -> None:
    memory = Memory.of(sandbox[2], **{"shop/database/active": "host"})
    found = objections(make(3, memory), memory, [], reason=None, drained=False)
    assert len(found) == 3
    assert "--reason" in found[0]
    assert "/shop/database/active says host" in found[1]
    assert "/shop/files/active does not say bucket" in found[2]


def test_each_run_has_a_folder_of_its_own_that_goes_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planning, "FOLDER", tmp_path)
    with own_folder("shop") as one:
        (one / "last-pass").mkdir()
        (one.parent / "log.jsonl").touch()
    with own_folder("shop") as other:
        assert one != other
    assert sorted(path.name for path in (tmp_path / "shop").iterdir()) == ["lock", "log.jsonl"]


def test_the_folder_of_a_run_that_failed_stays_for_a_week(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planning, "FOLDER", tmp_path)
    failed = []
    for days in (6, 8):
        with pytest.raises(Refused), own_folder("shop") as folder:
            raise Refused("somebody should look at it")
        then = time.time() - days * 24 * 60 * 60
        os.utime(folder, (then, then))
        failed.append(folder)
    with own_folder("shop"):
        assert [folder.exists() for folder in failed] == [True, False]


def test_a_deployment_is_recorded_when_it_begins_and_when_it_ends(
    aws: Aws, make: Make, sandbox: dict[int, Path], tmp_path: Path
) -> None:
    found, caller = make(2, Memory.of(sandbox[1])), Caller("123456789012", "arn:aws:iam::123456789012:user/me")
    log, times = tmp_path / "log.jsonl", iter(datetime(2026, 11, 1, 12, minute, tzinfo=UTC) for minute in range(9))

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

    def record() -> Any:
        run = tmp_path / "run-1"
        return recorded(found, caller, aws, run, reason=None, drained=False, clock=lambda: next(times))

    with record():
        assert [line["state"] for line in lines()] == ["began"]
    with pytest.raises(Refused), record():
        raise Refused("cdk deploy ended with 1")
    assert [line["state"] for line in lines()] == ["began", "deployed", "began", "failed"]
    assert lines()[0]["by"] == caller.arn
    assert lines()[1] == {"run": "run-1", "at": "2026-11-01T12:01:00+00:00", "state": "deployed"}


@pytest.mark.parametrize(("reason", "drained"), [(None, False), (REASON, False), (None, True)])
def test_what_somebody_answers_for_is_recorded_where_everybody_sees_it(
    aws: Aws, make: Make, sandbox: dict[int, Path], tmp_path: Path, reason: str | None, drained: bool
) -> None:
    found, caller = make(2, Memory.of(sandbox[1])), Caller("123456789012", "arn:aws:iam::123456789012:user/me")
    with recorded(found, caller, aws, tmp_path / "run-1", reason=reason, drained=drained, clock=lambda: NOW):
        pass
    written = aws.client("ssm").get_parameters(Names=["/blueprint-deployments/shop"])["Parameters"]
    assert len(written) == bool(reason or drained)
    for told in (json.loads(one["Value"]) for one in written):
        assert (told["reason"], told["drained"]) == (reason, drained)
        assert (told["by"], told["began"]) == (caller.arn, "2026-11-01T12:00:00+00:00")


def test_the_longest_reason_fits_into_the_record(
    aws: Aws, make: Make, sandbox: dict[int, Path], tmp_path: Path
) -> None:
    reason, caller = "🚚" * LONGEST_REASON, Caller("123456789012", "arn:aws:iam::123456789012:user/me")
    with recorded(make(2, Memory.of(sandbox[1])), caller, aws, tmp_path / "run-1", reason=reason, drained=True):
        pass
    (written,) = aws.client("ssm").get_parameters(Names=["/blueprint-deployments/shop"])["Parameters"]
    assert json.loads(written["Value"])["reason"] == reason
    assert len(written["Value"].encode()) < 3000


def test_what_is_protected_less_needs_a_reason_and_is_recorded(
    aws: Aws, make: Make, sandbox: dict[int, Path], tmp_path: Path
) -> None:
    memory = Memory.of(sandbox[2])
    data = json.loads(json.dumps(memory.stacks["shop-data"].template))
    (database,) = (body for body in data["Resources"].values() if body["Type"] == "AWS::RDS::DBInstance")
    database["Properties"]["BackupRetentionPeriod"] = 35
    memory.stacks["shop-data"] = replace(memory.stacks["shop-data"], template=data)
    found = make(2, memory)
    (said,) = objections(found, memory, [], reason=None, drained=False)
    assert "keeps its backups for" in said
    assert said.endswith("instead of 35 days; look at it, then say why with --reason")
    assert not objections(found, memory, [], reason=REASON, drained=False)
    with recorded(found, Caller("123456789012", "me"), aws, tmp_path / "run-1", reason=REASON, drained=False):
        pass
    began = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert "instead of 35 days" in json.loads(began)["risks"][0]


def test_an_interrupted_first_deployment_goes_on_without_a_reason(make: Make, sandbox: dict[int, Path]) -> None:
    memory = Memory.of(sandbox[5])
    for role in ("web", "edge", "workers", "signals"):
        del memory.stacks[f"shop-{role}"]
    assert not objections(make(5, memory), memory, [], reason=None, drained=False)


# --- What keeps data, and what does not -------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [1, 3, 5])
def test_a_sandbox_never_takes_over_what_keeps_data(make: Make, production: dict[int, Path], stage: int) -> None:
    with pytest.raises(Refused, match=r"shop-prod: what is deployed is no sandbox.* is protected against deletion"):
        make(1, Memory.of(production[stage]), "shop-prod")


def keeps_its_topic(stack: Deployed) -> Deployed:
    topic = {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Retain"}
    return replace(stack, template={"Resources": {"Topic": topic}})


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        (lambda stack: replace(stack, protected=True), "shop-web is protected against deletion"),
        (keeps_its_topic, "web.Topic has DeletionPolicy"),
        (
            lambda stack: replace(stack, tags={"shop:environment": "shop", "shop:region": "us-east-1"}),
            "shop-web has no tag shop:time-to-live",
        ),
    ],
    ids=["protected", "keeps", "endless"],
)
def test_one_sign_in_one_stack_is_enough(
    make: Make, sandbox: dict[int, Path], change: Callable[[Deployed], Deployed], sign: str
) -> None:
    memory = Memory.of(sandbox[1])
    assert make(1, memory)
    memory.stacks["shop-web"] = change(memory.stacks["shop-web"])
    with pytest.raises(Refused, match=sign):
        make(1, memory)


@pytest.mark.parametrize("profile", ["sandbox", "production"])
@pytest.mark.parametrize("tags", [{}, {"shop:environment": "other", "shop:region": "us-east-1"}, {"team": "payments"}])
def test_a_stack_of_our_name_that_is_not_ours_stops_the_plan_whatever_the_profile(
    make: Make, assemblies: Assemblies, profile: str, tags: dict[str, str]
) -> None:
    memory = Memory.of(assemblies(profile)[1])
    assert make(1, memory, profile=profile)
    name = load(profile).name
    memory.stacks[f"{name}-web"] = replace(memory.stacks[f"{name}-web"], tags=tags)
    with pytest.raises(Refused, match=f"{name}-web in us-east-1 has no tag shop:environment={name}, so it is none of"):
        make(1, memory, profile=profile)


def test_a_sandbox_without_an_end_is_deployed_again_as_long_as_it_has_none(
    make: Make, sandbox: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory.of(sandbox[1])
    for name, stack in memory.stacks.items():
        memory.stacks[name] = replace(stack, tags={"shop:environment": "shop", "shop:region": "us-east-1"})
    with pytest.raises(Refused, match="was not made to end"):
        make(1, memory)
    monkeypatch.setitem(PROFILES, "sandbox", replace(PROFILES["sandbox"], time_to_live_days=None))
    assert make(1, memory)


def test_many_signs_are_told_in_one_sentence(make: Make, production: dict[int, Path]) -> None:
    with pytest.raises(Refused) as refused:
        make(1, Memory.of(production[3]), "shop-prod")
    assert len(str(refused.value)) < 600
    assert "more signs. No reason helps" in str(refused.value)


# --- Between the question and the first change ------------------------------------------------------------------------


def somebody_deploys(memory: Memory) -> None:
    stack = memory.stacks["shop-web"]
    memory.stacks["shop-web"] = replace(stack, template={**stack.template, "Description": "newer"})


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda _: None, []),
        (somebody_deploys, ["shop-web has changed"]),
        (
            lambda memory: memory.stacks.update({"shop-workers": Deployed("shop-workers", "CREATE_COMPLETE", {})}),
            ["shop-workers has changed"],
        ),
        (lambda memory: memory.stacks.pop("shop-signals"), ["shop-signals has changed"]),
        (
            lambda memory: memory.parameters.update({"/shop/database/active": "host"}),
            ["/shop/database/active says host"],
        ),
    ],
    ids=["nothing", "changed", "new", "gone", "pointer"],
)
def test_what_has_changed_since_the_plan_stops_it(
    make: Make, sandbox: dict[int, Path], meanwhile: Callable[[Memory], object], said: list[str]
) -> None:
    memory = Memory.of(sandbox[2], **{"shop/database/active": "managed", "shop/files/active": "bucket"})
    found = make(3, memory)
    meanwhile(memory)
    told = changed_since(found, memory, drained=False)
    assert len(told) == len(said)
    assert all(expected in one for one, expected in zip(told, said, strict=True))


# --- As a person runs it ----------------------------------------------------------------------------------------------


def test_a_deployment_shows_cost_and_way_and_where_things_are(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "guard", lambda *_: Caller("123456789012", "arn:aws:iam::123456789012:user/me"))
    assert main(["deploy", "sandbox", "--yes"]) == 0
    assert account[1].stacks == [("deploy", "network data web"), ("deploy", "signals")]
    said = capsys.readouterr().out
    for expected in (
        "ok    bootstrap in us-east-1: version 30, 6 is needed",
        "New: ",
        " USD a month at moderate use; the budget is 100",
        "Pass 1: stage 1 (monolith); up: network, data, web, signals",
        "Deployed: shop at stage 1 (monolith)",
        "site       http://ServerAddress",
        "#dashboards/dashboard/Dashboard",
        "aws ssm start-session --region us-east-1 --target ServerHost",
    ):
        assert expected in said


def test_on_a_local_aws_what_comes_next_is_what_works_there(
    account: tuple[Memory, Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert account
    assert main(["deploy", "sandbox", "--name", "shop", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "make shop, then blueprint smoke sandbox --name shop --url http://127.0.0.1:8000\n" in said
    assert "blueprint sandbox status\n" in said
    assert not any(word in said for word in ("site ", "start-session", "console.aws"))


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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str | None,
    typed: bool,
    expected: bool,
) -> None:
    def ask(_: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", ask)
    assert agreed("shop", "Deploy", typed=typed) is expected
    said = capsys.readouterr().err
    assert ("A script says --yes." in said.splitlines()) is (answer is None)
    assert ("That is not its name" in said) is (answer is not None and typed and not expected)
    assert ("othing was changed." in said) is not expected


def test_without_a_person_nothing_is_deployed(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["deploy", "sandbox"]) == 1
    assert account[1].calls == []


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_a_second_run_of_an_environment_says_since_when_there_is_another(
    account: tuple[Memory, Recorder], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with own_folder("shop"), own_folder("another"):
        assert main([command, "sandbox", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "shop is being deployed or destroyed by another run on this machine (since 20" in said
    assert said.endswith("); nothing was changed\n")
    assert account[1].calls == []


def test_what_is_deployed_already_is_neither_asked_about_nor_deployed(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))
    monkeypatch.delattr("builtins.input")
    assert main(["deploy", "sandbox"]) == 0
    assert capsys.readouterr().out.endswith("shop is already so; nothing to do.\n")
    assert run.calls == []


@pytest.mark.parametrize(
    "differs",
    [
        lambda stacks: stacks.pop("shop-signals"),
        lambda stacks: stacks.update({"shop-web": replace(stacks["shop-web"], protected=True)}),
        lambda stacks: stacks.update({"shop-web": replace(stacks["shop-web"], tags={})}),
        lambda stacks: stacks.update({"shop-web": replace(stacks["shop-web"], template={"Resources": {}})}),
        lambda stacks: stacks.update(
            {"shop-web": replace(stacks["shop-web"], parameters={"BootstrapVersion": "another"})}
        ),
        lambda stacks: stacks.update({"shop-workers": replace(stacks["shop-web"], name="shop-workers")}),
    ],
    ids=["missing", "protection", "tags", "template", "parameters", "one too many"],
)
def test_only_what_is_so_to_the_last_tag_needs_no_deployment(
    sandbox: dict[int, Path], differs: Callable[[dict[str, Deployed]], object]
) -> None:
    memory, wanted = Memory.of(sandbox[1]), read_assembly(sandbox[1])

    def is_done() -> bool:
        there = deployed(wanted, memory)
        step = Step(Pass(load("sandbox"), ""), sandbox[1], foresee(there, wanted))
        return Plan(load("sandbox"), (), there, (step,)).is_done

    assert is_done()
    differs(memory.stacks)
    assert not is_done()


def test_a_dry_run_changes_nothing(account: tuple[Memory, Recorder], aws: Aws, tmp_path: Path) -> None:
    assert main(["deploy", "sandbox", "--dry-run"]) == 0
    assert account[1].calls == []
    assert not (tmp_path / "deploy" / "shop" / "log.jsonl").exists()
    assert not aws.client("ssm").get_parameters(Names=["/blueprint-deployments/shop"])["Parameters"]


def test_a_stack_that_changes_while_somebody_is_asked_stops_it(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))

    def ask(_: str) -> str:
        somebody_deploys(memory)
        return "y"

    monkeypatch.setattr("builtins.input", ask)
    assert main(["deploy", "sandbox", "--stage", "2"]) == 1
    assert "shop-web has changed since it was read" in capsys.readouterr().err
    assert run.calls == []


def test_where_aws_counts_late_the_last_look_at_queues_waits(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[5]))

    def settle(*_: object) -> None:
        queue = next(name for name in memory.stacks["shop-workers"].template["Resources"] if "InvoiceQueue" in name)
        memory.waiting[queue] = 3

    monkeypatch.setattr("workbench.deploy.moves.settle", settle)
    monkeypatch.setattr(guard, "guard", lambda *_: Caller("123456789012", "arn:aws:iam::123456789012:user/me"))
    assert main(["deploy", "sandbox", "--stage", "4", "--yes", "--drained", "--reason", REASON]) == 1
    assert "has 3 messages" in capsys.readouterr().err
    assert run.calls == []


@pytest.mark.parametrize("reason", [[], ["--reason", REASON]])
def test_production_with_the_profile_of_a_sandbox_is_refused_whatever_the_reason(
    account: tuple[Memory, Recorder],
    production: dict[int, Path],
    capsys: pytest.CaptureFixture[str],
    reason: list[str],
) -> None:
    memory, run = account
    memory.deploy(read_assembly(production[1]))
    assert main(["deploy", "sandbox", "--name", "shop-prod", "--yes", *reason]) == 1
    assert "what is deployed is no sandbox" in capsys.readouterr().err
    assert run.calls == []


@pytest.mark.parametrize(("reason", "status"), [([], 1), (["--reason", REASON], 0)])
def test_an_expired_pin_needs_a_reason(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch, reason: list[str], status: int
) -> None:
    old = Check("image", Answer.EXPIRED, "is 200 days old")
    monkeypatch.setattr("workbench.deploy.preflight.checks", lambda *_, **__: [old])
    assert main(["deploy", "sandbox", "--yes", *reason]) == status
    assert bool(account[1].calls) is not bool(status)


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
    assert "Do not deploy yet: " in said.out
    assert run.calls == []
    memory.parameters["/shop/database/active"] = "managed"
    assert main([*move, "--dry-run"]) == 0
    accepted = capsys.readouterr().out
    assert f"\nAccepted with your reason: {REASON}\n" in accepted
    assert "Do not deploy yet" not in accepted
    assert "web.ServerHost" in accepted


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_an_interrupt_is_said_in_a_sentence(
    account: tuple[Memory, Recorder],
    sandbox: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[1]))
    del memory.stacks["shop-signals"]

    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert main([command, "sandbox"]) == 1
    assert capsys.readouterr().err == (
        "Stopped. What was done until then is above, and AWS goes on with what it has begun.\n"
    )
    assert run.calls == []


def test_a_deployment_has_succeeded_also_if_nobody_says_where_things_are(
    account: tuple[Memory, Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def expired(*_: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr("workbench.deploy.outcome.outcome", expired)
    monkeypatch.setattr(guard, "guard", lambda *_: Caller("123456789012", "arn:aws:iam::123456789012:user/me"))
    assert main(["deploy", "sandbox", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "Where things are, AWS does not say: Unable to locate credentials" in said
    assert "Deployed: shop at stage 1" in said
    assert account[1].calls


def test_a_real_edge_is_waited_for_whatever_the_variables_say(
    account: tuple[Memory, Recorder], sandbox: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, run = account
    memory.deploy(read_assembly(sandbox[3]))
    monkeypatch.setattr(guard, "guard", lambda *_: Caller("123456789012", "arn:aws:iam::123456789012:user/me"))
    monkeypatch.setattr("workbench.deploy.outcome.outcome", lambda *_: Outcome("https://shop.example.com", None, ()))
    waited: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "workbench.deploy.edge.wait_for_edge", lambda address: waited.append((address, len(run.calls) > 1))
    )
    assert main(["deploy", "sandbox", "--stage", "4", "--yes"]) == 0
    assert waited == [("https://shop.example.com", True)]


def test_an_environment_file_that_is_wrong_is_no_refusal(account: tuple[Memory, Recorder]) -> None:
    assert account
    assert main(["deploy", "no-such-environment"]) == 2
