"""Thumbnails: what becomes of pictures of every kind, and of what only claims to be one."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageCms

from jobs import thumbnails
from jobs.events import Refused, encode, happened
from tests.lambdas.world import Calls, World, world
from workbench.synth import ROOT

FUNCTION_MIB = 1769
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG of any claim, whether its rows keep it or not."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def opened(thumbnail: bytes) -> Image.Image:
    picture = Image.open(BytesIO(thumbnail), formats=["WEBP"])
    picture.load()
    return picture


def near(colour: object, wanted: tuple[int, ...], by: int = 12) -> bool:
    assert isinstance(colour, tuple)
    return len(colour) == len(wanted) and all(abs(a - b) <= by for a, b in zip(colour, wanted, strict=True))


def two_halves(mode: str = "RGB", size: tuple[int, int] = (1600, 800)) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture.convert(mode)


@pytest.mark.parametrize(
    ("size", "medium", "small"),
    [
        ((4000, 2000), (960, 480), (320, 160)),
        ((1000, 3000), (320, 960), (107, 320)),
        ((500, 400), (500, 400), (320, 256)),
        ((7, 5), (7, 5), (7, 5)),
        ((1, 16_383), (1, 960), (1, 320)),
    ],
)
def test_the_longest_side_fits_and_nothing_grows(
    size: tuple[int, int], medium: tuple[int, int], small: tuple[int, int]
) -> None:
    made = thumbnails.make(saved(Image.new("RGB", size, GREEN), "JPEG"))
    assert {name: opened(data).size for name, data in made.items()} == {"medium": medium, "small": small}


@pytest.mark.parametrize(
    "data",
    [
        saved(two_halves(), "JPEG"),
        saved(two_halves(), "JPEG", progressive=True),
        saved(two_halves("CMYK"), "JPEG"),
        saved(two_halves(), "PNG"),
        saved(two_halves().quantize(4), "PNG"),
        saved(two_halves("RGBA"), "PNG"),
        saved(two_halves(), "WEBP"),
        saved(two_halves(), "GIF"),
        saved(two_halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (1600, 800), GREEN)]),
        saved(two_halves(), "WEBP", save_all=True, append_images=[Image.new("RGB", (1600, 800), GREEN)]),
        saved(two_halves(), "PNG", save_all=True, append_images=[Image.new("RGB", (1600, 800), GREEN)]),
    ],
    ids=["jpeg", "progressive", "cmyk", "png", "palette", "rgba", "webp", "gif", "moving-gif", "moving-webp", "apng"],
)
def test_every_kind_keeps_its_first_frame_and_its_colours(data: bytes) -> None:
    for thumbnail in thumbnails.make(data).values():
        picture = opened(thumbnail).convert("RGB")
        left, right = (picture.getpixel((picture.width * part // 4, picture.height // 2)) for part in (1, 3))
        assert near(left, RED)
        assert near(right, BLUE)


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (png(2, 2, 16, 0, (b"\0" + struct.pack(">HH", 40_000, 40_000)) * 2), (156, 156, 156)),
        (png(2, 2, 16, 2, (b"\0" + struct.pack(">HHHHHH", *(40_000, 0, 0) * 2)) * 2), (156, 0, 0)),
        (saved(Image.new("L", (9, 9), 100)), (100, 100, 100)),
        (saved(Image.new("1", (9, 9), 1)), (255, 255, 255)),
        (saved(Image.new("LA", (9, 9), (100, 128))), (100, 100, 100, 128)),
        (saved(Image.new("RGBA", (9, 9), (*GREEN, 128))), (*GREEN, 128)),
        (saved(Image.new("RGB", (9, 9), GREEN), transparency=GREEN), (0, 0, 0, 0)),
        (saved(Image.new("RGB", (9, 9), GREEN).quantize(2), transparency=0), (0, 0, 0, 0)),
    ],
    ids=["grey16", "rgb16", "grey", "bits", "grey-alpha", "alpha", "transparent-colour", "transparent-palette"],
)
def test_depth_and_transparency_survive(data: bytes, colour: tuple[int, ...]) -> None:
    seen = opened(thumbnails.make(data)["small"]).getpixel((0, 0))
    assert isinstance(seen, tuple)
    assert near(seen, colour) or seen[3:] == colour[3:] == (0,)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_said(orientation: int) -> None:
    # Red where the upper left corner is to be when it is seen upright.
    corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    picture = Image.new("RGB", (1600, 800), BLUE)
    picture.paste(RED, (corner[0] * 800, corner[1] * 400, corner[0] * 800 + 800, corner[1] * 400 + 400))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "WEBP", "PNG"):
        thumbnail = opened(thumbnails.make(saved(picture, kind, exif=exif))["small"])
        assert thumbnail.size == ((320, 160) if orientation < 5 else (160, 320))
        upper_left, lower_right = thumbnail.getpixel((20, 20)), thumbnail.getpixel((140, 140))
        assert near(upper_left, RED)
        assert near(lower_right, BLUE)


def swapped_profile() -> bytes:
    """A profile that calls red what is green: a picture with it has to look different without it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {bytes(profile[start : start + 4]): start for start in range(132, 132 + 12 * profile[131], 12)}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_those_of_the_pictures_own_profile(mode: str) -> None:
    picture = Image.new("RGB", (50, 50), (220, 20, 20)).convert(mode)
    seen = opened(thumbnails.make(saved(picture, icc_profile=swapped_profile()))["small"]).convert("RGB")
    assert near(seen.getpixel((9, 9)), (20, 220, 20))


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200, swapped_profile()[:300]])
def test_a_broken_profile_counts_as_none(profile: bytes) -> None:
    seen = opened(thumbnails.make(saved(Image.new("RGB", (50, 50), RED), icc_profile=profile))["small"])
    assert near(seen.getpixel((9, 9)), RED)


