# ruff: noqa: I001 - the order of these lines is that of the help texts, tables and variants
"""Which frames stay in the memory and which give way: one rule a file, and one line here."""

from stm_jax.memory.rules.every_nth import EveryNth as EveryNth
from stm_jax.memory.rules.previous import Previous as Previous
from stm_jax.memory.rules.first import First as First
from stm_jax.memory.rules.evenly_spread import EvenlySpread as EvenlySpread
from stm_jax.memory.rules.fifo import Fifo as Fifo
from stm_jax.memory.rules.annotated import Annotated as Annotated
from stm_jax.memory.rules.recent import Recent as Recent
from stm_jax.memory.rules.confident import Confident as Confident
from stm_jax.memory.rules.least_used import LeastUsed as LeastUsed
from stm_jax.memory.rules.ucb import Ucb as Ucb
from stm_jax.memory.rules.diverse import Diverse as Diverse
from stm_jax.memory.rules.dam4sam import Dam4Sam as Dam4Sam
from stm_jax.memory.rules.samurai import Samurai as Samurai
from stm_jax.memory.rules.reservoir import Reservoir as Reservoir
from stm_jax.memory.rules.random_frame import RandomFrame as RandomFrame
