"""Lists of names: encodings, line ends, comments, and what is no list."""

import codecs
import os
import pathlib

import numpy as np

from stm_jax.data.layouts import listed
from stm_jax.data.listing import entries, read_list
from tests.hostile.attempt import Attempt, pick

NAMES = (
    *(
        "bear",
        "two words",
        "caf\u00e9",
        "\u732b",
        "\U0001f600",
        "a.b",
        "[red]x[/red]",
        "-x",
        "=1+1",
    ),
    *("x" * 200, "%s", "{0}", "a#b", "nbsp\u00a0here", "line\u2028sep", "\u0085next", "100", "0"),
)


def names_of(rng: np.random.Generator) -> tuple[str, ...]:
    some = rng.choice(len(NAMES), int(rng.integers(1, 8)), replace=False)
    return tuple(NAMES[i] for i in some)


def text_of(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    """Returns lines with blank ones, comments and spaces between the names."""
    end = pick(rng, ("\n", "\r\n", "\r"))
    lines = []
    for name in names:
        lines += pick(rng, ([], [""], ["# a comment"], ["  \t "], ["#"]))
        lines.append(pick(rng, ("", " ", "\t")) + name + pick(rng, ("", "  ", "\t")))
    return end.join(lines) + pick(rng, ("", end, end * 3))


def given_encoding(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    names = names_of(rng)
    text = text_of(rng, names)
    content = pick(
        rng,
        (
            text.encode(),
            codecs.BOM_UTF8 + text.encode(),
            codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
            codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        ),
    )
    path = folder / "val.txt"
    path.write_bytes(content)
    expected = tuple(name.strip() for name in names)
    return Attempt(lambda: read_list(path), lambda found: found == expected)


def given_unknown_encoding(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    text = "bear\ncaf\u00e9\n"
    content = pick(
        rng,
        (
            text.encode("latin-1"),
            text.encode("utf-16-le"),
            text.encode("utf-16-be"),
            codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
            b"bear\0cat\n",
            codecs.BOM_UTF16_LE + b"b\0e\0x",
            b"\xff\xfe\xfd" + rng.bytes(50),
            b"\x80\x81" + rng.bytes(50),
        ),
    )
    path = folder / "val.txt"
    path.write_bytes(content)
    return Attempt(lambda: read_list(path), told=("val.txt",))


def given_random_bytes(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "val.txt"
    path.write_bytes(rng.bytes(int(rng.integers(0, 60))))
    return Attempt(
        lambda: read_list(path),
        lambda found: all(name.strip() == name and "\0" not in name for name in found),
        may_refuse=True,
        told=("val.txt",),
    )


def given_no_list(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path, kind = folder / "val.txt", rng.integers(5)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(folder / "gone.txt")
    elif kind == 3:
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path)
    return Attempt(lambda: read_list(path), told=("val.txt",))


def given_pairs_of_paths(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """The first DAVIS lists a frame and its mask a line; a name is that of the frame's folder."""
    names = ("bear", "two words", "caf\u00e9", "a.b")[: int(rng.integers(1, 5))]
    lists = folder / "ImageSets" / "480p"
    lists.mkdir(parents=True)
    lead = pick(rng, ("/", ""))
    lines = [
        f"{lead}JPEGImages/480p/{name}/{t:05d}.jpg {lead}Annotations/480p/{name}/{t:05d}.png"
        for name in names
        for t in range(3)
    ]
    end = pick(rng, ("\n", "\r\n"))
    (lists / "val.txt").write_text(end.join(lines), encoding="utf-8", newline="")
    return Attempt(lambda: listed(folder, "val", ("480p",))[0], lambda found: found == names)


def given_what_systems_leave_behind(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    good = ("a", "b.png", "c d", "\u732b")
    for name in good:
        (folder / name).mkdir()
    for name in (".DS_Store", "._a", ".ipynb_checkpoints", "@eaDir", "__MACOSX", "Thumbs.db"):
        name = pick(rng, (name, name, name.upper() if name[0] != "." else name))
        (folder / name).mkdir() if rng.random() < 0.5 else (folder / name).touch()
    return Attempt(lambda: entries(folder), lambda found: {p.name for p in found} == set(good))
