"""What speed.py times: the pieces of inference, ours and PyTorch's, ready to call."""

import copy
import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stm_jax import Model, Segmenter
from stm_jax.config import ModelConfig
from stm_jax.infer.openvino import OpenVino
from stm_jax.memory.bank import OBJECT_COUNTS, round_up
from stm_jax.nn.stm import STM
from stm_jax.ops.aggregate import aggregate, others, softmax_over_objects
from stm_jax.ops.padding import crop, pad, pad_frames, padding_to_stride
from stm_jax.ops.platforms import as_they_are
from stm_jax.reads import Dense, Slots
from stm_jax.reads.protocol import MemoryView
from stm_jax.weights.pytorch import to_pytorch

torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

Calls = dict[str, Callable[[], Any]]


@dataclasses.dataclass(frozen=True)
class Case:
    """One network on one size, with the random pixels, masks and memory that it is given.

    Attributes:
        config: The network's.
        height: As in 480p; the width is in DAVIS's ratio of 854 to 480.
        objects: How many.
        memory_frames: How many are read.
        dtype: Of convolutions and memory.
    """

    config: ModelConfig
    height: str
    objects: int
    memory_frames: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.height}, objects {self.objects}, memory frames {self.memory_frames}"

    @functools.cached_property
    def frame(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        rows = int(self.height.removesuffix("p"))
        shape = (rows, round(rows * 854 / 480), 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """(H, W) uint8 ids in vertical stripes, the first one background."""
        rows, columns, _ = self.frame.shape
        stripes = np.arange(columns) * (self.objects + 1) // columns
        return np.tile(stripes.astype(np.uint8), (rows, 1))

    @functools.cached_property
    def masks(self) -> np.ndarray:
        """(objects, H, W) float32."""
        ids = np.arange(1, self.objects + 1)[:, None, None]
        return (self.mask == ids).astype(np.float32)

    @functools.cached_property
    def memory(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values, (objects, memory_frames, h16, w16, channels) float32."""
        rows, columns = (-(-side // 16) for side in self.mask.shape)
        shape = (self.objects, self.memory_frames, rows, columns)
        rng = np.random.default_rng(1)
        keys = rng.normal(size=(*shape, self.config.key_channels))
        values = rng.normal(size=(*shape, self.config.value_channels))
        return keys.astype(np.float32), values.astype(np.float32)


@functools.partial(jax.jit, static_argnames="network")
def memorize(network: STM, variables: dict, frame: jax.Array, masks: jax.Array) -> Any:
    """As `stm_jax.infer.stream.advance` does it, before the memory is written."""
    padding = padding_to_stride(*frame.shape[:2])
    frames = pad_frames(frame, padding)[None]
    planes = pad(masks, padding)[None]
    return network.apply(variables, frames, planes, others(planes), method="memorize")


@functools.partial(jax.jit, static_argnames=("network", "dense"))
def segment(
    network: STM, dense: bool, variables: dict, frame: jax.Array, keys: jax.Array, values: jax.Array
) -> jax.Array:
    """As `stm_jax.infer.stream.advance` does it; a dense read is there to be counted."""
    padding = padding_to_stride(*frame.shape[:2])
    query: Any = network.apply(variables, pad_frames(frame, padding)[None], method="query")
    skips: Any = network.apply(variables, query, method="skips")
    memory = MemoryView(keys, values, jnp.ones(keys.shape[:2], bool))
    if dense:
        read = jax.vmap(functools.partial(Dense(), query.key[0]))(memory).values
    else:
        read = jax.lax.map(functools.partial(Slots(), query.key[0]), memory).values
    query_value = jnp.broadcast_to(query.value, read.shape).astype(read.dtype)
    read = jnp.concatenate([read, query_value], axis=-1)
    log_odds = network.apply(variables, read[None], skips, method="decode")[0]
    present = jnp.ones(len(keys), bool)
    return softmax_over_objects(aggregate(crop(log_odds, padding), present))


def our_step(case: Case, model: Model, runtime: OpenVino | None = None) -> Callable[[], np.ndarray]:
    """Returns a step of a stream that always reads as many memory frames as the case asks."""
    capacity = case.memory_frames + 1
    segmenter = Segmenter(model, 1, dtype=case.dtype, capacity=capacity, runtime=runtime)
    segmenter.start(case.frame, case.mask)
    arrays = segmenter.state_arrays()
    # Slot 0 is the previous frame's, and empty where every frame stays.
    unused = [(0, round_up(case.objects, OBJECT_COUNTS) - case.objects), (1, 0)]
    for name, memory in zip(("keys", "values"), case.memory, strict=True):
        arrays[f"bank_{name}"] = np.pad(memory, unused + [(0, 0)] * 3)
    full = np.ones((case.objects, case.memory_frames), bool)
    arrays["bank_filled"] = np.pad(full, unused)
    arrays["bank_frame_numbers"] = np.arange(-1, case.memory_frames, dtype=np.int32)
    arrays["frame_number"] = np.array(case.memory_frames, np.int32)
    segmenter.restore(arrays)
    return lambda: segmenter.step(case.frame)


def our_calls(case: Case, model: Model) -> Calls:
    """Returns memorize, segment and step of this project."""
    network = STM(case.config, jnp.dtype(case.dtype))
    variables = model.variables
    frame, masks = jnp.asarray(case.frame, jnp.float32) / 255, jnp.asarray(case.masks)
    memory = [jnp.asarray(array, case.dtype) for array in case.memory]
    wait = jax.block_until_ready
    return {
        "memorize": lambda: wait(memorize(network, variables, frame, masks)),
        "segment": lambda: wait(segment(network, False, variables, frame, *memory)),
        "step": our_step(case, model),
    }


def count_gflop(case: Case, model: Model) -> dict[str, float]:
    """Returns the work of memorize, segment and step by XLA's count of our program."""
    network = STM(case.config, jnp.dtype(case.dtype))
    shape = jax.ShapeDtypeStruct
    frame, masks = shape(case.frame.shape, jnp.float32), shape(case.masks.shape, jnp.float32)
    memory = [shape(array.shape, case.dtype) for array in case.memory]
    with as_they_are(True):
        programs = {
            "memorize": memorize.lower(network, model.variables, frame, masks),
            # XLA counts the body of a loop once, so the read must not loop here.
            "segment": segment.lower(network, True, model.variables, frame, *memory),
        }
    costs: dict[str, Any] = {name: program.cost_analysis() for name, program in programs.items()}
    gflop = {name: float(cost["flops"]) / 1e9 for name, cost in costs.items()}
    return gflop | {"step": gflop["memorize"] + gflop["segment"]}


def multiply_as(numbers: str) -> None:
    """Tells JAX and PyTorch how float32 is multiplied.

    Args:
        numbers: "float32", whose products are exact on a GPU too; "tf32", as JAX has it there
            unless it is told otherwise; or "bfloat16".
    """
    exact = numbers == "float32"
    jax.config.update("jax_default_matmul_precision", "highest" if exact else None)
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact


def load_twin(model: Model, dtype: str) -> Any:
    """Returns the network in PyTorch with the same weights, or None, having said why."""
    if torch is None:
        print("without PyTorch beside it: torch is not installed")
        return None
    on_cpu = jax.default_backend() == "cpu"
    if not on_cpu and not torch.cuda.is_available():
        print("without PyTorch beside it: the installed torch cannot use the accelerator")
        return None
    from stm_jax.weights import torch_twin

    torch.backends.cudnn.benchmark = True  # as XLA does: convolutions are picked by trying
    config = model.config
    twin: Any = torch_twin.STM(config)
    weights = to_pytorch(model)
    twin.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
    device = "cpu" if on_cpu else "cuda"
    return twin.to(device, getattr(torch, dtype), memory_format=torch.channels_last)


def compiled(twin: Any) -> Any:
    """Returns a copy whose parts `torch.compile` turns into programs, when they are called."""
    copied = copy.deepcopy(twin)
    copied.memorize = torch.compile(copied.memorize, dynamic=False)
    copied.segment = torch.compile(copied.segment, dynamic=False)
    return copied


def torch_calls(case: Case, twin: Any, as_original: bool = False) -> Calls:
    """Returns memorize, segment and step of PyTorch.

    As the original has it, layers are in PyTorch's default layout, NCHW, and the skips are
    computed for each object; else channels are last, and the skips computed once a frame.
    """
    if as_original:
        twin = copy.deepcopy(twin).to(memory_format=torch.contiguous_format)
    weight = twin.Decoder.pred2.weight  # says device and dtype

    def to_image(pixels: np.ndarray) -> Any:
        image = torch.as_tensor(pixels).to(weight).permute(2, 0, 1) / 255
        return image.contiguous() if as_original else image

    def wait(result: Any) -> Any:
        if weight.is_cuda:
            torch.cuda.synchronize()
        return result

    frame, masks = to_image(case.frame), torch.as_tensor(case.masks).to(weight)
    # (objects, frames, h, w, channels) -> (objects, channels, frames, h, w)
    memory = [torch.as_tensor(a.transpose(0, 4, 1, 2, 3).copy()).to(weight) for a in case.memory]
    kept = [part[:, :, 1:].contiguous() for part in memory]
    last = (frame, masks)

    def segmented(frame: Any, memory: list) -> Any:
        return twin.segment(frame, *memory, skips_each=as_original).softmax(dim=0)

    def step() -> np.ndarray:
        nonlocal last
        written = zip(kept, twin.memorize(*last), strict=True)
        frame = to_image(case.frame)
        stacked = [torch.cat([old, new.unsqueeze(2)], dim=2) for old, new in written]
        probabilities = segmented(frame, stacked)
        last = (frame, probabilities[1:].to(weight))
        return probabilities.argmax(dim=0).to(torch.uint8).cpu().numpy()

    without_gradients = torch.inference_mode()
    return {
        "memorize": without_gradients(lambda: wait(twin.memorize(frame, masks))),
        "segment": without_gradients(lambda: wait(segmented(frame, memory))),
        "step": without_gradients(step),
    }
