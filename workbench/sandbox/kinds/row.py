"""Most resource types as lines of a table: the operations of one service, fed with the template's properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jmespath import search  # type: ignore[import-untyped]

from workbench.sandbox.kinds.calls import call
from workbench.sandbox.kinds.kind import Aws, Made, NotInPlace, Refused, Wanted, absent_is_fine
from workbench.templates.replacement import differences

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """One operation that sets properties which creating does not take, or that changes them later."""

    operation: str
    properties: tuple[str, ...]
    # From the wanted values to the operation's input, where that is more than other names.
    arguments: Callable[[Properties], Properties] = dict


@dataclass(frozen=True)
class Tagging:
    """How a service tags what exists."""

    add: str = "tag_resource"
    remove: str = "untag_resource"
    key: str = "ResourceArn"  # how both name the resource,
    by: str = ""  # and by which attribute; empty for the physical id
    many: bool = False  # whether they take a list of resources
    tags: str = "Tags"
    gone: Callable[[list[str]], Properties] = lambda keys: {"TagKeys": keys}
    rename: Mapping[str, str] = field(default_factory=dict)
    also: Properties = field(default_factory=dict)  # what both take besides

    def change(self, aws: Aws, service: str, made: Made, before: Wanted | None, after: Wanted) -> None:
        """The tags of `after` and none that only `before` had."""
        named = made.attributes[self.by] if self.by else made.id
        which, now = {**self.also, self.key: [named] if self.many else named}, after.all_tags()
        if gone := sorted(before.all_tags().keys() - now.keys() if before else ()):
            call(aws, service, self.remove, {**which, **self.gone(gone)})
        call(aws, service, self.add, {**which, self.tags: now}, self.rename)


@dataclass(frozen=True)
class Row:
    """One resource type; paths are JMESPath, into what the service answers."""

    service: str
    create_with: str
    id: str  # where the answer has what Ref gives
    delete_with: str
    key: str  # how operations name the resource
    delete_by: tuple[str, ...] = ()  # properties that deleting names it by as well
    delete_list: str = ""  # or the list of ids that deleting takes
    in_use: Callable[[Aws, str], list[str]] = lambda _aws, _id: []  # by whom, for which AWS refuses to delete it
    named: str = ""  # the property for which a name is made up when the template has none
    longest: int = 64  # such a name
    rename: Mapping[str, str] = field(default_factory=dict)  # property -> member of the input, at any depth
    arguments: Callable[[Properties], Properties] = dict  # from the properties to what is fitted to the input
    describe_with: str = ""  # what attributes are read from, when not from what creating answers
    describe_by: str = ""  # how it names the resource, when not as the others do; it takes a list
    attributes: Mapping[str, str] = field(default_factory=dict)  # of Fn::GetAtt -> path
    settings: tuple[Setting, ...] = ()
    elsewhere: tuple[str, ...] = ()  # properties that a subclass takes care of, on updates or always
    defaults: Properties = field(default_factory=dict)  # what it means when a property is taken out of the template
    tagging: Tagging | None = None
    forgets: Mapping[str, str] = field(default_factory=dict)  # properties that moto has no place for -> what that means

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made_up = {self.named: wanted.name(self.longest)} if self.named else {}
        properties = {**made_up, **self._kept(wanted)}
        now = {name: value for name, value in properties.items() if self._taken_by_create(aws, name)}
        settable = {*self.elsewhere, *(name for setting in self.settings for name in setting.properties)}
        if unknown := sorted(properties.keys() - now.keys() - settable):
            raise Refused(f"The local AWS does not know the property {unknown[0]} of {wanted.type}")
        answer = call(aws, self.service, self.create_with, self.arguments(now), self.rename)
        id_ = str(search(self.id, {**answer, "Properties": properties}))
        for setting in self.settings:
            if properties.keys() & set(setting.properties) - now.keys():
                self._set(aws, id_, setting, properties)
        made = Made(id_, self.attributes_of(aws, id_, answer))
        if self.tagging:
            self.tagging.change(aws, self.service, made, None, wanted)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = self._kept(before), self._kept(after)
        changed = {name for name in {*old, *new} if any(differences(old.get(name), new.get(name)))}
        changed -= set(self.elsewhere)
        if fixed := sorted(changed - {name for setting in self.settings for name in setting.properties}):
            raise NotInPlace(fixed[0])
        if lost := sorted(changed - new.keys() - self.defaults.keys()):
            raise Refused(f"Taking {lost[0]} out of a template is not simulated: write the value that it is to have")
        new |= {name: self.defaults[name] for name in changed - new.keys()}
        for setting in self.settings:
            if changed & set(setting.properties):
                self._set(aws, made.id, setting, new)
        made = Made(made.id, {**made.attributes, **self.attributes_of(aws, made.id, {})})
        if self.tagging:
            self.tagging.change(aws, self.service, made, before, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        if users := self.in_use(aws, made.id):
            raise Refused(f"{made.id} has dependencies and cannot be deleted: {', '.join(sorted(users))}")
        which: dict[str, Any] = {self.delete_list: [made.id]} if self.delete_list else {self.key: made.id}
        with absent_is_fine():
            own = {name: wanted.properties[name] for name in self.delete_by}
            call(aws, self.service, self.delete_with, {**which, **own}, self.rename)

    def _kept(self, wanted: Wanted) -> dict[str, Any]:
        """The properties but the tags, which have operations of their own, and those that moto has no place for."""
        left_out = {*self.forgets, *(["Tags"] if self.tagging else [])}
        return {name: value for name, value in wanted.properties.items() if name not in left_out}

    def _taken_by_create(self, aws: Aws, name: str) -> bool:
        client = aws.client(self.service)
        operation = client.meta.method_to_api_mapping[self.create_with]
        members = client.meta.service_model.operation_model(operation).input_shape.members
        return self.rename.get(name, name).lower() in {member.lower() for member in members}

    def _set(self, aws: Aws, id_: str, setting: Setting, properties: Properties) -> None:
        values = {name: properties[name] for name in setting.properties if name in properties}
        call(aws, self.service, setting.operation, setting.arguments(values), self.rename, **{self.key: id_})

    def attributes_of(self, aws: Aws, id_: str, answer: Properties) -> dict[str, Any]:
        if self.describe_with:
            which = {self.describe_by: [id_]} if self.describe_by else {self.key: id_}
            answer = call(aws, self.service, self.describe_with, **which)
        found = {name: search(path, answer) for name, path in self.attributes.items()} if answer else {}
        times = {name: value.isoformat() for name, value in found.items() if isinstance(value, datetime)}
        return {name: value for name, value in {**found, **times}.items() if value is not None}