def test_where_and_how_a_picture_was_taken_is_left_out() -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    exif.get_ifd(0x8825)[1] = "N"
    data = saved(two_halves(), "JPEG", exif=exif, icc_profile=swapped_profile(), comment=b"at home")
    for thumbnail in thumbnails.make(data).values():
        assert not {"exif", "icc_profile", "xmp", "comment"} & opened(thumbnail).info.keys()
        assert b"at home" not in thumbnail


def test_the_same_picture_gives_the_same_bytes() -> None:
    data = saved(two_halves("RGBA"), "PNG")
    assert thumbnails.make(data) == thumbnails.make(data)


GOOD = {kind: saved(two_halves(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>'


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a JPEG"),
        (b"\xff", "not a JPEG"),
        (SVG, "not a JPEG"),
        (saved(two_halves(), "TIFF"), "not a JPEG"),
        (saved(two_halves(), "BMP"), "not a JPEG"),
        (saved(two_halves(), "ICO"), "not a JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG"),
        (b"RIFF\0\0\0\0WAVE", "not a JPEG"),
        (b"\xff\xd8\xff" + GOOD["PNG"], "broken JPEG"),
        (b"GIF89a" + GOOD["PNG"][6:], "broken GIF"),
        (b"RIFF\xff\xff\xff\xffWEBP", "broken WEBP"),
        (GOOD["PNG"][:8], "broken PNG"),
        (png(100, 100, 8, 2, b""), "broken PNG"),
        (png(0, 100, 8, 2, b""), "broken PNG"),
        (png(40_000_001, 1, 8, 0, b""), "40000001 x 1 pixels"),
        (png(16_384, 1, 8, 0, b""), "16384 x 1 pixels"),
        (png(8000, 5001, 8, 2, b""), "8000 x 5001 pixels"),
        (png(60_000, 60_000, 8, 2, b""), "exceeds limit"),
        (png(2**31 - 1, 2**31 - 1, 8, 2, b""), "exceeds limit"),
        (GOOD["GIF"][:6] + b"\xff\xff\xff\xff" + GOOD["GIF"][10:], "exceeds limit"),
        (GOOD["PNG"] + b"\0" * thumbnails.MOST_BYTES, "10485760 at most"),
        (GOOD["JPEG"] + b"\xff\xda" * 64, "more than 64 scans"),
        *((data[: len(data) // 2], f"broken {kind}") for kind, data in GOOD.items()),
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused_with_its_reason(data: bytes, complaint: str) -> None:
    with pytest.raises(Refused) as refused:
        thumbnails.make(data)
    assert complaint in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_damage_anywhere_is_refused_or_shown_but_never_a_crash(kind: str) -> None:
    chance = random.Random(kind)
    refused = 0
    for _ in range(100):
        data = bytearray(GOOD[kind])
        for _ in range(chance.choice((1, 3, 30))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            for thumbnail in thumbnails.make(bytes(data)).values():
                opened(thumbnail)
        except Refused:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (GOOD["JPEG"], "image/jpeg"),
        (GOOD["PNG"], "image/png"),
        (GOOD["WEBP"], "image/webp"),
        (GOOD["GIF"], "image/gif"),
    ],
    ids=GOOD,
)
def test_the_content_type_comes_from_the_first_bytes(data: bytes, kind: str) -> None:
    assert thumbnails.kind(data) == kind


def test_asking_for_the_content_type_imports_no_decoder() -> None:
    program = "import sys; from jobs import thumbnails; thumbnails.kind(b'GIF89a'); assert 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT / "lambdas")}, check=True)


def test_what_one_decoder_refuses_is_not_shown_to_another() -> None:
    program = "import sys; from jobs import events, thumbnails\n"
    program += (
        "try: thumbnails.make(b'GIF89a' + bytes(99))\nexcept events.Refused: print('PIL.TgaImagePlugin' in sys.modules)"
    )
    variables = {"PYTHONPATH": str(ROOT / "lambdas")}
    done = subprocess.run([sys.executable, "-c", program], env=variables, check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


# Flat pictures compress well, so that the largest allowed one costs an attacker a few kilobytes.
LARGEST = {
    "jpeg": ("JPEG", "RGB", {}),
    "progressive": ("JPEG", "CMYK", {"progressive": True, "subsampling": 0}),
    "png": ("PNG", "RGBA", {}),
    "palette": ("PNG", "P", {"transparency": 0}),
    "webp": ("WEBP", "RGBA", {"lossless": True}),
    "gif": ("GIF", "P", {}),
}


def peak_mib(data: bytes) -> int:
    """What a process of its own needs to make the thumbnails."""
    program = "import sys; from jobs import thumbnails; thumbnails.make(sys.stdin.buffer.read())\n"
    program += "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    variables = {"PYTHONPATH": str(ROOT / "lambdas")}
    done = subprocess.run([sys.executable, "-c", program], env=variables, input=data, capture_output=True, check=True)
    return int(done.stdout.split()[1]) // 1024


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mode", "options"), LARGEST.values(), ids=LARGEST)
def test_the_largest_picture_fits_into_half_the_memory(kind: str, mode: str, options: dict[str, Any]) -> None:
    """Half, because the function itself, its libraries and the picture's bytes need room too."""
    assert peak_mib(saved(Image.new(mode, (8000, 5000)), kind, **options)) < FUNCTION_MIB / 2


@pytest.mark.slow
def test_what_most_cameras_write_needs_little_memory() -> None:
    assert peak_mib(saved(Image.new("RGB", (8000, 5000)), "JPEG")) < 128


IMAGE = "5f6b8a52-0000-4000-8000-000000000000"


def uploaded(job: World, data: bytes | None, image: str = IMAGE) -> str:
    """A picture in the bucket and its event in the queue; the body of the message."""
    if data is not None:
        job.put(f"images/{image}", data)
    event = happened("image.uploaded", product_id=7, image_id=image)
    job.send(event)
    return encode(event)


def stored(job: World, image: str = IMAGE) -> dict[str, bytes]:
    """The thumbnails in the bucket, by size."""
    found = {}
    for item in job.client("s3").list_objects_v2(Bucket=job.bucket, Prefix=f"thumbnails/{image}/").get("Contents", []):
        answer = job.client("s3").get_object(Bucket=job.bucket, Key=item["Key"])
        assert answer["ContentType"] == "image/webp"
        assert answer["CacheControl"] == "public, max-age=31536000, immutable"
        found[item["Key"].rpartition("/")[2].removesuffix(".webp")] = answer["Body"].read()
    return found


def test_each_picture_in_the_queue_gets_its_thumbnails() -> None:
    with world("image_resize") as job:
        images = {f"00000000-0000-4000-8000-{number:012}": data for number, data in enumerate(GOOD.values())}
        for image, data in images.items():
            uploaded(job, data, image)
        job.work()
        assert {image: stored(job, image) for image in images} == {
            image: thumbnails.make(data) for image, data in images.items()
        }
        assert job.dead_letters() == []


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (SVG, "not a JPEG"),
        (None, f"there is no images/{IMAGE}"),
        (b"\0" * (thumbnails.MOST_BYTES + 1), "10485761 bytes; a picture has 10485760 at most"),
    ],
    ids=["svg", "missing", "large"],
)
def test_what_gives_no_thumbnails_is_set_aside_and_holds_nobody_up(data: bytes | None, complaint: str) -> None:
    other = IMAGE.replace("5", "6")
    with world("image_resize") as job:
        body = uploaded(job, data)
        uploaded(job, GOOD["PNG"], other)
        job.work()
        assert job.dead_letters() == [(body, complaint if data != SVG else "not a JPEG, PNG, WebP or GIF picture")]
        assert stored(job) == {}
        assert stored(job, other).keys() == {"small", "medium"}


def test_a_picture_that_is_too_large_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with world("image_resize") as job:
        for body in ("botocore.response.StreamingBody", "botocore.httpchecksum.StreamingChecksumBody"):
            monkeypatch.setattr(f"{body}.read", lambda *_: pytest.fail("it was read"))
        uploaded(job, b"\0" * (thumbnails.MOST_BYTES + 1))
        job.work()
        assert len(job.dead_letters()) == 1


def test_a_crash_at_any_moment_costs_only_time() -> None:
    wanted = thumbnails.make(GOOD["PNG"])
    with world("image_resize") as job:
        uploaded(job, GOOD["PNG"])
        job.work(calls := Calls())
    assert calls.points.count("before s3.PutObject") == 2
    for moment in range(len(calls.points)):
        with world("image_resize") as job:
            uploaded(job, GOOD["PNG"])
            job.work(Calls(kill=moment))
            assert stored(job) == wanted
            assert job.dead_letters() == []
