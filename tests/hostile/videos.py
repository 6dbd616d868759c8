"""Videos and folders of frames: cut, damaged, playlists, false names, orders, sizes."""

import fractions
import functools
import io
import os
import pathlib
import tempfile

import av
import numpy as np
from PIL import Image

from stm_jax.data.video_files import open_frames
from stm_jax.results.video_writer import VideoWriter
from tests.hostile import drawn
from tests.hostile.attempt import Attempt, Skipped, command, pick
from tests.lively import clip

HEIGHT, WIDTH, COUNT = 32, 48, 6


@functools.cache
def frames() -> np.ndarray:
    return clip(COUNT, HEIGHT, WIDTH)


@functools.cache
def video() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "video.mp4"
        with VideoWriter(path, HEIGHT, WIDTH, 25) as writer:
            for frame in frames():
                writer.write(frame)
        return path.read_bytes()


@functools.cache
def encoded(kind: str, codec: str, pixels: str) -> bytes:
    """Returns the frames in another container, or says that this FFmpeg has no such codec."""
    content = io.BytesIO()
    try:
        with av.open(content, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixels
            for frame in frames():
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                container.mux(stream.encode(picture.reformat(format=pixels)))
            container.mux(stream.encode())
    except (av.error.FFmpegError, ValueError) as error:
        raise Skipped from error
    return content.getvalue()


CONTAINERS = (
    ("matroska", "ffv1", "bgr0"),
    ("matroska", "mpeg4", "yuv420p"),
    ("avi", "mjpeg", "yuvj420p"),
    ("mpegts", "mpeg2video", "yuv420p"),
    ("mov", "png", "rgb24"),
    ("gif", "gif", "rgb8"),
    ("ogg", "theora", "yuv420p"),
    ("webm", "libvpx", "yuv420p"),
)


def read_all(path: pathlib.Path) -> tuple[int, np.ndarray]:
    found = list(open_frames(path).read())
    assert all(frame.dtype == np.uint8 for frame in found)
    return len(found), np.array(found)


def near(most: float = 40.0):
    def right(answer: tuple[int, np.ndarray]) -> bool:
        count, found = answer
        return count == COUNT and float(np.abs(found.astype(int) - frames()).mean()) < most

    return right


def given_container(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A video is known by its content, whatever it is called."""
    kind = pick(rng, CONTAINERS)
    path = folder / f"video.{pick(rng, ('mp4', 'mkv', 'avi', 'txt', 'jpg', 'm3u8'))}"
    path.write_bytes(encoded(*kind))
    return Attempt(lambda: read_all(path), near(60.0))


def given_name(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    names = ("a b.mp4", "[red].mp4", "-i.mp4", "http:x.mp4", "concat:a|b.mp4", "%05d.mp4")
    names += ("file:x.mp4", "\x1b[2J.mp4", "new\nline.mp4", os.fsdecode(b"\xff.mp4"), "pipe:0")
    names += ("subfile,,start,0,end,9,,:x", "crypto:x", "async:x.mp4", "x*.mp4", "x?.mp4", "\u732b")
    path = folder / pick(rng, names)
    path.write_bytes(video())
    return Attempt(lambda: read_all(path), near())


def given_cut(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """What is cut off is told; the frames before are as they were."""
    content = video() if rng.random() < 0.5 else encoded(*pick(rng, CONTAINERS[:3]))
    path = folder / "video.mp4"
    path.write_bytes(content[: int(rng.integers(0, len(content)))])
    return Attempt(lambda: read_all(path), near(60.0), may_refuse=True, told=("video.mp4",))


def given_damaged(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = video() if rng.random() < 0.5 else encoded(*pick(rng, CONTAINERS))
    path = folder / "video.mp4"
    path.write_bytes(drawn.damaged(rng, content))
    return Attempt(lambda: read_all(path), lambda _: True, may_refuse=True, told=("video.mp4",))


def given_list_of_files(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Playlists and scripts that have FFmpeg open other files or the network are refused."""
    other = folder / "other.mp4"
    other.write_bytes(video())
    text = pick(
        rng,
        (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
            "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile other.mp4\n",
            f"ffconcat version 1.0\nfile {other}\n",
            "v=0\no=- 0 0 IN IP4 ::1\ns=x\nc=IN IP4 ::1\nt=0 0\nm=video 5 RTP/AVP 96\n",
            "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'></MPD>",
            "[playlist]\nFile1=other.mp4\nNumberOfEntries=1\n",
            "hello world\n" * 40,
            "<html></html>",
            "",
        ),
    )
    path = folder / f"video.{pick(rng, ('mp4', 'm3u8', 'ffconcat', 'sdp', 'mpd', 'txt', 'mkv'))}"
    path.write_text(text)
    return Attempt(lambda: read_all(path), told=(path.name,))


def given_no_video(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path, kind = folder / "video.mp4", rng.integers(8)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(folder / "gone.mp4")
    elif kind == 2:
        path.symlink_to(path)
    elif kind == 3:
        path.symlink_to("/dev/zero")
    elif kind == 4:
        path.write_bytes(rng.bytes(500))
    elif kind == 5:
        path.mkdir()
    elif kind == 6:
        path = folder / pick(rng, ("gone.mp4", "y" * 300, "nul\0", "\x1b[2J"))
    else:
        Image.fromarray(frames()[0]).save(path, format=pick(rng, ("PNG", "JPEG", "BMP", "TIFF")))
    return Attempt(lambda: read_all(path))


def given_animation(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    first, *others = (Image.fromarray(frame) for frame in frames())
    kind = pick(rng, ("WEBP", "GIF", "PNG"))
    more = {"lossless": True} if kind == "WEBP" else {}
    path = folder / "video.webp"
    first.save(path, format=kind, save_all=True, append_images=others, duration=40, **more)
    cut = rng.random() < 0.3
    if cut:
        path.write_bytes(path.read_bytes()[: -int(rng.integers(20, 3000))])
    return Attempt(lambda: read_all(path), near(12.0), may_refuse=cut, told=("video.webp",))


def given_folder(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """The pictures of a folder in natural order, without what systems leave beside them."""
    root = folder / "frames"
    root.mkdir()
    names = pick(
        rng,
        (
            [f"{t}" for t in range(8, 8 + COUNT)],
            [f"frame{t}" for t in range(8, 8 + COUNT)],
            [f"shot 1 take {t:03d}" for t in range(COUNT)],
            [f"\u732b[red]{t}" for t in range(COUNT)],
            [f"-{t}" for t in range(COUNT)],
        ),
    )
    for name, frame in zip(names, frames(), strict=True):
        Image.fromarray(frame).save(root / f"{name}.{pick(rng, ('png', 'PNG', 'bmp'))}")
    for name in ("Thumbs.db", ".DS_Store", "._8.png", "notes.txt", "desktop.ini"):
        (root / name).write_bytes(rng.bytes(20))
    return Attempt(
        lambda: read_all(root),
        lambda answer: answer[0] == COUNT and np.array_equal(answer[1], frames()),
    )


def given_folder_with_a_fault(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A frame that cannot be read, of another size, twice, or none: named, never a gap."""
    root = folder / "frames"
    root.mkdir()
    for t, frame in enumerate(frames()):
        Image.fromarray(frame).save(root / f"{t:05d}.png")
    bad, kind = root / f"{int(rng.integers(COUNT)):05d}.png", rng.integers(8)
    if kind == 0:
        bad.unlink()
        bad.symlink_to(folder / "gone.png")
    elif kind == 1:
        bad.unlink()
        bad.mkdir()
    elif kind == 2:
        Image.fromarray(frames()[0][:20]).save(bad)
        return Attempt(lambda: read_all(root), told=("frames must have one size",))
    elif kind == 3:
        content = bad.read_bytes()
        bad.write_bytes(content[: int(rng.integers(0, len(content) - 30))])
    elif kind == 4:
        bad.with_suffix(".jpg").write_bytes(bad.read_bytes())
        return Attempt(lambda: read_all(root), told=(bad.stem,))
    elif kind == 5:
        for file in root.iterdir():
            file.unlink()
        return Attempt(lambda: read_all(root), told=("frames",))
    elif kind == 6:
        bad.unlink()
        os.mkfifo(bad)
    else:
        bad.write_bytes(rng.bytes(200))
    return Attempt(lambda: read_all(root), told=(bad.name,))


def given_mask_of_a_video(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """`segment` with a first mask that does not fit: one line, and nothing is written."""
    (folder / "video.mp4").write_bytes(video())
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    kind = rng.integers(5)
    if kind == 0:
        ids = ids[1:]
    elif kind == 1:
        ids = ids.T
    path = folder / "mask.png"
    if kind == 2:
        Image.fromarray(frames()[0]).save(path)
    elif kind == 3:
        path.write_bytes(rng.bytes(300))
    elif kind == 4:
        drawn.save_palette(path, ids, drawn.davis_palette())  # shows nothing
    else:
        ids = ids.copy()
        ids[4:9, 4:9] = 1
        drawn.save_palette(path, ids, drawn.davis_palette())
    words = [folder / "video.mp4", "--mask", path, "--out", folder / "out"]
    return Attempt(lambda: command("segment", *words), told=("mask.png",))


def given_sound(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = io.BytesIO()
    with av.open(content, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    path = folder / "video.mp4"
    path.write_bytes(content.getvalue())
    return Attempt(lambda: read_all(path), told=("video.mp4",))


def given_times(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Frames that are shown at odd times come with these times."""
    steps = rng.integers(1, 12, COUNT)
    times = [fractions.Fraction(int(t), 50) for t in np.cumsum(steps) - steps[0]]
    path = folder / "video.mp4"
    with VideoWriter(path, HEIGHT, WIDTH, 25) as writer:
        for frame, time in zip(frames(), times, strict=True):
            writer.write(frame, time)

    def right(found: list) -> bool:
        return len(found) == COUNT and all(
            time is not None and abs(time - found[0] - at) < fractions.Fraction(1, 900)
            for time, at in zip(found, times, strict=True)
        )

    return Attempt(lambda: [time for _, time in open_frames(path).timed()], right)
