"""What a job remembers of what it sent, so that no message that comes again sends it twice.

At most once on ambiguity: a row is `sending` before, and `sent` after. Whoever finds it `sending` when the sender can
no longer be alive makes it `unknown`, and nobody sends it again. Only a notice from the provider gets it out of there,
or a person: to send it after all, remove the row and move the message back. Jobs whose work ends the same however often
it is done need no row at all.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from time import time as now
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from jobs.aws import client
from jobs.events import Later

# Longer than a message can lie in its queue and in the dead-letter queue together.
KEPT_SECONDS = 30 * 24 * 3600
# The clocks of two functions differ a little.
MARGIN_SECONDS = 5


class Unknown(Later):
    """It may have been sent, or not. It is not sent again."""


class Ledger:
    """The rows of one job, in the table that all jobs share."""

    def __init__(self, job: str) -> None:
        self._job = job

    def begin(self, key: str, seconds: float) -> str | None:
        """The name of our attempt, or None if it was sent. Raises Later while another one is at it, or Unknown.

        `seconds` is how long this attempt can last. Past that, nobody is at it.
        """
        attempt = uuid4().hex
        try:
            self._put(
                f"{self._job}#{key}",
                "sending",
                until=now() + seconds + MARGIN_SECONDS,
                attempt=attempt,
                ConditionExpression="attribute_not_exists(id) OR #state = :free",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":free": {"S": "free"}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
            return attempt
        except (ClientError, BotoCoreError) as error:
            if not _declined(error):
                self.not_sent(key, attempt)  # it may be ours all the same
                raise
            found = _row(error.response["Item"])
        if found["attempt"] == attempt:
            return attempt  # only the first answer got lost, and botocore asked again
        if found["state"] == "sent":
            return None
        if found["state"] == "sending":
            if (left := float(found["until"]) - now()) > 0:
                raise Later("being sent elsewhere", left)
            if not self._mark(key, "unknown", "#state = :sending", sending="sending"):
                raise Later("settled just now")
        raise Unknown("unknown: may have been sent")

    def sent(self, key: str) -> None:
        """The provider has answered that it has it."""
        self._mark(key, "sent", "attribute_exists(id)", told_by="answer")

    def noticed(self, key: str) -> bool:
        """The provider tells of it on its own. True if only this settled it, since nobody had seen the answer."""
        unsettled = {"sending": "sending", "unknown": "unknown"}
        return self._mark(key, "sent", "#state IN (:sending, :unknown)", told_by="notice", **unsettled)

    def not_sent(self, key: str, attempt: str) -> None:
        """It is certain that this attempt sent nothing, so the next one may. What cannot be freed is never sent."""
        with suppress(ClientError, BotoCoreError):
            self._mark(key, "free", "#state = :sending AND attempt = :attempt", sending="sending", attempt=attempt)

    def pause(self, seconds: float) -> None:
        """Nobody shall send for a while."""
        self._put(f"paused#{self._job}", "paused", until=now() + seconds)

    def paused(self) -> bool:
        row = self._get(f"paused#{self._job}")
        return row is not None and float(row["until"]) > now()

    def suppress(self, address: str) -> None:
        """Nothing is sent there any more. The address is kept as a hash, and for ever."""
        self._put(_hashed(address), "suppressed", for_ever=True)

    def suppressed(self, address: str) -> bool:
        return self._get(_hashed(address)) is not None

    def _mark(self, key: str, state: str, only_if: str, told_by: str = "job", **values: str) -> bool:
        """Whether the condition held, so that the state is this one now."""
        texts = {"state": state, "told_by": told_by, **values}
        try:
            client("dynamodb").update_item(
                TableName=os.environ["STATE_TABLE"],
                Key={"id": {"S": f"{self._job}#{key}"}},
                UpdateExpression="SET #state = :state, told_by = :told_by",
                ConditionExpression=only_if,
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={f":{name}": {"S": text} for name, text in texts.items()},
            )
        except ClientError as error:
            if not _declined(error):
                raise
            return False
        return True

    def _put(
        self, key: str, state: str, *, until: float = 0, attempt: str = "", for_ever: bool = False, **only_if: Any
    ) -> None:
        row = {"id": {"S": key}, "state": {"S": state}, "until": {"N": f"{until:.3f}"}, "attempt": {"S": attempt}}
        if not for_ever:
            row["expires_at"] = {"N": str(int(now()) + KEPT_SECONDS)}
        client("dynamodb").put_item(TableName=os.environ["STATE_TABLE"], Item=row, **only_if)

    def _get(self, key: str) -> dict[str, str] | None:
        answer = client("dynamodb").get_item(
            TableName=os.environ["STATE_TABLE"], Key={"id": {"S": key}}, ConsistentRead=True
        )
        return _row(answer["Item"]) if "Item" in answer else None


def _row(item: dict[str, dict[str, str]]) -> dict[str, str]:
    """Without the types."""
    return {name: next(iter(value.values())) for name, value in item.items()}


def _declined(error: Exception) -> bool:
    """Whether the table answers that the condition does not hold."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _hashed(address: str) -> str:
    return f"suppressed#{hashlib.sha256(address.strip().lower().encode()).hexdigest()}"
