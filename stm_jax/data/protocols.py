"""The benchmarks that can be measured on, and in what their evaluators differ.

How each lies on disk is read by `stm_jax.data.benchmarks`. Where an evaluator or a server is not
public, it is said here: nothing is guessed in silence.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

Protocol = Literal[
    "davis2016",
    "davis2017",
    "youtube-vos",
    "mose",
    "lvos",
    "vost",
    "burst",
    "long-video",
    "folder",
]


@dataclasses.dataclass(frozen=True)
class Rules:
    """What one benchmark gives, scores and takes.

    Attributes:
        given: The masks that a method is given: those of the first frame, or each object's where
            the masks show it first.
        wanted: The frames whose masks are the result: all, or those with a true mask, where later
            ones than the given have any. YouTube-VOS names them.
        sparse: Whether frames without a true mask are not scored; else they score 0.
        left_out: What is not scored at the end: the video's last frame, the last frame with a
            true mask, or nothing. Before that an object is scored in all frames after its own
            mask, unless the data set names them (LVOS).
        void: Whether void pixels of the truth (255) are left out of both masks; else they are
            background, and what is predicted there counts as wrong.
        vanished: What becomes of an object that no scored true mask shows: it is scored like any
            other, left out and told, or refused, for then the masks are likely not what they
            should be.
        submission: What is written for others to score: `folders` is a zip of SEQUENCE/FRAME.png,
            `annotations` the same below a folder `Annotations`, `json` BURST's own file.
    """

    given: Literal["first", "each"]
    wanted: Literal["all", "annotated"]
    sparse: bool = True
    left_out: Literal["frame", "mask", "nothing"] = "nothing"
    void: bool = False
    vanished: Literal["scored", "left out", "refused"] = "scored"
    submission: Literal["folders", "annotations", "json"] | None = None


_DAVIS = Rules("first", "all", sparse=False, left_out="frame", void=True, vanished="refused")

RULES: Mapping[Protocol, Rules] = {
    "davis2016": _DAVIS,
    "davis2017": _DAVIS,
    "youtube-vos": Rules("each", "all", void=True, vanished="left out", submission="annotations"),
    # The scoring program of MOSE (2023) is not public. That of its successor MOSEv2
    # (MOSEv2/sam2_rcms/tools/score.py in henghuiding/MOSE-api) leaves out the first and the last
    # frame, knows no void, asks for a mask of every frame, and takes the videos' folders at the
    # top of the zip, as Cutie packed them for the server of 2023. Its further measures are not
    # computed. In `valid` all objects are in the first frame, whose mask is the only one.
    "mose": Rules("each", "all", left_out="mask", submission="folders"),
    # lvos-evaluation (LingyiHongfd, the commit of 2024 that reads LVOS v2): the frames of each
    # object are those of `frame_range`. It passes no void to J and F. The zip is as Cutie made it
    # for the server of v1's test set; v2's test set has no server, said its authors (LVOS #6).
    "lvos": Rules("each", "all", submission="annotations"),
    # TRI-ML/VOST, evaluation/source: frames are those with a true mask but the first and the last,
    # objects those of the first mask; it collects void but passes none of it to J. How the server's
    # zip must look was not found: it is what that evaluator reads.
    "vost": Rules("first", "annotated", left_out="mask", submission="folders"),
    # BURST-benchmark, exemplar-guided with masks: 1 frame a second is annotated, and every track
    # is given where it is seen first. There is no server, the truth is public: one JSON is scored.
    "burst": Rules("each", "annotated", vanished="left out", submission="json"),
    # XMem scored it by the DAVIS evaluator, which leaves out the first and the last annotated
    # frame. AFB-URR's own (longvideo_evaluation), from whom the videos are, scores the last one;
    # it passes no void to J and F.
    "long-video": Rules("first", "annotated", left_out="mask"),
    "folder": Rules("each", "all", left_out="frame", void=True, vanished="refused"),
}
