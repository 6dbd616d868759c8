"""Masks, lists, JSON and knobs that hypothesis makes up: read right, or refused in one line.

A few in every run; more by `HYPOTHESIS_PROFILE=long python -m pytest tests/hostile/test_fuzz.py`.
"""

import json
import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from stm_jax.catalogue import chosen, entries
from stm_jax.checks import check_model
from stm_jax.config import ModelConfig
from stm_jax.data.listing import read_list
from stm_jax.data.masks import read_mask
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from stm_jax.eval.scores import scores_from_json
from stm_jax.json_files import from_json, parse_json
from stm_jax.text import printable

NO_DEADLINE = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
settings.register_profile("short", max_examples=40, derandomize=True, **NO_DEADLINE)
settings.register_profile("long", max_examples=20_000, **NO_DEADLINE)
settings.load_profile("long" if os.environ.get("HYPOTHESIS_PROFILE") == "long" else "short")

SIZES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
)


def refused(error: InputError) -> None:
    message = str(error)
    assert printable(message) == message and len(message) < 600, message


@given(ids=arrays.arrays(np.uint8, SIZES, elements=st.integers(0, 255)), colours=st.binary())
def test_an_index_of_a_data_set_is_the_object(tmp_path_factory, ids, colours):
    path = tmp_path_factory.getbasetemp() / "index.png"
    image = Image.fromarray(ids)
    image.putpalette((colours * 768)[:768] or bytes(768))
    image.save(path)
    np.testing.assert_array_equal(read_truth(path), ids)


@given(ids=arrays.arrays(np.uint8, SIZES, elements=st.integers(0, 15)))
def test_small_grey_values_are_ids(tmp_path_factory, ids):
    path = tmp_path_factory.getbasetemp() / "grey.png"
    Image.fromarray(ids).save(path)
    np.testing.assert_array_equal(read_truth(path), ids)
    np.testing.assert_array_equal(read_mask(path), ids)


@given(
    pixels=st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.bool_]).flatmap(
        lambda kind: arrays.arrays(kind, SIZES)
    ),
    mode=st.sampled_from([None, "RGB", "RGBA", "LA", "P"]),
)
def test_any_picture_is_a_mask_or_refused(tmp_path_factory, pixels, mode):
    path = tmp_path_factory.getbasetemp() / "any.tif"
    image = Image.fromarray(pixels)
    if mode is not None and image.mode in ("L", "1"):
        image = image.convert(mode)
    image.save(path, format="TIFF")
    for read in (read_mask, read_truth, lambda path: read_truth(path, merged=True)):
        try:
            ids = read(path)
        except InputError as error:
            refused(error)
        else:
            assert ids.dtype == np.uint8 and ids.shape == pixels.shape


@given(
    content=st.binary(max_size=600) | st.just(b""),
    head=st.sampled_from((b"\x89PNG\r\n\x1a\n", b"")),
)
def test_any_bytes_are_a_mask_or_refused(tmp_path_factory, content, head):
    path = tmp_path_factory.getbasetemp() / "bytes.png"
    path.write_bytes(head + content)
    for read in (read_mask, read_truth):
        try:
            read(path)
        except InputError as error:
            refused(error)


@given(
    names=st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=9)),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16")),
    end=st.sampled_from(("\n", "\r\n", "\r")),
)
def test_a_list_comes_back(tmp_path_factory, names, encoding, end):
    path = tmp_path_factory.getbasetemp() / "list.txt"
    path.write_bytes(end.join(names).encode(encoding))
    stripped = (name.strip() for name in names)
    # What begins with a byte order mark is one.
    expected = tuple(n for n in stripped if n and not n.startswith("#"))
    found = read_list(path)
    assert found == expected or (encoding == "utf-8" and names and names[0].startswith("\ufeff"))


@given(content=st.binary(max_size=80))
def test_any_bytes_are_a_list_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.txt"
    path.write_bytes(content)
    try:
        assert all(line == line.strip() and line for line in read_list(path))
    except InputError as error:
        refused(error)


@given(JSON)
def test_json_comes_back_or_is_refused(value):
    try:
        text = json.dumps(value)
        assert parse_json(text, "here") == value
    except InputError as error:
        refused(error)
        assert "NaN" in text or "Infinity" in text or max(map(len, text.split())) > 18


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_is_json_or_refused(content):
    try:
        parse_json(content, "here")
    except InputError as error:
        refused(error)


@given(JSON | st.fixed_dictionaries({"frames": JSON, "protocol": JSON, "problems": JSON}))
def test_any_json_is_scores_or_refused(value):
    try:
        found = scores_from_json(value)
    except InputError as error:
        refused(error)
    else:
        assert all(0 <= j <= 1 for each in found.objects.values() for j in each.j)


WIDTHS = st.integers(-3, 2**70) | JSON
SHAPE = {"name": JSON, "bottleneck": st.booleans() | JSON, "blocks": st.lists(WIDTHS, max_size=4)}


@given(st.fixed_dictionaries({**SHAPE, "width": WIDTHS, "decoder_width": WIDTHS}) | JSON)
def test_any_json_is_a_network_or_refused(value):
    try:
        config = from_json(ModelConfig, value, "the configuration")
        check_model(config)
    except InputError as error:
        refused(error)
    else:
        assert 1 <= config.width <= 4096 and len(config.blocks) == 3


KNOBS = [
    (package, entry.name, knob)
    for package in ("memory/rules", "memory/stores", "reads")
    for entry in entries(package)
    for knob in entry.knobs
]


@given(
    where=st.sampled_from(KNOBS),
    value=st.integers().map(str) | st.floats().map(str) | st.text(max_size=12) | st.just("true"),
)
def test_a_knob_is_what_was_written_or_refused(where, value):
    package, name, knob = where
    words = (name, f"{knob}={value}")
    try:
        memory, read = chosen((), words, 5) if package == "reads" else chosen(words, (), 5)
    except InputError as error:
        refused(error)
    else:
        found = getattr(read if package == "reads" else memory, knob)
        if isinstance(found, int | float) and not isinstance(found, bool):
            assert found == type(found)(value)
