"""The commands of `stm-jax`: one module each, and one line here.

They import what is heavy only when they run.
"""

from stm_jax.commands.attention import Attention as Attention
from stm_jax.commands.benchmark_dataset import BenchmarkDataset as BenchmarkDataset
from stm_jax.commands.compare import Compare as Compare
from stm_jax.commands.convert import Convert as Convert
from stm_jax.commands.demo import Demo as Demo
from stm_jax.commands.evaluate import Evaluate as Evaluate
from stm_jax.commands.export import Export as Export
from stm_jax.commands.frame import Frame as Frame
from stm_jax.commands.paint import Paint as Paint
from stm_jax.commands.plan import Plan as Plan
from stm_jax.commands.segment import Segment as Segment
from stm_jax.commands.study import Study as Study
from stm_jax.commands.synthetic import Synthetic as Synthetic
from stm_jax.commands.train import Train as Train
