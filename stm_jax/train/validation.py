"""J and F on sequences that a run does not train on, while it trains; the best model is kept."""

import pathlib
from typing import TYPE_CHECKING

from stm_jax.data.config import DataConfig
from stm_jax.data.samples import ids_of
from stm_jax.data.sources.protocol import VideoSource
from stm_jax.errors import InputError
from stm_jax.eval.davis import mean_over_objects, score_sequence
from stm_jax.files import write_json
from stm_jax.json_files import read_json
from stm_jax.train.config import TrainConfig

if TYPE_CHECKING:
    from stm_jax.nn.model import Model

BEST = "best.safetensors"
RECORD = "best.json"


class Validation:
    """Called with a step and its model, returns J and F and keeps the best model of a run."""

    def __init__(self, config: TrainConfig, run: pathlib.Path) -> None:
        """Lists the sequences; nothing is read yet.

        Args:
            config: Names the sequences: `validate_on`, of the last stage's videos.
            run: The run's folder, for `best.safetensors` and `best.json`.

        Raises:
            InputError: A sequence is not there, or is trained on.
        """
        data = config.stages[-1].data
        if not _video_sources(data):
            raise InputError("validate_on names sequences, but the last stage has no videos")
        for number, stage in enumerate(config.stages, 1):
            trained_on = set(config.validate_on) - set(stage.data.held_back)
            if _video_sources(stage.data) and trained_on:
                raise InputError(
                    f"stage {number} trains on {', '.join(sorted(trained_on))}, which validate_on "
                    "names; add to its held_back"
                )
        videos = {}  # by name; of two sources that have a name, of the first
        for source in reversed(_video_sources(data)):
            videos |= {video.name: video for video in source.videos(data.bad_files)}
        missing = set(config.validate_on) - videos.keys()
        if missing:
            folders = ", ".join(source.place for source in _video_sources(data))
            raise InputError(f"no sequence {', '.join(sorted(missing))} in {folders}")
        self._videos = [videos[name] for name in sorted(config.validate_on)]
        self._run, self._memory, self._read = run, config.memory, config.read

    def __call__(self, step: int, model: "Model") -> dict[str, float]:
        """Returns {"J&F", "J_mean", "F_mean"} as DAVIS defines them."""
        from stm_jax.catalogue import chosen_memory, chosen_read
        from stm_jax.infer.segmenter import Segmenter  # jax, only where it is needed

        memory = chosen_memory(self._memory, "memory =")
        segmenter = Segmenter(model, memory=memory, read=chosen_read(self._read, "read ="))
        scores = []
        for video in self._videos:
            frame, first = video.samples[0].read()
            found = [segmenter.start(frame, first, length=len(video.samples))]
            found += [segmenter.step(sample.rgb(first.shape)) for sample in video.samples[1:]]
            truths = [sample.ids() for sample in video.samples]
            objects = [int(i) for i in ids_of(first)]
            scores += score_sequence(found, truths, objects)
        total = mean_over_objects(scores)
        result = {"J&F": total.j_and_f, "J_mean": total.j.mean, "F_mean": total.f.mean}
        self._keep_best(step, model, result)
        return result

    def _keep_best(self, step: int, model: "Model", scores: dict[str, float]) -> None:
        from stm_jax.weights.files import save

        record = self._run / RECORD
        best = read_json(record).get("J&F", -1.0)  # one that is damaged counts as none
        if scores["J&F"] > best:
            about = f"step {step}, J&F {scores['J&F']:.4f} on {len(self._videos)} sequences"
            save(model, self._run / BEST, about=about)
            write_json(record, {"step": step, **scores})


def _video_sources(data: DataConfig) -> list[VideoSource]:
    """Returns the sources whose videos are trained on."""
    return [s for s in data.sources if isinstance(s, VideoSource) and s.weight > 0]
