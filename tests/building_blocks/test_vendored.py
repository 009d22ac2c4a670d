"""What is deployed is our code with its locked wheels, made without network, and right for the machines over there."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NoReturn
from zipfile import ZipFile

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Annotations, Match
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from blueprint.environment import load
from building_blocks.release import Release
from building_blocks.vendored import Bundle, Unfetched
from tests.conftest import Templates
from workbench.synth import ROOT, synth

JOBS = ROOT / "lambdas" / "jobs"
FUNCTIONS = sorted(path.parent for path in (ROOT / "lambdas").glob("*/requirements.in"))
NAMES = [*(folder.name for folder in FUNCTIONS), "shop"]

# In every function without our doing: boto3, and what boto3 needs.
RUNTIME = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
MEGABYTES = {"shop": 120} | {folder.name: 50 for folder in FUNCTIONS}  # Lambda takes 250
GLIBC = (2, 34)  # of Amazon Linux 2023
AARCH64 = 183


def bundle_of(name: str, repository: Path = ROOT) -> Bundle:
    jobs = repository / "lambdas" / "jobs"
    if name == "shop":
        return Bundle({"shop": repository / "shop", "jobs": jobs}, packages="lib")
    return Bundle({"": repository / "lambdas" / name, "jobs": jobs}, packages="")


# --- a small repository of a test's own -------------------------------------------------------------------------------


def wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Its line in a lock."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def repository(root: Path) -> Path:
    """A shop and one function, which needs a package."""
    files = {
        "lambdas/greet/handler.py": "import greeting\n",
        "lambdas/greet/requirements.in": "greeting==1.0\n",
        "lambdas/jobs/__init__.py": "",
        "shop/__init__.py": "",
        "shop/host/boot.sh": "#!/bin/sh\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    package = {"greeting/__init__.py": "HELLO = 1\n", "greeting-1.0.data/scripts/greet": "#!python\n"}
    line = wheel(root / ".wheels" / "3.14", "greeting", package)
    for lock in ("lambdas/greet/requirements.txt", "shop/requirements.txt"):
        (root / lock).write_text("# For Python 3.14\n" + line)
    return root


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Each file with its mode and its hash."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mode & 0o777,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("greet", {"handler.py", "requirements.txt", "jobs/__init__.py", "greeting/__init__.py"}),
        (
            "shop",
            {
                "shop/__init__.py",
                "shop/host/boot.sh",
                "shop/requirements.txt",
                "jobs/__init__.py",
                "lib/greeting/__init__.py",
            },
        ),
    ],
)
def test_a_bundle_is_our_code_and_the_packages_and_nothing_else(name: str, expected: set[str], tmp_path: Path) -> None:
    bundle_of(name, repository(tmp_path)).write(tmp_path / "out")
    assert set(contents(tmp_path / "out")) == expected


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "the handler": ("handler.py", lambda file: file.write_text("import greeting, jobs\n")),
    "a shared file": ("../jobs/__init__.py", lambda file: file.write_text("NEW = 1\n")),
    "another shared file": ("../jobs/added.py", lambda file: file.write_text("")),
    "the lock": ("requirements.txt", lambda file: file.write_text("# For Python 3.14\n")),
    "a right to execute": ("handler.py", lambda file: file.chmod(0o755)),
    "a new name": ("handler.py", lambda file: file.rename(file.with_name("handling.py"))),
}
NO_CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "compiled files": ("__pycache__/handler.cpython-314.pyc", lambda file: file.write_bytes(b"x")),
    "tests": ("tests/test_handler.py", lambda file: file.write_text("")),
    "what the lock was made from": ("requirements.in", lambda file: file.write_text("# a comment\n")),
    "an editor's file": (".handler.py.swp", lambda file: file.write_text("")),
    "the time": ("handler.py", lambda file: file.touch()),
    "rights of others": ("handler.py", lambda file: file.chmod(0o600)),
    "another function": ("../other/handler.py", lambda file: file.write_text("")),
}


@pytest.mark.parametrize("what", [*CHANGES, *NO_CHANGES])
def test_the_fingerprint_changes_with_what_is_deployed_and_with_nothing_else(what: str, tmp_path: Path) -> None:
    bundle = bundle_of("greet", repository(tmp_path))
    before = bundle.fingerprint
    place, change = (CHANGES | NO_CHANGES)[what]
    file = tmp_path / "lambdas" / "greet" / place
    file.parent.mkdir(exist_ok=True)
    change(file)
    assert (bundle.fingerprint != before) == (what in CHANGES)


def test_the_fingerprint_is_the_same_in_another_folder(tmp_path: Path) -> None:
    one, other = repository(tmp_path / "one"), repository(tmp_path / "other" / "place")
    assert bundle_of("shop", one).fingerprint == bundle_of("shop", other).fingerprint


def test_a_wheel_that_is_missing_or_another_one_is_named(tmp_path: Path) -> None:
    bundle = bundle_of("greet", repository(tmp_path))
    wheel(tmp_path / ".wheels" / "3.14", "greeting", {"greeting/__init__.py": "HELLO = 2\n"})
    with pytest.raises(Unfetched, match=r"greet needs the wheel of greeting==1\.0; fetch it: make set-up"):
        bundle.write(tmp_path / "out")


def test_a_package_that_brings_a_file_of_ours_is_refused(tmp_path: Path) -> None:
    root = repository(tmp_path)
    line = wheel(root / ".wheels" / "3.14", "jobs", {"jobs/__init__.py": ""})
    (root / "lambdas" / "greet" / "requirements.txt").write_text(line)
    with pytest.raises(FileExistsError, match=r"jobs/__init__\.py"):
        bundle_of("greet", root).write(tmp_path / "out")


def release(root: Path, outdir: Path, context: dict[str, object]) -> tuple[cdk.Stack, str]:
    """A stack with a release, and the key of the object that its hosts are told to fetch."""
    stack = cdk.Stack(cdk.App(outdir=str(outdir), context=context), "Foreign")
    made = Release(stack, "Release", environment_name="theirs", code=root / "shop", pinned=None)
    return stack, made.url.rpartition("/")[2].removesuffix(".zip")


def test_cdk_gets_the_bundle_under_the_hash_that_it_has_without_bundling(tmp_path: Path) -> None:
    root = repository(tmp_path)
    _, hashed = release(root, tmp_path / "skipped", {"aws:cdk:bundling-stacks": []})
    _, again = release(root, tmp_path / "bundled", {})
    assert hashed == again
    assert not (tmp_path / "skipped" / f"asset.{hashed}").exists()
    assert (tmp_path / "bundled" / f"asset.{hashed}" / "lib" / "greeting" / "__init__.py").is_file()


def test_missing_wheels_are_an_error_that_stops_synthesis_and_leave_no_half_bundle(tmp_path: Path) -> None:
    root = repository(tmp_path)
    _, right = release(root, tmp_path / "out", {"aws:cdk:bundling-stacks": []})
    shutil.rmtree(root / ".wheels")
    stack, _ = release(root, tmp_path / "out", {})
    Annotations.from_stack(stack).has_error("*", Match.string_like_regexp("shop needs the wheel of .*make set-up"))
    assert not (tmp_path / "out" / f"asset.{right}").exists()


# --- the real ones ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every function and the release, by name, as CDK would upload them."""
    folder = tmp_path_factory.mktemp("bundles")
    assembly = synth(load("production", stage="5"), folder / "assembly", bundle=True)
    for path in assembly.glob("*.assets.json"):
        for asset in json.loads(path.read_text(encoding="utf-8"))["files"].values():
            named = re.fullmatch(r"(\w+)/(Job/Function/)?Code", asset["displayName"])
            if named is not None:
                name = re.sub(r"\B([A-Z])", r"_\1", named[1]).lower().replace("release", "shop")
                (assembly / asset["source"]["path"]).rename(folder / name)
    return folder


