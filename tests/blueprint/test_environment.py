"""Environment files: good ones resolve as documented, and whatever is wrong is said with its line, key and cure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import botocore.session
import pytest
from cfnlint.jsonschema import StandardValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from blueprint import parts, rules
from blueprint.environment import ENVIRONMENTS, TABLES, UNSET_ACCOUNT, BadEnvironment, Environment, load, schema
from blueprint.stages import STAGES, find
from tests.blueprint.bad_environments import BAD, IMAGE, Bad, production, sandbox
from tests.blueprint.strategies import valid_environments

SCHEMA_FILE = ENVIRONMENTS / "environment.schema.json"
MESSAGE = re.compile(r"(?P<file>[^:]+?)(:(?P<line>\d+))?: ((?P<key>[^ ]+|.*\".*\"): )?.+, found .+; .+")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


def load_text(folder: Path, text: str | bytes, **options: str) -> Environment:
    (folder / "x.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load("x", folder=folder, **options)


def complaint(folder: Path, text: str | bytes, **options: str) -> str:
    with pytest.raises(BadEnvironment) as caught:
        load_text(folder, text, **options)
    return str(caught.value).replace(folder.name + "/", "")


# --- Bad files


@pytest.mark.parametrize("bad", BAD, ids=[f"{number}-{bad.kind}-{bad.key}" for number, bad in enumerate(BAD)])
def test_a_bad_file_is_explained_with_its_line_key_and_cure(bad: Bad, folder: Path) -> None:
    message = complaint(folder, bad.text)
    first = next((line for line in message.split("\n") if all(part in line for part in bad.says)), None)
    assert first is not None, message
    assert first.startswith(f"x.toml:{bad.line}: " if bad.line else "x.toml: "), message
    assert f" {bad.key}" in first
    assert [first.index(part) for part in bad.says] == sorted(first.index(part) for part in bad.says), message
    assert MESSAGE.fullmatch(first), message


def test_there_are_enough_bad_files_of_enough_kinds() -> None:
    assert len(BAD) >= 60
    assert len({bad.kind for bad in BAD}) >= 15


def test_every_setting_is_hit_by_a_bad_file() -> None:
    job = {f"sizes.workers.{name}": "sizes.workers.*" for name in rules.JOBS}

    def setting(key: str) -> str:
        table, _, name = key.partition("[")[0].rpartition(".")
        return f"{job.get(table, table)}.{name}".lstrip(".")

    tables = {".".join(map(str, table)): model for table, model in TABLES.items()}
    every = {setting(f"{table}.{name}") for table, model in tables.items() for name in model.model_fields}
    assert len(every) > 40
    assert every - {setting(bad.key) for bad in BAD} == set()


def test_all_problems_of_a_file_are_reported_in_its_order(folder: Path) -> None:
    text = sandbox("[sizes.fleet]\nminimum = 1\n[pins]\nimage = 3\n", name='"S"', region='"moon"', stage="9")
    told = complaint(folder, text).split("\n")
    assert [line.split(": ")[:2] for line in told] == [
        ["x.toml:1", "name"],
        ["x.toml:2", "stage"],
        ["x.toml:4", "region"],
        ["x.toml:7", "sizes.fleet.minimum"],
        ["x.toml:9", "pins.image"],
    ]


def test_contradictions_are_reported_together(folder: Path) -> None:
    told = complaint(folder, production("", zones="", alarm_email=""))
    assert [line.split(": ")[1] for line in told.split("\n")] == ["zones", "alarm_email", "pins.image"]


def test_a_flood_of_problems_is_cut_short(folder: Path) -> None:
    told = complaint(folder, sandbox("".join(f"unknown_{number} = 1\n" for number in range(3_000)))).split("\n")
    assert len(told) == 41
    assert told[-1] == "x.toml: 2960 more problems are not shown; put these right first"


def test_control_characters_never_reach_the_terminal(folder: Path) -> None:
    told = complaint(folder, sandbox(name='"\\u001b[31mred\\u202e"'))
    assert 'found "\\x1b[31mred\\u202e"' in told
    assert all(char.isprintable() for char in told)


def test_windows_line_ends_do_not_move_the_line(folder: Path) -> None:
    assert complaint(folder, sandbox("budget_usd = 0\n").replace("\n", "\r\n")).startswith("x.toml:6: budget_usd: ")


# --- Files that cannot be read


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"\xef\xbb\xbf" + sandbox().encode(), "x.toml:1: begins with a byte order mark, found ef bb bf at byte 0;"),
        (sandbox().encode("utf-16"), "x.toml:1: is in UTF-16, found ff fe at byte 0; save it as UTF-8"),
        (b'name = "shop"\nstage = "caf\xe9"\n', "x.toml:2: is not UTF-8 text, found e9 at byte 26; save"),
        (b'name = "shop"\n\nstage = 3\x00\n', "x.toml:3: is not UTF-8 text, found 00 at byte 24; save"),
        (b"\x7fELF\x02\x01\x01\x00", "x.toml:1: is not UTF-8 text, found 00 at byte 7; save"),
        (b"#" * (64 * 1024 + 1), "x.toml: is too large, found 65537 bytes; a real one has"),
    ],
    ids=["byte order mark", "utf-16", "latin-1", "zero byte", "binary", "too large"],
)
def test_a_file_that_is_no_text_is_refused_at_the_byte(raw: bytes, says: str, folder: Path) -> None:
    assert complaint(folder, raw).startswith(says)


def test_a_missing_file_names_those_that_exist() -> None:
    with pytest.raises(BadEnvironment) as caught:
        load("prodution")
    assert str(caught.value) == (
        "environments/prodution.toml: there is no such file; "
        'did you mean "production"? the environments are: production, sandbox'
    )


@pytest.mark.parametrize("name", ["", "x" * 5000, "nul\0l", "a/b\0c", "\udcff", "no/such/file.toml", "sandbox/x.toml"])
def test_an_impossible_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match=r"cannot be read|no such file"):
        load(name, folder=tmp_path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="is not a file, found a directory; give the path"):
        load(str(tmp_path))


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.toml")
    with pytest.raises(BadEnvironment, match="is not a file, found a device or pipe"):
        load("x", folder=tmp_path)


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").symlink_to(tmp_path / "x.toml")
    with pytest.raises(BadEnvironment, match=r"x\.toml: cannot be read, found: Too many levels of symbolic"):
        load("x", folder=tmp_path)


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.toml").write_text(sandbox())

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BadEnvironment, match=r"x\.toml: cannot be read, found: Permission denied; check"):
        load("x", folder=tmp_path)


# --- The command line


@pytest.mark.parametrize(
    ("option", "given", "says"),
    [
        ("stage", "9", "-c stage=9: is no stage; write 1 to 5, or one of monolith"),
        ("stage", "cache", '-c stage=cache: is no stage; did you mean "cached"?'),
        ("stage", "", "-c stage=: is no stage"),
        ("name", "Trial", "-c name=Trial: must be 2 to 20 lower-case letters"),
        ("name", "ssm", "-c name=ssm: must not begin with aws or ssm"),
        ("release", "latest", "-c release=latest: must be the 64 hexadecimal digits"),
        ("release", "\x1b[0m" * 99, "-c release=\\x1b[0m"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_typed(option: str, given: str, says: str, folder: Path) -> None:
    assert complaint(folder, sandbox(), **{option: given}).startswith(says)


def test_a_name_that_makes_the_domain_too_long_is_refused(folder: Path) -> None:
    text = production(domain=f'"{"a" * 40}.example.com"')
    assert complaint(folder, text, name="trial").startswith("-c name=trial: makes the domain longer than 57 characters")


def test_options_override_the_file(folder: Path) -> None:
    got = load_text(folder, production(), stage="cached", name="trial", release="a1" * 32)
    assert (got.stage, got.name, got.pins.release) == (find(4), "trial", "a1" * 32)
    assert got.domain == "trial.shop.example.com"


def test_naming_an_environment_as_it_is_called_anyway_keeps_its_domain(folder: Path) -> None:
    assert load_text(folder, production(), name="shop-prod").domain == "shop.example.com"


def test_an_environment_can_be_given_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(sandbox(name='"mine"'))
    assert load(str(tmp_path / "mine.toml")).name == "mine"


# --- Good files


def test_a_sandbox_needs_little(folder: Path) -> None:
    got = load_text(folder, sandbox(stage="1"))
    assert (got.account, got.zones, got.egress) == (UNSET_ACCOUNT, (), parts.Egress.NAT)
    assert (got.open_to, got.domain, got.budget_usd) == (("203.0.113.10/32",), None, 100)
    assert (got.pins.image, got.pins.origin_key_generation, got.transition.lock_origin) == (None, 1, True)


def test_production_is_open_to_everybody_and_reaches_out_zone_by_zone(folder: Path) -> None:
    got = load_text(folder, production())
    assert (got.open_to, got.egress) == (("0.0.0.0/0",), parts.Egress.NAT_PER_ZONE)


@pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
@pytest.mark.parametrize("written", ["{0.number}", '"{0.name}"', '"{0.number}"'])
def test_a_stage_goes_by_number_or_name(stage: parts.Stage, written: str, folder: Path) -> None:
    assert load_text(folder, sandbox(stage=written.format(stage))).stage == stage


def test_sizes_change_what_they_name_and_nothing_else(folder: Path) -> None:
    tables = (
        "[sizes.fleet]\nmaximum = 30\n[sizes.database]\nread_replicas = 0\nmulti_az = false\n"
        '[sizes.cache]\nshards = 5\n[sizes.cdn]\nprice_class = "PriceClass_All"\n'
        "[sizes.workers.invoice]\nconcurrency = 20\n"
    )
    stage, base = load_text(folder, sandbox(tables)).stage, find(5)
    assert base.workers is not None
    jobs = tuple(replace(job, concurrency=20) if job.name == "invoice" else job for job in base.workers.jobs)
    assert stage == replace(
        base,
        fleet=parts.Fleet(instance_type="m7g.large", minimum=3, maximum=30),
        database=parts.Postgres("m7g.large", storage_gib=100, storage_limit_gib=1000, multi_az=False, read_replicas=0),
        cache=parts.Cache(node_type="cache.t4g.medium", shards=5, replicas_per_shard=1),
        cdn=parts.Cdn(price_class="PriceClass_All"),
        workers=parts.Workers(jobs=jobs),
    )


def test_every_stage_can_be_inspected_from_a_file_with_sizes(folder: Path) -> None:
    text = sandbox("[sizes.cache]\nshards = 5\n[sizes.workers.invoice]\nconcurrency = 20\n")
    for stage in STAGES[:3]:
        assert load_text(folder, text, stage=stage.name).stage == stage


def test_a_size_that_fits_here_may_not_fit_at_the_stage_asked_for(folder: Path) -> None:
    text = sandbox("[sizes.fleet]\nminimum = 8\n")
    assert load_text(folder, text).stage.number == 5
    told = complaint(folder, text, stage="3")
    assert told.startswith("x.toml:7: sizes.fleet.minimum: minimum 8 is above maximum 6 at stage 3 (load-balanced)")


def test_a_domain_lets_everybody_in_on_request(folder: Path) -> None:
    assert load_text(folder, production(open_to='["0.0.0.0/0"]')).open_to == ("0.0.0.0/0",)


@pytest.mark.parametrize("name", ["sandbox", "production"])
@pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
def test_our_own_environments_load_at_every_stage(name: str, stage: parts.Stage) -> None:
    assert load(name, stage=str(stage.number)).stage.number == stage.number


def test_what_is_commented_out_in_our_own_environments_would_load(folder: Path) -> None:
    # At stage 4 and 5 all parts but the server are there; the comments that are settings look like settings.
    setting = re.compile(r"^# (?=\[[a-z_.]+\]$|[a-z_]+ = [\[\"\dtf])", re.MULTILINE)
    for path in ENVIRONMENTS.glob("*.toml"):
        text = setting.sub("", path.read_text())
        assert text.count("\n# ") < path.read_text().count("\n# ")
        if "[sizes.server]" in text:
            text = re.sub(r"\[sizes\.server\]\n(.+\n)+", "", text)
        got = load_text(folder, re.sub(r"^stage = .*", "stage = 5", text, flags=re.MULTILINE))
        assert got.domain == "shop.example.com"


def test_the_sandbox_file_mentions_every_setting() -> None:
    text = (ENVIRONMENTS / "sandbox.toml").read_text()
    for table, model in TABLES.items():
        for name in model.model_fields:
            table_of_its_own = rf"\[{re.escape('.'.join(map(str, (*table, name))))}[.\]]"
            assert re.search(rf"^(# )?({name} = |{table_of_its_own})", text, re.MULTILINE), (table, name)


@given(text=valid_environments())
@settings(deadline=None, max_examples=150)
def test_every_valid_file_loads(text: str, folder: Path) -> None:
    written, got = tomllib.loads(text), load_text(folder, text)
    assert (got.name, got.region, got.profile) == (written["name"], written["region"], written["profile"])
    for part, sizes in written.get("sizes", {}).items():
        if part != "workers":
            assert {name: getattr(getattr(got.stage, part), name) for name in sizes} == sizes


# --- Never anything but an answer


def survives(folder: Path, raw: bytes) -> None:
    try:
        assert isinstance(load_text(folder, raw), Environment)
    except BadEnvironment as problem:
        lines = str(problem).split("\n")
        assert lines
        assert all(line.isprintable() and line.startswith(f"{folder.name}/x.toml") for line in lines)
        assert all(len(line) < 1500 for line in lines)


@given(raw=st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_no_bytes_whatsoever_raise_anything_else(raw: bytes, folder: Path) -> None:
    survives(folder, raw)


@given(text=st.text(alphabet=st.sampled_from("ab=.[]{}\"'\\,#\n\r\t 01-_:+eTZ\x7fé\u2028"), max_size=120))
@settings(deadline=None, max_examples=400)
def test_no_text_whatsoever_raises_anything_else(text: str, folder: Path) -> None:
    survives(folder, text.encode())
    survives(folder, (sandbox() + text).encode())


@given(text=valid_environments(), data=st.data())
@settings(deadline=None, max_examples=200)
def test_no_slip_of_the_hand_raises_anything_else(text: str, data: st.DataObject, folder: Path) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    slip = data.draw(st.sampled_from(["", '"', "'''", "[", "]]", "{", "\n", "=", ".", "\\", "0", "-1", "[[a]]\n"]))
    survives(folder, (text[:start] + slip + text[end:]).encode())


@pytest.mark.parametrize(
    "tail",
    [
        "a." * 32_000 + "a = 1",
        "".join("a" + f".a{number}" * 1_000 + " = 1\n" for number in range(14)),
        "x = " + "{a=" * 1_300 + "\n",
        "x = [" + "[[],\n" * 12_000,
        '"' * 60_000,
        'x = """' + '"\n' * 30_000,
    ],
    ids=["deep key", "deep keys", "deep table", "deep list", "quotes", "quotes in a text"],
)
def test_a_hostile_file_is_refused_in_time(tail: str, folder: Path) -> None:
    began = time.process_time()
    survives(folder, (sandbox() + tail + "\n").encode()[: 64 * 1024])
    assert time.process_time() - began < 5


