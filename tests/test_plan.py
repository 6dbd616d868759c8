"""`stm-jax plan`: what compiled texts say, what the rates make of it, what the command prints."""

import csv
import importlib.util
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import pytest

from stm_jax.cli import main
from stm_jax.commands.train import load_config
from stm_jax.config import TINY
from stm_jax.errors import InputError
from stm_jax.plan.compiled_text import parsed, shapes_of
from stm_jax.plan.compiling import Compiled, compiled_for
from stm_jax.plan.counting import steps_of
from stm_jax.plan.programs import Segmenting, Training
from stm_jax.plan.roofline import predicted, seconds_to_reduce, step_seconds
from stm_jax.plan.table import growth_of, planned
from stm_jax.plan.targets import H100, V5E, target_of

CONFIG = pathlib.Path(__file__).parent.parent / "configs" / "tiny.py"

# ruff: noqa: E501  (of the text)

TEXT = """
HloModule jit_f, is_scheduled=true

%body (carry.1: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %carry.1 = (s32[], f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %one.1 = f32[8,128]{1,0:T(8,128)S(1)} get-tuple-element(%carry.1), index=1
  %again.1 = f32[8,128]{1,0:T(8,128)} exponential(%one.1), backend_config={"estimated_cycles":"300"}
  ROOT %out.1 = (s32[], f32[8,128]{1,0:T(8,128)}) tuple(%one.1, %again.1)
}

%cheap (a.1: f32[8,128]) -> f32[8,128] {
  %a.1 = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %b.1 = f32[8,128]{1,0:T(8,128)} negate(%a.1), backend_config={"estimated_cycles":"10"}
}

%up_to_4 (carry.2: (s32[], f32[8,128])) -> pred[] {
  %carry.2 = (s32[], f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %turn.2 = s32[] get-tuple-element(%carry.2), index=0
  %four.2 = s32[]{:T(128)} constant(4)
  ROOT %on.2 = pred[] compare(%turn.2, %four.2), direction=LT
}

%dear (a.2: f32[8,128]) -> f32[8,128] {
  %a.2 = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %c.2 = f32[8,128]{1,0:T(8,128)} sine(%a.2), backend_config={"estimated_cycles":"6000"}
}

%fused (p.0: f32[64,128], p.1: bf16[8,3]) -> f32[8,128] {
  %p.1 = bf16[8,3]{1,0:T(8,128)(2,1)} parameter(1)
  %p.0 = f32[64,128]{1,0:T(8,128)} parameter(0)
  %part = f32[3,128]{1,0:T(8,128)} slice(%p.0), slice={[0:3], [0:128]}
  ROOT %dot = f32[8,128]{1,0:T(8,128)} dot(%p.1, %part), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main (large: f32[64,128], small: bf16[8,3], big: f32[4096,1024]) -> f32[8,128] {
  %large = f32[64,128]{1,0:T(8,128)} parameter(0)
  %small = bf16[8,3]{1,0:T(8,128)(2,1)} parameter(1)
  %big = f32[4096,1024]{1,0:T(8,128)} parameter(2)
  %product = f32[8,128]{1,0:T(8,128)S(1)} fusion(%large, %small), kind=kOutput, calls=%fused, metadata={op_name="jit(f)/dot"}, backend_config={"estimated_cycles":"1500"}
  %turned = f32[4096,1024]{0,1:T(8,128)} copy(%big), backend_config={"estimated_cycles":"3000"}
  %begun = f32[8,128]{1,0:T(8,128)} all-reduce-start(%product), replica_groups={{0,1}}
  %meanwhile = f32[8,128]{1,0:T(8,128)} cosine(%product), backend_config={"estimated_cycles":"150"}
  %summed = f32[8,128]{1,0:T(8,128)} all-reduce-done(%begun)
  %looped = (s32[], f32[8,128]{1,0:T(8,128)}) while(%summed), condition=%cheap, body=%body LOOP
  %chosen = f32[8,128]{1,0:T(8,128)} conditional(%small, %summed, %summed), branch_computations={%cheap, %dear}
  %ahead = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%chosen)
  ROOT %there = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%ahead)
}
"""
KNOWN = ', backend_config={"known_trip_count":{"n":"5"}}'
BLOCK = 4 * 8 * 128  # bytes of f32[8,128]


def steps_by_name(text, turns=3):
    return {step.name: step for step in steps_of(parsed(text), turns)}


