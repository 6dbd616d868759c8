"""What is known of sequences before they are segmented: their program, and what they are."""

import hashlib
from collections.abc import Sequence

from stm_jax.benchmark.plan import Video
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.image_files import size_of
from stm_jax.errors import InputError
from stm_jax.files import hash_of_file
from stm_jax.text import utf_8


def video_of(sequence: BenchmarkSequence) -> Video:
    """Returns what decides about the program; given masks must have the frames' size."""
    size = size_of(sequence.frames[0])
    for index in sequence.given:
        mask = sequence.truths[index]
        if mask is not None and size_of(mask) != size:
            height, width = size_of(mask)
            raise InputError(
                f"{mask} is {width}x{height} but the frames are {size[1]}x{size[0]}"
                " (width x height): give masks of the frames' size"
            )
    return Video(size, len(sequence.object_ids), len(sequence.frames))


def hash_of_data(sequences: Sequence[BenchmarkSequence]) -> str:
    """Returns a hash of the names and bytes of all frames, and of the masks that are given."""
    content = hashlib.sha256()
    for sequence in sequences:
        content.update(utf_8(f"{sequence.name} {sequence.wanted} {sorted(sequence.given.items())}"))
        for frame in sequence.frames:
            content.update(utf_8(f"{frame.name} {hash_of_file(frame)}"))
        for index in sequence.given:
            mask = sequence.truths[index]
            content.update(mask.read_bytes() if mask else b"")
    return content.hexdigest()


def hash_of_truths(sequence: BenchmarkSequence) -> str:
    """Returns a hash of the bytes of all true masks of a sequence, and of whose they are."""
    content = hashlib.sha256()
    for frame, truth in zip(sequence.frames, sequence.truths, strict=True):
        # Of its bytes, for not every truth is a file of its own.
        of_truth = hashlib.sha256(truth.read_bytes()).hexdigest() if truth else None
        content.update(utf_8(f"{frame.stem} {of_truth}"))
    return content.hexdigest()