# --- The schema for editors


def test_the_schema_file_is_up_to_date(refresh: bool) -> None:
    wanted = json.dumps(schema(), indent=2) + "\n"
    if refresh:
        SCHEMA_FILE.write_text(wanted)
    assert SCHEMA_FILE.read_text() == wanted, "write it again with: pytest --refresh tests/blueprint"


def schema_says(text: str) -> list[str]:
    return [error.message for error in StandardValidator(schema()).iter_errors(tomllib.loads(text))]


def test_editors_show_a_description_for_every_setting() -> None:
    made = schema()
    silent = [
        name
        for table in (made, *made["$defs"].values())
        for name, about in table["properties"].items()
        if "description" not in about | made["$defs"].get(about.get("$ref", "").removeprefix("#/$defs/"), {})
    ]
    assert silent == []


def test_the_schema_knows_no_null() -> None:
    assert "null" not in json.dumps(schema())


@pytest.mark.parametrize("name", ["sandbox", "production"])
def test_our_own_environments_name_the_schema_and_satisfy_it(name: str) -> None:
    text = (ENVIRONMENTS / f"{name}.toml").read_text()
    assert text.startswith("#:schema ./environment.schema.json\n")
    assert schema_says(text) == []


@given(text=valid_environments())
@settings(deadline=None, max_examples=50)
def test_the_schema_accepts_every_valid_file(text: str) -> None:
    assert schema_says(text) == []


