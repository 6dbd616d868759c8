"""Frames of videos and folders: the right ones, upright, one at a time; bad files in one line."""

import errno
import fractions
import pathlib
import weakref

import av
import numpy as np
import pytest
from PIL import Image

from stm_jax.data import video_files
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError
from stm_jax.results.video_writer import VideoWriter

HEIGHT, WIDTH = 32, 48


def picture(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A frame whose number is seen in its brightness; its top left quarter is red."""
    frame = np.full((height, width, 3), 20 * (index % 12), np.uint8)
    frame[: height // 2, : width // 2] = (220, 20, 20)
    return frame


def write_video(path: pathlib.Path, count: int = 8, noise: bool = False, **options) -> pathlib.Path:
    """Writes a video as a camera would: the index at the end of an .mp4 unless told otherwise."""
    rotation, fast = options.get("rotation"), options.get("fast", False)
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"} if fast else {}) as container:
        stream = container.add_stream("mpeg4", rate=fractions.Fraction(25))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(count):
            frame = picture(index)
            if noise:
                frame = random.integers(0, 256, frame.shape, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_folder(path: pathlib.Path, names: list[str]) -> pathlib.Path:
    path.mkdir()
    for index, name in enumerate(names):
        Image.fromarray(picture(index)).save(path / name)
    return path


def refused(path: pathlib.Path, read: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        frames = open_frames(path)
        assert read
        for _ in frames.read():
            pass
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.avi"])
def test_video(tmp_path, name):
    frames = open_frames(write_video(tmp_path / name))
    assert (frames.height, frames.width, frames.rate, frames.count) == (HEIGHT, WIDTH, 25, 8)
    assert frames.name_of(7) == "00007"
    read = list(frames.read())
    assert len(read) == 8
    for index, frame in enumerate(read):
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
        # Lossy, but never a whole frame's brightness (20) off.
        np.testing.assert_allclose(frame[24:, 24:], 20 * index, atol=8)
        np.testing.assert_allclose(frame[4:12, 4:20], [[(220, 20, 20)] * 16] * 8, atol=25)


def test_video_from_a_frame_on(tmp_path):
    frames = open_frames(write_video(tmp_path / "video.mp4"))
    whole, rest = list(frames.read()), list(frames.read(start=5))
    np.testing.assert_array_equal(np.stack(whole[5:]), np.stack(rest))


@pytest.mark.parametrize(
    ("rotation", "red"),
    [
        (90, (slice(28, 44), slice(4, 12))),  # counter-clockwise: the top left comes bottom left
        (-90, (slice(4, 20), slice(20, 28))),  # clockwise: it comes top right
        (180, (slice(20, 28), slice(28, 44))),
    ],
)
def test_video_is_turned_as_it_says(tmp_path, rotation, red):
    frames = open_frames(write_video(tmp_path / "video.mp4", rotation=rotation))
    size = (HEIGHT, WIDTH) if rotation == 180 else (WIDTH, HEIGHT)
    assert (frames.height, frames.width) == size
    first = next(frames.read())
    assert first.shape == (*size, 3)
    assert first[red][..., 0].min() > 180 and first[red][..., 1].max() < 60


def test_only_a_few_frames_live_at_once(tmp_path, monkeypatch):
    """However long the video, what has been yielded is let go."""
    alive, most = weakref.WeakSet(), 0
    upright, read_rgb = video_files._upright, video_files.read_rgb

    class Counted(np.ndarray):
        """Can be hashed, unlike an array, so a weak set takes it."""

        __hash__ = object.__hash__

    def count(frame):
        frame = frame.view(Counted)
        alive.add(frame)
        return frame

    monkeypatch.setattr(video_files, "_upright", lambda frame: count(upright(frame)))
    monkeypatch.setattr(video_files, "read_rgb", lambda path: count(read_rgb(path)))
    video = write_video(tmp_path / "video.mp4", 40)
    folder = write_folder(tmp_path / "folder", [f"{i}.png" for i in range(12)])
    for path, total in ((video, 40), (folder, 12)):
        seen = 0
        for _ in open_frames(path).read():
            seen, most = seen + 1, max(most, len(alive))
        assert seen == total
    assert 1 <= most <= 3


def test_folder_in_natural_order(tmp_path):
    names = ["frame1.png", "frame2.jpg", "frame10.png", "frame011.bmp"]
    folder = write_folder(tmp_path / "folder", names)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".frame5.png").write_text("left behind by an operating system")
    frames = open_frames(folder)
    assert (frames.height, frames.width, frames.rate, frames.count) == (HEIGHT, WIDTH, None, 4)
    assert [frames.name_of(i) for i in range(4)] == ["frame1", "frame2", "frame10", "frame011"]
    for start in (0, 2):
        brightness = [frame[-1, -1, 0] for frame in frames.read(start)]
        np.testing.assert_allclose(brightness, [0, 20, 40, 60][start:], atol=3)


def test_folder_turns_pictures_upright(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
    Image.fromarray(picture(0)).save(folder / "0.png", exif=exif)
    frames = open_frames(folder)
    assert (frames.height, frames.width) == (WIDTH, HEIGHT)
    first = next(frames.read())
    assert first[4, 28].tolist() == [220, 20, 20] and first[4, 4].tolist() == [0, 0, 0]


def test_sixteen_bit_frames_are_scaled(tmp_path):
    (tmp_path / "folder").mkdir()
    Image.fromarray(np.full((4, 5), 0x80FF, np.uint16)).save(tmp_path / "folder" / "0.png")
    assert next(open_frames(tmp_path / "folder").read()).tolist() == [[[128] * 3] * 5] * 4


def test_missing(tmp_path):
    assert "no such video" in refused(tmp_path / "nothing.mp4")


def test_folder_without_frames(tmp_path):
    assert "no frames" in refused(tmp_path)


def test_two_pictures_of_one_name(tmp_path):
    folder = write_folder(tmp_path / "folder", ["0.jpg", "0.png"])
    assert "0.jpg and 0.png" in refused(folder)


@pytest.mark.parametrize("kind", ["link to nothing", "folder"])
def test_a_frame_that_cannot_be_read_is_no_gap(tmp_path, kind):
    folder = write_folder(tmp_path / "folder", ["0.png", "2.png"])
    if kind == "folder":
        (folder / "1.png").mkdir()
    else:
        (folder / "1.png").symlink_to(tmp_path / "gone.png")
    message = refused(folder)
    assert "1.png" in message and kind in message


def test_truncated_picture(tmp_path):
    folder = write_folder(tmp_path / "folder", ["0.jpg", "1.jpg"])
    data = (folder / "1.jpg").read_bytes()
    (folder / "1.jpg").write_bytes(data[: len(data) // 2])
    assert "1.jpg cannot be read" in refused(folder, read=True)


def test_picture_that_is_none(tmp_path):
    folder = write_folder(tmp_path / "folder", ["0.png"])
    (folder / "1.png").write_text("hello")
    assert "1.png is not a picture" in refused(folder, read=True)


def test_pictures_of_different_sizes(tmp_path):
    folder = write_folder(tmp_path / "folder", ["0.png"])
    Image.fromarray(picture(1, 16, 20)).save(folder / "1.png")
    assert "1.png is 20x16 but the first frame is 48x32" in refused(folder, read=True)


def test_video_of_changing_size(tmp_path):
    path = tmp_path / "video.m2v"
    with open(path, "wb") as file:
        for size in ((48, 32), (64, 32)):
            encoder = av.CodecContext.create("mpeg2video", "w")
            encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
            encoder.time_base, encoder.framerate = fractions.Fraction(1, 25), fractions.Fraction(25)
            for index in range(4):
                frame = av.VideoFrame.from_ndarray(picture(index, size[1], size[0]), format="rgb24")
                file.writelines(map(bytes, encoder.encode(frame.reformat(format="yuv420p"))))
            file.writelines(map(bytes, encoder.encode()))
    assert "is 64x32 but the first frame is 48x32" in refused(path, read=True)


def test_sound_has_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    assert "no video that can be decoded" in refused(path)


@pytest.mark.parametrize("name", ["text.txt", "text.mp4"])
def test_text_is_no_video(tmp_path, name):
    path = tmp_path / name
    path.write_text("hello world\n" * 100)
    assert "no video" in refused(path)


def test_picture_is_no_video(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "frame.png")
    assert "single picture" in refused(tmp_path / "frame.png")


@pytest.mark.parametrize("name", ["video.mp4", "fast.mp4", "video.mkv", "video.avi"])
def test_truncated_video(tmp_path, name):
    path = write_video(tmp_path / name, 40, noise=True, fast="fast" in name)
    assert len(list(open_frames(path).read())) == 40
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    assert "cut off" in refused(path, read=name.endswith(".avi"))


def test_damaged_video(tmp_path):
    path = write_video(tmp_path / "video.mp4", 40, noise=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    assert "damaged at frame" in refused(path, read=True)


def test_writer(tmp_path):
    path = tmp_path / "out.mp4"
    rate = fractions.Fraction(30000, 1001)
    with VideoWriter(path, 33, 49, rate) as writer:
        for index in range(6):
            writer.write(picture(index, 33, 49))
            assert not path.exists()
    frames = open_frames(path)
    assert (frames.height, frames.width, frames.rate) == (34, 50, rate)
    read = list(frames.read())
    assert len(read) == 6
    for index, frame in enumerate(read):
        np.testing.assert_allclose(frame[24:, 32:], 20 * index, atol=8)
        np.testing.assert_allclose(frame[4:12, 4:20], [[(220, 20, 20)] * 16] * 8, atol=20)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_the_same_frames_give_the_same_file(tmp_path):
    contents = set()
    for name in ("a.mp4", "b.mp4"):
        with VideoWriter(tmp_path / name, HEIGHT, WIDTH, 24) as writer:
            for index in range(60):
                writer.write(picture(index))
        contents.add((tmp_path / name).read_bytes())
    (content,) = contents
    # What differs once in a few times is switched off; x264 notes its settings in the file.
    assert b"mbtree=0" in content


def test_writer_without_x264(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    with VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, 25) as writer:
        for index in range(4):
            writer.write(picture(index))
    assert len(list(open_frames(tmp_path / "out.mp4").read())) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_interrupted_writer_leaves_what_it_has(tmp_path, error):
    with pytest.raises(error), VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, 25) as writer:
        for index in range(4):
            writer.write(picture(index))
        raise error("stop")
    assert len(list(open_frames(tmp_path / "out.mp4").read())) == 4
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_failed_writer_leaves_the_old_file(tmp_path):
    (tmp_path / "out.mp4").write_text("old")
    with (
        pytest.raises(OSError, match="No space"),
        VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, 25) as writer,
    ):
        writer.write(picture(0))
        raise OSError(28, "No space left on device")
    assert (tmp_path / "out.mp4").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_unfinished_file_plays(tmp_path):
    """What a killed program leaves under the temporary name can be read to its last fragment."""
    writer = VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, 5)
    for index in range(80):
        writer.write(picture(index))
    writer._file.flush()
    left = tmp_path / "left.mp4"
    left.write_bytes(writer._temporary.read_bytes())
    with av.open(str(left)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 10
    writer.__exit__(None, None, None)


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_is_told(tmp_path, monkeypatch):
    (tmp_path / "full").symlink_to("/dev/full")
    monkeypatch.setattr("stm_jax.results.video_writer.unfinished", lambda path: tmp_path / "full")
    with (
        pytest.raises(OSError, match="No space left") as caught,
        VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, 25) as writer,
    ):
        for index in range(12):
            writer.write(picture(index))
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
