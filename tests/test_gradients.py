"""Gradients of the full-size network on the golden weights, against those of the PyTorch twin."""

import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax import weights
from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM
from stm_jax.train.losses import clip_loss


def clip(size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Returns three noisy frames with two squares that move, uint8, and their ids."""
    # A clip in which no unit lies so near to ReLU's kink that rounding takes it to the other side:
    # with seed 0 one of the memory encoder does, and its tensors then differ by 5e-3.
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 120, (3, size, size, 3), dtype=np.uint8)
    masks = np.zeros((3, size, size), np.uint8)
    for t in range(3):
        masks[t, 8:30, 6 + 3 * t : 28 + 3 * t] = 1
        masks[t, 34:58, 20 + 2 * t : 50 + 2 * t] = 2
    frames[masks == 1] += 130
    frames[masks == 2, 0] += 100
    return frames, masks


def test_every_gradient_is_the_twins(shared: pathlib.Path):
    """Ours in float32 against the twin's in float64: relative error of each tensor, by norms."""
    torch = pytest.importorskip("torch", reason="the PyTorch twin needs torch, not installed")
    from stm_jax.weights import torch_twin

    rule = runpy.run_path(str(shared / "golden" / "weights_rule.py"))
    state_dict = rule["golden_state_dict"]()
    frames, masks = clip()
    twin = torch_twin.STM()
    twin.load_state_dict({name: torch.as_tensor(array) for name, array in state_dict.items()})
    their_loss = torch_twin.clip_loss(twin.double(), frames, masks)
    their_loss.backward()
    theirs = {name: tensor.grad.numpy() for name, tensor in twin.named_parameters()}

    model = weights.from_pytorch(state_dict)
    network, variables = STM(model.config), model.variables

    def loss_of(params: dict) -> jax.Array:
        given = {**variables, "params": params}
        return clip_loss(network, given, jnp.asarray(frames[None]), masks[None], objects=2)[0]

    # As users compile it: the tests' quick compilation sums one by one, with a hundredfold error.
    program = jax.jit(jax.value_and_grad(loss_of)).lower(variables["params"])
    loss, gradients = program.compile({"xla_backend_optimization_level": 3})(variables["params"])
    assert float(loss) == pytest.approx(their_loss.item(), rel=1e-6)
    ours = weights.to_pytorch(Model(model.config, {**variables, "params": gradients}))
    norms = {name: np.linalg.norm(theirs[name]) for name in theirs}
    distances = {name: np.linalg.norm(ours[name] - theirs[name]) for name in theirs}

    # It adds the same to all scores of a query, so that its gradient is 0 but for rounding: held
    # against the gradient of the kernel whose bias it is.
    without = "KV_M_r4.Key.bias"
    assert norms.pop(without) <= 1e-12 * norms["KV_M_r4.Key.weight"]
    assert distances.pop(without) <= 1e-5 * norms["KV_M_r4.Key.weight"]

    errors = {name: distances[name] / norms[name] for name in norms}
    worst = max(errors, key=errors.__getitem__)
    print(f"{len(errors)} tensors; largest relative error {errors[worst]:.1e}, of {worst}")
    assert errors[worst] <= 1e-4