@pytest.mark.parametrize(
    "kind",
    ["unknown key", "missing key", "wrong type", "boolean as number", "decimal as number", "table for a value",
     "value for a table", "choice", "size the part cannot take", "range", "too many"],
)  # fmt: skip
def test_editors_see_these_kinds_of_mistake_too(kind: str) -> None:
    unseen = [bad.text for bad in BAD if bad.kind == kind and not schema_says(bad.text)]
    excused = [sandbox(open_to="[] # <-"), sandbox(stage="3.0 # <-")]  # to JSON schema, 3.0 is a whole number
    excused.append(sandbox("[sizes.fleet]\nminimum = 2.0 # <-\n"))
    assert [text for text in unseen if text not in excused] == []


def test_editors_see_what_production_needs() -> None:
    assert schema_says(production()) == []
    for name in ("zones", "domain", "alarm_email", "budget_usd"):
        assert any(name in said for said in schema_says(production(**{name: ""})))
    assert any("image" in said for said in schema_says(production("[pins]\n")))


# --- What the rules rest on


def test_sizes_are_settings_of_the_parts() -> None:
    of = {"server": parts.SingleServer, "fleet": parts.Fleet, "database": parts.Postgres, "cache": parts.Cache}
    of |= {"cdn": parts.Cdn}
    for part, spec in of.items():
        assert set(TABLES["sizes", part].model_fields) == {field.name for field in fields(spec)}
    job = set(TABLES["sizes", "workers", "invoice"].model_fields)
    assert job == {field.name for field in fields(parts.Job)} - {"name", "events", "reads_database"}


