"""Small pictures of a product, made of what somebody uploaded: nothing in it is believed before it is looked at."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from jobs.events import Refused

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = {"medium": 960, "small": 320}  # the longest side in pixels, each made of the one before
MOST_BYTES = 10 * 2**20
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 16_383  # what WebP can hold
# A camera writes ten. Each one costs a pass over the whole picture, and takes a few bytes to ask for.
MOST_SCANS = 64
ORIENTATION = 0x0112


def kind(data: bytes) -> str:
    """The content type that the first bytes promise; raises Refused for anything but the four that are allowed."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise Refused("not a JPEG, PNG, WebP or GIF picture")


def make(data: bytes) -> dict[str, bytes]:
    """Each size as WebP, the same bytes for the same picture; raises Refused when there is no picture in the data."""
    if len(data) > MOST_BYTES:
        raise Refused(f"{len(data)} bytes; a picture has {MOST_BYTES} at most")
    made = {}
    promised = kind(data).removeprefix("image/").upper()
    if promised == "JPEG" and data.count(b"\xff\xda") > MOST_SCANS:
        raise Refused(f"more than {MOST_SCANS} scans")
    try:
        picture = _medium(data, promised)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        # A decoder tells of broken files in many ways, and what fails on these bytes fails on them again.
        raise Refused(f"broken {promised}: {type(error).__name__}: {error}") from error
    for name, side in SIZES.items():
        picture.thumbnail((side, side))
        file = BytesIO()
        picture.save(file, "WEBP", quality=80, method=4)
        made[name] = file.getvalue()
    return made


def _medium(data: bytes, promised: str) -> Image:
    """The first frame, small enough for the largest thumbnail, upright, in the colours of the web, with its alpha."""
    # Imported here, since `kind` is asked by programs that never make a thumbnail.
    from PIL import Image, ImageOps

    # Only the decoder that the first bytes promise: no other one ever sees what a stranger sent.
    with Image.open(BytesIO(data), formats=[promised]) as picture:
        width, height = picture.size
        if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE or min(width, height) < 1:
            raise Refused(f"{width} x {height} pixels; {MOST_PIXELS} in all and {LONGEST_SIDE} a side are the most")
        profile, side = picture.info.get("icc_profile"), SIZES["medium"]
        # A JPEG is decoded at an eighth, a quarter or half of its size where that is enough.
        picture.draft(None, (2 * side, 2 * side))
        small = _shrinkable(picture)
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        ImageOps.exif_transpose(small, in_place=True)
    mode = "RGBA" if small.mode == "RGBA" else "RGB"
    if profile:
        small = _in_srgb(small, profile, mode)
    return small if small.mode == mode else small.convert(mode)


def _shrinkable(picture: Image) -> Image:
    """In a mode that can be scaled without loss of colours; decodes the picture."""
    picture.load()
    if picture.mode == "I;16":  # 16 bits of grey, which a plain conversion would cut off at 255
        return picture.point(lambda value: value / 257).convert("L")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")


def _in_srgb(picture: Image, profile: bytes, mode: str) -> Image:
    from PIL import ImageCms

    try:
        source, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, source, srgb, outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return picture  # a profile that fits nothing: browsers ignore it too
    return converted or picture
