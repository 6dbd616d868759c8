"""Writes a video frame by frame, at the times of another one and with its sound."""

import contextlib
import dataclasses
import fractions
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from av.video.stream import VideoStream
from jaxtyping import UInt8

from stm_jax.files import finish, unfinished
from stm_jax.results.sound import Sound

TICKS = 360_000
"""A second of the times: of it are 1/90000, 1/1000 and the frames of 24000/1001 Hz whole parts."""
TICK = fractions.Fraction(1, TICKS)

Encode = Callable[[UInt8[np.ndarray, "height width channels"] | None, int], Iterable[av.Packet]]
"""Takes a frame and its time in ticks, or None at the end; gives packets of the video stream."""


@dataclasses.dataclass(frozen=True)
class Codec:
    """How a video is coded.

    Attributes:
        container: FFmpeg's name of the file's format.
        sound: FFmpeg's name of the encoder for sound that the container cannot hold as it is.
        begin: Adds a stream to a container for frames of a height, a width and a rate, and returns
            what encodes them.
        options: Of the container.
    """

    container: str
    sound: str
    begin: Callable[[OutputContainer, int, int, fractions.Fraction], Encode]
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _begin_h264(
    container: OutputContainer, height: int, width: int, rate: fractions.Fraction
) -> Encode:
    x264 = "libx264" in av.codecs_available
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    stream = container.add_stream(
        "libx264" if x264 else "mpeg4", rate=rate if x264 else max(1, round(rate))
    )
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    # Without frames that are predicted from later ones, which would delay the first. With its
    # macroblock tree x264 makes different files of the same frames, once in a few times: a run
    # that was stopped would not end as one that was not.
    of_x264 = {"preset": "veryfast", "crf": "20", "bf": "0", "mbtree": "0"}
    stream.thread_type = "FRAME"  # a frame a thread: PyAV's own choice waits for each frame
    stream.options = {**(of_x264 if x264 else {"q": "4"})}
    say_times_and_colours(stream, rate, TICK if x264 else fractions.Fraction(1, 60_000))

    def encode(frame: np.ndarray | None, ticks: int) -> Iterable[av.Packet]:
        if frame is None:
            return stream.encode()
        rgb = av.VideoFrame.from_ndarray(np.pad(frame, padding, mode="edge"), format="rgb24")
        return stream.encode(timed(rgb.reformat(format="yuv420p", dst_colorspace="ITU709"), ticks))

    return encode


def say_times_and_colours(
    stream: VideoStream, rate: fractions.Fraction, tick: fractions.Fraction = TICK
) -> None:
    """Sets a stream's times, a keyframe each two seconds, and which colours it has."""
    stream.codec_context.time_base = tick
    stream.gop_size = max(1, round(2 * rate))
    # Said in the file, for players guess it from the size and shift the colours.
    stream.colorspace = Colorspace.ITU709
    stream.color_primaries = ColorPrimaries.BT709
    stream.color_trc = ColorTrc.BT709


def timed(picture: av.VideoFrame, ticks: int) -> av.VideoFrame:
    """Returns the picture, to be shown at a time."""
    picture.pts, picture.time_base = ticks, TICK
    return picture


# In fragments, so that it plays even if the program is killed.
H264 = Codec("mp4", "aac", _begin_h264, {"movflags": "frag_keyframe+empty_moov+default_base_moof"})
"""H.264 (or MPEG-4, where FFmpeg has no x264) in .mp4; an odd height or width is made even by
repeating the last row or column."""


class VideoWriter:
    """Writes frames into a video file.

    A context manager. The file is written to a temporary name beside it and renamed when the `with`
    block is left: also by an interruption or a bad input, so that what was done can be seen, but
    not if writing fails. Without a frame there is no file.

    Args:
      path: the file.
      height: of the frames.
      width: of the frames.
      rate: frames a second.
      sound: goes along, from the time of the first frame to the end of the last.
      codec: how frames are coded, which decides what channels they have.
      whole: whether an interruption leaves what was there before, not what was done.

    Raises:
      OSError: the file cannot be written, for example because the disk is full.
    """

    def __init__(
        self,
        path: pathlib.Path,
        height: int,
        width: int,
        rate: fractions.Fraction | int,
        *,
        sound: Sound | None = None,
        codec: Codec = H264,
        whole: bool = False,
    ) -> None:
        self.path = path
        self._temporary = unfinished(path)
        self._whole = whole
        self._count = 0
        self._begin = fractions.Fraction(0)
        self._last = -1
        self._rate = fractions.Fraction(rate).limit_denominator(1001)
        # Through a Python file, for FFmpeg's own writing tells nobody of a full disk.
        self._file = open(self._temporary, "wb")  # noqa: SIM115, __exit__ closes it
        self._container = av.open(
            self._file, mode="w", format=codec.container, options=dict(codec.options)
        )
        self._encode = codec.begin(self._container, height, width, self._rate)
        self._sound = sound
        if sound is not None:
            sound.join(self._container, codec.sound)

    def write(
        self,
        frame: UInt8[np.ndarray, "height width channels"],
        time: fractions.Fraction | None = None,
    ) -> None:
        """Appends one frame, to be shown at a time in seconds.

        The first is shown at once. Without times the frames are as far apart as the rate says.
        """
        ticks = self._ticks_of(time)
        self._mux_sound(ticks * TICK)
        self._container.mux(list(self._encode(frame, ticks)))
        self._count += 1

    def _ticks_of(self, time: fractions.Fraction | None) -> int:
        if self._count == 0 and time is not None:
            self._begin = time
        since = self._count / self._rate if time is None else time - self._begin
        self._last = max(self._last + 1, round(since * TICKS))
        return self._last

    def _mux_sound(self, until: fractions.Fraction) -> None:
        if self._sound is not None:
            for packet in self._sound.packets(self._begin, self._begin + until):
                self._container.mux(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            failed = isinstance(error, OSError) or (error is not None and self._whole)
            if failed or self._count == 0:
                return
            self._mux_sound(self._last * TICK + 1 / self._rate)
            self._container.mux(list(self._encode(None, 0)))
            self._container.close()
            self._file.close()
            finish(self._temporary, self.path)
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            if self._sound is not None:
                self._sound.close()
            self._temporary.unlink(missing_ok=True)
