"""How a network is trained, as frozen dataclasses."""

import dataclasses
import pathlib
from typing import Literal

from stm_jax.config import ModelConfig
from stm_jax.data.config import DataConfig


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
        similarity: How alike two keys are, in the words of `stm-jax segment --similarity`, such as
            ("negative-l2",); without words as `model` says, or `start_from` for None.
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
    similarity: tuple[str, ...] = ()
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
        """`model` with `similarity`, once it is known: `fit` takes `start_from`'s for None."""
        if self.model is None:
            raise ValueError("the network is that of start_from, which has not been read")
        if not self.similarity:
            return self.model
        return dataclasses.replace(self.model, similarity=self.similarity)
