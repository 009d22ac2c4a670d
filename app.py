"""One environment, ready for the CDK command line: `cdk synth -c environment=production -c stage=4`."""

import json
import sys
from difflib import get_close_matches
from pathlib import Path

import aws_cdk as cdk

from blueprint.environment import BadEnvironment, load
from blueprint.mistakes import printable
from stacks.build import build

# The command line passes cdk.json's context along; without it, as in `python app.py`, templates must not differ.
settings = json.loads(Path(__file__).with_name("cdk.json").read_text(encoding="utf-8"))
app = cdk.App(context=settings["context"])
options = ("environment", "stage", "name", "release")
given = app.node.get_all_context()
try:
    for key in sorted(given.keys() - settings["context"].keys() - {*options}):
        # What resembles none of them may be for other tools.
        if get_close_matches(key, options, cutoff=0.7) or any(option.startswith(key) for option in options):
            raise BadEnvironment(f"-c {printable(key)[:60]}= is unknown; there are {', '.join(options)}")
    environment = load(given.get("environment") or "sandbox", **{key: given.get(key) for key in options[1:]})
except BadEnvironment as problem:
    print(problem, file=sys.stderr)
    sys.exit(2)
build(app, environment)
app.synth()
