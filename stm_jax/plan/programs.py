"""The programs that a plan is about: a step of training, and a frame of a video."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from stm_jax.config import ModelConfig
from stm_jax.infer.batch import EVERYWHERE, SHARED_OUT, advance_places
from stm_jax.infer.stream import Recipe, advance, begin
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.model import random_model
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import abstract_state, by_clip, data_mesh
from stm_jax.train.step import initial_state, make_optimizer, make_step


@dataclasses.dataclass(frozen=True)
class Training:
    """A step of training, its clips shared out over all devices.

    Attributes:
        config: Of the run; its network is known.
        stage: Of it; its data's batch is that of all devices.
    """

    config: TrainConfig
    stage: StageConfig


@dataclasses.dataclass(frozen=True)
class Segmenting:
    """A frame of each video on one device: the last one is memorised, the next one segmented.

    Attributes:
        model: The network.
        dtype: What the convolutions and the memory work in.
        size: Rows and columns of a frame.
        objects: How many are followed.
        slots: Frames in the memory.
        videos: How many are followed at once.
    """

    model: ModelConfig
    dtype: str
    size: tuple[int, int]
    objects: int
    slots: int
    videos: int = 1


Program = Training | Segmenting


class Call(NamedTuple):
    """A compiled function and what it is called with.

    Attributes:
        function: What `jax.jit` gives.
        constants: Its first arguments, which are part of the program.
        arguments: The others, as arrays without values that lie on the devices.
        state: Which of these is what the function's first result takes the place of.
    """

    function: Any
    constants: tuple[Any, ...]
    arguments: tuple[Any, ...]
    state: int


def call_of(program: Program, devices: Sequence[Any]) -> Call:
    """Returns how a program is called on these devices, which need not be here."""
    if isinstance(program, Training):
        return _training(program, devices)
    return _segmenting(program, devices[0])


def _training(program: Training, devices: Sequence[Any]) -> Call:
    config, data, mesh = program.config, program.stage.data, data_mesh(devices)
    optimizer = make_optimizer(config)

    def first_state() -> dict:
        variables = random_model(config.network).variables
        return initial_state(variables, optimizer, config.average_decay > 0)

    state = abstract_state(mesh, jax.eval_shape(first_state))
    shape = (data.batch_size, data.length, data.size, data.size)

    def of_clips(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=by_clip(mesh))

    clips = {"frames": of_clips((*shape, 3)), "masks": of_clips(shape)}
    step = make_step(config, program.stage, optimizer, mesh)
    return Call(step, (), (state, clips), state=0)


def _segmenting(program: Segmenting, device: Any) -> Call:
    variables = jax.eval_shape(lambda: random_model(program.model).variables)
    recipe = Recipe(program.model, EveryNth(), jnp.dtype(program.dtype), short_side=None)
    frame = np.zeros((*program.size, 3), np.uint8)
    masks = np.zeros((program.objects, *program.size), np.float32)
    state = begin(recipe, program.slots, frame, masks, np.ones(program.objects, bool))
    ids = np.arange(1 + program.objects, dtype=np.uint8)

    mesh = Mesh(np.array([device]), ("videos",))

    def there(leaf: Any, *of_videos: int) -> jax.ShapeDtypeStruct:
        where = NamedSharding(mesh, SHARED_OUT if of_videos else EVERYWHERE)
        return jax.ShapeDtypeStruct((*of_videos, *leaf.shape), leaf.dtype, sharding=where)

    given = state, frame, ids
    if program.videos == 1:
        return Call(advance, (recipe, False), jax.tree.map(there, (variables, *given)), state=1)
    of_videos = jax.tree.map(lambda leaf: there(leaf, program.videos), given)
    arguments = (jax.tree.map(there, variables), *of_videos)
    return Call(advance_places, (recipe, mesh, True), arguments, state=1)
