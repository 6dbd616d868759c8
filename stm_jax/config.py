"""What a model is made of and how it is trained, as frozen dataclasses. Standard library only."""

import dataclasses
import pathlib
from typing import Literal


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The shape of a Space-Time Memory Network (paper section 3).

    Attributes:
        name: What the configuration is called, e.g. "stm-r50".
        bottleneck: Whether the trunk's residual blocks are bottlenecks (ResNet-50) or
            basic blocks (ResNet-18).
        blocks: Residual blocks of the trunk's three stages (strides 4, 8 and 16).
        width: Channels of the stem; stage s works at width * 2**s channels inside its blocks.
        decoder_width: Channels of the decoder.
        last_width: Channels of the decoder's last refinement, at stride 4, where a channel
            costs sixteen times what it costs at stride 16; None for `decoder_width`.
        key_width: Channels of a key; None for an eighth of r4's (paper section 3.1).
        value_width: Channels of a value; None for half of r4's (paper section 3.1).
    """

    name: str
    bottleneck: bool
    blocks: tuple[int, int, int]
    width: int
    decoder_width: int
    last_width: int | None = None
    key_width: int | None = None
    value_width: int | None = None

    @property
    def stage_channels(self) -> tuple[int, int, int]:
        """Channels of r2, r3 and r4: the outputs at strides 4, 8 and 16."""
        expansion = 4 if self.bottleneck else 1
        return (
            self.width * expansion,
            self.width * 2 * expansion,
            self.width * 4 * expansion,
        )

    @property
    def key_channels(self) -> int:
        """Channels of a key."""
        return self.stage_channels[2] // 8 if self.key_width is None else self.key_width

    @property
    def value_channels(self) -> int:
        """Channels of a value."""
        return self.stage_channels[2] // 2 if self.value_width is None else self.value_width

    @property
    def last_channels(self) -> int:
        """Channels of the decoder's last refinement."""
        return self.decoder_width if self.last_width is None else self.last_width


STM_R50 = ModelConfig(
    name="stm-r50", bottleneck=True, blocks=(3, 4, 6), width=64, decoder_width=256
)
"""The paper's network: 38.9 million parameters."""

STM_R18 = ModelConfig(
    name="stm-r18",
    bottleneck=False,
    blocks=(2, 2, 2),
    width=64,
    decoder_width=128,
    last_width=64,
    key_width=64,
    value_width=256,
)
"""The small sibling, for CPUs and demonstrations."""

TINY = ModelConfig(name="tiny", bottleneck=False, blocks=(1, 1, 1), width=8, decoder_width=8)
"""For tests: compiles and runs in a moment."""

