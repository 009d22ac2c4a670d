"""What a person may name as one side of a comparison: a stage, an environment, templates on disk, a revision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from blueprint.environment import ENVIRONMENTS, BadEnvironment, load
from blueprint.stages import STAGES, find
from workbench.synth import ROOT, Invalid, synth
from workbench.synth import prepare as choose_node
from workbench.templates import Assembly, UnreadableTemplateError, read_assembly

TEMPLATES = (".json", ".yaml", ".yml", ".template")


class Unusable(Exception):
    """Something that was named cannot be compared; the message says what, why and what would do."""


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison: what the user calls it, and its stacks."""

    label: str
    assembly: Assembly


def sides(
    named_ones: Sequence[str],
    *,
    every_stage: bool,
    stage: str | None,
    base: str | None,
    environment: str,
    scratch: Path,
) -> list[Side]:
    """The sides that the words of a command mean, which must fit together."""
    count = len(named_ones)
    one = named_ones[0] if count else environment
    if stage and not is_stage(stage):
        raise Unusable(f"{stage!r} is no stage; {_known_stages()}")
    if every_stage and count <= 1 and not (stage or base):
        return list(all_stages(one, scratch))
    if base and count <= 1 and not every_stage:
        before = at_revision(one, base, stage=stage, scratch=scratch)
        return [before, of_environment(one, stage=stage, scratch=scratch)]
    if stage and count == 1 and not (every_stage or base or is_stage(one)):
        return [of_environment(one, stage=each, scratch=scratch) for each in (None, stage)]
    if count == 2 and not (every_stage or base or stage):
        return [named(each, environment, scratch) for each in named_ones]
    raise Unusable(
        "these arguments do not name two sides; write two stages, environments or templates, or one environment "
        "with --stage or --base: see blueprint compare --help"
    )


def named(operand: str, environment: str, scratch: Path) -> Side:
    """A number or name of a stage, a file or folder with templates, or an environment; looked for in this order."""
    if is_stage(operand):
        side = of_environment(environment, stage=operand, scratch=scratch)
        return Side(f"stage {find(operand).number}", side.assembly)
    path = Path(operand)
    if path.suffix in TEMPLATES or (path.exists() and path.suffix != ".toml"):
        return on_disk(path)
    if path.suffix != ".toml" and not (ENVIRONMENTS / f"{operand}.toml").exists():
        known = ", ".join(sorted(file.stem for file in ENVIRONMENTS.glob("*.toml")))
        raise Unusable(
            f"{operand!r} is no stage, no environment, and no file or folder that is there; {_known_stages()}; "
            f"the environments are {known}"
        )
    return of_environment(operand, stage=None, scratch=scratch)


def is_stage(operand: str) -> bool:
    try:
        find(operand)
    except KeyError:
        return False
    return True


def _known_stages() -> str:
    return f"the stages are {', '.join(f'{stage.number} {stage.name}' for stage in STAGES)}"


def on_disk(path: Path) -> Side:
    """A cloud assembly, a folder of templates, or one template of anybody's."""
    try:
        return Side(str(path), read_assembly(path))
    except UnreadableTemplateError as problem:
        raise Unusable(str(problem)) from None


def of_environment(environment: str, *, stage: str | None, scratch: Path) -> Side:
    """An environment as it is written, or as it would be at another stage."""
    try:
        wanted = load(_written_as(environment), stage=stage)
        name = f"{wanted.name}-{wanted.stage.number}"
        label = f"{Path(environment).stem} at stage {wanted.stage.number}"
        return Side(label, read_assembly(synth(wanted, scratch / name, bundle=False)))
    except (BadEnvironment, Invalid) as problem:
        raise Unusable(str(problem)) from None


def _written_as(environment: str) -> str:
    """`production.toml` means the kit's own file, unless there is one of that name where the user stands."""
    path = Path(environment)
    ours = path.name == environment and not path.exists() and (ENVIRONMENTS / environment).is_file()
    return str(ENVIRONMENTS / environment) if ours else environment


def all_stages(source: str, scratch: Path) -> Iterator[Side]:
    """The five stages, from a folder that `blueprint synth` has written, or of an environment."""
    folder = Path(source)
    for stage in STAGES:
        if folder.is_dir():
            yield Side(f"stage {stage.number}", on_disk(folder / f"stage-{stage.number}").assembly)
        else:
            yield named(str(stage.number), source, scratch)


def at_revision(environment: str, revision: str, *, stage: str | None, scratch: Path) -> Side:
    """An environment as another revision of this repository has it, synthesised by that revision's own code."""
    with _checked_out(revision, scratch) as tree:
        choose_node()
        context = {"environment": _in_tree(environment, tree), "aws:cdk:bundling-stacks": []}
        context |= {"stage": stage} if stage else {}
        outdir = scratch / "base"
        done = subprocess.run(
            [sys.executable, "app.py"],
            cwd=tree,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(str(tree / root) for root in ("", "constructs", "lambdas")),
                "CDK_CONTEXT_JSON": json.dumps(context),
                "CDK_OUTDIR": str(outdir),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Unusable(f"{environment} at {revision} cannot be synthesised: {_reason(done.stderr)}")
        return Side(f"{Path(environment).stem} at {revision}", on_disk(outdir).assembly)


def _reason(told: str) -> str:
    """What went wrong, without the way there: the last line of a traceback that is not indented."""
    if "Traceback (most recent call last)" not in told:
        return told.strip()[-2_000:]
    return next((line for line in reversed(told.splitlines()) if line[:1].strip()), "")[:500]


def _in_tree(environment: str, tree: Path) -> str:
    """The same environment in another working tree; a file that is not part of the repository is as it is here."""
    written = _written_as(environment)
    if not written.endswith(".toml") and os.sep not in written:
        return written
    file = Path(written).resolve()
    return str(tree / file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)


@contextmanager
def _checked_out(revision: str, scratch: Path) -> Iterator[Path]:
    """A second working tree at a revision; the user's own one is not touched."""
    tree = scratch / "tree"
    _git("worktree", "add", "--detach", "--quiet", str(tree), _commit(revision))
    try:
        yield tree
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _commit(revision: str) -> str:
    """The commit that a revision names; options and paths are no revisions."""
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except Unusable:
        raise Unusable(
            f"{revision!r} is no revision of this repository; in a shallow clone, fetch it first: "
            f"git fetch origin {revision}"
        ) from None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unusable("revisions need git, which is not installed") from None
    if done.returncode:
        raise Unusable(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Where sides are synthesised to; gone afterwards."""
    with TemporaryDirectory(prefix="blueprint-") as folder:
        yield Path(folder)
