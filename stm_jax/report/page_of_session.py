"""The report of a video that was annotated by hand, of which no truth is known: one HTML file.

It shows the frames with their masks, over time how certain each object's answer is and how large it
is, which frames were given, and which most need a look. No score: that needs true masks, and what
is given is taken over as it is.
"""

import base64
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from stm_jax.files import write_whole
from stm_jax.report.film import film, mask_runs
from stm_jax.report.one_file import block, one_file
from stm_jax.report.page_of_scores import line_colours
from stm_jax.report.pictures import WIDEST, colours_of, resized, worst_frames
from stm_jax.text import utf_8

SCRIPTS = ("parts.js", "pictures.js", "theme.js", "plots.js", "session.js")
MOST_SHOWN = 1500  # frames, about 10 MB
WORST = 12


@dataclasses.dataclass(frozen=True)
class FollowedVideo:
    """A video with what was found in it.

    Attributes:
        title: Of the page.
        names: Of the frames.
        frame: Reads one, (H, W, 3) uint8.
        mask: Reads the mask of one, (H, W) uint8 ids; None if it has none.
        objects: Their names by id, "" where they have none.
        certainty: Of a frame's objects, from 0 to 1; empty if nothing was found there.
        given: The frames whose masks were given.
        to_look_at: The frames whose masks are least certain, those first.
    """

    title: str
    names: Sequence[str]
    frame: Callable[[int], UInt8[np.ndarray, "height width 3"]]
    mask: Callable[[int], UInt8[np.ndarray, "height width"] | None]
    objects: Mapping[int, str]
    certainty: Callable[[int], Mapping[int, float]]
    given: Sequence[int]
    to_look_at: Sequence[int]


def write_session(
    path: pathlib.Path, video: FollowedVideo, done: Callable[[], None] = lambda: None
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: The HTML file.
        video: What is on it. Of a long one every second, third, ... frame is shown, and those that
            were given; the plots have all.
        done: Called after each frame. What it raises ends this.

    Raises:
        InputError: A frame or a mask cannot be read.
        OSError: The page cannot be written; what was at `path` before is untouched.
    """
    count = len(video.names)
    is_shown = {*range(0, count, -(-count // MOST_SHOWN)), *video.given, *video.to_look_at}
    shown = sorted(is_shown)
    height, width = video.frame(0).shape[:2]
    small = min(WIDEST, width), max(1, round(height * min(WIDEST, width) / width))
    areas: dict[int, list[int | None]] = {i: [None] * count for i in video.objects}
    certain: dict[int, list[float | None]] = {i: [None] * count for i in video.objects}
    for frame in range(count):
        ids = video.mask(frame)
        found = {} if frame in video.given else video.certainty(frame)
        sizes = np.bincount(np.ravel(() if ids is None else ids).astype(int), minlength=256)
        for i in video.objects:
            areas[i][frame] = None if ids is None else int(sizes[i])
            certain[i][frame] = round(found[i], 4) if i in found else None
        if frame not in is_shown:
            done()
    pictures = (resized(each, small) for each in _counted(map(video.frame, shown), done))
    masks = (None if ids is None else resized(ids, small) for ids in map(video.mask, shown))
    content = {
        "size": small,
        "film": base64.b64encode(film(pictures, (small[1], small[0]))).decode(),
        "masks": base64.b64encode(mask_runs(e for ids in masks for e in (None, ids))).decode(),
        "problems": {},
    }
    least = {t: -place for place, t in enumerate(reversed(video.to_look_at))}
    sequence = {
        "name": video.title,
        "names": list(video.names),
        "shown": shown,
        "given": list(video.given),
        "memorized": [],
        "dropped": [],
        "worst": worst_frames(least, WORST),
        "objects": [
            {
                "id": i,
                "category": name,
                "largest": max((each or 0 for each in areas[i]), default=0),
                "area": _of_the_largest(areas[i]),
                "certainty": certain[i],
            }
            for i, name in video.objects.items()
        ],
    }
    index = {
        "sequences": [sequence],
        "colours": line_colours(set(video.objects)),
        "masks": colours_of(video.objects),
    }
    data = "\n".join([block("index", index), block("pictures-0", content)])
    page = one_file("session.html", ["report.css", "session.css"], SCRIPTS, video.title, data)
    write_whole(path, utf_8(page))


def _counted(frames: Iterable[np.ndarray], done: Callable[[], None]) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        done()


def _of_the_largest(areas: Sequence[int | None]) -> list[float | None]:
    largest = max((each or 0 for each in areas), default=0) or 1
    return [None if each is None else round(each / largest, 4) for each in areas]
