"""Any frame of a video or a folder of pictures, by its number; a few are kept decoded."""

import bisect
import collections
import itertools
import threading
from collections.abc import Iterator

import numpy as np
from av import VideoFrame
from jaxtyping import UInt8

from stm_jax.data.video_files import REENCODE, Frames, ImageFolder, VideoFile
from stm_jax.errors import InputError

CACHE_BYTES = 2**28
ONE_PACKET_A_FRAME = (
    *("av1", "dnxhd", "ffv1", "h264", "hevc", "mjpeg"),
    *("mpeg1video", "mpeg2video", "mpeg4", "prores", "vp9", "vvc"),
)
"""Codecs whose packets are frames. Not so of VP8, which has packets that are never shown."""


class FrameReader:
    """Reads frames in any order: frame i is the i-th that `Frames.read` yields, to the last bit.

    A video is decoded from the keyframe before the frame on, and what is decoded on the way is
    kept, the newest up to `cache_bytes`: so reading backwards decodes a frame a few times, not
    once for each that follows it. Where the packets do not tell which frame is which (no times, as
    in AVI; packets that are never shown, as in VP8), and in an animated picture, frames are
    counted by decoding all of them once, and reached from the first one.

    It may be used by several threads.

    Args:
        frames: What `open_frames` returned.
        cache_bytes: How much of decoded frames is kept, one frame at least.

    Attributes:
        frames: As given.
        count: How many frames there are, exactly.
    """

    def __init__(self, frames: Frames, cache_bytes: int = CACHE_BYTES) -> None:
        self.frames = frames
        self._kept: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._most = max(1, cache_bytes // (3 * frames.height * frames.width))
        self._lock = threading.Lock()
        self._coming: Iterator[tuple[int, np.ndarray]] | None = None  # from frame `_next` on
        self._next = 0
        self._ticks: list[int] = []
        self._keyframes: list[int] = []
        if isinstance(frames, ImageFolder):
            self.count = frames.count
        elif isinstance(frames, VideoFile) and self._read_index(frames):
            self.count = len(self._ticks)
        else:
            self.count = sum(1 for _ in frames.read())

    def close(self) -> None:
        """Lets go of the file and of what is kept; it is opened again when a frame is asked for."""
        with self._lock:
            self._coming = None
            self._kept.clear()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """Returns a frame, red, green and blue; it is shared, and cannot be written to.

        Raises:
            InputError: There is no such frame, or it is damaged.
        """
        if not 0 <= index < self.count:
            raise InputError(
                f"{self.frames.path} has no frame {index}: its frames are 0 to {self.count - 1}"
            )
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
            if isinstance(self.frames, ImageFolder):
                return self._keep(index, next(self.frames.read(index)))
            coming = self._coming = self._on_the_way_to(index)
            for number, frame in coming:
                self._next = number + 1
                self._keep(number, frame)
                if number == index:
                    return frame
            self._coming = None
        raise InputError(
            f"{self.frames.path} ends before frame {index}, which it says it has: {REENCODE}"
        )

    def index_of(self, name: str) -> int | None:
        """Returns the number of the frame whose mask would be called so; None if there is none."""
        if isinstance(self.frames, ImageFolder):
            return next((i for i, file in enumerate(self.frames.files) if file.stem == name), None)
        return int(name) if name.isdecimal() and int(name) < self.count else None

    def _keep(self, index: int, frame: np.ndarray) -> np.ndarray:
        frame.flags.writeable = False
        self._kept[index] = frame
        self._kept.move_to_end(index)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return frame

    def _on_the_way_to(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Returns what will yield the frame, and as little as may be before it."""
        before = self._keyframes[: bisect.bisect_right(self._keyframes, index)]
        nearest = before[-1] if before else 0
        if self._coming is not None and nearest <= self._next <= index:
            return self._coming
        video = self.frames
        if not isinstance(video, VideoFile) or not self._ticks:
            return enumerate(video.read())
        for keyframe in reversed([each for each in before if each]):
            found = video.decoded(self._ticks[keyframe])
            first = next(found, None)
            if first is not None and first[0] == self._ticks[keyframe]:
                return self._numbered(keyframe, itertools.chain([first], found))
            # Some containers are sought by other times than those shown, and come out too late.
        return self._numbered(0, video.decoded())

    def _numbered(
        self, start: int, found: Iterator[tuple[int | None, VideoFrame]]
    ) -> Iterator[tuple[int, np.ndarray]]:
        assert isinstance(self.frames, VideoFile)
        for number, (ticks, frame) in zip(range(start, self.count), found, strict=False):
            if ticks != self._ticks[number]:
                raise InputError(
                    f"{self.frames.path} has other frames than its packets say, from frame {number}"
                    f" on: {REENCODE}"
                )
            yield number, self.frames.shown(frame)

    def _read_index(self, video: VideoFile) -> bool:
        """Notes the ticks of all frames, in the order they are shown; says whether that is safe."""
        codec, packets = video.packets()
        ticks = [each for each, _ in packets if each is not None]
        if codec not in ONE_PACKET_A_FRAME or len(set(ticks)) < len(packets):
            return False
        first, _ = next(video.decoded())
        if first != min(ticks):
            return False
        keys = {each for each, is_key in packets if is_key}
        self._ticks = sorted(ticks)
        self._keyframes = [i for i, each in enumerate(self._ticks) if each in keys]
        return True
