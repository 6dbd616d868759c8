"""Which videos share a program, with the sizes written out."""

import pytest

from stm_jax.benchmark.plan import (
    MOST_PROGRAMS,
    Program,
    Video,
    plan_programs,
    videos_side_by_side,
)

WIDE, TALL = (480, 854), (854, 480)


def test_a_size_has_one_program_where_more_would_not_pay():
    videos = {
        "a": Video(WIDE, 1, 50),
        "b": Video(WIDE, 3, 80),
        "c": Video(TALL, 2, 9),
        "d": Video(WIDE, 2, 60),
    }
    # Of 3 objects, "a" pads two and "d" one: 2 * 50 + 60 frames times objects are too few.
    wide, tall = Program(WIDE, 3, 80), Program(TALL, 2, 9)
    assert plan_programs(videos) == {"a": wide, "b": wide, "d": wide, "c": tall}
    assert list(plan_programs(videos)) == ["a", "b", "d", "c"]  # those that share one are together


def test_a_size_is_split_where_that_saves_most():
    videos = {
        "one": Video(WIDE, 1, 100),
        "two": Video(WIDE, 2, 100),
        "nine": Video(WIDE, 9, 40),
        "tall": Video(TALL, 4, 500),
    }
    # Below nine: (9 - 2) * 200 saved; then below two: (2 - 1) * 100, which is not worth it.
    assert plan_programs(videos) == {
        "one": Program(WIDE, 2, 100),
        "two": Program(WIDE, 2, 100),
        "nine": Program(WIDE, 9, 40),
        "tall": Program(TALL, 4, 500),
    }


def forty_videos(frames: int) -> dict[str, Video]:
    sizes = [(48 + 4 * i, 96 - 4 * i) for i in range(12)]
    return {str(i): Video(sizes[i % 12], 1 + i % 9, frames + i % 3) for i in range(40)}


@pytest.mark.parametrize("frames", [3, 300])
def test_forty_videos_of_twelve_sizes_share_fewer_than_15_programs(frames):
    videos = forty_videos(frames)
    programs = plan_programs(videos)
    assert programs.keys() == videos.keys()
    assert len(set(programs.values())) == (12 if frames == 3 else MOST_PROGRAMS) < 15
    for name, video in videos.items():
        program = programs[name]
        assert program.size == video.size
        assert program.objects >= video.objects and program.length >= video.frames


def test_more_sizes_than_programs_get_one_each():
    videos = {str(i): Video((100 + i, 100), 1 + i % 9, 500) for i in range(30)}
    assert len(set(plan_programs(videos).values())) == 30
    assert len(set(plan_programs(forty_videos(300), most=6).values())) == 12


def test_as_many_go_side_by_side_as_padding_allows():
    equal = [10] * 12
    assert videos_side_by_side(equal, 4) == 4
    assert videos_side_by_side(equal, 5) == 4  # of five, two would end with nothing to follow
    assert videos_side_by_side(equal[:3], 8) == 3
    # Two places: 90 and 40 + 30 + 20 frames. Three: 90, 40 and 30 + 20, of 270.
    uneven = [20, 90, 30, 40]
    assert videos_side_by_side(uneven, 8) == 2
    assert videos_side_by_side(uneven, 8, devices=3) == 3  # which no device stays empty for
    assert videos_side_by_side([90, 10], 8) == 1
    assert videos_side_by_side([50], 8, devices=4) == 1