PRESETS = (STM_R50, STM_R18, TINY)


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Photographs with masks: DUTS, ECSSD, MSRA10K, PASCAL VOC, SBD or folders like theirs.

    Attributes:
        folder: What holds the two folders, or the pairs; which layout it is is found
            (`data/sources.py` has them all).
        weight: Share of the clips, beside the weights of the other sources; photographs of
            weight 0 are only pasted over other clips.
        kind: Says in a run's config.json which source this is.
    """

    folder: pathlib.Path
    weight: float = 1.0
    kind: Literal["photographs"] = "photographs"


@dataclasses.dataclass(frozen=True)
class Coco:
    """Photographs with the instances of a COCO annotations file; regions of crowds are left out.

    Attributes:
        annotations: The JSON file, such as annotations/instances_train2017.json.
        images: The folder that its file names are in, such as train2017.
        weight: As of `Photographs`.
        kind: As of `Photographs`.
    """

    annotations: pathlib.Path
    images: pathlib.Path
    weight: float = 1.0
    kind: Literal["coco"] = "coco"


@dataclasses.dataclass(frozen=True)
class Davis:
    """The videos of a split of DAVIS.

    Attributes:
        folder: What holds JPEGImages, Annotations and ImageSets.
        weight: As of `Photographs`; videos of weight 0 are not used.
        year: Whose list it is, 2016 or 2017; in 2016 all objects of a video are one.
        split: A list in ImageSets: train, val or trainval.
        resolution: A folder in JPEGImages: 480p or Full-Resolution.
        kind: As of `Photographs`.
    """

    folder: pathlib.Path
    weight: float = 1.0
    year: Literal[2016, 2017] = 2017
    split: str = "train"
    resolution: str = "480p"
    kind: Literal["davis"] = "davis"


@dataclasses.dataclass(frozen=True)
class YoutubeVos:
    """The videos of YouTube-VOS 2018 or 2019, and others that are not annotated in every frame.

    Clips are cut from the annotated frames, there every fifth.

    Attributes:
        folder: What holds JPEGImages, Annotations and meta.json, such as youtube-vos/train; of
            train_all_frames, whose annotations lie beside it, the annotated frames are taken.
        weight: As of `Davis`.
        kind: As of `Photographs`.
    """

    folder: pathlib.Path
    weight: float = 1.0
    kind: Literal["youtube-vos"] = "youtube-vos"


@dataclasses.dataclass(frozen=True)
class Videos:
    """All videos of a folder in the layout of DAVIS, without lists.

    Attributes:
        folder: What holds JPEGImages and Annotations, with or without 480p below.
        weight: As of `Davis`.
        kind: As of `Photographs`.
    """

    folder: pathlib.Path
    weight: float = 1.0
    kind: Literal["videos"] = "videos"


@dataclasses.dataclass(frozen=True)
class PreparedPhotographs:
    """Photographs that `tools/prepare_data.py` has written as ArrayRecord files.

    Attributes:
        folder: What holds dataset_info.json, also in a bucket (gs://...): text, for a path would
            lose one of the two slashes.
        weight: As of `Photographs`.
        kind: As of `Photographs`.
    """

    folder: str
    weight: float = 1.0
    kind: Literal["prepared-photographs"] = "prepared-photographs"


@dataclasses.dataclass(frozen=True)
class PreparedVideos:
    """Videos that `tools/prepare_data.py` has written as ArrayRecord files, or TFDS its `davis`.

    Attributes:
        folder: As of `PreparedPhotographs`.
        weight: As of `Davis`.
        split: train, or of the `davis` of TFDS also validation.
        kind: As of `Photographs`.
    """

    folder: str
    weight: float = 1.0
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


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """One stage of training.

    Attributes:
        data: What it is fed with.
        steps: How many batches.
        learning_rate: After the warm-up ...
        final_learning_rate: ... and at the end, reached along a cosine.
        warmup_steps: Over which the learning rate grows from 0.
        hardest_share: Share of each frame's pixels, those with the largest loss, that count
            (bootstrapped cross-entropy); 1 for all.
        matching_weight: Weight of a term that asks the affinity alone to carry true masks over;
            0 for the paper's loss.
        overlap_weight: Weight of a Dice term, to which a small object is worth as much as a
            large one; 0 for the paper's loss.
    """

    data: DataConfig
    steps: int
    learning_rate: float
    final_learning_rate: float = 0.0
    warmup_steps: int = 50
    hardest_share: float = 1.0
    matching_weight: float = 0.0
    overlap_weight: float = 0.0


Frozen = Literal["trunks", "query-trunk", "memory-trunk", "stems", "norms"]
"""What `TrainConfig.freeze` names: the trunks of both encoders, or of one; their stems, which are
the first convolution and the first stage; scale and bias of every batch norm. The convolutions of
the masks are of no trunk."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A whole training run.

    Attributes:
        model: The network; None for that of `start_from`.
        trunk: ImageNet trunk, a safetensors file with torchvision's names; None for random.
        stages: What is trained on, one after the other.
        start_from: Weights to start from: a bundled name such as "stm-r18", a .safetensors of
            ours, a .pth, .pt, .npz or .safetensors with the original implementation's names, or a
            run's folder. A run that goes on does not read them again.
        start_anew: Parts of the network that are not taken from these weights, such as
            ("decoder", "query_head/key"), but started as without them; `trunk` and `key_frames`
            count for them alone.
        freeze: Parts of the network that stay as they start.
        key_frames: From how many frames of the first stage the key convolutions' start is
            computed, see `train/key_start.py`; 0 for the network's own draw.
        trunk_factor: The trunks' learning rate as a share of the rest's.
        weight_decay: AdamW's.
        clip_norm: Gradients of a larger global norm are scaled down to it.
        dtype: What the convolutions compute in, "float32" or "bfloat16"; parameters, losses and
            the optimiser stay float32.
        memory: What is remembered of a clip, in the words of `stm-jax segment --memory`, such as
            ("fifo", "frames=3", "every=2"); without words every frame, as in the paper. The
            frames of a clip count one by one, however many were left out between them.
        read: How the memory is read, in the words of `stm-jax segment --read`, such as
            ("top-k", "k=20"); without words, the dense read.
        accumulate: Into how many parts a batch is cut, one after the other, to save memory.
        remat: Whether activations are computed again for the gradient rather than kept.
        average_decay: Share of the old that the moving average of the weights keeps at each
            step; 0 for none. With one, the average is the result of the run.
        bad_steps: After so many steps in a row without a finite gradient the run stops; each
            of them leaves the weights as they were.
        seed: Of the weights, the order of the data and its augmentation.
        log_every: Steps between two lines of the log.
        checkpoint_every: Steps between two checkpoints.
        validate_on: Sequences of the last stage's videos, held back in every stage, on which
            J and F are measured during training.
        validate_every: Steps between two validations.
        workers: Processes on every host that make clips ahead of time; 0 for two threads.
    """

    model: ModelConfig | None
    stages: tuple[StageConfig, ...]
    trunk: pathlib.Path | None = None
    start_from: str | None = None
    start_anew: tuple[str, ...] = ()
    freeze: tuple[Frozen, ...] = ()
    key_frames: int = 0
    trunk_factor: float = 1.0
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    dtype: str = "float32"
    memory: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    accumulate: int = 1
    remat: bool = False
    average_decay: float = 0.0
    bad_steps: int = 10
    seed: int = 0
    log_every: int = 20
    checkpoint_every: int = 200
    validate_on: tuple[str, ...] = ()
    validate_every: int = 1000
    workers: int = 0

    @property
    def network(self) -> ModelConfig:
        """`model`, once it is known: `train` takes that of `start_from` for None."""
        if self.model is None:
            raise ValueError("the network is that of start_from, which has not been read")
        return self.model
