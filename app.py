"""One environment, ready for the CDK command line: `cdk synth -c environment=production -c stage=4`."""

import json
import sys
from pathlib import Path

import aws_cdk as cdk

from blueprint.environment import BadEnvironment, load
from stacks.build import build

# The command line passes cdk.json's context along; without it, as in `python app.py`, templates must not differ.
settings = json.loads(Path(__file__).with_name("cdk.json").read_text(encoding="utf-8"))
app = cdk.App(context=settings["context"])
asked = app.node.try_get_context
try:
    environment = load(
        asked("environment") or "sandbox", stage=asked("stage"), name=asked("name"), release=asked("release")
    )
except BadEnvironment as problem:
    print(problem, file=sys.stderr)
    sys.exit(2)
build(app, environment)
app.synth()
