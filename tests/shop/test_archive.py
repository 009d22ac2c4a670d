"""The archive of the single host's database: a real PostgreSQL, the script that it calls, and a bucket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from blueprint.metrics import ARCHIVE_FAILURES
from tests.shop.storing import NewPostgres
from workbench.lab.servers import POSTGRES_USER, LocalAws, Postgres
from workbench.synth import ROOT

pytestmark = pytest.mark.slow

LISTED = (ARCHIVE_FAILURES.namespace, ARCHIVE_FAILURES.name, ARCHIVE_FAILURES.unit)
SCRIPT = ROOT / "shop" / "host" / "wal.sh"
# The part of the AWS command line that the script uses; PostgreSQL's user may not run our Python.
AWS = """#!/bin/bash
url=$AWS_ENDPOINT_URL/$4/$6
who=Credential=local/20260101/us-east-1/s3/aws4_request
signed="Authorization: AWS4-HMAC-SHA256 $who, SignedHeaders=host, Signature=0"
case $2 in
put-object) answer=$(curl -sS -w '%{http_code}' -H "$signed" -H "If-None-Match: ${10}" -T "$8" "$url") ;;
get-object)
  answer=$(curl -sS -w '%{http_code}' -H "$signed" -o "$7" "$url")
  [[ $answer == 200 ]] || answer=$(<"$7")
  ;;
esac
[[ ${answer: -3} == 200 ]] || { echo "An error occurred: $answer" >&2; exit 254; }
"""


@dataclass
class Archive:
    """A database whose archive is a bucket, and what is in there."""

    folder: Path
    database: Postgres
    aws: LocalAws

    @property
    def bucket(self) -> Any:
        return boto3.resource("s3", endpoint_url=self.aws.variables["AWS_ENDPOINT_URL"]).Bucket("archive")

    def segments(self) -> list[str]:
        return sorted(found.key for found in self.bucket.objects.all())

    def command(self, words: str) -> str:
        """What PostgreSQL is to call: the script, with nothing but the settings of the host around it."""
        bin_folders = f"{self.folder / 'bin'}:{self.database._bin}:/usr/bin:/bin"
        settings = f"WAL_SETTINGS={self.folder / 'wal.env'}"
        return f"env -i PATH={bin_folders} {settings} bash {self.folder / 'wal.sh'} {words}"

    def write(self, number: int) -> str:
        """A row, and the end of the segment that it is in; the segment's name."""
        return self.database.sql(f"insert into facts values ({number}); select pg_walfile_name(pg_switch_wal())")

    def write_and_wait(self, numbers: range) -> None:
        """Rows, each in a segment of its own, until the last one has arrived."""
        last = [self.write(number) for number in numbers][-1]
        self.until(lambda: any(last in key for key in self.segments()))

    def archived(self) -> tuple[int, int]:
        """How many files arrived, and how many attempts failed."""
        arrived, failed = self.database.sql("select archived_count, failed_count from pg_stat_archiver").split("|")
        return int(arrived), int(failed)

    def break_bucket(self, *, broken: bool) -> None:
        shutil.copy(self.folder / ("broken.env" if broken else "whole.env"), self.folder / "wal.env")

    def restored(self, name: str, source: Callable[[Path], None]) -> Postgres:
        """Another server on a copy of the data, which takes the rest from the archive."""
        data = self.folder / name / "data"
        data.parent.mkdir()
        source(data)
        (data / "recovery.signal").touch()
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"restore_command = '{self.command('get %f %p')}'\narchive_mode = off\n")
        for path in (data.parent, data, data / "recovery.signal"):
            own(path)
        server = Postgres(self.folder / name)
        self.until(lambda: server.sql("select pg_is_in_recovery()") == "f")
        return server

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.03)

    def log(self) -> str:
        return (self.folder / "primary" / "postgresql.log").read_text()


def own(path: Path) -> None:
    if POSTGRES_USER is not None:
        shutil.chown(path, POSTGRES_USER)


