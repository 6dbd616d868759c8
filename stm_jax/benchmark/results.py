"""What `stm-jax benchmark-dataset` tells in the end: speed, memory, scores, the report."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.data.benchmarks import BenchmarkSequence, Protocol
from stm_jax.runtime.progress import FrameProgress

if TYPE_CHECKING:
    from stm_jax.eval.scores import Scores


def print_speed(summaries: Sequence[dict[str, Any]], seconds: float, devices: int) -> None:
    """Prints how fast sequences were segmented, what was compiled, and the peak of the memory.

    Args:
        summaries: Of the sequences that this run segmented.
        seconds: That all of them took together.
        devices: How many worked side by side.
    """
    frames = sum(each["frames"] for each in summaries)
    segmenting = sum(each["segment_seconds"] for each in summaries)
    compiling = sum(each["compile_seconds"] for each in summaries)
    programs = sum(each["compiles"] for each in summaries)
    print(
        f"{frames} frames of {len(summaries)} sequences in {seconds:.1f} s:"
        f" {frames / seconds:.3g} frames/s, without compilation and files"
        f" {frames / max(segmenting, 1e-6):.3g} frames/s{' a device' * (devices > 1)};"
        f" {programs} programs compiled in {compiling:.1f} s; {_peak_memory()}"
    )


def _peak_memory() -> str:
    peak, whose = process_peak()
    return f"peak memory {peak / 2**20:.0f} MiB {whose}" if peak else "peak memory not known"


def process_peak() -> tuple[int, str]:
    """Returns the most memory used so far in bytes, 0 if that is not known, and whose it is.

    Of a device if they tell, else of the process.
    """
    import jax

    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [each.get("peak_bytes_in_use", 0) for each in stats]
    if max(peaks):
        return max(peaks), "on a device"
    try:
        import resource
    except ImportError:  # not on Windows
        return 0, "of the process"
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "of the process"


def score(
    sequences: Sequence[BenchmarkSequence],
    protocol: Protocol,
    folder: BenchmarkFolder,
    draw: Callable[["Scores", Sequence[BenchmarkSequence]], None],
) -> None:
    """Scores what can be scored, and writes it in every form.

    Args:
        sequences: Of the data set.
        protocol: How they are scored.
        folder: With the masks; gets the results.
        draw: Called with the scores and the scored sequences: draws further pictures for the page.
    """
    known = [
        each
        for each in sequences
        if any(truth for index, truth in enumerate(each.truths) if index not in each.given)
    ]
    if not known:
        print(f"no true masks but the given ones here, so no scores: the masks are {folder.masks}")
        return
    from stm_jax.eval.scores import write_csv, write_json
    from stm_jax.eval.scoring import score_predictions
    from stm_jax.report.page_of_scores import write_report
    from stm_jax.report.score_table import print_scores

    if len(known) < len(sequences):
        print(f"{len(sequences) - len(known)} sequences have no true masks and are not scored")
    count = sum(len(each.frames) for each in known)
    with FrameProgress(None) as progress:
        scores = score_predictions(
            folder.masks,
            known,
            protocol,
            strict=False,
            progress=lambda done, _: progress.update(done, False, "scoring: "),
        )
    write_json(folder.scores_json, scores)
    write_csv(folder.scores_csv, scores)
    draw(scores, known)
    with FrameProgress(None) as progress:
        write_report(
            folder.report,
            scores,
            folder.masks,
            known,
            folder.details(known),
            done=lambda name: progress.update(count, False, f"report page, {name}: "),
        )
    print_scores(scores)
    print(f"to look at: {folder.report}")
