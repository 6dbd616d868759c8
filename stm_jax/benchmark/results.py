"""What is told of masks in the end: speed, memory, scores, the report."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stm_jax.benchmark.folder import noted_beside
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.protocols import Protocol
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.used_memory import process_peak

if TYPE_CHECKING:
    from stm_jax.eval.scores import Scores


def print_speed(summaries: Sequence[dict[str, Any]], seconds: float, each: str) -> None:
    """Prints how fast sequences were segmented, what was compiled, and the peak of the memory.

    Args:
        summaries: Of the sequences that this run segmented.
        seconds: That all of them took together.
        each: Of what several worked, each by itself: " a device"; "" if one did all.
    """
    frames, segmenting, compiling, programs = (
        sum(summary[name] for summary in summaries)
        for name in ("frames", "segment_seconds", "compile_seconds", "compiles")
    )
    print(
        f"{frames} frames of {len(summaries)} sequences in {seconds:.1f} s:"
        f" {frames / seconds:.3g} frames/s, without compilation and files"
        f" {frames / max(segmenting, 1e-6):.3g} frames/s{each};"
        f" {programs} programs compiled in {compiling:.1f} s; {_peak_memory()}"
    )


def _peak_memory() -> str:
    peak, whose = process_peak()
    return f"peak memory {peak / 2**20:.0f} MiB {whose}" if peak else "peak memory not known"


def score(
    masks: pathlib.Path,
    sequences: Sequence[BenchmarkSequence],
    protocol: Protocol,
    *,
    json: pathlib.Path | None = None,
    csv: pathlib.Path | None = None,
    page: pathlib.Path | None = None,
    strict: bool = False,
    draw: Callable[["Scores"], None] = lambda scores: None,
) -> None:
    """Scores masks, prints the scores and writes them in every form that is asked for.

    Args:
        masks: The folder with a folder of masks for each sequence.
        sequences: With true masks.
        protocol: How they are scored.
        json: Gets all values.
        csv: Gets a row for each object.
        page: Gets the page to look at.
        strict: Whether to stop at the first mask that is missing or wrong.
        draw: Called with the scores: draws further pictures for the page.
    """
    from stm_jax.eval.scores import write_scores_csv, write_scores_json
    from stm_jax.eval.scoring import score_predictions
    from stm_jax.report.page_of_scores import write_report
    from stm_jax.report.score_table import print_scores

    with FrameProgress(None) as progress:
        scores = score_predictions(
            masks,
            sequences,
            protocol,
            strict=strict,
            progress=lambda done, total: progress.update(done, False, "scoring: ", total),
        )
    if json:
        write_scores_json(json, scores)
    if csv:
        write_scores_csv(csv, scores)
    draw(scores)
    if page:
        frames, done = {each.name: len(each.frames) for each in sequences}, 0
        with FrameProgress(sum(frames.values())) as progress:

            def add(name: str) -> None:
                nonlocal done
                done += frames[name]
                progress.update(done, False, f"report page, {name}: ")

            write_report(page, scores, masks, sequences, noted_beside(masks), done=add)
    print_scores(scores)
