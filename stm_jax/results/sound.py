"""The sound of a video file, carried over into another one."""

import fractions
import os
import pathlib
from collections.abc import Iterable, Iterator

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError

from stm_jax.data.video_files import OPEN

OPUS_RATE = 48_000  # hertz, at which Opus works


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
        self._is_copy = context.codec.canonical_name in container.supported_codecs
        if self._is_copy:
            self._target = container.add_stream_from_template(self._stream)
            return
        rate = OPUS_RATE if encoder == "libopus" else context.sample_rate
        self._target = container.add_stream(encoder, rate=rate)
        self._target.layout = context.layout
        old, new = (each.codec.canonical_name for each in (context, self._target.codec_context))
        self.note = f"{self._path}: its sound is {old}, here {new}, for {container.format.name}"

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

    def _from(self, begin: fractions.Fraction, target: AudioStream) -> Iterator[av.Packet]:
        """Yields the packets that end after a time, from which on they count."""
        try:
            for packet in self._copied() if self._is_copy else self._encoded(begin, target):
                shift = round(begin / packet.time_base)
                packet.pts -= shift
                packet.dts = packet.pts
                packet.stream = target
                if _time(packet) + (packet.duration or 0) * packet.time_base > 0:
                    yield packet
        except FFmpegError as error:
            self.note = f"{self._path}: its sound is damaged and ends there ({error.strerror})"

    def _copied(self) -> Iterator[av.Packet]:
        return (packet for packet in self._input.demux(self._stream) if packet.pts is not None)

    def _encoded(self, begin: fractions.Fraction, target: AudioStream) -> Iterable[av.Packet]:
        for frame in self._input.decode(self._stream):
            if frame.pts is not None and (frame.pts + frame.samples) * frame.time_base > begin:
                yield from target.encode(frame)
        yield from target.encode(None)


def _time(packet: av.Packet) -> fractions.Fraction:
    return packet.pts * packet.time_base