def test_the_stages_start_with_sizes_that_an_environment_may_name(folder: Path) -> None:
    for stage in STAGES:
        tables = ""
        for table, model in TABLES.items():
            spec = getattr(stage, str(table[1]), None) if len(table) == 2 else None
            if spec is not None:
                tables += f"[{'.'.join(map(str, table))}]\n"
                tables += "".join(f"{name} = {json.dumps(getattr(spec, name))}\n" for name in model.model_fields)
        assert load_text(folder, sandbox(tables, stage=str(stage.number))).stage == stage


def test_the_regions_are_those_that_the_aws_client_knows() -> None:
    known = set(botocore.session.get_session().get_available_regions("ec2"))
    assert set(rules.REGIONS) == known


def test_the_instance_types_exist() -> None:
    from cfnlint.helpers import load_resource

    hosts = load_resource("cfnlint.data.schemas.extensions.aws_ec2_instance", "instancetype_enum.json")
    assert set(rules.HOST_TYPES) <= set(hosts["us-east-1"]["enum"])
    databases = load_resource("cfnlint.data.schemas.extensions.aws_rds_dbinstance", "db_instance_class.json")
    for major in ("17", "18"):
        offered = [
            entry["then"]["properties"]["DBInstanceClass"]["enum"]
            for entry in databases["allOf"]
            if entry["if"]["properties"]["Engine"].get("const") == "postgres"
            and entry["if"]["properties"]["EngineVersion"]["pattern"].startswith(f"^({major}")
        ]
        assert any({f"db.{size}" for size in rules.DATABASE_TYPES} <= set(classes) for classes in offered), major


def test_reading_an_environment_does_not_import_cdk() -> None:
    code = "import sys, blueprint.environment as e; e.load('sandbox'); sys.exit('aws_cdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ENVIRONMENTS.parent, check=False).returncode == 0


def test_production_without_a_table_of_pins_says_where_to_add_it(folder: Path) -> None:
    assert complaint(folder, production("")).startswith("x.toml: pins.image: is missing")
    assert load_text(folder, production(IMAGE)).pins.image == "ami-00000000000000000"
