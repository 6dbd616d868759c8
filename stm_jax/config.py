"""The shape of a network, as a frozen dataclass, and the networks that have a name."""

import dataclasses

from stm_jax.moved import of_config


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
        similarity: How alike two keys are, in the words of `stm-jax segment --similarity`, such as
            ("cosine", "temperature=0.05"); without words, the dot product (paper section 3.3).
    """

    name: str
    bottleneck: bool
    blocks: tuple[int, int, int]
    width: int
    decoder_width: int
    last_width: int | None = None
    key_width: int | None = None
    value_width: int | None = None
    # Not shown, so that what is known by a hash of its network's text stays known.
    similarity: tuple[str, ...] = dataclasses.field(default=(), repr=False)

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


def __getattr__(name: str) -> object:
    return of_config(name)  # what was here until 0.1.0
