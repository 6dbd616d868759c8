"""Make the demonstration clip of the package from a longer excerpt of Big Buck Bunny.

    python tools/make_demo_clip.py EXCERPT.mp4 stm_jax/assets/bigbuckbunny.mp4

The excerpt is 132 frames, 1280x720 at 25 frames a second, in which the rabbit leaves its burrow.
The clip is its frames 44 to 104 (61 frames, counted from 0): the rabbit is out of the burrow and
in view throughout, and there is no cut. Frame t of the clip is frame 44 + t of the excerpt.

The film is (c) Blender Foundation, peach.blender.org, CC BY 3.0. The ground truth beside the clip
was drawn on the frames of the clip as it is in the repository. Other versions of x264 may give
other bytes, and pictures that differ a little from those the masks were drawn on.
"""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import tyro
from av.video.reformatter import Interpolation

from stm_jax.files import writing_whole

FIRST_FRAME = 44
FRAMES = 61
WIDTH, HEIGHT = 768, 432  # 16:9 as the film, and multiples of 16, so that STM needs no padding
RATE = 25
# One thread, since x264 makes other decisions with other numbers of threads.
X264_OPTIONS = {"crf": "17", "preset": "veryslow", "threads": "1"}
METADATA = {
    "title": "Big Buck Bunny (excerpt)",
    "copyright": "(c) Blender Foundation, peach.blender.org, CC BY 3.0",
}


def make_clip(
    excerpt: tyro.conf.Positional[Path], clip: tyro.conf.Positional[Path], rows: int = HEIGHT
) -> None:
    """Cuts, scales and encodes the clip: H.264, yuv420p, without sound.

    Args:
        excerpt: 132 frames of Big Buck Bunny, 1280x720.
        clip: The .mp4 file to write.
        rows: Its height, if it is not to be the package's.
    """
    with writing_whole(clip) as unfinished:
        with av.open(excerpt) as source, av.open(unfinished, "w", format="mp4") as target:
            target.metadata.update(METADATA)
            stream = target.add_stream("libx264", rate=RATE, options=X264_OPTIONS)
            stream.width, stream.height = WIDTH * rows // HEIGHT, rows
            stream.pix_fmt = "yuv420p"
            frames = source.decode(video=0)
            written = 0
            for frame in itertools.islice(frames, FIRST_FRAME, FIRST_FRAME + FRAMES):
                # Staying in YUV keeps the colours: the source does not say which matrix it means.
                scaled = frame.reformat(
                    stream.width, stream.height, "yuv420p", interpolation=Interpolation.LANCZOS
                )
                scaled.pts, scaled.time_base = written, Fraction(1, RATE)
                target.mux(stream.encode(scaled))
                written += 1
            target.mux(stream.encode(None))
        if written != FRAMES:
            raise SystemExit(
                f"{excerpt} has {FIRST_FRAME + written} frames; {FIRST_FRAME + FRAMES} are needed"
            )


if __name__ == "__main__":
    tyro.cli(make_clip)
