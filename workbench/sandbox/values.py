"""What a template's functions and parameters come to, as far as the resources that they speak of exist."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol

from workbench.templates.references import Reference, is_function, references
from workbench.templates.short_forms import load

NOTHING = object()  # what AWS::NoValue stands for: whatever would have it is left out
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DYNAMIC = re.compile(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):([^{}]+)\}\}")
_SSM = re.compile(r"AWS::SSM::Parameter::Value<(.*)>")


class TemplateError(Exception):
    """A template, or a value for it, that CloudFormation would refuse; the text says why."""


class Outside(Protocol):
    """What a template reads that is not in it."""

    def imported(self, name: str) -> Any: ...

    def output(self, stack: str, output: str, region: str) -> Any: ...

    def zones(self, region: str) -> list[str]: ...

    def parameter(self, name: str) -> str: ...

    def secret(self, name: str, key: str, stage: str, version: str) -> str: ...


@dataclass(frozen=True)
class Parameter:
    """A parameter of a stack."""

    given: str
    text: str  # what it comes to; another text than `given` where that says where the value lies
    value: Any  # what Ref gives
    fetched: bool = False
    hidden: bool = False


def read(text: str) -> dict[str, Any]:
    """A template from JSON or YAML."""
    try:
        template = _parsed(text)
    except (ValueError, RecursionError) as problem:
        raise TemplateError(f"Template format error: {problem}") from problem
    if not isinstance(template, dict) or not isinstance(resources := template.get("Resources"), dict) or not resources:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    if macros := {"Transform", "Fn::Transform"} & template.keys():
        raise TemplateError(f"The local CloudFormation runs no macros, and the template has a {macros.pop()}")
    for logical_id, body in resources.items():
        if not isinstance(body, dict) or not isinstance(body.get("Type"), str):
            raise TemplateError(f"Template format error: [/Resources/{logical_id}] must have a Type")
    return template


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return load(text)


def parameters(template: Mapping[str, Any], given: Mapping[str, str], outside: Outside) -> dict[str, Parameter]:
    """Every parameter of a template with its value; each one is looked up once, from what was given for it."""
    declared = template.get("Parameters") or {}
    if unknown := sorted(given.keys() - declared.keys()):
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    texts = {name: given.get(name, body.get("Default")) for name, body in declared.items()}
    if missing := sorted(name for name, text in texts.items() if text is None):
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    return {name: _parameter(name, body, plain_text(texts[name]), outside) for name, body in declared.items()}


def _parameter(name: str, body: Mapping[str, Any], given: str, outside: Outside) -> Parameter:
    kind = body["Type"]
    stored = _SSM.fullmatch(kind)
    text = outside.parameter(given) if stored else given
    kind = stored[1] if stored else kind
    items = [item.strip() for item in text.split(",")] if kind.startswith(("List<", "CommaDelimited")) else [text]
    allowed = body.get("AllowedValues")
    said = body.get("ConstraintDescription")
    if allowed and not {*items} <= {plain_text(one) for one in allowed}:
        raise TemplateError(f"Parameter '{name}' must be one of AllowedValues: {allowed}")
    if "AllowedPattern" in body and not all(re.fullmatch(body["AllowedPattern"], item) for item in items):
        raise TemplateError(f"Parameter {name} failed to satisfy constraint: {said or body['AllowedPattern']}")
    if not int(body.get("MinLength", 0)) <= len(text) <= int(body.get("MaxLength", len(text))):
        raise TemplateError(f"Parameter '{name}' has {len(text)} characters, too few or too many: {said or given}")
    if kind in ("Number", "List<Number>"):
        if not all(re.fullmatch(r"-?\d+(\.\d+)?", item) for item in items):
            raise TemplateError(f"Parameter '{name}' must be a number, and is {text!r}")
        if not all(float(body.get("MinValue", n)) <= n <= float(body.get("MaxValue", n)) for n in map(float, items)):
            raise TemplateError(f"Parameter '{name}' is {text}, too small or too large")
    value = text if items == [text] and kind != "CommaDelimitedList" and not kind.startswith("List<") else items
    return Parameter(given, text, value, bool(stored), str(body.get("NoEcho")).lower() == "true")


class Values:
    """The values of one template, for one stack."""

    def __init__(
        self,
        stack: str,
        template: Mapping[str, Any],
        plain: Mapping[str, Any],  # parameters and pseudo parameters by name
        outside: Outside,
        known: Callable[[Reference], Any],  # what a resource gives; the reference itself while it is not there
    ) -> None:
        self._stack, self._template, self._plain, self.outside, self._known = stack, template, plain, outside, known
        self.imports = set[str]()  # the exports that were read

    def value(self, written: Any) -> Any:
        if isinstance(written, list):
            return [value for item in written if (value := self.value(item)) is not NOTHING]
        if not isinstance(written, Mapping):
            return written
        if is_function(written):
            ((function, argument),) = written.items()
            return self._call(function, argument)
        return {key: value for key, item in written.items() if (value := self.value(item)) is not NOTHING}

    def holds(self, condition: Any) -> bool:
        """Whether a condition, a part of one, or an assertion of a rule is true."""
        match condition:
            case bool():
                return condition
            case {"Condition": str(name)}:
                return self.has(name)
            case {"Fn::Equals": [one, other]}:
                return bool(plain_text(self.value(one)) == plain_text(self.value(other)))
            case {"Fn::Not": [one]}:
                return not self.holds(one)
            case {"Fn::And": [*several]}:
                return all(self.holds(one) for one in several)
            case {"Fn::Contains": [items, one]}:
                return plain_text(self.value(one)) in map(plain_text, self.value(items))
        raise TemplateError(f"Template error: {json.dumps(condition)} is no condition that is known here")

    def has(self, name: str) -> bool:
        """Whether a named condition is true."""
        conditions = self._template.get("Conditions") or {}
        if name not in conditions:
            raise TemplateError(f"Template format error: Unresolved condition dependency {name}")
        return self.holds(conditions[name])

    def check_rules(self) -> None:
        for name, rule in (self._template.get("Rules") or {}).items():
            if self.holds(rule.get("RuleCondition", True)):
                for assertion in rule["Assertions"]:
                    if not self.holds(assertion["Assert"]):
                        raise TemplateError(f"Rule {name} does not hold: {assertion.get('AssertDescription')}")

    def active(self, section: str) -> dict[str, Mapping[str, Any]]:
        """The resources or outputs that the conditions leave."""
        bodies = (self._template.get(section) or {}).items()
        return {key: body for key, body in bodies if "Condition" not in body or self.has(body["Condition"])}

    def _call(self, function: str, argument: Any) -> Any:
        match function, argument:
            case "Ref", str(name):
                return self._ref(name)
            case "Fn::GetAtt", [str(logical_id), attribute]:
                return self._attribute(logical_id, self.value(attribute))
            case "Fn::GetAtt", str(text):
                return self._attribute(*text.partition(".")[::2])
            case "Fn::If", [str(name), yes, no]:
                return self.value(yes if self.has(name) else no)
            case "Fn::Sub", str(text):
                return self._sub(text, {})
            case "Fn::Sub", [str(text), Mapping() as given]:
                return self._sub(text, given)
        argument = self.value(argument)
        if any(references(argument)):
            return {function: argument}  # only known later
        match function, argument:
            case "Fn::Join", [str(glue), [*parts]]:
                return glue.join(map(plain_text, parts))
            case "Fn::Split", [str(glue), str(text)]:
                return text.split(glue)
            case "Fn::Select", [index, [*items]] if str(index).isdigit() and int(index) < len(items):
                return items[int(index)]
            case "Fn::Base64", str(text):
                return base64.b64encode(text.encode()).decode()
            case "Fn::GetAZs", str(region):
                return self.outside.zones(region or self._plain["AWS::Region"])
            case "Fn::ImportValue", str(name):
                self.imports.add(name)
                return self.outside.imported(name)
            case "Fn::GetStackOutput", {"StackName": str(stack), "OutputName": str(output)}:
                return self.outside.output(stack, output, argument.get("Region", self._plain["AWS::Region"]))
        raise TemplateError(f"Template error: {function} is not known here, or cannot take {json.dumps(argument)}")

    def _ref(self, name: str) -> Any:
        if name in self._plain:
            return self._plain[name]
        return self._attribute(name, "")

    def _attribute(self, logical_id: str, attribute: str) -> Any:
        if logical_id not in self._template["Resources"]:
            raise TemplateError(f"Template format error: Unresolved resource dependencies [{logical_id}]")
        return self._known(Reference(self._stack, logical_id, attribute))

    def _sub(self, text: str, given: Mapping[str, Any]) -> Any:
        parts = _VARIABLE.split(text)  # texts and names in turn
        return self.value({"Fn::Join": ["", [self._variable(p, given) if n % 2 else p for n, p in enumerate(parts)]]})

    def _variable(self, name: str, given: Mapping[str, Any]) -> Any:
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        if name in given:
            return self.value(given[name])
        return self._attribute(*name.split(".", 1)) if "." in name else self._ref(name)


def plain_text(value: Any) -> str:
    """A value inside a text: true and 5, as they are written in a template."""
    return value if isinstance(value, str) else json.dumps(value)


def with_dynamic_references(value: Any, outside: Outside) -> Any:
    """The value with what lies in Parameter Store and Secrets Manager in place of the references to it."""
    if isinstance(value, Mapping):
        return {key: with_dynamic_references(item, outside) for key, item in value.items()}
    if isinstance(value, list):
        return [with_dynamic_references(item, outside) for item in value]
    return _DYNAMIC.sub(lambda found: _stored(found, outside), value) if isinstance(value, str) else value


def _stored(found: re.Match[str], outside: Outside) -> str:
    if found[1] != "secretsmanager":
        return outside.parameter(found[2])
    name, _, rest = found[2].partition(":SecretString")  # the name may be an ARN, with colons of its own
    _, key, stage, version = (rest + ":::").split(":")[:4]
    return outside.secret(name, key, stage, version)


def in_order(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names in an order in which each one comes after those that it needs."""
    sorter = TopologicalSorter({name: sorted({*needed} & needs.keys()) for name, needed in needs.items()})
    try:
        return list(sorter.static_order())
    except CycleError as circle:
        raise TemplateError(f"Circular dependency between resources: [{', '.join(circle.args[1][1:])}]") from circle


def needed_by(body: Mapping[str, Any]) -> set[str]:
    """Everything that a resource refers to or depends on, by logical id; parameters may be among it."""
    after = body.get("DependsOn", [])
    return {*([after] if isinstance(after, str) else after), *_mentioned({**body, "DependsOn": None})}


def _mentioned(written: Any) -> Iterator[str]:
    match written:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::GetAtt": str(text)}:
            yield text.partition(".")[0]
        case {"Fn::Sub": str(text) | [str(text), _]}:
            yield from (name.partition(".")[0] for name in _VARIABLE.findall(text))
    for item in written.values() if isinstance(written, Mapping) else written if isinstance(written, list) else ():
        yield from _mentioned(item)
