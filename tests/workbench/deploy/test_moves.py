"""What moves need besides their templates: two passes, pointers, a drain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blueprint.environment import Environment, load
from blueprint.stages import STAGES
from tests.conftest import Assemblies
from tests.workbench.deploy.memory import NOTHING, Memory
from workbench.deploy import Refused
from workbench.deploy.gate import foresee
from workbench.deploy.moves import HOST, SETTLE_SECONDS, is_locked, passes, settle, stage_of, unlocked, unprepared
from workbench.templates import Assembly, Impact, read_assembly

NAME = "shop-prod"
ACTIVE, FILES, TOPIC = "/shop-prod/database/active", "/shop-prod/files/active", "/shop-prod/events/topic"
NONSENSE = ("Managed", "managed ", "rds", "none", "")


@pytest.fixture(scope="module")
def stages(production: dict[int, Path]) -> dict[int, Assembly]:
    return {number: read_assembly(folder) for number, folder in production.items()}


def at(stage: int) -> Environment:
    return load("production", stage=str(stage))


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_the_stage_that_is_deployed_is_known_by_its_parts(assemblies: Assemblies, profile: str) -> None:
    for stage in STAGES:
        there = read_assembly(assemblies(profile)[stage.number])
        assert stage_of(there) == stage
        assert is_locked(there) is (stage.cdn is not None)


def test_a_deployment_that_stopped_half_way_is_no_stage(stages: dict[int, Assembly]) -> None:
    half = Assembly(tuple(stack for stack in stages[4].stacks if stack.role != "web"))
    with pytest.raises(Refused, match="was not finished"):
        stage_of(half)


@pytest.mark.parametrize(
    ("there", "wanted", "expected"),
    [
        (0, 4, [(4, True, False)]),
        (1, 2, [(2, True, False)]),
        (3, 4, [(4, False, False), (4, True, True)]),
        (2, 5, [(5, False, False), (5, True, True)]),
        (4, 5, [(5, True, False)]),
        (5, 4, [(4, True, False)]),
        (4, 3, [(4, False, False), (3, True, False)]),
        (5, 2, [(5, False, False), (2, True, False)]),
    ],
)
def test_the_lock_of_the_load_balancer_takes_a_pass_of_its_own(
    stages: dict[int, Assembly], there: int, wanted: int, expected: list[tuple[int, bool, bool]]
) -> None:
    found = passes(at(wanted), stages[there] if there else NOTHING, at)
    assert [
        (one.environment.stage.number, one.environment.transition.lock_origin, one.waits_for_edge) for one in found
    ] == expected


@pytest.fixture(scope="module")
def open_edge(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Stage 4 between the two passes."""
    from workbench.synth import synth

    return read_assembly(synth(unlocked(at(4)), tmp_path_factory.mktemp("open"), bundle=False))


def test_after_a_first_pass_only_the_second_is_left_and_waits(open_edge: Assembly) -> None:
    assert not is_locked(open_edge)
    (only,) = passes(at(4), open_edge, at)
    assert only.environment.transition.lock_origin
    assert only.waits_for_edge


def test_a_load_balancer_that_is_open_goes_down_in_one_pass(open_edge: Assembly) -> None:
    assert [one.environment.stage.number for one in passes(at(3), open_edge, at)] == [3]


def test_somebody_who_asks_for_the_first_pass_alone_gets_it(stages: dict[int, Assembly]) -> None:
    wanted = unlocked(at(4))
    (only,) = passes(wanted, stages[3], at)
    assert only.environment == wanted
    assert not only.waits_for_edge


def test_more_ranges_than_the_open_load_balancer_has_room_for_are_refused() -> None:
    wanted = replace(at(4), open_to=tuple(f"203.0.113.{number}/32" for number in range(3)))
    with pytest.raises(Refused, match="room for 2"):
        unlocked(wanted)
    assert unlocked(replace(wanted, open_to=wanted.open_to[:2])).transition.lock_origin is False


