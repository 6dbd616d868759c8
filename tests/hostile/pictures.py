"""Frames and whatever is called so: formats, depths, turned, cut, damaged, false, endless."""

import io
import os
import pathlib
import socket
import struct
import zlib

import numpy as np
from PIL import Image, TiffImagePlugin

from stm_jax.data.image_files import open_image, read_rgb, size_of
from stm_jax.data.masks import read_mask
from stm_jax.data.samples import Sample
from stm_jax.data.truth_masks import read_truth
from stm_jax.report.pictures import whole_picture
from tests.hostile import drawn
from tests.hostile.attempt import Attempt, Skipped, pick, printable_name

READERS = (read_rgb, read_mask, read_truth, size_of, whole_picture)
LOSSLESS = ("PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP")


def in_training(path: pathlib.Path) -> np.ndarray:
    return Sample(path, path).rgb(size_of(path))


def equal_to(rgb: np.ndarray):
    return lambda answer: answer.shape == rgb.shape and np.array_equal(answer, rgb)


def encoded(image: Image.Image, kind: str, **more: object) -> bytes:
    content = io.BytesIO()
    if kind == "WEBP":
        more = {"lossless": True} | more
    if kind == "TIFF":
        more = {"compression": None} | more
    image.save(content, format=kind, **more)
    return content.getvalue()


def few_colours(rng: np.random.Generator) -> np.ndarray:
    """Returns a picture that even GIF keeps as it is."""
    colours = rng.integers(0, 256, (40, 3), np.uint8)
    return colours[rng.integers(0, 40, (20, 30))]


