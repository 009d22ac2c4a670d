"""SES. Moto has no call that changes an identity or a configuration set, and no event destinations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from workbench.sandbox.kinds.calls import Kept, arn, call, inside, refuse_change, remove, tag, without, written_again
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Wanted


class MailRules:
    """AWS::SES::ConfigurationSet; moto has no call that changes one, so it is written again under its name."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, wanted.properties.get("Name") or wanted.name(64), None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        with written_again(inside(aws, "sesv2").core_backend.config_sets, made.id):
            self._put(aws, made.id, before, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sesv2", "delete_configuration_set", ConfigurationSetName=made.id)

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        properties = without(after.properties, "Name")
        call(aws, "sesv2", "create_configuration_set", properties, ConfigurationSetName=name)
        tag(aws, arn(aws, "ses", f"configuration-set/{name}"), before, after)
        return Made(name, {})


class MailIdentity:
    """AWS::SES::EmailIdentity; moto has none of the calls that change one, so its model is changed."""

    forgets: Mapping[str, str] = {"MailFromAttributes": "no mail is sent, so none has a sender's domain"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties["EmailIdentity"]
        properties = without(wanted.properties, "ConfigurationSetAttributes", *self.forgets)
        call(aws, "sesv2", "create_email_identity", {**properties, **self._rules(wanted)})
        return self._made(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        refuse_change(before, after, "ConfigurationSetAttributes", *self.forgets)
        identity = inside(aws, "sesv2").core_backend.email_identities[made.id]
        identity.configuration_set_name = self._rules(after).get("ConfigurationSetName")
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "sesv2", "delete_email_identity", EmailIdentity=made.id)

    def _rules(self, wanted: Wanted) -> dict[str, str]:
        return dict(wanted.properties.get("ConfigurationSetAttributes", {}))

    def _made(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        tag(aws, arn(aws, "ses", f"identity/{name}"), before, after)
        attributes = {}
        for number in (1, 2, 3):  # the records by which others check signatures
            token = hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:32]
            attributes[f"DkimDNSTokenName{number}"] = f"{token}._domainkey.{name}"
            attributes[f"DkimDNSTokenValue{number}"] = f"{token}.dkim.amazonses.com"
        return Made(name, attributes)


def _mail_outcomes(aws: Aws, wanted: Wanted) -> Made:
    rules = wanted.properties["ConfigurationSetName"]
    call(aws, "sesv2", "get_configuration_set", ConfigurationSetName=rules)  # refuses where there is no such set
    name = wanted.properties["EventDestination"].get("Name") or wanted.name(64)
    return Made(f"{rules}|{name}", {"Id": f"{rules}|{name}"})


MAIL: dict[str, Kind] = {
    "AWS::SES::ConfigurationSet": MailRules(),
    "AWS::SES::ConfigurationSetEventDestination": Kept(
        "sesv2", "moto has no event destinations that send to EventBridge", _mail_outcomes
    ),
    "AWS::SES::EmailIdentity": MailIdentity(),
}
