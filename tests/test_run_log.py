"""What a run tells: lines, work, pictures; and what it need not do again."""

import dataclasses
import io
import json
import pathlib
import struct
from collections.abc import Iterator

import jax
import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from stm_jax.config import TINY
from stm_jax.nn.model import random_model
from stm_jax.train import loop
from stm_jax.train.log import RunLog, _remove_torn_end
from stm_jax.train.pictures import picture_of
from stm_jax.weights import checkpoints
from tests.test_clips import root  # noqa: F401, a fixture
from tests.test_train import config_for


def pictures_in(run: pathlib.Path) -> Iterator[tuple[int, Image.Image]]:
    """Yields step and picture of every picture in the run's TensorBoard files."""
    for path in (run / "tensorboard").iterdir():
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                if value.HasField("image"):
                    yield event.step, Image.open(io.BytesIO(value.image.encoded_image_string))


def test_a_run_tells_what_it_does(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    config = dataclasses.replace(config_for(root), log_every=2)
    done: list[str] = []
    for owner, name in ((RunLog, "flush"), (checkpoints, "save")):
        call = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, c=call, n=name: done.append(n) or c(*a))
    model = loop.fit(config, tmp_path)
    # No line of a step that a checkpoint counts as done is lost in a power cut.
    assert done == ["flush", "save"] * 4
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 3, 4, 6]  # stages end with steps 3 and 6
    assert [line["stage"] for line in lines] == [1, 1, 2, 2]

    said = capsys.readouterr().out
    count = sum(leaf.size for leaf in jax.tree.leaves(random_model(TINY).variables["params"]))
    assert f"tiny: {count / 1e6:.1f} million parameters; 1 x cpu" in said
    assert "stage 2: steps 4 to 6, 2 clips of 2 x 32 x 32, " in said
    gflop = float(said.partition("32 x 32, ")[2].partition(" GFLOP")[0])
    # The convolutions of the last stage alone, forwards and back, for two frames and more.
    assert 0.01 < gflop < 1

    found = dict(pictures_in(tmp_path))
    assert sorted(found) == [2, 3, 4, 6]  # with each checkpoint
    # A row for each of two clips: frame, truth and prediction of its second frame.
    assert all(picture.size == (3 * 32, 2 * 32) for picture in found.values())

    for unused in ("given_weights", "initial_model"):  # by a run that goes on
        monkeypatch.delattr(loop, unused)
    again = loop.fit(config, tmp_path)
    assert "going on from step 6" in capsys.readouterr().out
    for expected, leaf in zip(
        jax.tree.leaves(model.variables), jax.tree.leaves(again.variables), strict=True
    ):
        np.testing.assert_array_equal(leaf, expected)


@pytest.mark.parametrize("torn", [b"", b'{"step": 2, "lo', bytes(9), b'{"st' + bytes(4)])
def test_half_a_line_at_the_end_of_a_log_goes(tmp_path, torn):
    log = tmp_path / "log.jsonl"
    _remove_torn_end(log)
    assert not log.exists()
    log.write_bytes(b'{"step": 1}\n' + torn)
    _remove_torn_end(log)
    assert log.read_bytes() == b'{"step": 1}\n'


def test_a_picture_shows_frame_truth_and_prediction():
    frames = np.full((5, 3, 16, 16, 3), 100, np.uint8)
    frames[1, 2] = 40
    masks, labels = np.zeros((5, 3, 16, 16), np.uint8), np.zeros((5, 2, 16, 16), np.uint8)
    masks[1, 2, :8], labels[1, 1, 8:] = 1, 2  # of the second clip's third frame
    picture = picture_of(frames, masks, labels)
    assert picture.shape == (4 * 16, 2 * 3 * 16, 3) and picture.dtype == np.uint8
    frame, truth, predicted = picture[16:32, 48:].reshape(16, 3, 16, 3).swapaxes(0, 1)
    assert (frame == 40).all()
    assert (truth[:8] == (20 + 64, 20, 20)).all() and (truth[8:] == 40).all()
    assert (predicted[8:] == (20, 20 + 64, 20)).all() and (predicted[:8] == 40).all()
    picture[16:32, 48:] = 100
    assert (picture == 100).all()
