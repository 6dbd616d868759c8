"""What correcting the worst frame brings, round after round: a Markdown table.

    python tools/correction_gain.py holiday.mp4=masks

Each video is followed from the mask of its first frame that has one, forward and backward. Then,
round after round, the frame whose answer has the lowest J is annotated with its true mask, and what
that makes stale is followed again. J is the mean over objects and over all frames with a true mask
but the first, the corrected ones among them. What changed beyond the second annotated frames on
either side is counted: it must be nothing.
"""

import dataclasses
import pathlib
import tempfile

import numpy as np
import tyro

import stm_jax
from stm_jax.annotate.passes import NEIGHBOURS
from stm_jax.commands.shared.annotation_options import number_of
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.data.listing import entries
from stm_jax.data.masks import read_mask
from stm_jax.eval.davis import region_similarity
from stm_jax.runtime.freed_memory import keep_freed_memory


@dataclasses.dataclass(frozen=True)
class Options:
    """What is corrected, and how often."""

    videos: tyro.conf.Positional[tuple[str, ...]]
    """Each VIDEO=FOLDER, of masks that are called as their frames, or by their numbers."""
    rounds: int = 5
    """How many frames are corrected."""
    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(default_factory=ModelOptions)


def answer_of(session: stm_jax.Annotator, frame: int) -> np.ndarray:
    """Returns a frame's answer, once all are followed."""
    answer = session.mask(frame)
    assert answer is not None
    return answer


def overlaps(session: stm_jax.Annotator, truth: dict[int, np.ndarray]) -> dict[int, float]:
    """Returns the mean J of the objects in each frame but the first with a true mask."""
    first, *later = sorted(truth)
    ids = np.unique(truth[first])[1:]
    found = {}
    for frame in later:
        answer = answer_of(session, frame)
        each = [region_similarity(answer == i, truth[frame] == i) for i in ids]
        found[frame] = float(np.mean(each))
    return found


def reached(annotated: list[int], frame: int, count: int) -> tuple[int, int]:
    """Returns between which frames a new annotated one may change something."""
    before = [-1] * NEIGHBOURS + [t for t in annotated if t < frame]
    after = [t for t in annotated if t > frame] + [count] * NEIGHBOURS
    return before[-NEIGHBOURS], after[NEIGHBOURS - 1]


def rounds_of(
    session: stm_jax.Annotator, truth: dict[int, np.ndarray], rounds: int
) -> tuple[list[float], list[int], int]:
    """Returns the mean J of each round, what was corrected, and how many others changed."""
    session.annotate(min(truth), truth[min(truth)])
    list(session.propagate())
    found = overlaps(session, truth)
    means, corrected, strangers = [float(np.mean(list(found.values())))], [], 0
    for _ in range(rounds):
        worst = min(found, key=lambda frame: (found[frame], frame))
        if found[worst] == 1:
            break
        before = [answer_of(session, frame) for frame in range(session.count)]
        left, right = reached(list(session.annotations), worst, session.count)
        session.annotate(worst, truth[worst])
        list(session.propagate())
        for frame, mask in enumerate(before):
            inside = left < frame < right
            strangers += not inside and not np.array_equal(mask, answer_of(session, frame))
        found = overlaps(session, truth)
        means.append(float(np.mean(list(found.values()))))
        corrected.append(worst)
    return means, corrected, strangers


def main(options: Options) -> None:
    """Prints a row a video."""
    keep_freed_memory()
    model = options.model.load()
    columns = " | ".join(f"after {i}" for i in range(options.rounds + 1))
    print(f"| video | {columns} | corrected | changed beyond |")
    print("| --- " * (options.rounds + 4) + "|")
    for each in options.videos:
        video, _, folder = each.partition("=")
        with (
            tempfile.TemporaryDirectory() as made,
            model.annotator(pathlib.Path(video), pathlib.Path(made)) as session,
        ):
            files = entries(pathlib.Path(folder))
            truth = {number_of(f.stem, session.reader, f): read_mask(f) for f in files}
            means, corrected, strangers = rounds_of(session, truth, options.rounds)
        shown = " | ".join(f"{mean:.3f}" for mean in means)
        frames = ", ".join(map(str, corrected))
        print(f"| {pathlib.Path(video).stem} | {shown} | {frames} | {strangers} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
