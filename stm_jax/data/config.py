"""What training is fed with, as frozen dataclasses. Standard library only."""

import dataclasses
import pathlib
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder on disk; which layout of its kind it has is found (`data/sources.py` has them all).

    Attributes:
        folder: Which.
        weight: Share of the clips, beside the weights of the other sources. Photographs of weight 0
            are only pasted over other clips; videos of weight 0 are not used.
        kind: Says in a run's config.json which source this is.
    """

    folder: pathlib.Path
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Photographs(Folder):
    """Photographs with masks: DUTS, ECSSD, MSRA10K, PASCAL VOC, SBD or folders like theirs."""

    kind: Literal["photographs"] = "photographs"


@dataclasses.dataclass(frozen=True)
class Coco:
    """Photographs with the instances of a COCO annotations file; regions of crowds are left out.

    Attributes:
        annotations: The JSON file, such as annotations/instances_train2017.json.
        images: The folder that its file names are in, such as train2017.
        weight: As of `Folder`.
        kind: As of `Folder`.
    """

    annotations: pathlib.Path
    images: pathlib.Path
    weight: float = 1.0
    kind: Literal["coco"] = "coco"


@dataclasses.dataclass(frozen=True)
class Davis(Folder):
    """The videos of a split of DAVIS, a folder that holds JPEGImages, Annotations and ImageSets.

    Attributes:
        year: Whose list it is, 2016 or 2017; in 2016 all objects of a video are one.
        split: A list in ImageSets: train, val or trainval.
        resolution: A folder in JPEGImages: 480p or Full-Resolution.
    """

    year: Literal[2016, 2017] = 2017
    split: str = "train"
    resolution: str = "480p"
    kind: Literal["davis"] = "davis"


@dataclasses.dataclass(frozen=True)
class YoutubeVos(Folder):
    """The videos of YouTube-VOS 2018 or 2019, and others that are not annotated in every frame.

    The folder holds JPEGImages, Annotations and meta.json, such as youtube-vos/train; of
    train_all_frames, whose annotations lie beside it, the annotated frames are taken. Clips are
    cut from the annotated frames, there every fifth.
    """

    kind: Literal["youtube-vos"] = "youtube-vos"


@dataclasses.dataclass(frozen=True)
class Videos(Folder):
    """All videos of a folder in the layout of DAVIS, with or without 480p, and without lists."""

    kind: Literal["videos"] = "videos"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """ArrayRecord files that `tools/prepare_data.py` has written.

    Attributes:
        folder: What holds dataset_info.json, also in a bucket (gs://...): text, for a path would
            lose one of the two slashes.
        weight: As of `Folder`.
        kind: As of `Folder`.
    """

    folder: str
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class PreparedPhotographs(Prepared):
    """Photographs that `tools/prepare_data.py` has written."""

    kind: Literal["prepared-photographs"] = "prepared-photographs"


@dataclasses.dataclass(frozen=True)
class PreparedVideos(Prepared):
    """Videos that `tools/prepare_data.py` has written, or TFDS its `davis`.

    Attributes:
        split: train, or of the `davis` of TFDS also validation.
    """

    split: str = "train"
    kind: Literal["prepared-videos"] = "prepared-videos"


PhotographSource = Photographs | Coco | PreparedPhotographs
VideoSource = Davis | YoutubeVos | Videos | PreparedVideos
Source = PhotographSource | VideoSource


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What one stage of training is fed with.

    Attributes:
        sources: Where photographs and videos come from, mixed by their weights.
        held_back: Videos, of whichever source, that are never trained on.
        bad_files: What happens to data that cannot be used (damaged, without mask, of two
            sizes, without an object): "refuse" stops and names the file, "skip" says so and
            takes the next in its place.
        pasted: The most further objects, cut out of photographs, that move over a clip.
        objects: The most objects a clip asks to follow; the rest are there to be told apart.
        length: Frames a clip.
        size: Side of the square clips in pixels, a multiple of 16.
        batch_size: Clips a step, over all devices.
        first_skip: The largest skip between the frames of a video at the start ...
        last_skip: ... and at the end of the stage; it grows in between (curriculum). Where every
            fifth frame is annotated, 25 leaves out 5 annotated ones.
    """

    sources: tuple[Source, ...] = ()
    held_back: tuple[str, ...] = ()
    bad_files: Literal["refuse", "skip"] = "refuse"
    pasted: int = 1
    objects: int = 1
    length: int = 3
    size: int = 192
    batch_size: int = 4
    first_skip: int = 0
    last_skip: int = 25
