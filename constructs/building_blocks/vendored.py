"""Our code and the wheels that it needs in one folder, as a function or a host runs it: without network or Docker.

The wheels were fetched by `make set-up` into `.wheels`, a folder above the code. Unpacking is all that a wheel needs,
so nothing here depends on the machine: not on its processor, nor on its Python or its pip.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import cast
from zipfile import ZipFile

import aws_cdk as cdk
import jsii
from constructs import Construct

# The list of packages in a folder of code, made by `make lock`: exactly one file for each, known by its hash.
LOCK = "requirements.txt"
# Not ours to deploy; so it does not change what counts as the same code either.
LEFT_OUT = ("__pycache__", "*.pyc", ".*", "tests", "requirements.in")
# Raise it when the same code shall be deployed again, because bundles are put together in another way.
EDITION = b"1"


class Unfetched(Exception):
    """A locked wheel is not in `.wheels`."""


@jsii.implements(cdk.ILocalBundling)
class Bundle:
    """`folders` says which folder of the repository lies where; the first one holds the lock, `packages` the wheels."""

    def __init__(self, folders: Mapping[str, Path], *, packages: str) -> None:
        self._folders = folders
        self._packages = packages
        self._lock = next(iter(folders.values())) / LOCK

    @property
    def fingerprint(self) -> str:
        """Changes with what is deployed and with nothing else, on every machine in the same way."""
        digest = hashlib.sha256(EDITION)
        for name, file in sorted(self._files()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{name} {_mode(file):o} {content}\n".encode())
        return digest.hexdigest()

    def options(self, scope: Construct) -> cdk.BundlingOptions | None:
        """What CDK wants to know. When wheels are missing it is told so, as an error that stops `cdk synth`."""
        if cdk.Stack.of(scope).bundling_required:
            try:
                self._wheels()
            except Unfetched as problem:
                cdk.Annotations.of(scope).add_error(str(problem))
                return None  # and another hash, so that nothing half done passes for the real thing later
        # CDK asks for an image. Nobody pulls it: `try_bundle` either does the work or raises.
        local = cast(cdk.ILocalBundling, self)  # its stub takes the options apart, jsii hands them over in one piece
        return cdk.BundlingOptions(image=cdk.DockerImage.from_registry("none"), local=local)

    def try_bundle(self, output_dir: str, _options: cdk.BundlingOptions) -> bool:
        """Called by CDK, and only for stacks whose assets are wanted: never for `cdk ls`."""
        self.write(Path(output_dir))
        return True

    def write(self, output: Path) -> None:
        """Put everything together in an empty folder."""
        for name, file in self._files():
            _put(output / name, file.read_bytes(), _mode(file))
        for wheel in self._wheels():
            with ZipFile(wheel) as archive:
                for name in archive.namelist():
                    # What lies in *.data are commands to type, and nobody types there.
                    if not name.endswith("/") and not name.partition("/")[0].endswith(".data"):
                        _put(output / self._packages / name, archive.read(name), 0o644)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Our own files, each with its name in the bundle."""
        for place, folder in self._folders.items():
            for file in sorted(folder.rglob("*")):
                inside = file.relative_to(folder)
                if file.is_file() and not any(fnmatch(part, left) for part in inside.parts for left in LEFT_OUT):
                    yield (Path(place) / inside).as_posix(), file

    def _wheels(self) -> list[Path]:
        """The wheel behind each hash of the lock."""
        fetched = {
            hashlib.sha256(wheel.read_bytes()).hexdigest(): wheel
            for above in self._lock.parents
            for wheel in above.glob(".wheels/*/*.whl")
        }
        locked = re.findall(r"^(\S+) --hash=sha256:(\w+)$", self._lock.read_text(encoding="utf-8"), re.MULTILINE)
        for package, digest in locked:
            if digest not in fetched:
                raise Unfetched(f"{self._lock.parent.name} needs the wheel of {package}; fetch it: make set-up")
        return [fetched[digest] for _, digest in locked]


def _mode(file: Path) -> int:
    """Only whether it may be executed: the rest is how the machine that bundles likes it."""
    return 0o755 if file.stat().st_mode & 0o100 else 0o644


def _put(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:  # two packages with the same file would be an accident
        file.write(content)
    path.chmod(mode)
