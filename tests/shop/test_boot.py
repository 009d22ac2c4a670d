"""The boot script, run for real in a temporary root; only what would change a host or ask AWS is a stub."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from shop.settings import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HOST = ROOT / "shop" / "host"
STUB = Path(__file__).parent / "stubs" / "stub"
# fmt: off
STUBBED = (
    "amazon-cloudwatch-agent-ctl", "aws", "blkid", "certbot", "cfn-signal", "chown", "curl", "dnf",
    "env", "id", "initdb", "jq", "mkfs.xfs", "mount", "mountpoint", "openssl", "pg_isready", "pip", "psql",
    "python3.13", "rpm", "runuser", "sleep", "systemctl", "unzip", "useradd",
)
# fmt: on
# What a run may do to a host on which there is nothing to do.
ONLY_LOOKING = re.compile(
    r"rpm -q |id -u |aws ssm get-|aws ec2 describe-|curl |blkid |mountpoint -q |systemctl is-|sleep |"
    r"runuser -u postgres -- pg_isready|pg_isready"
)
VOLUME = "vol-0aaaaaaaaaaaaaaaa"
HERE = "i-0123456789abcdef0"


@dataclass
class Host:
    """A host that exists only as a folder, with the AWS account around it."""

    folder: Path
    role: str
    domain: str = ""

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def prepare(self) -> Host:
        for path in ("bin", "root/etc", "root/dev/disk/by-id", *(f"state/{part}" for part in ("releases", "enabled"))):
            (self.folder / path).mkdir(parents=True)
        for part in ("active", "fails", "mounted"):
            (self.state / part).mkdir()
        for name in STUBBED:
            (self.folder / "bin" / name).symlink_to(STUB)
        (self.root / "etc" / "fstab").write_text("UUID=root / xfs defaults 1 1\n")
        (self.state / "volumes").write_text(f"{VOLUME}\n")
        (self.state / "holder").write_text("None\n")
        (self.state / "disk").write_bytes(bytes(4096))
        self.parameter("logs/app", "shop-web-AppLogs-X1")
        self.parameter("files/bucket", "shop-data-files-x1")
        if self.role == "fleet":
            self.managed_database()
        self.publish("first")
        return self

    def parameter(self, path: str, value: str) -> None:
        file = self.state / "parameters" / "shop" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")

    def managed_database(self) -> None:
        """What the data stack publishes from stage 2 on."""
        for name, value in {"endpoint": "db.example.internal", "port": "5433", "secret": "arn:secret"}.items():
            self.parameter(f"database/managed/{name}", value)

    def read_parameter(self, path: str) -> str:
        return (self.state / "parameters" / "shop" / path).read_text().strip()

    def publish(self, release: str, *, answers: bool = True) -> None:
        """A release as the asset of a deployment, and the parameter that names it."""
        content = self.folder / f"content-{release}"
        shutil.copytree(HOST, content / "shop" / "host")
        for folder in ("jobs", "lib"):
            (content / folder).mkdir()
        (content / "version").write_text(release)
        if answers:
            (content / "answers").touch()
        shutil.make_archive(str(self.state / "releases" / release), "zip", content)
        self.parameter("release", self.url(release))

    @staticmethod
    def url(release: str) -> str:
        return f"s3://assets/{release}.zip"

    def user_data(self) -> str:
        settings = {"SHOP_NAME": "shop", "SHOP_REGION": "us-east-1", "SHOP_ROLE": self.role}
        if self.role == "fleet":
            settings |= {
                "SHOP_RELEASE": self.url("first"),
                "SHOP_STACK": "shop-web",
                "SHOP_GROUP": "FleetGroup0",
                "SHOP_HOOK": "answers",
            }
        if self.domain:
            settings |= {"SHOP_DOMAIN": self.domain, "SHOP_EMAIL": "web@example.org"}
        exports = "".join(f"export {name}={value}\n" for name, value in settings.items())
        return f"#!/bin/bash\n{exports}{(HOST / 'boot.sh').read_text()}"

    def boot(self) -> subprocess.CompletedProcess[str]:
        script = self.folder / "user-data"
        script.write_text(self.user_data())
        return self._run(script)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.root / "opt" / "shop" / "boot.sh", *words)

    def migrated(self) -> list[str]:
        """The databases whose schema was brought up to date, in this order."""
        file = self.state / "migrated"
        return file.read_text().splitlines() if file.exists() else []

    def _run(self, script: Path, *words: str) -> subprocess.CompletedProcess[str]:
        (self.state / "calls").write_text("")
        bin_folder = self.folder / "bin"
        known = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "ROOT": str(self.root),
            "STATE": str(self.state),
            "STUBS": str(bin_folder),
            "PYTHON": sys.executable,
        }
        return subprocess.run(["bash", str(script), *words], env=known, capture_output=True, text=True, timeout=60)

    def calls(self, beginning: str = "") -> list[str]:
        lines = (self.state / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(beginning)]

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def current(self) -> str:
        return self.text("opt/shop/current/version")

    def tree(self) -> dict[str, tuple[int, int, str]]:
        """Every file with its mode, time of change and content; the log of the runs apart."""
        return {
            str(path.relative_to(self.root)): (
                path.lstat().st_mode,
                path.lstat().st_mtime_ns,
                os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for path in sorted(self.root.rglob("*"))
            if (path.is_symlink() or path.is_file()) and path.name not in ("boot.log", "shop-boot.lock")
        }


@pytest.fixture
def server(tmp_path: Path) -> Host:
    return Host(tmp_path, "server").prepare()


@pytest.fixture
def fleet(tmp_path: Path) -> Host:
    return Host(tmp_path, "fleet").prepare()


def booted(folder: Path, role: str) -> Host:
    """For tests that only look at it."""
    host = Host(folder, role).prepare()
    succeeded(host.boot())
    return host


@pytest.fixture(scope="module")
def booted_server(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return booted(tmp_path_factory.mktemp("server"), "server")


@pytest.fixture(scope="module")
def booted_fleet(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return booted(tmp_path_factory.mktemp("fleet"), "fleet")


@pytest.fixture
def with_domain(tmp_path: Path) -> Host:
    return Host(tmp_path, "server", domain="shop.example.org").prepare()


def succeeded(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout + run.stderr


def failed(run: subprocess.CompletedProcess[str], because: str) -> None:
    assert run.returncode != 0, run.stdout
    assert because in run.stdout + run.stderr


# --- The script itself ---


def test_shellcheck_finds_nothing() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    found = subprocess.run(
        [str(checker), "--external-sources", "--check-sourced", "shop/host/boot.sh", "shop/host/wal.sh", str(STUB)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


def test_user_data_leaves_room_below_the_limit_of_ec2(with_domain: Host, tmp_path: Path) -> None:
    assert len((HOST / "boot.sh").read_bytes()) < 10 * 1024
    for host in (with_domain, Host(tmp_path, "fleet")):
        assert len(host.user_data().encode()) < 16 * 1024 * 3 // 4


@pytest.mark.parametrize(("role", "domain"), [("server", ""), ("server", "shop.example.org"), ("fleet", "")])
def test_a_second_run_changes_nothing(tmp_path: Path, role: str, domain: str) -> None:
    host = Host(tmp_path, role, domain).prepare()
    succeeded(host.boot())
    before = host.tree()
    assert len(before) > 10
    assert [call for call in host.calls() if not ONLY_LOOKING.match(call)], "the first run must change something"

    succeeded(host.boot())
    assert host.tree() == before
    assert [call for call in host.calls() if not ONLY_LOOKING.match(call)] == []


def test_the_copy_that_later_boots_run_changes_nothing_either(server: Host) -> None:
    succeeded(server.boot())
    before = server.tree()
    succeeded(server.command())
    assert server.tree() == before


def test_no_mark_is_left_in_a_file_on_the_host(with_domain: Host) -> None:
    (with_domain.state / "name-points-here").touch()
    succeeded(with_domain.boot())
    succeeded(with_domain.command("certificate"))
    placed = [path for path in with_domain.root.rglob("*") if path.is_file() and "opt" not in path.parts]
    assert len(placed) > 10
    assert [path for path in placed if re.search(r"@[A-Z_]+@", path.read_text(errors="replace"))] == []


def test_an_unknown_command_is_refused(server: Host) -> None:
    succeeded(server.boot())
    failed(server.command("destroy"), "unknown: destroy")
    assert server.calls() == []


# --- The data volume ---


def test_a_blank_volume_gets_a_file_system_and_a_database(booted_server: Host) -> None:
    assert len(booted_server.calls("mkfs.xfs")) == 1
    assert booted_server.text("etc/fstab").splitlines()[1:] == [
        "UUID=11111111-2222-3333-4444-555555555555 /var/lib/pgsql xfs "
        "defaults,noatime,nofail,x-systemd.device-timeout=60 0 2",
        "/var/lib/pgsql/files /var/lib/shop/files none bind,nofail,x-systemd.requires-mounts-for=/var/lib/pgsql 0 0",
    ]
    assert booted_server.calls("aws ec2 attach-volume") == [
        f"aws ec2 attach-volume --volume-id {VOLUME} --instance-id {HERE} --device /dev/sdf"
    ]
    looked = [call for call in booted_server.calls("aws ec2 describe-volumes") if "--filters" in call]
    assert "Name=tag:shop:data-volume,Values=shop" in looked[0]


@pytest.mark.parametrize("found", ["", f"{VOLUME} vol-0bbbbbbbbbbbbbbbb"])
def test_anything_but_one_volume_stops_before_it_touches_one(server: Host, found: str) -> None:
    (server.state / "volumes").write_text(f"{found}\n")
    failed(server.boot(), "need one volume with tag shop:data-volume=shop, found")
    for changing in ("aws ec2 attach-volume", "mkfs", "mount ", "initdb"):
        assert server.calls(changing) == []


def test_a_volume_with_a_file_system_is_never_formatted(server: Host) -> None:
    (server.state / "formatted").touch()
    succeeded(server.boot())
    assert server.calls("mkfs") == []
    assert [Path(call.split()[1]).name for call in server.calls("mount ")] == ["pgsql", "files"]


@pytest.mark.parametrize("code", [1, 4, 8])
def test_an_unclear_answer_of_blkid_formats_nothing(server: Host, code: int) -> None:
    (server.state / "blkid").write_text(f"{code}\n")
    failed(server.boot(), f"blkid says {code}")
    assert server.calls("mkfs") == []


def test_bytes_that_blkid_does_not_know_are_not_formatted(server: Host) -> None:
    (server.state / "disk").write_bytes(bytes(3000) + b"somebody's data" + bytes(1000))
    failed(server.boot(), "holds something that blkid does not know")
    assert server.calls("mkfs") == []


def test_a_volume_that_the_host_before_still_holds_is_waited_for(server: Host) -> None:
    (server.state / "holder").write_text("i-0ddddddddddddddddd\n" * 3 + "None\n")
    succeeded(server.boot())
    assert len(server.calls("sleep")) == 3
    assert len(server.calls("aws ec2 attach-volume")) == 1


def test_waiting_for_the_volume_ends(server: Host) -> None:
    (server.state / "holder").write_text("i-0ddddddddddddddddd\n")
    failed(server.boot(), f"gave up waiting for volume {VOLUME}")
    assert server.calls("aws ec2 attach-volume") == []


def test_no_database_is_made_beside_a_volume_that_does_not_mount(server: Host) -> None:
    (server.state / "fails" / "mount").touch()
    failed(server.boot(), "mount: made to fail")
    assert server.calls("initdb") == []


# --- PostgreSQL on the host ---


def test_postgresql_is_ready_for_a_move_from_the_first_day(booted_server: Host) -> None:
    settings = booted_server.text("var/lib/pgsql/data/conf.d/shop.conf")
    assert "wal_level = logical" in settings
    assert "password_encryption = scram-sha-256" in settings
    assert re.search(r"shared_buffers = '\d+MB'", settings)
    assert booted_server.text("var/lib/pgsql/data/postgresql.conf") == "include_dir = 'conf.d'\n"
    rules = [
        line.split()
        for line in booted_server.text("var/lib/pgsql/data/pg_hba.conf").splitlines()
        if line[:1] not in "#"
    ]
    assert rules
    assert {rule[0] for rule in rules} == {"local", "hostssl"}, "nobody connects over the network without TLS"
    assert "RequiresMountsFor=/var/lib/pgsql" in booted_server.text("etc/systemd/system/postgresql.service.d/shop.conf")


def test_the_database_starts_before_the_application(booted_server: Host) -> None:
    started = [call for call in booted_server.calls("systemctl ") if re.match(r"systemctl (re)?start ", call)]
    names = [call.split()[-1] for call in started]
    assert names.index("postgresql.service") < names.index("shop.service") < names.index("nginx.service")


def test_the_password_is_readable_by_root_only_and_in_no_command_line(booted_server: Host) -> None:
    file = booted_server.root / "etc/shop/database.env"
    password = file.read_text().strip().removeprefix("DATABASE_PASSWORD=")
    assert len(password) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert password in (booted_server.state / "all-sql").read_text()
    assert [call for call in booted_server.calls() if password in call] == []
    assert password not in booted_server.text("var/log/shop/boot.log")


def test_a_new_host_takes_over_old_data(server: Host) -> None:
    """The data are there, the password of the host before is not."""
    for made in ("formatted", "database"):
        (server.state / made).touch()
    data = server.root / "var/lib/pgsql/data"
    (data / "conf.d").mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    succeeded(server.boot())
    assert server.calls("mkfs") == []
    assert server.calls("initdb") == []
    assert "alter role shop_app password" in (server.state / "all-sql").read_text()


def test_data_of_another_major_version_are_left_alone(server: Host) -> None:
    data = server.root / "var/lib/pgsql/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    failed(server.boot(), "the data are of PostgreSQL 16, this host has 17")
    assert not (server.state / "active" / "postgresql.service").exists()


# --- Which database is active ---


@pytest.mark.parametrize(("role", "expected"), [("server", "host"), ("fleet", "managed")])
def test_the_first_host_of_an_environment_says_which_database_is_active(
    tmp_path: Path, role: str, expected: str
) -> None:
    host = Host(tmp_path, role).prepare()
    succeeded(host.boot())
    assert host.read_parameter("database/active") == expected
    assert f"DATABASE_ACTIVE={expected}\n" in host.text("etc/shop/app.env")


def test_an_environment_that_is_born_with_a_managed_database_uses_it(server: Host) -> None:
    server.managed_database()
    succeeded(server.boot())
    assert server.read_parameter("database/active") == "managed"


def test_rows_on_the_host_are_never_left_for_an_empty_managed_database(server: Host) -> None:
    """The old volume, and nobody has said which database is active: the one that has the rows."""
    succeeded(server.boot())
    (server.state / "parameters/shop/database/active").unlink()
    server.managed_database()
    succeeded(server.boot())
    assert server.read_parameter("database/active") == "host"


# --- Roles and schema ---

MASTER = "shop_admin:from the secret@db.example.internal:5433 require"


def test_a_managed_database_gets_its_role_and_its_schema_from_the_master(booted_fleet: Host) -> None:
    assert (booted_fleet.state / "managed").read_text().strip() == MASTER
    (call,) = booted_fleet.calls("psql")
    assert call.endswith("/host/database.sql")
    assert booted_fleet.migrated() == [f"{MASTER} shop first --role shop_owner"]
    assert [call for call in booted_fleet.calls() if "from the secret" in call] == []


def test_the_schema_is_there_before_the_application_starts(booted_server: Host) -> None:
    calls = booted_server.calls()
    migrated = next(number for number, call in enumerate(calls) if call.startswith("python3.13 -m shop migrate"))
    assert migrated < calls.index("systemctl restart shop.service")
    assert booted_server.migrated() == ["@/run/postgresql shop first --role shop_owner"]
    assert "runuser -u postgres" in calls[migrated - 2]


def test_each_release_brings_its_schema_once(server: Host) -> None:
    succeeded(server.boot())
    succeeded(server.boot())
    assert len(server.migrated()) == 1
    server.publish("second")
    succeeded(server.command("release"))
    assert [line.split()[2] for line in server.migrated()] == ["first", "second"]


def test_the_database_that_is_not_in_use_gets_a_new_column_first(server: Host) -> None:
    succeeded(server.boot())
    server.managed_database()
    server.publish("second")
    succeeded(server.command("release"))
    assert [line.split("@")[1].split()[0] for line in server.migrated()[1:]] == [
        "db.example.internal:5433",
        "/run/postgresql",
    ]


def test_a_release_whose_schema_does_not_fit_is_taken_back_before_it_runs(server: Host) -> None:
    succeeded(server.boot())
    server.publish("second")
    (server.state / "fails" / "migrate").touch()
    failed(server.command("release"), "gave up waiting for the host database")
    assert server.current() == "first"
    started = server.calls("systemctl restart shop.service")
    assert len(started) == 1, "only the release before, after the switch back"


def test_a_host_is_not_let_in_before_its_database_is_prepared(fleet: Host) -> None:
    fleet.parameter("database/managed/secret", "arn:gone")
    failed(fleet.boot(), "gave up waiting for the managed database")
    (call,) = fleet.calls("aws autoscaling complete-lifecycle-action")
    assert call.endswith("--lifecycle-action-result ABANDON")


def test_a_host_serves_although_the_database_that_is_not_in_use_could_not_be_prepared(server: Host) -> None:
    server.parameter("database/active", "host")
    server.managed_database()
    server.parameter("database/managed/secret", "arn:gone")
    run = server.boot()
    succeeded(run)
    assert "the managed database, which is not in use, was not prepared" in run.stdout


@pytest.mark.parametrize("role", ["server", "fleet"])
@pytest.mark.parametrize("active", ["host", "managed"])
def test_what_is_active_stays_active(tmp_path: Path, role: str, active: str) -> None:
    host = Host(tmp_path, role).prepare()
    host.parameter("database/active", active)
    host.managed_database()
    succeeded(host.boot())
    assert host.read_parameter("database/active") == active
    assert [call for call in host.calls("aws ssm put-parameter") if "database" in call] == []


def test_a_refused_write_of_the_active_database_is_not_mistaken_for_an_existing_value(server: Host) -> None:
    (server.state / "refuse-put").touch()
    failed(server.boot(), "cannot write /shop/database/active: An error occurred (AccessDeniedException)")


def test_postgresql_on_the_host_keeps_running_when_another_database_is_active(server: Host) -> None:
    succeeded(server.boot())
    server.parameter("database/active", "managed")
    succeeded(server.command("settings"))
    changing = [call for call in server.calls() if not ONLY_LOOKING.match(call)]
    assert [call.split()[0] for call in changing] == ["chown", "systemctl"]
    assert changing[1] == "systemctl reload-or-restart shop.service", "no visitor notices"
    assert "DATABASE_ACTIVE=managed\n" in server.text("etc/shop/app.env")


# --- The application ---


def test_every_parameter_becomes_a_setting(fleet: Host) -> None:
    fleet.parameter("cache/endpoint", "cache.example.internal")
    fleet.parameter("database/managed/replicas/1", "copy.example.internal")
    fleet.parameter("front/hops", "2")
    fleet.parameter("front/scheme", "https")
    succeeded(fleet.boot())
    assert fleet.text("etc/shop/app.env").splitlines() == [
        "SHOP_NAME=shop",
        "AWS_REGION=us-east-1",
        "AWS_DEFAULT_REGION=us-east-1",
        "LISTEN=0.0.0.0:8080",
        "CACHE_ENDPOINT=cache.example.internal",
        "DATABASE_ACTIVE=managed",
        "DATABASE_MANAGED_ENDPOINT=db.example.internal",
        "DATABASE_MANAGED_PORT=5433",
        "DATABASE_MANAGED_REPLICAS_1=copy.example.internal",
        "DATABASE_MANAGED_SECRET=arn:secret",
        "FILES_ACTIVE=bucket",
        "FILES_BUCKET=shop-data-files-x1",
        "FRONT_HOPS=2",
        "FRONT_SCHEME=https",
        "LOGS_APP=shop-web-AppLogs-X1",
    ]


def test_the_single_host_finds_its_own_database_under_any_address(server: Host) -> None:
    server.parameter("database/host/endpoint", "10.20.0.99")  # of the host before
    server.parameter("front/hops", "2")  # of a fleet that is there or has been
    server.parameter("front/scheme", "https")
    succeeded(server.boot())
    settings = server.text("etc/shop/app.env").splitlines()
    assert [line for line in settings if line.startswith("DATABASE_HOST_ENDPOINT=")] == [
        "DATABASE_HOST_ENDPOINT=127.0.0.1"
    ]
    assert "LISTEN=127.0.0.1:8080" in settings
    assert [line for line in settings if line.startswith("FRONT_")] == ["FRONT_HOPS=1"]


def test_the_shop_accepts_the_settings_of_every_host(server: Host, tmp_path: Path) -> None:
    fleet = Host(tmp_path / "fleet", "fleet").prepare()
    fleet.parameter("events/topic", "arn:aws:sns:us-east-1:111111111111:events")
    fleet.parameter("mail/from", "shop@example.com")
    fleet.parameter("cache/endpoint", "cache.example.internal")
    for host in (server, fleet):
        succeeded(host.boot())
        lines = host.text("etc/shop/app.env").splitlines()
        if host is server:
            lines += host.text("etc/shop/database.env").splitlines()
        settings = load(dict(line.split("=", 1) for line in lines))
        assert settings.name == "shop"
        assert settings.proxies == (1 if host is server else 0)
        assert (settings.events_topic is not None) is (host is fleet)


def test_new_settings_reach_the_shop_without_a_restart_and_without_a_password(server: Host) -> None:
    succeeded(server.boot())
    server.parameter("mail/from", "shop@example.com")
    succeeded(server.command("settings"))
    assert server.calls("systemctl re") == ["systemctl reload-or-restart shop.service"]
    file = server.root / "etc/shop/app.env"
    assert "MAIL_FROM=shop@example.com" in file.read_text()
    assert "PASSWORD" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("changed", ["opt/shop/current/shop/host/shop-process.conf", "etc/shop/database.env"])
def test_the_shop_is_restarted_for_what_it_does_not_read_itself(server: Host, changed: str) -> None:
    succeeded(server.boot())
    if changed.endswith(".env"):
        (server.root / changed).unlink()
    else:
        (server.root / changed).write_text(server.text(changed).replace("RestartSec=2", "RestartSec=3"))
    server.parameter("mail/from", "shop@example.com")
    succeeded(server.command())
    assert server.calls("systemctl re") == ["systemctl restart shop.service"]


# --- The relay ---


def test_events_are_told_only_while_there_is_a_topic(fleet: Host) -> None:
    relay = fleet.state / "active" / "shop-relay.service"
    succeeded(fleet.boot())
    assert not relay.exists()
    fleet.parameter("events/topic", "arn:aws:sns:us-east-1:111111111111:events")
    succeeded(fleet.command("settings"))
    assert relay.exists()
    assert (fleet.state / "enabled" / "shop-relay.service").exists()

    (fleet.state / "parameters/shop/events/topic").unlink()
    succeeded(fleet.command("settings"))
    assert not relay.exists()
    assert not (fleet.state / "enabled" / "shop-relay.service").exists()
    succeeded(fleet.command("settings"))
    assert [call for call in fleet.calls() if not ONLY_LOOKING.match(call)] == []


def test_the_relay_may_do_as_little_as_the_shop(fleet: Host) -> None:
    fleet.parameter("events/topic", "arn:aws:sns:us-east-1:111111111111:events")
    succeeded(fleet.boot())
    shop, relay = (fleet.text(f"etc/systemd/system/{unit}.service.d/process.conf") for unit in ("shop", "shop-relay"))
    assert shop == relay
    assert "ProtectSystem=strict" in shop


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_every_unit(with_domain: Host) -> None:
    with_domain.parameter("events/topic", "arn:aws:sns:us-east-1:111111111111:events")
    with_domain.parameter("files/active", "bucket")
    succeeded(with_domain.boot())
    units = with_domain.root / "etc/systemd/system"
    for unit in units.glob("*.service"):
        unit.write_text(re.sub(r"/usr/bin/python3.13|/opt/shop/boot.sh\b", "/bin/true", unit.read_text()))
    names = [str(unit) for unit in units.glob("shop*.*") if unit.is_file()]
    assert len(names) == 5
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
    )
    assert (told.returncode, told.stderr) == (0, "")


# --- Files ---


def test_uploads_stay_on_the_data_volume_until_somebody_says_bucket(server: Host) -> None:
    succeeded(server.boot())
    settings = server.text("etc/shop/app.env").splitlines()
    assert "FILES_FOLDER=/var/lib/shop/files" in settings
    assert not [line for line in settings if line.startswith("FILES_BUCKET=")]
    assert "ReadWritePaths=-/var/lib/shop/files" in server.text("etc/systemd/system/shop.service.d/process.conf")

    succeeded(server.command("files"))
    (copied,) = (server.state / "copied").read_text().splitlines()
    password = server.text("etc/shop/database.env").strip().removeprefix("DATABASE_PASSWORD=")
    assert copied == f"shop-data-files-x1 {server.root}/etc/shop/app.env {password}"
    assert [call for call in server.calls() if password in call] == []
    server.parameter("files/active", "bucket")
    succeeded(server.command("settings"))
    assert "FILES_BUCKET=shop-data-files-x1" in server.text("etc/shop/app.env").splitlines()


def test_from_the_first_fleet_on_the_files_are_in_the_bucket(fleet: Host) -> None:
    fleet.parameter("files/active", "host")
    succeeded(fleet.boot())
    assert fleet.read_parameter("files/active") == "bucket"
    assert "FILES_BUCKET=shop-data-files-x1" in fleet.text("etc/shop/app.env")
    succeeded(fleet.boot())
    assert fleet.calls("aws ssm put-parameter") == []


# --- The archive ---


def test_postgresql_archives_into_the_bucket_and_knows_no_more_than_that(booted_server: Host) -> None:
    settings = booted_server.text("var/lib/pgsql/data/conf.d/shop.conf")
    assert "archive_mode = on\n" in settings
    assert "archive_timeout = '300s'\n" in settings
    (script,) = re.findall(r"archive_command = 'bash /(\S+) put %p %f'", settings)
    assert (booted_server.root / script).is_file()
    assert booted_server.text("etc/shop/wal.env").splitlines() == [
        "SHOP_NAME=shop",
        "AWS_DEFAULT_REGION=us-east-1",
        "WAL_BUCKET=shop-data-files-x1",
    ]


# --- What else runs ---


def test_parameters_that_cannot_be_read_do_not_empty_the_settings(server: Host) -> None:
    succeeded(server.boot())
    before = server.text("etc/shop/app.env")
    (server.state / "fails" / "aws").touch()
    failed(server.command("settings"), "cannot read the parameters under /shop")
    assert server.text("etc/shop/app.env") == before


def test_logs_go_to_the_group_that_the_template_publishes(booted_server: Host) -> None:
    agent = booted_server.text("etc/shop/agent.json")
    assert agent.count('"log_group_name": "shop-web-AppLogs-X1"') == 4
    assert '"Environment": "shop"' in agent


def test_a_host_without_its_agent_still_serves(server: Host) -> None:
    (server.state / "fails" / "amazon-cloudwatch-agent-ctl").touch()
    run = server.boot()
    succeeded(run)
    assert "no metrics and no logs from this host" in run.stdout


# --- Readiness of the fleet ---


def test_the_fleet_signals_only_after_the_application_answers(booted_fleet: Host) -> None:
    calls = booted_fleet.calls()
    asked = next(number for number, call in enumerate(calls) if "127.0.0.1:8080/healthz" in call)
    signal = next(number for number, call in enumerate(calls) if call.startswith("cfn-signal"))
    assert asked < signal
    assert booted_fleet.calls("cfn-signal") == [
        "cfn-signal --exit-code 0 --stack shop-web --resource FleetGroup0 --region us-east-1"
    ]


def test_a_host_that_answers_is_let_into_its_group(booted_fleet: Host) -> None:
    (call,) = booted_fleet.calls("aws autoscaling complete-lifecycle-action")
    assert "--auto-scaling-group-name shop-web-FleetGroup0-X1 --lifecycle-hook-name answers" in call
    assert call.endswith(f"--instance-id {HERE} --lifecycle-action-result CONTINUE")


def test_a_host_that_never_answers_is_given_up(fleet: Host) -> None:
    fleet.publish("silent", answers=False)
    shutil.copy(fleet.state / "releases" / "silent.zip", fleet.state / "releases" / "first.zip")
    assert fleet.boot().returncode != 0
    (call,) = fleet.calls("aws autoscaling complete-lifecycle-action")
    assert call.endswith("--lifecycle-action-result ABANDON")


def test_the_fleet_signals_failure_when_the_application_never_answers(fleet: Host) -> None:
    fleet.publish("silent", answers=False)
    shutil.copy(fleet.state / "releases" / "silent.zip", fleet.state / "releases" / "first.zip")
    failed(fleet.boot(), "gave up waiting for the application")
    assert [call.split()[2] for call in fleet.calls("cfn-signal")] == ["1"]


@pytest.mark.parametrize("broken", ["dnf", "aws", "unzip"])
def test_the_fleet_signals_failure_whatever_broke(fleet: Host, broken: str) -> None:
    (fleet.state / "fails" / broken).touch()
    assert fleet.boot().returncode != 0
    assert [call.split()[2] for call in fleet.calls("cfn-signal")] == ["1"]


def test_the_single_host_signals_nobody(booted_server: Host) -> None:
    assert booted_server.calls("cfn-signal") == booted_server.calls("aws autoscaling") == []


# --- Releases ---


def test_a_host_follows_a_new_release(server: Host) -> None:
    succeeded(server.boot())
    server.publish("second")
    succeeded(server.command("release"))
    assert server.current() == "second"
    assert "systemctl restart shop.service" in server.calls()
    assert os.readlink(server.root / "opt/shop/current") == "releases/second"


def test_a_release_that_does_not_answer_is_taken_back(server: Host) -> None:
    succeeded(server.boot())
    server.publish("broken", answers=False)
    failed(server.command("release"), "gave up waiting for the application")
    assert server.current() == "first"
    assert server.calls("systemctl restart shop.service") == ["systemctl restart shop.service"] * 2


def test_a_release_that_lacks_a_file_is_taken_back(server: Host) -> None:
    succeeded(server.boot())
    (server.folder / "content-first" / "shop" / "host" / "shop.service").unlink()
    shutil.make_archive(str(server.state / "releases" / "partial"), "zip", server.folder / "content-first")
    server.parameter("release", server.url("partial"))
    failed(server.command("release"), "the release has no shop.service")
    assert os.readlink(server.root / "opt/shop/current") == "releases/first"


@pytest.mark.parametrize("broken", ["aws", "unzip"])
def test_a_release_that_cannot_be_fetched_changes_nothing(server: Host, broken: str) -> None:
    succeeded(server.boot())
    server.publish("second")
    (server.state / "fails" / broken).touch()
    assert server.command("release").returncode != 0
    assert server.current() == "first"
    assert server.calls("systemctl restart") == []
    (server.state / "fails" / broken).unlink()
    succeeded(server.command("release"))
    assert server.current() == "second"


def test_going_back_is_naming_the_release_before(server: Host) -> None:
    succeeded(server.boot())
    server.publish("second")
    succeeded(server.command("release"))
    server.parameter("release", server.url("first"))
    succeeded(server.command("release"))
    assert server.current() == "first"
    assert server.calls("aws s3 cp") == [], "it is still there"


def test_only_this_release_and_the_one_before_are_kept(server: Host) -> None:
    succeeded(server.boot())
    for release in ("second", "third"):
        server.publish(release)
        succeeded(server.command("release"))
    assert sorted(os.listdir(server.root / "opt/shop/releases")) == ["second", "third"]


def test_the_fleet_runs_the_release_of_its_launch_template(fleet: Host) -> None:
    fleet.publish("second")  # the parameter is ahead of the template
    succeeded(fleet.boot())
    assert fleet.current() == "first"


def test_a_parameter_that_names_no_release_is_refused(server: Host) -> None:
    server.parameter("release", "https://example.org/x.zip")
    failed(server.boot(), "not a release: https://example.org/x.zip")


# --- The door of the single host ---


def test_without_a_domain_the_host_serves_plain_http(booted_server: Host) -> None:
    door = booted_server.text("etc/nginx/shop.conf")
    assert "proxy_pass http://127.0.0.1:8080" in door
    assert "443" not in door
    assert "location ~ ^/(readyz|" in door
    assert not (booted_server.state / "enabled" / "shop-certificate.timer").exists()


def test_with_a_domain_nothing_is_served_before_there_is_a_certificate(with_domain: Host) -> None:
    succeeded(with_domain.boot())
    assert (with_domain.state / "active" / "shop-certificate.timer").exists()
    failed(with_domain.command("certificate"), "the challenge failed")
    door = with_domain.text("etc/nginx/shop.conf")
    assert "proxy_pass" not in door
    assert "acme-challenge" in door
    assert "return 503" in door


def test_with_a_certificate_the_host_serves_https_and_sends_http_there(with_domain: Host) -> None:
    succeeded(with_domain.boot())
    (with_domain.state / "name-points-here").touch()
    succeeded(with_domain.command("certificate"))
    door = with_domain.text("etc/nginx/shop.conf")
    assert "listen 443 ssl" in door
    assert "return 301 https://shop.example.org$request_uri" in door
    assert "systemctl restart nginx.service" in with_domain.calls()
    before = with_domain.tree()
    succeeded(with_domain.command("certificate"))
    assert with_domain.tree() == before
    assert with_domain.calls("systemctl restart") == []


def test_what_gets_the_certificate_is_pinned_to_the_byte() -> None:
    lines = [line for line in (HOST / "certbot-requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 10
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==\S+ --hash=sha256:[0-9a-f]{64}", line)] == []
    assert any(line.startswith("certbot==") for line in lines)
