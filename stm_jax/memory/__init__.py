"""What is remembered of a video: frames by a rule, or single positions by a store.

`protocol` says what a memory is, `frame_rule` makes one of a single decision about a frame, and
`bank` holds the frames. `rules` has a file for each rule, `stores` one for each store: all of them
are names of this package as well.
"""

from stm_jax.memory.rules import *  # noqa: F403
from stm_jax.memory.stores import *  # noqa: F403
