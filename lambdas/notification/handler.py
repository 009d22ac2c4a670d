"""Tells each device of a customer about an order, at most once.

Nobody ever says later whether a push was taken, so what is unknown is set aside at once, after the other devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from jobs import notification
from jobs.aws import CONNECT_SECONDS, READ_SECONDS, client, never_accepted
from jobs.batch import Message, document, for_each_message, logger
from jobs.events import Later, Refused
from jobs.ledger import MARGIN_SECONDS, Ledger, Unknown
