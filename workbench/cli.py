"""The `blueprint` command: arguments, exit codes, and nothing else. Each command imports only what it needs.

Exit codes: 0 done, 1 a check did not hold, 2 the request or the environment file is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blueprint.parts import Stage

FAILED = 1
WRONG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blueprint", description="Five ways to run a web app on AWS, as code.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    stages = commands.add_parser(
        "stages", help="what the stages are", description="All stages side by side, or one of them in full."
    )
    stages.add_argument("stage", nargs="?", help="number or name of one stage")
    form = stages.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--markdown", action="store_true", help="for documents")
    stages.set_defaults(run=_stages)

    synth = commands.add_parser(
        "synth",
        help="write the templates of all stages",
        description="Write the templates of an environment at every stage, each stage to an assembly of its own. They "
        "are for reading: what functions and hosts run is only named there; `cdk synth` and `cdk deploy` pack it.",
    )
    synth.add_argument("environment", nargs="?", default="sandbox", help="a file in environments/ (default: sandbox)")
    synth.add_argument("--stage", nargs="+", metavar="STAGE", help="only these stages, by number or name")
    synth.add_argument("--name", help="another name for the environment, so that two can stand side by side")
    synth.add_argument("--out", type=Path, default=Path("build/assemblies"), help="folder (default: build/assemblies)")
    synth.add_argument("--strict", action="store_true", help="let CDK validate the templates as well; slower")
    form = synth.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--markdown", action="store_true", help="for documents")
    synth.set_defaults(run=_synth)

    check = commands.add_parser(
        "check",
        help="ask every gate about the templates",
        description="Write the templates of an environment at every stage and ask all rules, cdk-nag, CDK's own "
        "validation and cfn-lint about them. Exit code 1 when something is found.",
    )
    check.add_argument("environment", nargs="?", default="sandbox", help="a file in environments/ (default: sandbox)")
    check.add_argument("--stage", nargs="+", metavar="STAGE", help="only these stages, by number or name")
    check.add_argument("--list", action="store_true", help="the rules, each with its reason; nothing is checked")
    check.add_argument("--json", action="store_true", help="for machines")
    check.set_defaults(run=_check)

    schema = commands.add_parser(
        "schema",
        help="write the JSON schema of environment files",
        description="Write environments/environment.schema.json, which editors use to complete and to check.",
    )
    schema.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is out of date")
    schema.set_defaults(run=_schema)

    shop = commands.add_parser(
        "shop",
        help="open the shop on this machine",
        description="Open the shop on this machine, with a PostgreSQL of its own, until Ctrl-C.",
    )
    shop.add_argument("--port", type=int, default=8000, help="where it listens on 127.0.0.1 (default: 8000)")
    shop.add_argument("--folder", type=Path, default=Path("build/shop"), help="its data (default: build/shop)")
    shop.set_defaults(run=_shop)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when somebody asks: importing the reader of package metadata takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print("blueprint", version("aws-scaling-blueprints"))
        except PackageNotFoundError:
            print("blueprint, not installed")
        parser.exit()


class _UnknownStage(Exception):
    """Nobody knows the stage that was asked for; the message says which ones there are."""


def _chosen_stages(wanted: Sequence[str] | None) -> list[Stage]:
    """The stages asked for, in order; all when none is."""
    from blueprint.stages import STAGES, find

    try:
        numbers = {find(name).number for name in wanted} if wanted else {stage.number for stage in STAGES}
    except KeyError as unknown:
        raise _UnknownStage(_unknown_stage(unknown.args[0])) from None
    return [stage for stage in STAGES if stage.number in numbers]


def _complain(message: object) -> int:
    print(message, file=sys.stderr)
    return WRONG


def _unknown_stage(wanted: str) -> str:
    from difflib import get_close_matches

    from blueprint.stages import STAGES

    close = get_close_matches(wanted, [stage.name for stage in STAGES], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    known = ", ".join(f"{stage.number} {stage.name}" for stage in STAGES)
    return f"There is no stage {wanted!r}{hint}\nThe stages are: {known}"


def _stages(options: argparse.Namespace) -> int:
    from blueprint.stages import STAGES, find
    from workbench.report import stages as report
    from workbench.report.text import terminal_width

    if options.stage is None:
        chosen = list(STAGES)
    else:
        try:
            chosen = [find(options.stage)]
        except KeyError:
            return _complain(_unknown_stage(options.stage))
    if options.json:
        data = [report.as_data(stage) for stage in chosen]
        print(json.dumps(data if options.stage is None else data[0], indent=2))
    elif options.markdown:
        print(report.markdown(chosen))
    elif options.stage is None:
        print(report.matrix(chosen, width=terminal_width()))
    else:
        before = next((stage for stage in STAGES if stage.number == chosen[0].number - 1), None)
        print(report.detail(chosen[0], before, width=terminal_width()))
    return 0


def _synth(options: argparse.Namespace) -> int:
    import time

    from blueprint.environment import BadEnvironment, load
    from workbench import synth
    from workbench.cost import Estimate, standing_cost
    from workbench.report import stages as report
    from workbench.report.text import terminal_width
    from workbench.templates import read_assembly

    try:
        chosen = _chosen_stages(options.stage)
    except _UnknownStage as problem:
        return _complain(problem)
    counts: dict[int, dict[str, int]] = {}
    costs: dict[int, Estimate] = {}
    where: dict[int, Path] = {}
    for stage in chosen:
        started = time.monotonic()
        try:
            environment = load(options.environment, stage=str(stage.number), name=options.name)
            outdir = options.out / (options.name or Path(options.environment).stem) / f"stage-{stage.number}"
            where[stage.number] = synth.synth(environment, outdir, strict=options.strict, bundle=False)
        except (BadEnvironment, synth.NotAnAssembly) as problem:
            return _complain(problem)
        except synth.Invalid as problem:
            _complain(f"stage {stage.number}: {problem}")
            return FAILED
        counts[stage.number] = synth.resources(outdir)
        costs[stage.number] = standing_cost(read_assembly(outdir))
        took = time.monotonic() - started
        print(f"stage {stage.number} {stage.name:<17} {outdir}  {took:.1f} s", file=sys.stderr, flush=True)
    if options.json:
        print(
            json.dumps(
                [
                    {
                        "stage": number,
                        "assembly": str(where[number]),
                        "resources": stacks,
                        "usd_a_month_at_rest": round(costs[number].usd, 2) if costs[number].complete else None,
                    }
                    for number, stacks in counts.items()
                ],
                indent=2,
            )
        )
        return 0
    at_rest = [f"{cost.usd:,.0f} USD" if cost.complete else "unknown" for cost in costs.values()]
    if options.markdown:
        print(report.markdown(chosen, more={"a month at rest": at_rest}))
        return 0
    used = {number: [count for count in stacks.values() if count] for number, stacks in counts.items()}
    sizes = [f"{sum(counted)} in {len(counted)} stacks" for counted in used.values()]
    print(report.matrix(chosen, width=terminal_width(), more={"a month at rest": at_rest, "resources": sizes}))
    return 0


def _check(options: argparse.Namespace) -> int:
    from datetime import date
    from tempfile import TemporaryDirectory

    from blueprint.environment import BadEnvironment, load
    from workbench.check import RULES
    from workbench.check.verdict import judge
    from workbench.report import check as report
    from workbench.report.text import terminal_width

    if options.list:
        data = json.dumps(report.rules_as_data(RULES), indent=2)
        print(data if options.json else report.rules(RULES, terminal_width()))
        return 0
    verdicts = []
    try:
        for stage in _chosen_stages(options.stage):
            environment = load(options.environment, stage=str(stage.number))
            with TemporaryDirectory() as folder:
                verdicts.append(judge(environment, Path(folder) / "assembly", today=date.today()))
            print(report.summary(verdicts[-1]), file=sys.stderr, flush=True)
    except (BadEnvironment, _UnknownStage) as problem:
        return _complain(problem)
    print(json.dumps(report.as_data(verdicts), indent=2) if options.json else report.findings(verdicts))
    return FAILED if any(verdict.count for verdict in verdicts) else 0


def _schema(options: argparse.Namespace) -> int:
    from blueprint.environment import schema
    from workbench.synth import ROOT

    path = ROOT / "environments" / "environment.schema.json"
    text = json.dumps(schema(), indent=2) + "\n"
    if not options.check:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        print(f"{path} is out of date; write it again: blueprint schema", file=sys.stderr)
        return FAILED
    return 0


def _shop(options: argparse.Namespace) -> int:
    from workbench.lab.laptop import CannotRun, Laptop

    try:
        Laptop(options.folder, options.port).run()
    except CannotRun as problem:
        return _complain(problem)
    return 0


if __name__ == "__main__":
    sys.exit(main())