@pytest.fixture
def archive(
    new_postgres: NewPostgres, tmp_path: Path, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Archive]:
    for name, value in local_aws.variables.items():
        monkeypatch.setenv(name, value)
    database = new_postgres(tmp_path / "primary")
    made = Archive(tmp_path, database, local_aws)
    made.bucket.create()
    shutil.copy(SCRIPT, tmp_path / "wal.sh")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").write_text(AWS)
    (tmp_path / "bin" / "aws").chmod(0o755)
    whole = {"SHOP_NAME": "trial", "WAL_BUCKET": "archive", **local_aws.variables}
    for name, settings in {"whole": whole, "broken": whole | {"WAL_BUCKET": "nowhere"}}.items():
        (tmp_path / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    made.break_bucket(broken=False)
    with (database.data / "postgresql.conf").open("a") as settings_file:
        settings_file.write(f"archive_mode = on\narchive_command = '{made.command('put %p %f')}'\n")
    database.stop(signal.SIGQUIT)
    database.start()
    database.sql("create table facts (number integer)")
    yield made
    database.stop(signal.SIGQUIT)  # at its end it would wait for the archive
    made.bucket.objects.all().delete()
    made.bucket.delete()


def test_what_is_written_arrives_under_the_clusters_own_name(archive: Archive) -> None:
    archive.write(1)
    archive.until(lambda: bool(archive.segments()))
    (name,) = {key.rpartition("/")[0] for key in archive.segments()}
    assert name == f"wal/{archive.database.sql('select system_identifier from pg_control_system()')}"
    assert all(key.endswith(".gz") for key in archive.segments())
    assert sum(found.size for found in archive.bucket.objects.all()) < 4 * 1024**2, "a segment has 16 MiB"


def test_what_the_bucket_does_not_take_is_kept_told_and_offered_again(archive: Archive) -> None:
    archive.break_bucket(broken=True)
    archive.write(1)
    archive.until(lambda: archive.archived()[1] > 0)
    waiting = list((archive.database.data / "pg_wal" / "archive_status").glob("*.ready"))
    assert waiting
    assert archive.segments() == []
    told = [json.loads(line) for line in archive.log().splitlines() if line.startswith("{")]
    assert told
    for line in told:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        (sent,) = directive["Metrics"]
        assert (directive["Namespace"], sent["Name"], sent["Unit"]) == LISTED
        assert directive["Dimensions"] == [["Environment"]]
        assert (line["Environment"], line[sent["Name"]]) == ("trial", 1)

    archive.break_bucket(broken=False)
    archive.until(lambda: len(archive.segments()) >= len(waiting))


@pytest.mark.parametrize(("there", "code"), [("the same", 0), ("something else", 1)])
def test_a_segment_that_is_there_already_is_never_overwritten(archive: Archive, there: str, code: int) -> None:
    archive.write(1)
    archive.until(lambda: archive.archived()[0] > 0)
    (key, *_) = archive.segments()
    before = archive.bucket.Object(key).get()["Body"].read()
    segment = archive.folder / "segment"
    segment.write_bytes(subprocess.run(["gunzip", "-c"], input=before, capture_output=True, check=True).stdout)
    if code:
        segment.write_bytes(b"another cluster's")
    name = key.rpartition("/")[2].removesuffix(".gz")
    put = archive.command(f"put {segment} {name}")
    done = subprocess.run(put.split(), cwd=archive.database.data, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("the archive holds another" in done.stderr) is bool(code)
    assert archive.bucket.Object(key).get()["Body"].read() == before, there


def test_the_end_of_the_archive_is_not_mistaken_for_its_silence(archive: Archive) -> None:
    def fetch() -> int:
        get = archive.command("get 0000000100000000000000AA fetched")
        return subprocess.run(get.split(), cwd=archive.database.data, capture_output=True, check=False).returncode

    assert fetch() == 1
    archive.break_bucket(broken=True)
    assert fetch() == 200


def test_a_base_backup_and_the_archive_make_the_database_again(archive: Archive) -> None:
    def base_backup(data: Path) -> None:
        source = ["-h", "127.0.0.1", "-p", str(archive.database.port), "-U", "postgres"]
        command = [str(archive.database._bin / "pg_basebackup"), *source, "-D", str(data), "-X", "none", "-c", "fast"]
        subprocess.run(command, check=True, capture_output=True)
        for path in (data, *data.rglob("*")):
            own(path)
        archive.write_and_wait(range(8))  # after the backup

    server = archive.restored("restored", base_backup)
    assert server.sql("select count(*) from facts") == "8"
    server.stop(signal.SIGQUIT)


def test_a_snapshot_of_the_volume_and_the_archive_make_the_database_again(archive: Archive) -> None:
    """The volume's nightly snapshot is what a host looks like that has lost power at that moment."""

    def snapshot(data: Path) -> None:
        archive.write(0)
        archive.database.stop(signal.SIGQUIT)  # without a checkpoint
        shutil.copytree(archive.database.data, data)
        for path in (data, *data.rglob("*")):
            own(path)
        (data / "postmaster.pid").unlink(missing_ok=True)
        os.chmod(data, 0o700)
        archive.database.start()
        archive.write_and_wait(range(1, 8))

    server = archive.restored("restored", snapshot)
    assert server.sql("select count(*) from facts") == "8"
    server.stop(signal.SIGQUIT)
