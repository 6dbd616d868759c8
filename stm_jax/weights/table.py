"""One table that says where every PyTorch tensor lives in our variables.

A row holds a PyTorch name, the path of ours, and how the array changes on the way. `{block}` and
`{index}` stand for numbers and are carried over. The same rows serve both directions.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from stm_jax.errors import InputError


class Transform(NamedTuple):
    """How an array changes from PyTorch to ours and back; each undoes the other, bit for bit."""

    to_ours: Callable[[np.ndarray], np.ndarray]
    to_pytorch: Callable[[np.ndarray], np.ndarray]


KERNEL = Transform(  # OIHW <-> HWIO
    lambda array: array.transpose(2, 3, 1, 0), lambda array: array.transpose(3, 2, 0, 1)
)
VECTOR = Transform(lambda array: array, lambda array: array)
PIXEL = Transform(  # (1, 3, 1, 1) <-> (3,)
    lambda array: array.reshape(array.shape[1]), lambda array: array.reshape(1, -1, 1, 1)
)
COUNT = Transform(lambda array: array.astype(np.int32), lambda array: array.astype(np.int64))


class Row(NamedTuple):
    """One pattern of the table."""

    pytorch: str
    ours: str
    transform: Transform


def _conv_with_bias(pytorch: str, ours: str) -> list[Row]:
    return [
        Row(f"{pytorch}.weight", f"params/{ours}/conv/kernel", KERNEL),
        Row(f"{pytorch}.bias", f"params/{ours}/bias", VECTOR),
    ]


def _residual_block(pytorch: str, ours: str) -> list[Row]:
    return _conv_with_bias(f"{pytorch}.conv{{index}}", f"{ours}/conv{{index}}")


def _norm(pytorch: str, ours: str) -> list[Row]:
    return [
        Row(f"{pytorch}.weight", f"params/{ours}/scale", VECTOR),
        Row(f"{pytorch}.bias", f"params/{ours}/bias", VECTOR),
        Row(f"{pytorch}.running_mean", f"batch_stats/{ours}/mean", VECTOR),
        Row(f"{pytorch}.running_var", f"batch_stats/{ours}/var", VECTOR),
        Row(f"{pytorch}.num_batches_tracked", f"batch_stats/{ours}/count", COUNT),
    ]


def _stages(pytorch: str, ours: str, stage_names: Iterable[str]) -> list[Row]:
    rows = []
    for stage, name in enumerate(stage_names):
        theirs, mine = f"{pytorch}{name}.{{block}}", f"{ours}/trunk/res{stage + 2}_block{{block}}"
        conv = f"params/{mine}/conv{{index}}/conv/kernel"
        rows.append(Row(f"{theirs}.conv{{index}}.weight", conv, KERNEL))
        rows += _norm(f"{theirs}.bn{{index}}", f"{mine}/conv{{index}}/norm")
        shortcut = f"params/{mine}/shortcut/conv/kernel"
        rows.append(Row(f"{theirs}.downsample.0.weight", shortcut, KERNEL))
        rows += _norm(f"{theirs}.downsample.1", f"{mine}/shortcut/norm")
    return rows


def _encoder(pytorch: str, ours: str) -> list[Row]:
    return [
        Row(f"{pytorch}.mean", f"batch_stats/{ours}/normalize/mean", PIXEL),
        Row(f"{pytorch}.std", f"batch_stats/{ours}/normalize/std", PIXEL),
        Row(f"{pytorch}.conv1.weight", f"params/{ours}/conv_frame/kernel", KERNEL),
        *_norm(f"{pytorch}.bn1", f"{ours}/norm"),
        *_stages(f"{pytorch}.", ours, ("res2", "res3", "res4")),
    ]


STM_TABLE = [
    *_encoder("Encoder_M", "memory_encoder"),
    Row("Encoder_M.conv1_m.weight", "params/memory_encoder/conv_mask/kernel", KERNEL),
    Row("Encoder_M.conv1_o.weight", "params/memory_encoder/conv_others/kernel", KERNEL),
    *_encoder("Encoder_Q", "query_encoder"),
    *_conv_with_bias("KV_M_r4.Key", "memory_head/key"),
    *_conv_with_bias("KV_M_r4.Value", "memory_head/value"),
    *_conv_with_bias("KV_Q_r4.Key", "query_head/key"),
    *_conv_with_bias("KV_Q_r4.Value", "query_head/value"),
    *_conv_with_bias("Decoder.convFM", "decoder/read_conv"),
    *_residual_block("Decoder.ResMM", "decoder/read_residual"),
    *_conv_with_bias("Decoder.RF{index}.convFS", "decoder/refine{index}/skip_conv"),
    *_conv_with_bias(
        "Decoder.RF{block}.ResFS.conv{index}", "decoder/refine{block}/skip_residual/conv{index}"
    ),
    *_conv_with_bias(
        "Decoder.RF{block}.ResMM.conv{index}", "decoder/refine{block}/merged_residual/conv{index}"
    ),
    Row(
        "Decoder.RF{index}.convBelow.weight",
        "params/decoder/refine{index}/below_conv/kernel",
        KERNEL,
    ),
    *_conv_with_bias("Decoder.pred2", "decoder/predict"),
]
"""The original implementation's state dict; convBelow is ours, of a narrower last refinement."""


def trunk_table(encoder: str) -> list[Row]:
    """Returns the rows of a torchvision ResNet, stem to layer3, for one of our encoders."""
    return [
        Row("conv1.weight", f"params/{encoder}/conv_frame/kernel", KERNEL),
        *_norm("bn1", f"{encoder}/norm"),
        *_stages("", encoder, ("layer1", "layer2", "layer3")),
    ]


def pytorch_entry(path: str, rows: list[Row]) -> tuple[str, Transform]:
    """Returns the PyTorch name of one of our variables, and how its array changes.

    Raises:
        InputError: No row has the path: the variable is not of a plain STM.
    """
    for row in rows:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(row.ours))
        found = re.fullmatch(pattern, path)
        if found:
            return row.pytorch.format(**found.groupdict()), row.transform
    raise InputError(f"no PyTorch name for the variable {path}: the model is not a plain STM")
