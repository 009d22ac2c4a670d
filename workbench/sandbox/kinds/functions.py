"""Lambda. Moto reads some settings in no request that changes a function, and shows others nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import arn, call, changed, inside, refuse_unknown, remove, tag, without
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted
from workbench.sandbox.kinds.row import Tagging


class Function:
    """AWS::Lambda::Function: code, configuration, and how many may run at once."""

    forgets: Mapping[str, str] = {
        "DeadLetterConfig": "moto has no place for it",
        "LoggingConfig": "what a function writes goes to its log group; moto shows nothing of it",
    }
    _CODE = ("Architectures", "Code")
    _APART = ("FunctionName", "ReservedConcurrentExecutions")
    _CONFIGURATION = (
        *("Description", "Environment", "Handler", "KmsKeyArn", "MemorySize", "Role", "Runtime", "Timeout"),
        *("TracingConfig", "VpcConfig", *forgets),
    )

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        self._check(wanted)
        name = wanted.properties.get("FunctionName") or wanted.name(64)
        properties = without(wanted.properties, *self._APART)
        call(aws, "lambda", "create_function", {"Architectures": ["x86_64"], **properties}, FunctionName=name)
        return self._finish(aws, name, wanted.properties, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        self._check(after)
        news = changed(before, after, "ReservedConcurrentExecutions")
        if news.keys() & set(self._CODE):
            call(aws, "lambda", "update_function_code", after.properties["Code"], FunctionName=made.id)
        if configuration := without(news, *self._CODE, *self._APART):
            call(aws, "lambda", "update_function_configuration", configuration, FunctionName=made.id)
        if "ReservedConcurrentExecutions" in before.properties.keys() - after.properties.keys():
            call(aws, "lambda", "delete_function_concurrency", FunctionName=made.id)
        return self._finish(aws, made.id, news, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "lambda", "delete_function", FunctionName=made.id)

    def _check(self, wanted: Wanted) -> None:
        refuse_unknown(wanted, *self._CODE, *self._APART, *self._CONFIGURATION)
        if unknown := sorted(wanted.properties["Code"].keys() - {"S3Bucket", "S3Key"}):
            raise Refused(f"The local AWS does not know the property {unknown[0]} of Code: bring the code as an asset")

    def _follow(self, aws: Aws, name: str, news: Mapping[str, Any]) -> None:
        """What moto reads in no request, or in none that changes a function."""
        function = inside(aws, "lambda").get_function(name)
        if "Architectures" in news:
            function.architectures = news["Architectures"]
        if "KmsKeyArn" in news:
            function.kms_key_arn = news["KmsKeyArn"]
        if "TracingConfig" in news:
            function.tracing_config = news["TracingConfig"]

    def _finish(self, aws: Aws, name: str, news: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        self._follow(aws, name, news)
        if "ReservedConcurrentExecutions" in news:
            most = {"ReservedConcurrentExecutions": news["ReservedConcurrentExecutions"]}
            call(aws, "lambda", "put_function_concurrency", most, FunctionName=name)
        its_arn = arn(aws, "lambda", f"function:{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn})


class EventSource:
    """AWS::Lambda::EventSourceMapping, which the local AWS works off itself."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        answer = call(aws, "lambda", "create_event_source_mapping", without(wanted.properties))
        return self._made(aws, answer["UUID"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if news := changed(before, after):
            call(aws, "lambda", "update_event_source_mapping", news, UUID=made.id)
            mapping = inside(aws, "lambda").get_event_source_mapping(made.id)
            # What moto's UpdateEventSourceMapping leaves as it was.
            mapping.function_response_types = after.properties.get("FunctionResponseTypes", [])
            mapping.scaling_config = after.properties.get("ScalingConfig")
            mapping.max_batch_window = after.properties.get("MaximumBatchingWindowInSeconds")
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "lambda", "delete_event_source_mapping", UUID=made.id)

    def _made(self, aws: Aws, its_id: str, before: Wanted | None, after: Wanted) -> Made:
        made = Made(
            its_id, {"Id": its_id, "EventSourceMappingArn": arn(aws, "lambda", f"event-source-mapping:{its_id}")}
        )
        Tagging(key="Resource", by="EventSourceMappingArn").change(aws, "lambda", made, before, after)
        return made


class Permission:
    """AWS::Lambda::Permission: one statement in the policy of a function."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.name(100)
        call(aws, "lambda", "add_permission", wanted.properties, StatementId=name)
        return Made(name, {"Id": name})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return made  # every property is create-only

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        function = wanted.properties["FunctionName"]
        remove(aws, "lambda", "remove_permission", FunctionName=function, StatementId=made.id)


FUNCTIONS: dict[str, Kind] = {
    "AWS::Lambda::EventSourceMapping": EventSource(),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::Permission": Permission(),
}