@pytest.mark.parametrize(
    ("before", "after", "parameters", "said"),
    [
        (1, 2, {}, []),
        (1, 2, {ACTIVE: "host"}, []),
        (2, 3, {ACTIVE: "host", FILES: "bucket"}, ["/shop-prod/database/active says host instead of managed"]),
        (2, 3, {FILES: "bucket"}, ["/shop-prod/database/active says nothing"]),
        (2, 3, {ACTIVE: "managed"}, ["/shop-prod/files/active does not say bucket"]),
        (2, 3, {ACTIVE: "managed", FILES: "host"}, ["/shop-prod/files/active does not say bucket"]),
        (2, 3, {}, ["/shop-prod/database/active says nothing", "/shop-prod/files/active does not say bucket"]),
        (2, 3, {ACTIVE: "managed", FILES: "bucket"}, []),
        *(
            (2, 3, {ACTIVE: said, FILES: "bucket"}, [f"says {said or 'nothing'} instead of managed"])
            for said in NONSENSE
        ),
        *((2, 1, {ACTIVE: said}, [f"says {said or 'nothing'} instead of host"]) for said in (*NONSENSE, "Host")),
        (1, 5, {ACTIVE: "host", FILES: "bucket"}, ["says host"]),
        (2, 1, {ACTIVE: "managed"}, ["DatabasePrimaryEDE0B3D0 would go, and /shop-prod/database/active says managed"]),
        (2, 1, {ACTIVE: "host"}, []),
        (4, 3, {}, []),
        (3, 2, {}, []),
    ],
)
def test_nothing_goes_that_the_pointers_say_is_in_use(
    stages: dict[int, Assembly], before: int, after: int, parameters: dict[str, str], said: list[str]
) -> None:
    memory = Memory(parameters=parameters)
    memory.deploy(stages[before])
    found = list(unprepared(at(after), foresee(stages[before], stages[after]), memory, drained=False))
    assert len(found) == len(said)
    for expected, one in zip(said, found, strict=True):
        assert expected in one


def test_a_host_that_is_replaced_leaves_its_volume_where_it_is(stages: dict[int, Assembly]) -> None:
    """So nobody has to move rows and files for a newer image."""
    web = stages[1].stack("web")
    assert web is not None
    (name,) = (name for name, body in web.resources.items() if body["Type"] == HOST)
    host = web.resources[name]
    newer = {**host, "Properties": {**host["Properties"], "PrivateIpAddress": "10.0.0.10"}}
    after = replace(web, template={**web.template, "Resources": {**web.resources, name: newer}})
    outlook = foresee(stages[1], Assembly(tuple(after if stack is web else stack for stack in stages[1].stacks)))
    assert outlook.changes["web", name].impact is Impact.REPLACE
    assert list(unprepared(at(1), outlook, Memory(), drained=False)) == []


def test_a_pointer_that_is_in_the_way_is_told_with_the_command_that_sets_it(stages: dict[int, Assembly]) -> None:
    found = list(unprepared(at(3), foresee(stages[2], stages[3]), Memory(), drained=False))
    commands = [one[one.index("aws ") :] for one in found]
    given = "--type String --overwrite --region us-east-1"
    assert commands == [
        f"aws ssm put-parameter --name {ACTIVE} --value managed {given}",
        f"aws ssm put-parameter --name {FILES} --value bucket {given}",
    ]


@pytest.fixture
def leaving_workers(stages: dict[int, Assembly]) -> Callable[..., list[str]]:
    def ask(*, drained: bool = True, topic: str | None = None, **waiting: int) -> list[str]:
        memory = Memory(parameters={TOPIC: topic} if topic else {}, waiting=waiting)
        memory.deploy(stages[5])
        return list(unprepared(at(4), foresee(stages[5], stages[4]), memory, drained=drained))

    return ask


def test_workers_go_when_all_is_drained(leaving_workers: Callable[..., list[str]]) -> None:
    assert leaving_workers() == []


def test_workers_stay_while_hosts_hand_work_over(leaving_workers: Callable[..., list[str]]) -> None:
    (found,) = leaving_workers(topic="arn:aws:sns:us-east-1:123456789012:events")
    assert "hosts still hand work over: aws ssm delete-parameter --name /shop-prod/events/topic --region " in found


def test_workers_stay_until_somebody_says_that_the_outbox_is_empty(leaving_workers: Callable[..., list[str]]) -> None:
    (found,) = leaving_workers(drained=False)
    assert "--drained" in found


@pytest.mark.parametrize("queue", ["InvoiceQueue885C6B83", "InvoiceQueueDeadLetters0F771CF8"])
def test_workers_stay_while_a_queue_or_its_dead_letters_hold_something(
    leaving_workers: Callable[..., list[str]], queue: str
) -> None:
    (found,) = leaving_workers(**{queue: 3})
    assert found.startswith(f"workers.{queue} has 3 messages")


@pytest.mark.parametrize(
    ("before", "after", "waits"), [(5, 4, True), (5, 2, True), (4, 5, False), (4, 3, False), (5, 5, False)]
)
def test_counts_of_queues_that_go_are_given_time_to_become_true(
    stages: dict[int, Assembly], before: int, after: int, waits: bool
) -> None:
    said: list[str] = []
    slept: list[float] = []
    settle([foresee(stages[before], stages[after])], said.append, slept.append)
    assert slept == [SETTLE_SECONDS] * waits
    assert len(said) == waits
    assert SETTLE_SECONDS > 60, "AWS promises nothing before"


def test_two_passes_wait_once(stages: dict[int, Assembly]) -> None:
    slept: list[float] = []
    settle([foresee(stages[5], stages[4])] * 2, lambda _: None, slept.append)
    assert len(slept) == 1
