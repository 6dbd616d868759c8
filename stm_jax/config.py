"""What a model is made of, as frozen dataclasses. Standard library only."""

import dataclasses


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