def test_an_array_is_as_large_as_it_is_stored():
    (shape,) = shapes_of("bf16[8,55,3]{1,2,0:T(8,128)(2,1)S(1)}")
    assert shape.on_chip
    assert shape.bytes == 2 * 8 * 8 * 128  # 55 and 3 are filled up to 128 and 8
    plain, single, truth = shapes_of("(f32[5,3]{1,0}, s32[], pred[4]{0:T(512)})")
    assert (plain.bytes, single.bytes, truth.bytes) == (60, 4, 512)
    assert not plain.on_chip


def test_loops_branches_and_background():
    steps = steps_by_name(TEXT.replace("LOOP", ""))
    assert steps["again.1"].times == 3  # nobody knows it, so as was said
    assert steps_by_name(TEXT.replace("LOOP", KNOWN))["again.1"].times == 5
    counted = TEXT.replace("LOOP", "").replace("condition=%cheap", "condition=%up_to_4")
    assert steps_by_name(counted)["again.1"].times == 4
    assert "c.2" in steps and "b.1" not in steps  # the costlier branch
    assert [step.name for step in steps["begun"].beside] == ["meanwhile"]
    assert not {"small", "out.1", "there", "summed"} & steps.keys()


def test_main_memory_is_told_from_the_chip():
    steps = steps_by_name(TEXT.replace("LOOP", ""))
    product = steps["product"]
    # A slice of 3 rows, stored as 8, and all of the small one, stored as 8 x 128; none written.
    assert (product.read, product.written) == (BLOCK + 2 * 8 * 128, 0)
    assert (steps["ahead"].read, steps["ahead"].written) == (BLOCK, 0)
    assert (steps["again.1"].read, steps["again.1"].written) == (0, BLOCK)
    assert steps["turned"].moved == 4 * 4096 * 1024
    assert steps["begun"].moved == BLOCK


