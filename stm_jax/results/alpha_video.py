"""Videos with an alpha channel: ProRes 4444 in .mov and VP9 in .webm. Both keep alpha exactly."""

import fractions
import pathlib
from collections.abc import Iterable, Iterator

import av
import numpy as np
from av.container import OutputContainer
from jaxtyping import UInt8

from stm_jax.data.video_files import opened_video
from stm_jax.results.video_writer import Codec, Encode, say_times_and_colours, timed

SIDE = "matroska_block_additional"  # where a packet of VP9 has that of its alpha


def _begin_prores(
    container: OutputContainer, height: int, width: int, rate: fractions.Fraction
) -> Encode:
    stream = container.add_stream("prores_ks", rate=rate)
    stream.height, stream.width, stream.pix_fmt = height, width, "yuva444p10le"
    stream.options = {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}
    say_times_and_colours(stream, rate)

    def encode(frame: np.ndarray | None, ticks: int) -> Iterable[av.Packet]:
        if frame is None:
            return stream.encode()
        picture = _colours(frame, "yuva444p10le")
        alpha = frame[..., 3].astype(np.uint16)
        _put_alpha(picture, alpha << 2 | alpha >> 6)
        return stream.encode(timed(picture, ticks))

    return encode


def _begin_vp9(
    container: OutputContainer, height: int, width: int, rate: fractions.Fraction
) -> Encode:
    # FFmpeg's encoder takes one quality for both, and lossless colour is large. So colour is
    # encoded by one, alpha (with no colour) by another without loss, and their packets are joined.
    # Without looking ahead both have their keyframes in the same places.
    alike = {"deadline": "good", "cpu-used": "4", "lag-in-frames": "0", "auto-alt-ref": "0"}
    stream = container.add_stream("libvpx-vp9", rate=rate)
    stream.metadata["alpha_mode"] = "1"
    alone = av.CodecContext.create("libvpx-vp9", "w")
    for context, pixels in ((stream.codec_context, "yuv420p"), (alone, "yuva420p")):
        context.height, context.width, context.pix_fmt = height, width, pixels
        context.framerate = rate
    say_times_and_colours(stream, rate)
    alone.time_base, alone.gop_size = stream.codec_context.time_base, stream.gop_size
    stream.options = {**alike, "crf": "20", "b": "0"}
    alone.options = alike | {"lossless": "1"}
    colourless = _colours(np.zeros((height, width, 4), np.uint8), "yuva420p")

    def encode(frame: np.ndarray | None, ticks: int) -> Iterator[av.Packet]:
        if frame is None:
            pairs = zip(stream.encode(), alone.encode(), strict=True)
        else:
            _put_alpha(colourless, frame[..., 3])
            pairs = zip(
                stream.encode(timed(_colours(frame, "yuv420p"), ticks)),
                alone.encode(timed(colourless, ticks)),
                strict=True,
            )
        for packet, of_alpha in pairs:
            packet.set_sidedata(of_alpha.get_sidedata(SIDE))
            yield packet

    return encode


def _colours(frame: UInt8[np.ndarray, "height width 4"], pixels: str) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[..., :3]), format="rgb24")
    return rgb.reformat(format=pixels, dst_colorspace="ITU709")


def _put_alpha(picture: av.VideoFrame, alpha: np.ndarray) -> None:
    """Sets the plane of alpha: FFmpeg's conversion would round some of its values."""
    plane = picture.planes[3]
    rows = np.zeros((plane.height, plane.line_size // alpha.itemsize), alpha.dtype)
    rows[:, : alpha.shape[1]] = alpha
    plane.update(rows.tobytes())


PRORES = Codec("mov", "aac", _begin_prores)
"""ProRes 4444, 10 bits a channel: for editing and compositing. Takes (height, width, 4) frames."""
VP9 = Codec("webm", "libopus", _begin_vp9)
"""VP9 with alpha: small, for browsers and OBS. Takes (height, width, 4) frames."""


def read_alpha_video(path: pathlib.Path) -> Iterator[UInt8[np.ndarray, "height width 4"]]:
    """Yields the frames of a video with red, green, blue and straight alpha.

    FFmpeg's own decoder of VP9 knows no alpha, so libvpx reads that.

    Raises:
        InputError: It is no video, cut off or damaged.
    """
    with opened_video(path) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        if context.codec.canonical_name == "vp9":
            context = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(stream):
            for frame in context.decode(packet if packet.size else None):
                yield np.dstack([frame.to_ndarray(format="rgb24"), _alpha_in(frame)])


def _alpha_in(frame: av.VideoFrame) -> UInt8[np.ndarray, "height width"]:
    plane, bits = frame.planes[3], frame.format.components[3].bits
    samples = np.frombuffer(bytes(plane), np.uint8 if bits == 8 else np.uint16)
    alpha = samples.reshape(plane.height, -1)[:, : frame.width]
    return np.rint(alpha * (255 / (2**bits - 1))).astype(np.uint8)
