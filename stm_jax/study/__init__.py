"""Studies: variants trained, repeated with seeds, measured on the same videos, and compared.

A file of a study has a `get_study()` that returns a `Study`; `stm-jax study` runs it.
"""

from stm_jax.study.config import DataSet as DataSet
from stm_jax.study.config import Drawn as Drawn
from stm_jax.study.config import Study as Study
from stm_jax.study.variants import Variant as Variant
