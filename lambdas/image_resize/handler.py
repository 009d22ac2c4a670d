"""Makes thumbnails of an uploaded picture.

It remembers nothing of what it did: a repetition writes the same bytes under the same keys. Keys are made of ids alone,
and nothing that a picture or an event says is ever fetched.
"""

from __future__ import annotations

import os
from contextlib import closing

from jobs import thumbnails
from jobs.aws import client
from jobs.batch import for_each_event
from jobs.events import Event, Refused

# A picture is never changed: another one has another id.
FOR_EVER = "public, max-age=31536000, immutable"


def resize(event: Event) -> None:
    bucket, image = os.environ["FILES_BUCKET"], event.ids["image_id"]
    for size, data in thumbnails.make(original(bucket, f"images/{image}")).items():
        client("s3").put_object(
            Bucket=bucket,
            Key=f"thumbnails/{image}/{size}.webp",
            Body=data,
            ContentType="image/webp",
            CacheControl=FOR_EVER,
        )


def original(bucket: str, key: str) -> bytes:
    """The picture; one that is too large is refused before it is here."""
    try:
        answer = client("s3").get_object(Bucket=bucket, Key=key)
    except client("s3").exceptions.NoSuchKey:
        raise Refused(f"there is no {key}") from None
    # Not `with answer["Body"]`, which hands out the bare stream, where an early end goes unnoticed.
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] > thumbnails.MOST_BYTES:
            raise Refused(f"{answer['ContentLength']} bytes; a picture has {thumbnails.MOST_BYTES} at most")
        return bytes(body.read())


handler = for_each_event(resize)
