"""`stm-jax demo`: the bundled clip with the bundled weights, scored against masks made by hand."""

import dataclasses
import pathlib
import time

import numpy as np

from stm_jax.commands.segment import Segment
from stm_jax.commands.shared.demo_clip import CLIP, frames_with_masks, mask_files
from stm_jax.commands.shared.options import ModelOptions, ResultOptions, VideoOptions
from stm_jax.data.image_files import write_png
from stm_jax.data.masks import read_mask
from stm_jax.eval.davis import contour_accuracy, region_similarity
from stm_jax.files import write_json
from stm_jax.report.overlay import contact_sheet
from stm_jax.runtime.claim import check_foreign, claimed

SHEET_COLUMNS = 3
FILES = ("contact_sheet.png", "metrics.json")
"""What there is beside the results of `stm-jax segment`."""


@dataclasses.dataclass(frozen=True)
class Demo:
    """Follow the rabbit through a clip of Big Buck Bunny with the bundled weights.

    Writes DIR/masks, DIR/overlay.mp4, DIR/contact_sheet.png and DIR/metrics.json: J and F against
    masks drawn by hand in every tenth frame. (c) Blender Foundation, peach.blender.org, CC BY 3.0.
    """

    results: ResultOptions = dataclasses.field(
        default_factory=lambda: ResultOptions(pathlib.Path("stm-jax-demo"))
    )
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: the weights cannot be used, or the folder holds something else.
        """
        begun = time.monotonic()
        first, *later = mask_files()
        out = self.results.out
        check_foreign(out, "segment", FILES)
        Segment(VideoOptions(CLIP, (str(first),)), self.results, self.model).run()

        names = {int(path.stem): path.name for path in (first, *later)}
        drawn = frames_with_masks()
        found = {i: read_mask(out / "masks" / names[i]) for i in names}
        scores = []
        for index in list(names)[1:]:  # the first frame's mask was given
            truth, mask = drawn[index][1] > 0, found[index] > 0
            j, f = region_similarity(mask, truth), contour_accuracy(mask, truth)
            scores.append({"frame": index, "J": j, "F": f})
        metrics = {
            "clip": "Big Buck Bunny, (c) Blender Foundation, peach.blender.org, CC BY 3.0",
            "weights": self.model.weights,
            "J_mean": float(np.mean([score["J"] for score in scores])),
            "F_mean": float(np.mean([score["F"] for score in scores])),
            "frames": scores,
            "seconds": round(time.monotonic() - begun, 1),
        }
        captions = ["frame 0: the given mask"] + [
            f"frame {s['frame']}: J {s['J']:.3f}, F {s['F']:.3f}" for s in scores
        ]
        pictures = [drawn[i][0] for i in names], [found[i] for i in names]
        sheet = contact_sheet(*pictures, SHEET_COLUMNS, captions)
        with claimed(out, "segment", FILES):
            write_png(out / FILES[0], sheet)
            write_json(out / FILES[1], metrics)

        print(f"masks:         {out / 'masks'}")
        print(f"video:         {out / 'overlay.mp4'}")
        print(f"contact sheet: {out / 'contact_sheet.png'}")
        print(f"metrics:       {out / 'metrics.json'}")
        print(
            f"mean J {metrics['J_mean']:.3f}, mean F {metrics['F_mean']:.3f} over {len(scores)} "
            f"frames drawn by hand, {metrics['seconds']:.0f} s"
        )