def given_format(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    rgb = few_colours(rng)
    path = folder / f"frame.{pick(rng, ('png', 'jpg', 'PNG', 'webp', 'x'))}"
    path.write_bytes(encoded(Image.fromarray(rgb), pick(rng, LOSSLESS)))
    return Attempt(lambda: pick(rng, (read_rgb, in_training))(path), equal_to(rgb))


def given_mode(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    rgb = few_colours(rng)
    grey = rgb[..., 0]
    kind = rng.integers(7)
    path = folder / "frame.png"
    if kind == 0:  # 16 bits of grey
        wide = grey.astype(np.uint16) << 8 | rng.integers(0, 256, grey.shape).astype(np.uint16)
        Image.fromarray(wide).save(path)
        expected = np.repeat(grey[..., None], 3, axis=2)
    elif kind == 1:  # 16 bits of colour, which Pillow does not write
        wide = (rgb.astype(np.uint16) << 8 | 0x7F).astype(">u2")
        content = zlib.compress(drawn.rows(wide))
        path.write_bytes(drawn.png(30, 20, content, bits=16, colours=2))
        expected = rgb
    elif kind == 2:
        alpha = rng.integers(0, 256, grey.shape, np.uint8)
        Image.fromarray(np.dstack([rgb, alpha])).save(path)
        expected = rgb
    elif kind == 3:
        Image.fromarray(grey).save(path)
        expected = np.repeat(grey[..., None], 3, axis=2)
    elif kind == 4:
        drawn.save_palette(path, grey, drawn.palette(rng) if rng.random() < 0 else rgb_table(rgb))
        expected = rgb_table(rgb)[grey]
    elif kind == 5:
        Image.fromarray(grey > 99).save(path)
        expected = np.repeat(np.where(grey > 99, 255, 0)[..., None], 3, axis=2).astype(np.uint8)
    else:
        Image.fromarray(np.dstack([grey, 255 - grey])).save(path)
        expected = np.repeat(grey[..., None], 3, axis=2)
    read = pick(rng, (read_rgb, in_training))
    return Attempt(lambda: read(path), equal_to(expected))


def rgb_table(rgb: np.ndarray) -> np.ndarray:
    return np.resize(np.unique(rgb.reshape(-1, 3), axis=0), (256, 3))


def given_cmyk(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    smooth = Image.fromarray(drawn.photograph(rng)).resize((8, 6)).resize((64, 48))
    kind = pick(rng, ("JPEG", "TIFF"))
    smooth.convert("CMYK").save(folder / "frame.jpg", format=kind)
    rgb, read = np.array(smooth), pick(rng, (read_rgb, in_training))
    return Attempt(
        lambda: read(folder / "frame.jpg"),
        lambda answer: np.abs(answer.astype(int) - rgb).mean() < 12,
    )


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
"""What EXIF orientation n asks for, of a picture (height, width, ...)."""


def given_turned(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    rgb, orientation = few_colours(rng), int(rng.integers(1, 9))
    exif = Image.Exif()
    exif[0x0112] = orientation
    kind = pick(rng, ("PNG", "WEBP", "TIFF"))
    path = folder / "frame.png"
    path.write_bytes(encoded(Image.fromarray(rgb), kind, exif=exif))
    expected = TURNED[orientation](rgb)
    read = pick(rng, (read_rgb, in_training))
    return Attempt(
        lambda: (read(path), size_of(path)),
        lambda answer: equal_to(expected)(answer[0]) and answer[1] == expected.shape[:2],
    )


def given_turned_mask(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids, orientation = drawn.shapes(rng, (1, 2, 3)), int(rng.integers(1, 9))
    exif = Image.Exif()
    exif[0x0112] = orientation
    drawn.save_palette(folder / "mask.png", ids, drawn.davis_palette(), exif=exif)
    read = pick(rng, (read_mask, read_truth))
    return Attempt(lambda: read(folder / "mask.png"), equal_to(TURNED[orientation](ids)))


def given_strange_exif(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    rgb = few_colours(rng)
    exif = b"Exif\0\0" + pick(rng, (rng.bytes(40), b"II*\0" + rng.bytes(30), b"MM\0*\xff\xff\xff"))
    path = folder / "frame.png"
    content = encoded(Image.fromarray(rgb), "PNG", exif=exif)
    path.write_bytes(content)
    return Attempt(lambda: read_rgb(path), lambda a: a.size == rgb.size, may_refuse=True)


def given_orientation_out_of_range(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    rgb = few_colours(rng)
    exif = Image.Exif()
    exif[0x0112] = pick(rng, (0, 9, 77, 65535))
    (folder / "frame.png").write_bytes(encoded(Image.fromarray(rgb), "PNG", exif=exif))
    return Attempt(lambda: read_rgb(folder / "frame.png"), equal_to(rgb))


def given_cut(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """What is cut is told, unless every pixel is still there."""
    rgb = few_colours(rng)
    content = encoded(Image.fromarray(rgb), pick(rng, LOSSLESS))
    path = folder / "frame.png"
    path.write_bytes(content[: int(rng.integers(0, len(content)))])
    read = pick(rng, (read_rgb, in_training))
    return Attempt(lambda: read(path), equal_to(rgb), may_refuse=True, told=("frame.png",))


def given_cut_jpeg(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    image = Image.fromarray(drawn.photograph(rng))
    more = {"progressive": True} if rng.random() < 0.5 else {}
    content = encoded(image, "JPEG", **more)
    rgb = np.array(Image.open(io.BytesIO(content)))
    path = folder / "frame.jpg"
    path.write_bytes(content[: int(rng.integers(0, len(content) - 2))])
    read = pick(rng, (read_rgb, in_training))
    return Attempt(lambda: read(path), equal_to(rgb), may_refuse=True, told=("frame.jpg",))


def given_damaged_png(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A PNG has check sums: what is changed in it is told, or it changes no pixel."""
    rgb = few_colours(rng)
    content = encoded(Image.fromarray(rgb), "PNG", compress_level=int(rng.integers(10)))
    changed = bytearray(content)
    for place in rng.integers(8, len(content) - 12, int(rng.integers(1, 4))):
        changed[place] ^= 1 << int(rng.integers(8))
    path = folder / "frame.png"
    path.write_bytes(changed)
    read = pick(rng, (read_rgb, in_training))
    return Attempt(lambda: read(path), equal_to(rgb), may_refuse=True, told=("frame.png",))


def given_damaged(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    image = Image.fromarray(drawn.photograph(rng))
    kind = pick(rng, (*LOSSLESS, "JPEG"))
    path = folder / "frame.png"
    path.write_bytes(drawn.damaged(rng, encoded(image, kind)))
    read = pick(rng, READERS)
    return Attempt(lambda: read(path), lambda _: True, may_refuse=True, told=("frame.png",))


def given_rows_that_lack(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Compressed data that is whole and ends too soon: rows of zero would be background."""
    ids = rng.integers(0, 4, (30, 20)).astype(np.uint8)
    there = int(rng.integers(0, 30))
    data = zlib.compress(drawn.rows(ids[:there]))
    if rng.random() < 0.5:
        data = zlib.compress(drawn.rows(ids))[: -int(rng.integers(5, 40))]
    cuts = (len(data) // 2,) if rng.random() < 0.5 else ()
    before, colours = b"", 0
    if rng.random() < 0.5:
        before, colours = drawn.chunk(b"PLTE", rng.bytes(12)), 3
    path = folder / "mask.png"
    path.write_bytes(drawn.png(20, 30, data, colours=colours, before=before, cuts=cuts))
    read = pick(rng, (read_mask, read_truth))
    return Attempt(lambda: read(path), equal_to(ids), may_refuse=True, told=("mask.png",))


def given_rows_too_many(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = rng.integers(0, 4, (30, 20)).astype(np.uint8)
    data = zlib.compress(drawn.rows(np.vstack([ids, ids])))
    (folder / "mask.png").write_bytes(drawn.png(20, 30, data))
    return Attempt(lambda: read_truth(folder / "mask.png"), equal_to(ids), may_refuse=True)


def given_interlaced(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = rng.integers(0, 4, (30, 20)).astype(np.uint8)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    parts = [ids[top::down, left::right] for top, left, down, right in (*passes, (1, 0, 2, 1))]
    data = zlib.compress(b"".join(drawn.rows(part) for part in parts))
    whole = rng.random() < 0.5
    if not whole:
        data = zlib.compress(zlib.decompress(data)[: -int(rng.integers(1, 300))])
    path = folder / "mask.png"
    path.write_bytes(drawn.png(20, 30, data, interlaced=True))
    return Attempt(lambda: read_truth(path), equal_to(ids), may_refuse=not whole)


def given_false_name(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = pick(
        rng,
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
            b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, 40) + b"%!PS-Adobe-3.0\n" * 9,
            b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>",
            b"<!DOCTYPE html><html>Not found</html>",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            b"",
            b"\0" * 400,
            rng.bytes(300),
            b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + bytes(12),
            b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {1,2,3,4,5,6,7,8};",
            b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40),
            b"\0\0\1\0" + bytes(40),
            b"8BPS\0\1" + bytes(40),
        ),
    )
    path = folder / f"frame.{pick(rng, ('jpg', 'png', 'webp'))}"
    path.write_bytes(content)
    read = pick(rng, READERS)
    return Attempt(lambda: read(path), told=(path.name,))


def given_bomb(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    side = int(pick(rng, (20_000, 40_000, 60_000)))
    path = folder / "frame.png"
    kind = rng.integers(5)
    if kind == 0:
        path.write_bytes(drawn.png(side, side, zlib.compress(bytes(200_000))))
    elif kind == 1:
        path.write_bytes(b"GIF89a" + struct.pack("<HH", side, side) + b"\0\0\0" + b"," + bytes(30))
    elif kind == 2:
        head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 0, 0, 0, 0, 0, 0)
        path.write_bytes(b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + head + bytes(900))
    elif kind == 3:
        path.write_bytes(b"P5 %d %d 255\n" % (side, side) + bytes(99))
    else:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        small = encoded(Image.new("L", (8, 8)), "TIFF")
        image = Image.open(io.BytesIO(small))
        for tag, value in image.tag_v2.items():
            tags[tag] = value
        place = small.find(struct.pack("<HHI", 256, 4, 1) + struct.pack("<I", 8))
        changed = bytearray(small)
        for tag in (256, 257):
            for typed in (3, 4):
                entry = struct.pack("<HHI", tag, typed, 1)
                place = small.find(entry)
                if place >= 0:
                    changed[place + 2 : place + 4] = struct.pack("<H", 4)
                    changed[place + 8 : place + 12] = struct.pack("<I", side)
        path.write_bytes(changed)
    read = pick(rng, READERS)
    return Attempt(lambda: read(path), told=("frame.png",))


def given_animation(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    first, *others = (Image.fromarray(few_colours(rng)) for _ in range(int(rng.integers(2, 5))))
    kind = pick(rng, ("PNG", "WEBP", "GIF", "TIFF"))
    path = folder / "frame.png"
    first.save(path, format=kind, save_all=True, append_images=others)
    read = pick(rng, READERS)
    return Attempt(lambda: read(path), told=("frame.png",))


def given_no_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Links to nothing and to themselves, folders, pipes, sockets, devices."""
    path = folder / "frame.png"
    kind = rng.integers(8)
    if kind == 0:
        path.symlink_to(folder / "gone.png")
    elif kind == 1:
        path.symlink_to(path)
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        os.mkfifo(path)
    elif kind == 4:
        with socket.socket(socket.AF_UNIX) as server:
            try:
                server.bind(str(path))
            except OSError as error:  # a path too long for a socket
                raise Skipped from error
    elif kind == 5:
        try:
            os.mknod(path, 0o20600, os.makedev(1, int(pick(rng, (3, 5, 8)))))
        except PermissionError as error:
            raise Skipped from error
    elif kind == 6:
        path.symlink_to(pick(rng, ("/dev/zero", "/dev/null", "/proc/self/mem")))
    else:
        path = folder / ("frame" * 60 + ".png")
    read = pick(rng, (*READERS, open_image))
    return Attempt(lambda: read(path), told=("frame",))


NAMES = (
    "two words.png",
    "new\nline.png",
    "\x1b[31mred\x1b[0m.png",
    "\x1b]0;title\x07.png",
    "[red]markup[bold] [link=x].png",
    "-rf.png",
    "--out.png",
    "%s%n{0}{}.png",
    "a'b\"c`d$(e).png",
    "\u202egnp.exe.png",
    "caf\u00e9.png",
    "cafe\u0301.png",
    "\U0001f600\u4e2d\u6587.png",
    "x" * 250 + ".png",
    "tab\tbell\x07.png",
    "back\\slash.png",
    "*?[a-z].png",
    "=1+1.png",
    "#hash;semi&amp.png",
    "~home.png",
    "trailing .png ",
    os.fsdecode(b"not\xff\xfeutf8.png"),
    os.fsdecode(b"latin-\xe9.png"),
)


def given_name(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A file of whatever name is read; where it is not there, the message is harmless."""
    rgb, path = few_colours(rng), folder / pick(rng, NAMES)
    if rng.random() < 0.5:
        return Attempt(lambda: read_rgb(path), told=(printable_name(path)[:40],))
    Image.fromarray(rgb).save(path, format="PNG")
    return Attempt(lambda: read_rgb(path), equal_to(rgb))


def given_name_that_is_none(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    name = pick(rng, ("nul\0byte.png", "y" * 300 + ".png", "", "."))
    read = pick(rng, READERS)
    return Attempt(lambda: read(folder / name))
