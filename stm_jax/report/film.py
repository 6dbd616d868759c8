"""The frames and masks of a sequence as a page stores them: a small video, and runs of ids."""

import fractions
import io
import zlib
from collections.abc import Iterable

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from jaxtyping import UInt8

RATE = 25  # frames a second; the page asks for frames by it
KEYFRAMES = 24  # apart at most: so many frames are decoded for a jump
QUALITY = {"deadline": "realtime", "cpu-used": "6", "crf": "44", "b": "0"}


def film(frames: Iterable[UInt8[np.ndarray, "height width 3"]], size: tuple[int, int]) -> bytes:
    """Returns frames of a (height, width) as VP9 in WebM, which every browser plays."""
    content = io.BytesIO()
    with av.open(content, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=RATE)
        (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
        stream.gop_size, stream.options = KEYFRAMES, {**QUALITY}
        stream.colorspace = Colorspace.ITU709
        stream.color_primaries, stream.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for number, frame in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = rgb.reformat(format="yuv420p", dst_colorspace="ITU709")
            picture.pts, picture.time_base = number, fractions.Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return content.getvalue()


def mask_runs(masks: Iterable[UInt8[np.ndarray, "height width"] | None]) -> bytes:
    """Returns masks as runs of one id, row by row, deflated (zlib).

    A run is its length, in groups of 7 bits, the lowest first, each but the last with bit 7 set;
    and then the id. For a mask that is not there a length of 0 stands alone.
    """
    content = bytearray()
    for ids in masks:
        if ids is None:
            content.append(0)
            continue
        flat = ids.ravel()
        begins = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
        for length, begin in zip(np.diff(begins, append=flat.size).tolist(), begins, strict=True):
            while length > 127:
                content.append(length & 127 | 128)
                length >>= 7
            content += bytes((length, flat[begin]))
    return zlib.compress(bytes(content), 9)