def closed(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a bundle is made without network and without other programs")


def roots(bundle: Path) -> list[Path]:
    """Where Python looks for modules over there."""
    return [bundle, bundle / "lib"] if bundle.name == "shop" else [bundle]


def present(module: str, bundle: Path) -> bool:
    """Whether a module is there, as a file, a folder or an extension."""
    places = [root.joinpath(*module.split(".")) for root in roots(bundle)]
    return any(
        place.is_dir() or place.with_suffix(".py").is_file() or any(place.parent.glob(f"{place.name}.*.so"))
        for place in places
    )


def missing(bundle: Path) -> list[str]:
    """What our code imports and nobody provides; of `jobs`, only the files that are reached count."""
    available = sys.stdlib_module_names | ({"boto3", "botocore"} if bundle.name != "shop" else set())
    waiting = [bundle / "handler.py"] if bundle.name != "shop" else list((bundle / "shop").rglob("*.py"))
    seen, found = set[Path](), list[str]()
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        for module, name in imported(source):
            if module.partition(".")[0] in available:
                continue
            place = bundle.joinpath(*module.split("."))
            is_ours = module.partition(".")[0] in {"jobs", "shop"}
            if is_ours and name and place.is_dir() and not present(f"{module}.{name}", bundle):
                own = (place / "__init__.py").read_text(encoding="utf-8")
                found += [] if re.search(rf"\b{name}\b", own) else [f"{source.name}: {module}.{name}"]
            if not present(module, bundle):
                found.append(f"{source.name}: {module}")
            if is_ours:
                reached = (place.with_suffix(".py"), place / "__init__.py", place / f"{name}.py")
                waiting += [path for path in reached if path.is_file()]
    assert len(seen) > 1
    return found


def imported(source: Path) -> Iterator[tuple[str, str]]:
    """Each module that a file imports, wherever the statement stands, and the name that it takes from there."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def unmet(bundle: Path, python: str) -> list[str]:
    """What the packages ask for over there, and is neither in the bundle nor there already."""
    target = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "extra": "",
    }
    packages: list[Distribution] = [one for root in roots(bundle) for one in distributions(path=[str(root)])]
    names = {canonicalize_name(package.name) for package in packages}
    assert names
    wanted = {(package.name, Requirement(text)) for package in packages for text in package.requires or ()}
    there = names | (set() if bundle.name == "shop" else {canonicalize_name(name) for name in RUNTIME})
    return sorted(
        f"{package} needs {requirement}"
        for package, requirement in wanted
        if canonicalize_name(requirement.name) not in there
        and (requirement.marker is None or requirement.marker.evaluate(target))
    )


def unfit(bundle: Path, python: str) -> list[str]:
    """Machine code that the processor, the Python or the C library over there does not take."""
    found = []
    libraries = [path for path in bundle.rglob("*") if re.search(r"\.so(\.[0-9.]+)?$", path.name)]
    for path in libraries:
        code = path.read_bytes()
        if code[:6] != b"\x7fELF\x02\x01" or int.from_bytes(code[18:20], "little") != AARCH64:
            found.append(f"{path.name} is not for aarch64")
        abi = re.search(r"\.(cpython-\d+|abi3)[.-]", path.name)
        if abi is not None and abi[1] not in {"abi3", "cpython-" + python.replace(".", "")}:
            found.append(f"{path.name} is not for Python {python}")
        needed = [(int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", code)]
        if max(needed, default=(0, 0)) > GLIBC:
            found.append(f"{path.name} needs glibc {max(needed)}")
    return found


def python_of(name: str) -> str:
    lock = bundle_of(name)._lock.read_text(encoding="utf-8")
    found = re.match(r"# For Python (\d\.\d+) on arm64", lock)
    assert found is not None
    return found[1]


def test_locks_are_for_the_pythons_that_functions_and_hosts_have(templates: Templates) -> None:
    functions = [
        resource["Properties"]["Runtime"]
        for resource in templates("production", 5)["workers"]["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    assert len(functions) == len(FUNCTIONS)
    assert set(functions) == {f"python{python_of(folder.name)}" for folder in FUNCTIONS}
    assert f"python{python_of('shop')} " in (ROOT / "shop" / "host" / "boot.sh").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_everything_that_our_code_imports_is_there(name: str, bundles: Path) -> None:
    assert missing(bundles / name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_everything_that_the_packages_need_is_there(name: str, bundles: Path) -> None:
    assert unmet(bundles / name, python_of(name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_machine_code_is_for_the_processor_the_python_and_the_c_library_over_there(name: str, bundles: Path) -> None:
    assert any((bundles / name).rglob("*.so"))
    assert unfit(bundles / name, python_of(name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_is_as_small_as_it_should_be(name: str, bundles: Path) -> None:
    size = sum(path.stat().st_size for path in (bundles / name).rglob("*") if path.is_file())
    assert size < MEGABYTES[name] * 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_bundling_needs_no_network_and_no_program_and_gives_the_same_bytes_again(
    name: str, bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", closed)
    monkeypatch.setattr("subprocess.Popen", closed)
    bundle_of(name).write(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(bundles / name)


@pytest.mark.slow
def test_each_check_of_the_real_bundles_finds_what_it_is_there_for(bundles: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "search_index"
    shutil.copytree(bundles / "search_index", spoilt)
    (spoilt / "handler.py").write_text("import psycopg, reportlab.pdfgen\nfrom jobs import nothing, search\n")
    assert missing(spoilt) == ["handler.py: reportlab.pdfgen", "handler.py: jobs.nothing"]
    shutil.rmtree(next(spoilt.glob("typing_extensions-*.dist-info")))
    assert any(line.startswith("aws_lambda_powertools needs typing-extensions") for line in unmet(spoilt, "3.14"))
    for library in spoilt.rglob("*.so"):
        library.unlink()
    header = b"\x7fELF\x02\x01" + bytes(12)
    (spoilt / "here.so").write_bytes(header + b"\x3e\x00")
    (spoilt / "older.cpython-313-aarch64-linux-gnu.so").write_bytes(header + b"\xb7\x00")
    (spoilt / "newer.abi3.so").write_bytes(header + b"\xb7\x00" + b"\0GLIBC_2.17\0GLIBC_2.35\0")
    assert sorted(unfit(spoilt, "3.14")) == [
        "here.so is not for aarch64",
        "newer.abi3.so needs glibc (2, 35)",
        "older.cpython-313-aarch64-linux-gnu.so is not for Python 3.14",
    ]
