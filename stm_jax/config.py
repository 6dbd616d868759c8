"""What a model is made of and how it is trained, as frozen dataclasses. Standard library only."""

import dataclasses
import pathlib


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
    """

    name: str
    bottleneck: bool
    blocks: tuple[int, int, int]
    width: int
    decoder_width: int

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
        """Channels of a key: an eighth of r4 (paper section 3.1)."""
        return self.stage_channels[2] // 8

    @property
    def value_channels(self) -> int:
        """Channels of a value: half of r4 (paper section 3.1)."""
        return self.stage_channels[2] // 2


STM_R50 = ModelConfig(
    name="stm-r50", bottleneck=True, blocks=(3, 4, 6), width=64, decoder_width=256
)
"""The paper's network: 38.9 million parameters."""

STM_R18 = ModelConfig(
    name="stm-r18", bottleneck=False, blocks=(2, 2, 2), width=64, decoder_width=128
)
"""The small sibling, for CPUs and demonstrations."""

TINY = ModelConfig(name="tiny", bottleneck=False, blocks=(1, 1, 1), width=8, decoder_width=8)
"""For tests: compiles and runs in a moment."""

PRESETS = (STM_R50, STM_R18, TINY)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What one stage of training is fed with.

    Attributes:
        photographs: Folder with `images/` and `masks/`; None for no photographs.
        videos: Folder in the DAVIS layout; None for no videos.
        held_back: Sequences of `videos` that are never trained on.
        video_share: Share of the clips that come from videos.
        pasted: The most further objects, cut out of photographs, that move over a clip.
        objects: The most objects a clip asks to follow; the rest are there to be told apart.
        length: Frames a clip.
        size: Side of the square clips in pixels, a multiple of 16.
        batch_size: Clips a step, over all devices.
        first_skip: The largest skip between the frames of a video at the start ...
        last_skip: ... and at the end of the stage; it grows in between (curriculum).
    """

    photographs: pathlib.Path | None = None
    videos: pathlib.Path | None = None
    held_back: tuple[str, ...] = ()
    video_share: float = 0.0
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
    """

    data: DataConfig
    steps: int
    learning_rate: float
    final_learning_rate: float = 0.0
    warmup_steps: int = 50
    hardest_share: float = 1.0
    matching_weight: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A whole training run.

    Attributes:
        model: The network.
        trunk: ImageNet trunk, a safetensors file with torchvision's names; None for random.
        stages: What is trained on, one after the other.
        key_frames: From how many frames of the first stage the key convolutions' start is
            computed, see `train/key_start.py`; 0 for the network's own draw.
        trunk_factor: The trunks' learning rate as a share of the rest's.
        weight_decay: AdamW's.
        clip_norm: Gradients of a larger global norm are scaled down to it.
        dtype: What the convolutions compute in, "float32" or "bfloat16"; parameters, losses and
            the optimiser stay float32.
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

    model: ModelConfig
    stages: tuple[StageConfig, ...]
    trunk: pathlib.Path | None = None
    key_frames: int = 0
    trunk_factor: float = 1.0
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    dtype: str = "float32"
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
