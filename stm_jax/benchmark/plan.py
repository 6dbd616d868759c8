"""Which videos share a compiled program: one a frame size, and a few more where they save most.

Shapes are static: a program is made for one frame size, one number of objects and one memory. A
video with fewer objects than its program has pays for the others, too (their answers are 0), so
objects are not all rounded up to the most; and a program costs up to a minute to compile, so not
every number has its own.
"""

import dataclasses
import heapq
from collections.abc import Mapping, Sequence

MOST_PROGRAMS = 14
WORTH_COMPILING = 200
"""Padded objects, times frames, that a further program must save."""
MOST_PADDING = 0.15
"""Of the frames that videos side by side take, so many may be padding."""


@dataclasses.dataclass(frozen=True)
class Video:
    """What decides about the program that a video needs.

    Attributes:
        size: Height and width of its frames.
        objects: All that it will have.
        frames: How many.
    """

    size: tuple[int, int]
    objects: int
    frames: int


@dataclasses.dataclass(frozen=True)
class Program:
    """What videos that share a compiled program are begun with.

    Attributes:
        size: Height and width of the frames.
        objects: Room for so many.
        length: The longest video's frames, which decide how much memory there is.
    """

    size: tuple[int, int]
    objects: int
    length: int


def plan_programs(videos: Mapping[str, Video], most: int = MOST_PROGRAMS) -> dict[str, Program]:
    """Returns the program of each video; those that share one follow one another.

    It depends on all videos of the data set, so a run that goes on finds the same.

    Args:
        videos: By name.
        most: Programs in all, if there are not more sizes than that.
    """
    by_size: dict[tuple[int, int], list[str]] = {}
    for name, video in videos.items():
        by_size.setdefault(video.size, []).append(name)
    groups = list(by_size.values())
    while len(groups) < most:
        splits = [_best_split([videos[name] for name in group]) for group in groups]
        index = max(range(len(groups)), key=lambda index: splits[index][0])
        saving, objects = splits[index]
        if saving < WORTH_COMPILING:
            break
        whole = groups[index]
        few = [name for name in whole if videos[name].objects <= objects]
        groups[index : index + 1] = [few, [name for name in whole if name not in few]]
    programs = {}
    for group in groups:
        members = [videos[name] for name in group]
        most_objects = max(video.objects for video in members)
        longest = max(video.frames for video in members)
        programs |= {name: Program(members[0].size, most_objects, longest) for name in group}
    return programs


def _best_split(videos: list[Video]) -> tuple[int, int]:
    """Returns how many padded objects, times frames, a split saves, and the most objects below."""
    most = max(video.objects for video in videos)
    splits = []
    for objects in sorted({video.objects for video in videos}):
        frames = sum(video.frames for video in videos if video.objects <= objects)
        splits.append(((most - objects) * frames, objects))
    return max(splits, key=lambda split: split[0])


def videos_side_by_side(frames: Sequence[int], most: int, devices: int = 1) -> int:
    """Returns how many videos of one program go side by side.

    As many as may, unless too much would be padding then: videos that end have no others to make
    room for where there are few. No device stays empty because of that.

    Args:
        frames: Of each video, those that are segmented; the longest go first.
        most: How many may.
        devices: That they are shared out over.
    """
    longest_first = sorted(frames, reverse=True)
    most = min(most, len(frames))
    for videos in range(most, min(most, devices), -1):
        ends = [0] * videos
        for each in longest_first:
            heapq.heapreplace(ends, ends[0] + each)
        places = -(-videos // devices) * devices
        if sum(frames) >= (1 - MOST_PADDING) * places * max(ends):
            return videos
    return min(most, devices)