def test_channels_are_filled_up():
    (product,) = steps_by_name(TEXT.replace("LOOP", ""))["product"].products
    assert product.flop == 2 * 8 * 3 * 128
    assert product.padded(128) == 2 * 8 * 128 * 128
    assert product.padded(1) == product.flop


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("way", ["forward", "backward"])
def test_the_work_of_a_convolution_is_what_xla_counts(stride, size, way):
    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(
            image,
            kernel,
            (stride, stride),
            [(size // 2, size // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    image, kernel = jnp.ones((2, 12, 10, 3)), jnp.ones((size, size, 3, 5))
    if way == "backward":
        result = jax.eval_shape(convolve, image, kernel)
        gradient = jnp.ones(result.shape)
        ours = jax.jit(lambda g: jax.linear_transpose(lambda i: convolve(i, kernel), image)(g))
        lowered = ours.lower(gradient)
    else:
        lowered = jax.jit(convolve).lower(image, kernel)
    text = lowered.compiler_ir(dialect="hlo").as_hlo_text()
    found = [product for step in steps_of(parsed(text), 1) for product in step.products]
    assert [product.flop for product in found] == [lowered.cost_analysis()["flops"]]


def test_a_prediction_is_of_the_rates():
    steps = steps_of(parsed(TEXT.replace("LOOP", KNOWN)), 1)
    found = predicted(steps, V5E)
    cycles = 1500 + 3000 + 150 + 5 * 300 + 6000
    by_memory = found.main_bytes / V5E.memory_bandwidth  # of which the copy is nearly all
    assert found.main_bytes > 2 * 4 * 4096 * 1024
    assert found.least == pytest.approx(by_memory, rel=1e-3)
    turned = 2 * 4 * 4096 * 1024 / V5E.memory_bandwidth  # longer than its cycles
    assert found.expected == pytest.approx((cycles - 3000) / 1.5e9 + turned, rel=1e-3)
    assert (found.large_moves, found.large_moved) == (1, 4 * 4096 * 1024)
    assert found.short_steps == 1 + 5  # 150 cycles once, 300 five times, are below 1 us
    assert (found.reduced, found.hidden) == (BLOCK, pytest.approx(150 / 1.5e9))


def test_what_is_exchanged_takes_its_time():
    # 16 x 16 chips in two closed rings, each link with 50 GB/s each way: 200 GB/s in all.
    closed = seconds_to_reduce(100e6, target_of("v5e-256"))
    assert closed == pytest.approx(2 * 100e6 * 255 / 256 / 200e9 + 32e-6)
    # 2 x 4 chips are too few to be closed, so half.
    assert seconds_to_reduce(100e6, target_of("v5e-8")) == pytest.approx(1.75e-3 + 6e-6)
    assert seconds_to_reduce(100e6, target_of("h100x8")) == pytest.approx(2 * 100e6 / 450e9)
    assert seconds_to_reduce(100e6, target_of("v5e-1")) == 0
    assert seconds_to_reduce(0, target_of("v5e-256")) == 0  # a frame's, on any number of chips
    found = predicted(steps_of(parsed(TEXT.replace("LOOP", "")), 1), V5E)
    exposed = step_seconds(found, target_of("v5e-256")) - found.expected
    assert exposed == pytest.approx(seconds_to_reduce(BLOCK, target_of("v5e-256")) - found.hidden)


def test_how_training_grows_is_said_by_a_step_that_exchanges():
    config = load_config(CONFIG)
    step = Training(config, config.stages[-1])
    compiled = Compiled(TEXT.replace("LOOP", KNOWN), 1.0, 1.0, 0, 0, 0, 0, None)
    plan = planned(target_of("v5e-4"), step, compiled, None)
    rows = growth_of(plan, config)
    assert [row["chips"] for row in rows] == [1, 4, 8, 16, 64, 256]
    for row in rows:
        seconds = step_seconds(plan.prediction, target_of(f"v5e-{row['chips']}"))
        clips = row["chips"] * step.stage.data.batch_size / 4
        assert row["clips a second"] == pytest.approx(clips / seconds)
        assert row["of so many single chips"] == pytest.approx(plan.prediction.expected / seconds)
    assert rows[0]["of so many single chips"] == 1 > rows[1]["of so many single chips"]
    # One chip's step reduces nothing, so all would seem to grow without loss.
    assert growth_of(planned(target_of("v5e-1"), step, compiled, None), config) == []


def test_targets_are_named_as_their_makers_name_them():
    assert (target_of("v5e-8").axes, target_of("v5p-128").axes) == ((2, 4), (4, 4, 4))
    assert (target_of("v6e-256").chips, target_of("h100x8").chip) == (256, H100)
    for name in ("v5e-3", "v5e-512", "h100x9", "v5p-7", "h100", "tpu"):
        with pytest.raises(InputError, match=f"no target {name}: give v5e-N"):
            target_of(name)


def test_without_what_compiles_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["plan", "v5e-8", "--programs", "segment"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "v5e-8: libtpu compiles for it and is not here; pip install" in line
    assert main(["plan", "h100x1", "--programs", "segment"]) == 2
    assert "stm_jax[plan-cuda]" in capsys.readouterr().err


def test_a_plan_of_this_machine(tmp_path, capsys):
    table, texts = tmp_path / "plan.csv", tmp_path / "texts"
    given = ["plan", "cpu", "--networks", "tiny", "--frame", "48", "32", "--slots", "2"]
    given += ["--config", str(CONFIG), "--clips", "1", "--texts", str(texts), "--csv", str(table)]
    given += ["--videos", "1", "3"]
    assert main(given) == 0
    rows = list(csv.DictReader(table.open()))
    assert [row["program"] for row in rows] == [
        "tiny, a frame, 1 object",
        "tiny, a frame of 3 videos, 1 object",
        "tiny, a step",
    ]
    one, three = (float(row["memory, GB"]) for row in rows[:2])
    assert 1.2 * one < three < 3 * one  # each its own memory, one network
    for row in rows:
        assert float(row["compile, s"]) > 0
        assert float(row["measured, ms"]) > 0
        assert math.isnan(float(row["expected, ms"]))  # of a processor nobody publishes rates
    # What is kept is taken as it is.
    for facts in texts.glob("*/facts.json"):
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"seconds": 1234.0}))
    assert main(given) == 0
    assert [row["compile, s"] for row in csv.DictReader(table.open())] == ["1234.0"] * 3
    assert "tiny, a step" in capsys.readouterr().out


def test_a_tpu_that_is_not_here():
    pytest.importorskip("libtpu", reason="needs pip install '.[plan-tpu]'")
    target, program = target_of("v5e-1"), Segmenting(TINY, "bfloat16", (32, 48), 1, 2)
    plan = planned(target, program, compiled_for(target, program), None)
    found = plan.prediction
    assert 0 < found.least < found.expected < 0.01
    assert 0 < found.main_bytes < plan.compiled.xla_bytes  # which counts what stays on the chip
    assert plan.compiled.memory < 16e9
