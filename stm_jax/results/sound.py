"""The sound of a video file, carried over into another one."""

import fractions
import io
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError

from stm_jax.data.video_files import OPEN

RATE = 48_000  # hertz of what is encoded; Opus knows no other
TRIAL = 4  # packets


class Sound:
    """The first sound of a file: its packets as they are, or encoded anew.

    `note` is a line on what became of it, empty if nothing did. One that is damaged ends there.

    Args:
        path: A video file, with or without sound.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.note = ""
        self._path = path
        self._input = av.open(os.path.realpath(path), options=OPEN)
        self._stream = next(iter(self._input.streams.audio), None)
        self._target: AudioStream | None = None
        self._is_copy = True
        self._packets: Iterator[av.Packet] | None = None
        self._next: av.Packet | None = None

    def join(self, container: OutputContainer, encoder: str) -> None:
        """Adds the sound to a container, by that encoder if it cannot hold the sound as it is."""
        if self._stream is None:
            return
        context = self._stream.codec_context
        if context is None:
            self.note = f"{self._path}: its sound cannot be decoded and is left out"
            return
        self._is_copy = self._fits(container)
        if self._is_copy:
            copied = container.add_stream_from_template(self._stream)
            assert isinstance(copied, AudioStream)
            self._target = copied
            return
        target = container.add_stream(encoder, rate=RATE)
        assert isinstance(target, AudioStream)
        # Mixed down, for encoders do not take every layout.
        target.layout = "mono" if context.channels == 1 else "stereo"
        self._target = target
        old, new = (each.codec.canonical_name for each in (context, target.codec_context))
        self.note = f"{self._path}: its sound, {old}, is encoded anew, as {new}"

    def packets(self, begin: fractions.Fraction, end: fractions.Fraction) -> Iterator[av.Packet]:
        """Yields the packets that are not given yet and begin before `end`.

        Args:
            begin: Time in the file that is 0 in the container, always the same.
            end: Time in the file.
        """
        if self._target is None:
            return
        if self._packets is None:
            self._packets = self._from(begin, self._target)
            self._next = next(self._packets, None)
        while self._next is not None and _time(self._next) < end - begin:
            yield self._next
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Closes the file."""
        self._packets = None
        self._input.close()

    def _fits(self, container: OutputContainer) -> bool:
        """Says whether such a container takes the sound's packets as they are, by trying it."""
        options = dict(container.options)
        with av.open(os.path.realpath(self._path), options=OPEN) as source:
            packets = itertools.islice(source.demux(source.streams.audio[0]), TRIAL)
            try:
                with av.open(io.BytesIO(), "w", container.format.name, options=options) as trial:
                    stream = trial.add_stream_from_template(source.streams.audio[0])
                    for packet in (each for each in packets if each.pts is not None):
                        packet.stream = stream
                        trial.mux(packet)
            except (FFmpegError, ValueError):
                return False
        return True

    def _from(self, begin: fractions.Fraction, target: AudioStream) -> Iterator[av.Packet]:
        """Yields the packets that begin at a time or later, and counts from there.

        An earlier one would shift all times, for containers begin at 0.
        """
        try:
            for packet in self._copied() if self._is_copy else self._encoded(begin, target):
                time = (packet.pts or 0) - round(begin / packet.time_base)
                packet.pts = packet.dts = time
                packet.stream = target
                if time >= 0:
                    yield packet
        except FFmpegError as error:
            self.note = f"{self._path}: its sound is damaged and ends there ({error.strerror})"

    def _copied(self) -> Iterator[av.Packet]:
        return (packet for packet in self._input.demux(self._stream) if packet.pts is not None)

    def _encoded(self, begin: fractions.Fraction, target: AudioStream) -> Iterable[av.Packet]:
        for frame in self._input.decode(self._stream):
            if not isinstance(frame, av.AudioFrame) or frame.pts is None or not frame.time_base:
                continue
            if (frame.pts + frame.samples) * frame.time_base > begin:
                yield from target.encode(frame)
        yield from target.encode(None)


def _time(packet: av.Packet) -> fractions.Fraction:
    return (packet.pts or 0) * packet.time_base
