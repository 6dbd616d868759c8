"""Maps the frames of HDR video (PQ or HLG) to ordinary colours, by FFmpeg's own filter."""

import fractions

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.reformatter import ColorTrc

from stm_jax.errors import InputError

HDR = {int(ColorTrc.SMPTE2084): "smpte2084", int(ColorTrc.ARIB_STD_B67): "arib-std-b67"}
"""The transfer functions of PQ and HLG, and what FFmpeg calls them."""
BY_HAND = (
    "ffmpeg -i IN -vf zscale=t=linear:npl=203,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709,"
    "format=yuv420p OUT.mp4"
)


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether the frame says that its values are those of PQ or HLG."""
    return int(frame.color_trc) in HDR


def graph_for(frame: av.VideoFrame, name: str) -> Graph:
    """Returns a graph that takes frames like this one and gives them in BT.709, as RGB.

    White paper (203 candela a square metre, ITU-R BT.2408) becomes white; what is brighter is cut.

    Args:
        frame: The first of them.
        name: What they are of, for the error.

    Raises:
        InputError: This FFmpeg cannot (before version 8); it says how to do it by hand.
    """
    transfer = HDR[int(frame.color_trc)]
    try:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or fractions.Fraction(1, 25),
        )
        scale = graph.add(
            "scale",
            f"in_transfer={transfer}:in_primaries=bt2020:out_transfer=bt709:out_primaries=bt709"
            ":intent=relative_colorimetric",
        )
        rgb, sink = graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")
        for first, second in ((source, scale), (scale, rgb), (rgb, sink)):
            first.link_to(second)
        graph.configure()
        return graph
    except (FFmpegError, ValueError) as error:
        raise InputError(
            f"{name} is HDR video ({transfer}), which this FFmpeg cannot map to ordinary colours:"
            f" do it by `{BY_HAND}`"
        ) from error
