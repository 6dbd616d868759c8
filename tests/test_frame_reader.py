"""A frame by its number is the one of a sequential read, in any order and any kind of file."""

import fractions
import pathlib
import random

import av
import numpy as np
import pytest
from PIL import Image

from stm_jax.data import video_files
from stm_jax.data.frame_reader import FrameReader
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError

HEIGHT, WIDTH, COUNT = 32, 48, 40
FRAME_BYTES = 3 * HEIGHT * WIDTH


def picture(index: int) -> np.ndarray:
    """A frame like no other."""
    return np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def write(path: pathlib.Path, codec: str, *, uneven=False, rotation=0, **options) -> pathlib.Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for index in range(COUNT):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            if path.suffix != ".avi":
                frame.pts = 40 * index + (index * index % 7 if uneven else 0)
                frame.time_base = fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


KINDS = {
    "b-frames.mp4": ("libx264", {"g": "10", "bf": "3", "x264-params": "scenecut=0"}),
    "open-gop.mkv": ("libx264", {"g": "8", "x264-params": "open-gop=1:bframes=3:scenecut=0"}),
    "open-gop-hevc.mp4": (
        "libx265",
        # Without asm=0 x265 spoils the heap of a process that encodes such small frames again.
        {"x265-params": "log-level=none:asm=0:keyint=8:open-gop=1:bframes=3"},
    ),
    "uneven.mp4": ("libx264", {"g": "10", "uneven": True}),
    "turned.mp4": ("libx264", {"g": "10", "rotation": 90}),
    "one-keyframe.mp4": ("libx264", {"g": "1000"}),
    "stream.ts": ("libx264", {"g": "10"}),
    "hidden.webm": ("libvpx", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "16", "b": "50k"}),
    "vp9.webm": ("libvpx-vp9", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "no-times.avi": ("mpeg4", {"g": "10"}),
}


@pytest.fixture(params=KINDS)
def video(request, tmp_path) -> pathlib.Path:
    codec, options = KINDS[request.param]
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    return write(tmp_path / request.param, codec, **options)


@pytest.mark.parametrize("kept", [1, 4, 100])
def test_any_order_gives_the_frames_of_a_sequential_read(video, kept):
    frames = open_frames(video)
    expected = list(frames.read())
    reader = FrameReader(frames, kept * FRAME_BYTES)
    assert len(reader) == reader.count == len(expected) == COUNT
    order = [*range(COUNT), *reversed(range(COUNT)), *random.Random(0).choices(range(COUNT), k=60)]
    for index in order:
        np.testing.assert_array_equal(reader[index], expected[index])


def decoded_by(monkeypatch) -> list[int]:
    """Notes each frame that is decoded."""
    seen, upright = [], video_files._upright

    def note(frame):
        seen.append(1)
        return upright(frame)

    monkeypatch.setattr(video_files, "_upright", note)
    return seen


def test_a_frame_is_sought_from_its_keyframe(tmp_path, monkeypatch):
    video = write(tmp_path / "a.mp4", "libx264", g="10", **{"x264-params": "scenecut=0"})
    reader, seen = FrameReader(open_frames(video), 10 * FRAME_BYTES), decoded_by(monkeypatch)
    _ = reader[35]
    assert len(seen) == 6
    _ = reader[34], reader[30]
    assert len(seen) == 6  # kept
    _ = reader[36]
    assert len(seen) == 7  # it goes on
    seen.clear()
    for index in reversed(range(COUNT)):
        _ = reader[index]
    assert len(seen) <= 1.5 * COUNT  # backwards each is decoded about once


def test_what_is_kept_is_bounded(tmp_path):
    reader = FrameReader(open_frames(write(tmp_path / "a.mp4", "libx264")), 5 * FRAME_BYTES)
    for index in range(COUNT):
        _ = reader[index]
        assert len(reader._kept) <= 5
    assert not reader[3].flags.writeable


def test_folders_and_names(tmp_path):
    for index, name in enumerate(["shot1.png", "shot2.png", "shot10.png"]):
        Image.fromarray(picture(index)).save(tmp_path / name)
    reader = FrameReader(open_frames(tmp_path))
    for index in (2, 0, 1, 2):
        np.testing.assert_array_equal(reader[index], picture(index))
    assert reader.index_of("shot10") == 2 and reader.index_of("shot3") is None
    with pytest.raises(InputError, match="has no frame 3: its frames are 0 to 2"):
        _ = reader[3]


def test_animated_pictures(tmp_path):
    pictures = [Image.fromarray(picture(index)) for index in range(5)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], lossless=True)
    reader = FrameReader(open_frames(tmp_path / "a.webp"), FRAME_BYTES)
    for index in (4, 0, 3, 1):
        np.testing.assert_array_equal(reader[index], picture(index))
    assert reader.index_of("00004") == 4 and reader.index_of("5") is None


def test_frames_that_are_others_than_the_index_says_are_refused(tmp_path):
    video = open_frames(
        write(tmp_path / "a.mp4", "libx264", g="40", **{"x264-params": "scenecut=0"})
    )
    reader = FrameReader(video)
    reader._ticks[7] += 1
    with pytest.raises(InputError, match="other frames than its packets say, from frame 7"):
        _ = reader[9]
