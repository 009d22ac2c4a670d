"""CloudFormation's YAML: the short forms of its functions, and nothing that it would not read itself."""

from __future__ import annotations

from typing import Any

import yaml

from workbench.templates.files import DEEPEST

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_MOST_MERGED = 10_000


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # ten times as fast where it exists
    """Safe YAML plus `!Ref` and its kin; a date stays the text that it is in a template."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """What `<<` brings in is copied, so a few lines could fill the memory."""
        many = [value for key, value in node.value if key.tag == _MERGE and len(value.value) > 100]
        super().flatten_mapping(node)
        if many or len(node.value) > _MOST_MERGED:
            raise ValueError("merges too much into one mapping")


# The table is shared with the parent class until it is copied.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _function(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if name in ("Ref", "Condition"):
        return {name: value}
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)


def load(text: str) -> Any:
    """A template from YAML or JSON; ValueError says where it is not."""
    loader = _Loader(text)
    try:
        _check_depth(text)  # before the parser in C follows it down, and ends the process where its stack ends
        root = loader.get_single_node()
        if root is None:
            return None
        _make_keys_text(root)
        return loader.construct_document(root)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as problem:  # `!!bool x` is a KeyError of PyYAML's
        raise ValueError(" ".join(str(problem).split())) from problem
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")


def _make_keys_text(root: yaml.Node) -> None:
    """Keys such as account numbers are text to CloudFormation, and none may stand twice."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        keys = set[str]()
        for key, value in node.value:
            waiting.append(value)
            if key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {line}: a key is a list or a mapping")
            if key.value in keys:
                raise ValueError(f"line {line}: the key {key.value} stands twice")
            keys.add(key.value)
            key.tag = _TEXT
