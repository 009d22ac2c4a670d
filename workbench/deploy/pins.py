"""What an environment pins: resolved in its account, and written into its file without touching anything else there."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

from blueprint.environment import Environment, load
from blueprint.locate import locate
from workbench.deploy import Refused
from workbench.deploy.guard import Clients, is_local
from workbench.deploy.preflight import edge_list

NEWEST = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
TABLE = "pins"


def resolve(environment: Environment, aws: Clients, *, only_image: bool = False) -> dict[str, str]:
    """The newest values for the pins, by their keys."""
    if is_local({"AWS_ENDPOINT_URL": (address := aws.client("ssm").meta.endpoint_url)}):
        raise Refused(
            f"{address} is a local AWS, which makes up its ids; run it with the credentials of an account, in a "
            "terminal without AWS_ENDPOINT_URL. Nothing was written"
        )
    found = {"image": str(aws.client("ssm").get_parameter(Name=NEWEST)["Parameter"]["Value"])}
    addresses = None if only_image else edge_list(aws)
    if not only_image and addresses is None:
        raise Refused(f"{environment.region} offers no list of CloudFront's addresses; use --image for the image alone")
    return found | ({"edge_prefix_list": addresses} if addresses else {})


def rewritten(text: str, values: Mapping[str, str]) -> str:
    """The text of an environment's file with these pins; comments, order and line ends stay as they are."""
    for key, value in values.items():
        text = _with(text, key, value)
    wanted = tomllib.loads(text)
    if {key: wanted.get(TABLE, {}).get(key) for key in values} != dict(values):
        raise Refused(f"the file is laid out too freely to be changed for you; write under [{TABLE}]: {_lines(values)}")
    return text


def _with(text: str, key: str, value: str) -> str:
    lines, places = text.splitlines(keepends=True), locate(text)
    end = "\r\n" if "\r\n" in text else "\n"
    if (TABLE, key) in places:
        number = places[TABLE, key] - 1
        before = tomllib.loads(text)[TABLE][key]
        lines[number] = lines[number].replace(str(before), value, 1)
    elif (TABLE,) in places and lines[places[TABLE,] - 1].lstrip().startswith(f"[{TABLE}]"):
        number = places[TABLE,]
        example = re.compile(rf"\s*#\s*{key}\s*=")  # its own place, where the file shows what could stand there
        number = next((at + 1 for at in range(number, len(lines)) if example.match(lines[at])), number)
        lines[number - 1] = lines[number - 1].rstrip("\r\n") + end
        lines.insert(number, f'{key} = "{value}"{end}')
    elif (TABLE,) not in places:
        lines.append(f'{"" if text.endswith(end) else end}{end}[{TABLE}]{end}{key} = "{value}"{end}')
    return "".join(lines)


def _lines(values: Mapping[str, str]) -> str:
    return ", ".join(f'{key} = "{value}"' for key, value in values.items())


def write(file: Path, values: Mapping[str, str]) -> None:
    """Change the file at once or not at all; what would not be a valid environment is never written."""
    file = file.resolve()
    text = file.read_bytes().decode()
    changed = rewritten(text, values)
    if _without(text, values) != _without(changed, values):
        raise Refused(f"{file} would change in more than its pins; write under [{TABLE}]: {_lines(values)}")
    with TemporaryDirectory() as elsewhere:  # beside the file it would be another environment of its name
        draft = Path(elsewhere) / file.name
        draft.write_bytes(changed.encode())
        load(str(draft))
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}-", delete=False) as beside:
        beside.write(changed.encode())
    try:
        os.chmod(beside.name, file.stat().st_mode)
        os.replace(beside.name, file)
    finally:
        Path(beside.name).unlink(missing_ok=True)


def _without(text: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the file says besides these pins."""
    said = tomllib.loads(text)
    pins = {key: value for key, value in said.pop(TABLE, {}).items() if key not in values}
    return {**said, TABLE: pins}
