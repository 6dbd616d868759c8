"""Frames of a video file or of a folder of pictures, one at a time.

Nothing here holds more than a few frames, however long the video is.
"""

import contextlib
import dataclasses
import fractions
import os
import pathlib
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition
from jaxtyping import UInt8

from stm_jax.data.animated import AnimatedPicture, Timed, open_animation
from stm_jax.data.file_ends import animation_has_end, matroska_end
from stm_jax.data.hdr import graph_for, is_hdr
from stm_jax.data.image_files import natural, read_rgb
from stm_jax.data.listing import entries
from stm_jax.errors import InputError
from stm_jax.files import check_is_file

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,mpeg1video,mpeg2video,m4v,h261,"
    "h263,h264,hevc,vvc,av1,obu,ivf,vc1,flv,live_flv,ogg,asf,gif,apng,mjpeg,mxf,gxf,dv,nut,rm,wtv,"
    "yuv4mpegpipe,cavsvideo,dirac,dnxhd,wav,mp3,flac,aac"
)
"""What is opened as a video or as sound. Not among them is what has FFmpeg open other files or the
network (playlists, concat, sdp), or draw the letters of a text file as a film."""
OPEN = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
MAX_PIXELS = 2**26  # of a frame, twice as many as 8K has
REENCODE = "copy it again, or repair it by `ffmpeg -i IN -c:v libx264 OUT.mp4`"


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """The first decodable video stream of a file.

    Attributes:
      path: the file.
      height, width: of a frame as shown, in pixels (after the rotation that the file asks for).
      rate: frames a second, the mean where it varies; None if the file does not say.
      count: how many frames the file says it has, for showing progress; None if it does not.
      stream: which of the file's video streams.
    """

    path: pathlib.Path
    height: int
    width: int
    rate: fractions.Fraction | None
    count: int | None
    stream: int

    def name_of(self, index: int) -> str:
        return f"{index:05d}"

    def read(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Yields the frames from number `start` on, red, green and blue.

        Frames before `start` are decoded and dropped, for seeking is not exact in every format.

        Raises:
          InputError: a frame is damaged or cut off, or of another size than the first.
        """
        for rgb, _ in self.timed(start):
            yield rgb

    def timed(self, start: int = 0) -> Iterator[Timed]:
        """Yields the frames as `read` does, each with its time in seconds, None if it has none."""
        for index, frame in enumerate(_decode(self.path, self.stream)):
            if index >= start:
                rgb = _upright(frame)
                _check_size(rgb, self, f"frame {index} of {self.path}")
                ticks, tick = frame.pts, frame.time_base
                yield rgb, None if ticks is None or tick is None else ticks * tick

    def decoded(self, begin: int | None = None) -> Iterator[tuple[int | None, av.VideoFrame]]:
        """Yields ticks and frame from the keyframe with these ticks on; None for the first."""
        return ((frame.pts, frame) for frame in _decode(self.path, self.stream, begin))

    def shown(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
        """Returns a decoded frame as `read` does."""
        rgb = _upright(frame)
        _check_size(rgb, self, f"a frame of {self.path}")
        return rgb

    def packets(self) -> tuple[str, list[tuple[int | None, bool]]]:
        """Returns the codec, and ticks of each packet and whether it is a keyframe."""
        with _reading(self.path), av.open(os.path.realpath(self.path), options=OPEN) as container:
            stream = container.streams.video[self.stream]
            whole = (each for each in container.demux(stream) if each.size and not each.is_discard)
            packets = [(each.pts, each.is_keyframe) for each in whole]
            return stream.codec_context.codec.canonical_name, packets


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """The pictures of a folder, in natural order (frame2 before frame10).

    Attributes:
      path: the folder.
      height, width: of the first picture, and so of all, in pixels, upright.
      rate: None, for a folder does not say.
      count: number of pictures.
      files: the pictures in order.
    """

    path: pathlib.Path
    height: int
    width: int
    rate: None
    count: int
    files: tuple[pathlib.Path, ...]

    def name_of(self, index: int) -> str:
        return self.files[index].stem

    def read(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Yields the frames from number `start` on, red, green and blue.

        Raises:
          InputError: a picture cannot be read or has another size than the first.
        """
        for file in self.files[start:]:
            rgb = read_rgb(file)
            _check_size(rgb, self, str(file))
            yield rgb

    def timed(self, start: int = 0) -> Iterator[Timed]:
        """Yields the frames as `read` does, each with None, for pictures have no times."""
        for rgb in self.read(start):
            yield rgb, None


Frames = VideoFile | ImageFolder | AnimatedPicture


def open_frames(path: pathlib.Path) -> Frames:
    """Returns the frames of a video file or of a folder of pictures; reads only the first one.

    Raises:
      InputError: there is no such file, a folder has no pictures (or two of one name), a video
        has no stream that can be decoded or is cut off, or the first frame cannot be read.
    """
    path = pathlib.Path(path)
    if os.path.isdir(path):  # which says no of a name that is too long
        return _open_folder(path)
    if not os.path.lexists(path):
        raise InputError(f"{path}: no such video or folder: check the name")
    check_is_file(path)
    with open(path, "rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        frames = open_animation(path)
        if frames.count > 1:
            return frames
    with opened_video(path) as container:
        _check_whole(path, container)
        for index, stream in _decodable(container):
            first = next(_decode(path, index), None)
            if first is None:
                continue
            height, width = _upright(first).shape[:2]
            rate = stream.average_rate or stream.guessed_rate or None
            count = stream.frames or None
            if count is None and rate and container.duration:
                count = round(fractions.Fraction(container.duration, av.time_base) * rate)
            return VideoFile(path, height, width, rate, count, index)
    raise InputError(f"{path} has no video that can be decoded: give a video or a folder of frames")


@contextlib.contextmanager
def opened_video(path: pathlib.Path) -> Iterator[InputContainer]:
    """Yields what is in a video file, opened as `OPEN` says; InputError says what is wrong."""
    with _reading(path), av.open(os.path.realpath(path), options=OPEN) as container:
        yield container


def _open_folder(path: pathlib.Path) -> ImageFolder:
    files = sorted(
        (file for file in entries(path) if file.suffix.lower() in PICTURES),
        key=natural,
    )
    if not files:
        raise InputError(
            f"{path} has no frames in it: give a folder of pictures ({' '.join(PICTURES)})"
        )
    named: dict[str, pathlib.Path] = {}
    for file in files:
        check_is_file(file)
        if file.stem in named:
            raise InputError(
                f"{path} has two pictures of one name, {named[file.stem].name} and {file.name}:"
                " keep frames and masks in folders of their own"
            )
        named[file.stem] = file
    height, width = read_rgb(files[0]).shape[:2]
    return ImageFolder(path, height, width, None, len(files), tuple(files))


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[None]:
    """Turns what FFmpeg says of a file into one line for the user."""
    try:
        yield
    except ArgumentError as error:  # not of CONTAINERS
        raise InputError(
            f"{path} is no video that is read, but perhaps a single picture, or a list of other"
            " files: give a video or a folder of pictures"
        ) from error
    except FFmpegError as error:
        raise InputError(
            f"{path} is no video, or it is cut off ({error.strerror}): {REENCODE}"
        ) from error


def _decodable(container: InputContainer) -> Iterator[tuple[int, av.VideoStream]]:
    for index, stream in enumerate(container.streams.video):
        # The cover picture of a sound file is a video stream, too.
        cover = Disposition.attached_pic in stream.disposition
        if stream.codec_context is not None and not cover:
            yield index, stream


def _decode(
    path: pathlib.Path, stream_index: int, begin: int | None = None
) -> Iterator[av.VideoFrame]:
    """Yields the frames of one stream, and raises InputError at the first damaged one.

    With `begin`, the ticks of a keyframe, those from there on. Frames shown before it need what was
    left out, so they are dropped.
    """
    count = 0
    try:
        with av.open(os.path.realpath(path), options=OPEN) as container:
            stream = container.streams.video[stream_index]
            if stream.width * stream.height > MAX_PIXELS:
                raise InputError(f"{path} has more than {MAX_PIXELS} pixels a frame: scale it down")
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # also of later frames
            stream.thread_type = "AUTO"
            tone_map = None
            if begin is not None:
                container.seek(begin, stream=stream)
            for frame in container.decode(stream):
                if begin is not None and (frame.pts is None or frame.pts < begin):
                    continue
                if frame.is_corrupt:
                    break
                if is_hdr(frame):
                    tone_map = tone_map or graph_for(frame, str(path))
                    tone_map.vpush(frame)
                    mapped = tone_map.vpull()
                    mapped.pts, mapped.time_base = frame.pts, frame.time_base
                    yield mapped
                else:
                    yield frame
                count += 1
            else:
                return
    except FFmpegError as error:
        raise InputError(_damaged(path, count)) from error
    raise InputError(_damaged(path, count))


def _damaged(path: pathlib.Path, frame: int) -> str:
    return f"{path} is cut off or damaged at frame {frame}, counted from 0: {REENCODE}"


def _upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
    """Returns the frame as red, green and blue, turned as a player would turn it."""
    rgb = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))


