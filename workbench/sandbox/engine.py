"""Brings stacks to what their templates say: create before delete, in the order of the references, one at a time."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from workbench.facts.stateful import DELETE, SNAPSHOT
from workbench.sandbox.change_sets import Plan, change_of, needs, outputs, plan, resource
from workbench.sandbox.kinds.kind import FAILURES, Kind, Made, NotInPlace, Refused, Snapshots, Wanted
from workbench.sandbox.stacks import GONE, NEVER_COMPLETE, Deployed, Output, Stack, Stacks, Target
from workbench.sandbox.values import TemplateError, Values, in_order, with_dynamic_references
from workbench.templates.references import Resource
from workbench.templates.replacement import Impact

NO_ROLLBACK = (
    "rollback is not simulated: what was done stays as it is, until you deploy again with --no-rollback, or destroy"
)
STOPS = (TemplateError, *FAILURES)
# A request that starts something is answered when it is done, or after this time; then the caller looks again.
SECONDS_UNTIL_ANSWER = 5.0


class Engine:
    """The one place where stacks and their resources change."""

    def __init__(self, stacks: Stacks, kinds: Mapping[str, Kind]) -> None:
        self.stacks, self._kinds = stacks, kinds
        self._changing = threading.Lock()

    def plan(self, stack: Stack, target: Target) -> Plan:
        with self._changing:
            return plan(self.stacks, stack, target, self._kinds)

    def deploy(self, stack: Stack, target: Target) -> None:
        """Begin to create or update the stack."""
        verb = "UPDATE" if stack.target else "CREATE"
        self._start(stack, verb, lambda: self._deploy(stack, target, verb))

    def delete(self, stack: Stack) -> None:
        """Begin to delete the stack with everything in it."""
        before = stack.status
        self._start(stack, "DELETE", lambda: self._delete(stack, before))

    def _start(self, stack: Stack, verb: str, work: Callable[[], None]) -> None:
        stack.tell(f"{verb}_IN_PROGRESS", "User Initiated")

        def guarded() -> None:
            with self._changing:
                try:
                    work()
                except Exception as problem:  # whatever it is, the stack must not seem to be at work for ever
                    traceback.print_exc()
                    stack.tell(f"{verb}_FAILED", f"The local AWS is broken here: {problem!r}")

        working = threading.Thread(target=guarded, daemon=True)
        working.start()
        working.join(SECONDS_UNTIL_ANSWER)

    def _deploy(self, stack: Stack, target: Target, verb: str) -> None:
        try:
            foreseen = plan(self.stacks, stack, target, self._kinds)
            self._check_exports(stack, foreseen.outputs)
        except STOPS as problem:  # nothing has been changed, so all is as if it had been rolled back
            stack.tell("ROLLBACK_COMPLETE" if verb == "CREATE" else "UPDATE_ROLLBACK_COMPLETE", str(problem))
            return
        stack.target = target
        if verb != "CREATE":
            stack.updated = datetime.now(UTC)
        values = self.stacks.values(stack, target, lambda reference: stack.resources[reference.id].gives(reference))
        failed = self._bring_all(stack, target, values)
        if not failed:
            try:
                made = outputs(values)
                self._check_exports(stack, made)
                stack.outputs, stack.imports = made, set(values.imports)
            except STOPS as problem:
                failed = str(problem)
        stack.imports |= values.imports
        if not failed and verb != "CREATE":
            stack.tell(f"{verb}_COMPLETE_CLEANUP_IN_PROGRESS")
            failed = self._clean_up(stack, values.active("Resources").keys())
        if failed:
            status = "ROLLBACK_FAILED" if verb == "CREATE" and not stack.keeps_failures else f"{verb}_FAILED"
            stack.tell(status, f"{failed}; {NO_ROLLBACK}")
        else:
            stack.tell(f"{verb}_COMPLETE")

    def _check_exports(self, stack: Stack, promised: Mapping[str, Output]) -> None:
        exports = {output.export: output.value for output in promised.values() if output.export}
        for name, _, owner in self.stacks.exports(stack.region):
            if owner is not stack and name in exports:
                raise TemplateError(
                    f"Export with name {name} is already exported by stack {owner.name}. "
                    "Rule: Export names must be unique across a customer's account within a region."
                )
        for name, value in stack.exports.items():
            users = self.stacks.users(name, stack.region)
            if users and exports.get(name) != value:
                what = "update" if name in exports else "delete"
                raise TemplateError(f"Cannot {what} export {name} as it is in use by {', '.join(users)}.")

    def _bring_all(self, stack: Stack, target: Target, values: Values) -> str:
        """Every resource of the template, as far as it goes; what stopped it."""
        active = values.active("Resources")
        for id_, needed in needs(values).items():
            try:
                self._bring(stack, target, values, id_, active[id_], needed)
            except STOPS as problem:
                there = stack.resources.get(id_)
                verb = "update" if there else "create"
                type_, physical_id = active[id_]["Type"], there.made.id if there else ""
                stack.report(id_, type_, physical_id, f"{verb.upper()}_FAILED", str(problem))
                return f"The following resource(s) failed to {verb}: [{id_}] ({type_}: {problem})"
        return ""

    def _bring(
        self, stack: Stack, target: Target, values: Values, id_: str, body: Mapping[str, Any], needed: frozenset[str]
    ) -> None:
        """One resource, made or changed if it is not yet as the template wants it."""
        new = resource(stack, id_, body, values)
        properties = with_dynamic_references(new.properties, values.outside)
        there = stack.resources.get(id_)
        generation = there.wanted.generation if there else self._next_generation(stack, id_)
        tags = {**target.tags, "aws:cloudformation:stack-id": stack.id}
        wanted = Wanted(stack.name, id_, new.type, properties, tags, generation)
        if there is None:
            stack.report(id_, new.type, "", "CREATE_IN_PROGRESS")
            made, status = self._kinds[new.type].create(self.stacks.aws(stack.region), wanted), "CREATE_COMPLETE"
        else:
            change = change_of(there, new, target)
            if change.impact is Impact.NONE:
                stack.resources[id_] = replace(there, resource=new, needs=needed)
                return
            stack.report(id_, new.type, there.made.id, "UPDATE_IN_PROGRESS")
            made, wanted = self._change(stack, there, wanted, new, change.impact is Impact.REPLACE)
            status = "UPDATE_COMPLETE"
        stack.resources[id_] = Deployed(new, wanted, made, needed, status, datetime.now(UTC))
        stack.report(id_, new.type, made.id, status)

    def _change(
        self, stack: Stack, there: Deployed, wanted: Wanted, new: Resource, replacing: bool
    ) -> tuple[Made, Wanted]:
        """The resource changed in place, or a new one beside the old, which goes when all else is done."""
        kind, aws = self._kinds[wanted.type], self.stacks.aws(stack.region)
        if not replacing:
            try:
                return kind.update(aws, there.made, there.wanted, wanted), wanted
            except NotInPlace:
                pass
        reason = "Requested update requires the creation of a new physical resource; hence creating one."
        stack.report(there.id, wanted.type, there.made.id, "UPDATE_IN_PROGRESS", reason)
        wanted = replace(wanted, generation=self._next_generation(stack, there.id))
        made = kind.create(aws, wanted)
        if made.id != there.made.id:
            stack.leaving.append(replace(there, policy=new.update_replace_policy or DELETE))
        return made, wanted

    @staticmethod
    def _next_generation(stack: Stack, id_: str) -> str:
        stack.generations[id_] += 1
        return f"{stack.id} {stack.generations[id_]}"

    def _clean_up(self, stack: Stack, active: Iterable[str]) -> str:
        """Delete what the template no longer has, and what was replaced; what refused to go."""
        gone = [stack.resources.pop(id_) for id_ in stack.resources.keys() - active]
        stack.leaving += [replace(one, policy=one.policy_when_removed(never_complete=False)) for one in gone]
        stack.leaving = self._remove(stack, stack.leaving)
        return _failed_to_delete(stack.leaving)

    def _delete(self, stack: Stack, before: str) -> None:
        for name in stack.exports:
            if users := ", ".join(self.stacks.users(name, stack.region)):
                stack.tell(before, f"Delete canceled. Cannot delete export {name} as it is in use by {users}.")
                return
        going = {id(one): one for one in stack.leaving}  # their policy is known already
        for one in stack.resources.values():
            going.setdefault(id(one), replace(one, policy=one.policy_when_removed(before in NEVER_COMPLETE)))
        stack.leaving = self._remove(stack, list(going.values()))
        stack.resources = {one.id: one for one in stack.leaving}
        if failed := _failed_to_delete(stack.leaving):
            stack.tell("DELETE_FAILED", failed)
            return
        stack.outputs, stack.imports, stack.deleted = {}, set(), datetime.now(UTC)
        stack.tell(GONE)

    def _remove(self, stack: Stack, going: list[Deployed]) -> list[Deployed]:
        """Delete them in reverse order, as their policies say; what refuses to go is left, with what it needs."""
        position = {id_: number for number, id_ in enumerate(in_order({one.id: one.needs for one in going}))}
        left: list[Deployed] = []
        for one in sorted(going, key=lambda one: position[one.id], reverse=True):
            told = (one.id, one.wanted.type, one.made.id)
            if any(one.id in other.needs for other in left):
                left.append(one)
            elif one.policy not in (DELETE, SNAPSHOT):
                stack.report(*told, "DELETE_SKIPPED", f"It stays: its policy is {one.policy}")
            else:
                stack.report(*told, "DELETE_IN_PROGRESS")
                try:
                    stack.report(*told, "DELETE_COMPLETE", self._remove_one(stack, one))
                except STOPS as problem:
                    stack.report(*told, "DELETE_FAILED", str(problem))
                    left.append(replace(one, status="DELETE_FAILED", reason=str(problem)))
        return left

    def _remove_one(self, stack: Stack, one: Deployed) -> str:
        kind, aws, reason = self._kinds[one.wanted.type], self.stacks.aws(stack.region), ""
        if one.policy == SNAPSHOT:
            if not isinstance(kind, Snapshots):
                raise Refused(f"The local AWS makes no snapshots of {one.wanted.type}")
            reason = f"Its snapshot stays: {kind.snapshot(aws, one.made, one.wanted)}"
        kind.delete(aws, one.made, one.wanted)
        return reason


def _failed_to_delete(left: list[Deployed]) -> str:
    refused = [one for one in left if one.reason]  # the others are needed by them
    told = "; ".join(f"{one.wanted.type}: {one.reason}" for one in refused)
    return (
        f"The following resource(s) failed to delete: [{', '.join(one.id for one in refused)}] ({told})" if left else ""
    )
