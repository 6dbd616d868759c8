"""Cutie's rule: first in, first out, but for the first frame."""

import dataclasses

from stm_jax.memory.frame_rule import EveryRule


@dataclasses.dataclass(frozen=True)
class Fifo(EveryRule):
    """Every n-th frame stays until it is the oldest of too many; the first stays for ever.

    The working memory of Cutie (Cheng et al., "Putting the Object Back into Video Object
    Segmentation", CVPR 2024): T_max = 5 frames with every 5th, and 10 with every 3rd
    in its slower setting ("Cutie+"), the permanent first one counted (`max_mem_frames` and
    `mem_every` of the authors' evaluation configurations). As there, the first frame of an
    object that appears later is permanent too. Unlike there, the previous frame is always in
    memory, as STM's weights expect; Cutie has a recurrent sensory memory instead. With room for
    all, this is `EveryNth`.

    Source: Cutie (CVPR 2024).
    """