def _check_size(rgb: np.ndarray, frames: Frames, name: str) -> None:
    if rgb.shape[:2] != (frames.height, frames.width):
        raise InputError(
            f"{name} is {rgb.shape[1]}x{rgb.shape[0]} but the first frame is"
            f" {frames.width}x{frames.height} (width x height): frames must have one size"
        )


def _check_whole(path: pathlib.Path, container: InputContainer) -> None:
    """Raises InputError if the file is shorter than it says it is.

    A stream such as .ts says nothing: it is made to be cut anywhere.
    """
    entries = [entry for _, stream in _decodable(container) for entry in stream.index_entries]
    ends = [entry.pos + entry.size for entry in entries]
    if "matroska" in container.format.name:
        ends.append(matroska_end(path))
    size = path.stat().st_size
    kind = container.format.name
    if kind == "avi":
        with open(path, "rb") as file:
            ends.append(8 + int.from_bytes(file.read(8)[4:], "little"))  # of its first RIFF chunk
    if kind in ("gif", "apng") and not animation_has_end(path, kind):
        raise InputError(f"{path} is cut off, it has no end: {REENCODE}")
    if max(ends, default=0) > size:
        raise InputError(
            f"{path} is cut off, it has {size} of at least {max(ends)} bytes: {REENCODE}"
        )
