"""The PyTorch twin agrees with the original implementation's outputs."""

import json
import pathlib
import runpy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the PyTorch twin needs torch, which is not installed")

from stm_jax.config import STM_R18, TINY  # noqa: E402
from stm_jax.weights import torch_twin  # noqa: E402

VIDEOS = ("single_64x96", "padded_50x70", "multi_72x128")


@pytest.fixture(scope="module")
def golden(shared: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / "stm_official_outputs.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def twin(shared: pathlib.Path) -> torch_twin.STM:
    """Returns the twin in float64 with the weights of the golden outputs."""
    state = runpy.run_path(str(shared / "golden" / "weights_rule.py"))["golden_state_dict"]()
    model = torch_twin.STM()
    model.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()})
    return model.double()


def assert_agrees(ours: torch_twin.Tensor, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    # The golden outputs are stored as float32: the tolerance is their rounding.
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-6, atol=1e-6)


def test_state_dict_has_the_original_names_and_shapes(shared: pathlib.Path) -> None:
    shapes = json.loads((shared / "golden" / "stm_state_dict_shapes.json").read_text())
    ours = {name: list(tensor.shape) for name, tensor in torch_twin.STM().state_dict().items()}
    assert ours == shapes
    assert len(ours) == 558


def test_parameters_are_as_many_as_the_paper_network_has() -> None:
    assert sum(p.numel() for p in torch_twin.STM().parameters()) == 38_925_570


@pytest.mark.parametrize("video", VIDEOS)
def test_probabilities_agree_with_the_original(
    twin: torch_twin.STM, golden: dict[str, np.ndarray], video: str
) -> None:
    frames, mask = golden[f"{video}/frames"], golden[f"{video}/mask"]
    every = int(golden[f"{video}/memorize_every"])
    probabilities = torch_twin.segment_clip(twin, frames, mask, every)
    assert_agrees(probabilities, golden[f"{video}/probabilities"])


def test_blocks_agree_with_the_original(
    twin: torch_twin.STM, golden: dict[str, np.ndarray]
) -> None:
    frame = torch.as_tensor(golden["single_64x96/frames"][:1]).permute(0, 3, 1, 2).double() / 255
    mask = torch.as_tensor(golden["single_64x96/mask"] == 1)[None, None].double()
    with torch.no_grad():
        _, _, memory_r4 = twin.Encoder_M(frame, mask, torch.zeros_like(mask))
        memory_key, memory_value = twin.KV_M_r4(memory_r4)
        r2, r3, r4 = twin.Encoder_Q(frame)
        query_key, query_value = twin.KV_Q_r4(r4)
        read, affinity = torch_twin.read_memory(
            memory_key.unsqueeze(2), memory_value.unsqueeze(2), query_key, query_value
        )
        decoder_logits = twin.Decoder(read, r3, r2)
    blocks = {
        "memory_r4": memory_r4,
        "memory_key": memory_key,
        "memory_value": memory_value,
        "query_r2": r2,
        "query_r3": r3,
        "query_r4": r4,
        "query_key": query_key,
        "query_value": query_value,
        "affinity": affinity,
        "read": read,
        "decoder_logits": decoder_logits,
    }
    for name, ours in blocks.items():
        assert_agrees(ours, golden[f"blocks/{name}"])


def test_resnet18_variant_has_torchvision_names() -> None:
    model = torch_twin.STM(STM_R18)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes["Encoder_Q.res2.1.conv2.weight"] == (64, 64, 3, 3)
    assert shapes["Encoder_Q.res3.0.conv1.weight"] == (128, 64, 3, 3)
    assert shapes["Encoder_Q.res3.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert shapes["KV_M_r4.Key.weight"] == (64, 256, 3, 3)
    assert shapes["KV_M_r4.Value.weight"] == (256, 256, 3, 3)
    assert shapes["Decoder.convFM.weight"] == (128, 512, 3, 3)
    assert shapes["Decoder.RF2.convBelow.weight"] == (64, 128, 1, 1)
    assert "Encoder_Q.res2.0.downsample.0.weight" not in shapes
    assert "Encoder_Q.res2.0.conv3.weight" not in shapes


def test_clip_loss_reaches_every_weight_and_leaves_the_statistics() -> None:
    torch.manual_seed(0)
    model = torch_twin.STM(TINY).train()
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 20, 40, 3), dtype=np.uint8)
    masks = rng.integers(0, 3, (3, 20, 40), dtype=np.uint8)
    loss = torch_twin.clip_loss(model, frames, masks)
    loss.backward()
    assert loss.shape == () and 0 < loss.item() < 5
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_buffers())
