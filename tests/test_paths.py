"""How the layers of a clip move: smoothly or not, with the camera, bent; and what blurs them."""

import dataclasses

import cv2
import numpy as np
import pytest

from stm_jax.data import camera, light, paths
from stm_jax.data.bending import Bend, random_bends
from stm_jax.data.camera import motion_blurred, worn
from stm_jax.data.light import drift, recolored
from stm_jax.data.paths import PHOTOGRAPH, Motion, Ranges, crossing, hidden_frames, path
from stm_jax.data.views import View

START = View((50.0, 40.0), 60.0, rotation=30.0, flip=True)
NOWHERE = Ranges(0.0, 0.0, 0.0, 0.0)


def still(length: int, smooth: bool = True) -> Motion:
    return Motion(smooth, np.zeros((length, 2)))


def steps(views: list[View]) -> np.ndarray:
    """Returns what changes from view to view, in shares of the ranges: (t - 1, 5)."""
    places = [(*v.center, v.rotation, v.shear, np.log(v.extent)) for v in views]
    units = (60 * PHOTOGRAPH.shift, 60 * PHOTOGRAPH.shift, 20.0, 12.0, PHOTOGRAPH.zoom)
    return np.diff(np.array(places), axis=0) / units


def moved_in_crop(view: View, other: View, size: int) -> np.ndarray:
    """Returns how many pixels (right, down) what is in the middle of a view is away in another."""
    point = view.matrix(size) @ (size / 2, size / 2, 1)
    matrix = other.matrix(size)
    return np.linalg.solve(matrix[:, :2], point - matrix[:, 2]) - size / 2


def test_a_smooth_path_is_smooth_and_jumps_are_not():
    rough = {}
    for smooth in (True, False):
        rng = np.random.default_rng(0)
        ways = [steps(path(START, PHOTOGRAPH, still(8, smooth), rng)) for _ in range(50)]
        turns = [np.diff(way, axis=0) for way in ways]
        rough[smooth] = np.abs(turns).mean() / np.abs(ways).mean()
    assert rough[True] < 0.25
    assert rough[False] > 1


def test_a_smooth_path_begins_with_its_start_and_goes_as_far_as_jumps_do():
    rng = np.random.default_rng(0)
    ends = []
    for length in (3, 12):
        ways = [path(START, PHOTOGRAPH, still(length), rng) for _ in range(200)]
        assert all(views[0] == START for views in ways)
        ends.append(np.abs([steps([v[0], v[-1]])[0, 2:] for v in ways]).mean())
    assert 0.6 < ends[0] < 1.0  # jumps: 2 / 3 between two frames
    assert 1.4 < ends[1] / ends[0] < 2.2


def test_shake_moves_all_layers_alike():
    shake = np.array([[0.0, 0.0], [0.1, -0.05], [0.02, 0.06]])
    for smooth in (True, False):
        for start in (START, View((10.0, 90.0), 200.0, rotation=-50.0, shear=9.0)):
            views = path(start, NOWHERE, Motion(smooth, shake), np.random.default_rng(0))
            for view, (right, down) in zip(views, shake, strict=True):
                expected = -100 * right, -100 * down
                assert np.allclose(moved_in_crop(views[0], view, 100), expected, atol=1e-6)


def test_some_cameras_shake_in_every_frame_and_others_in_none():
    rng = np.random.default_rng(0)
    motions = [paths.random_motion(rng, 6) for _ in range(300)]
    shaken = [motion.shake for motion in motions if motion.shake.any()]
    assert 0.3 < len(shaken) / 300 < 0.5
    assert all((np.abs(np.diff(shake, axis=0)).sum(axis=1) > 0).all() for shake in shaken)
    widest = np.array([np.abs(shake - shake[0]).max() for shake in shaken])
    assert (widest < 0.3).all()
    assert np.median(widest) > 0.02
    assert 0.4 < np.mean([motion.smooth for motion in motions]) < 0.6


def test_what_crosses_goes_far_and_passes_the_given_place():
    rng = np.random.default_rng(0)
    for _ in range(20):
        views = crossing(START, still(6), rng)
        assert np.linalg.norm(moved_in_crop(views[0], views[-1], 100)) > 60
        assert min(np.abs(np.subtract(v.center, START.center)).max() for v in views) < 1e-6


def test_a_thing_is_hidden_for_a_while_within_the_clip():
    rng = np.random.default_rng(0)
    drawn = [hidden_frames(rng, 7) for _ in range(600)]
    some = np.array([hidden for hidden in drawn if hidden.any()])
    assert 0.1 < len(some) / 600 < 0.2
    assert not some[:, [0, -1]].any()
    assert (np.abs(np.diff(some.astype(int), axis=1)).sum(axis=1) == 2).all()  # one run
    assert some.sum(axis=1).max() == 5
    assert not any(hidden_frames(rng, 2).any() for _ in range(50))


def bend(offset: tuple[float, float]) -> Bend:
    return Bend((20.0, 10.0), 60.0, np.full((32, 32, 2), offset, np.float32))


def test_a_bend_moves_by_shares_of_its_side():
    picture = np.random.default_rng(0).integers(0, 255, (80, 100), dtype=np.uint8)
    view = View((45.0, 38.0), 50.0)
    nothing = dataclasses.replace(view, bend=bend((0.0, 0.0)))
    assert np.array_equal(nothing.of(picture, 50), view.of(picture, 50))
    right = dataclasses.replace(view, bend=bend((0.1, 0.05)))
    assert np.array_equal(right.of(picture, 50), View((51.0, 41.0), 50.0).of(picture, 50))


def test_what_is_bent_is_bent_with_its_mask_its_part_and_its_shrunk_picture():
    columns, rows = np.meshgrid(np.arange(128.0), np.arange(128.0))
    mask = (np.hypot(columns - 60, rows - 66) < 40).astype(np.uint8)
    picture = np.stack([mask * np.uint8(250)] * 3, axis=-1)
    bends = random_bends((10.0, 10.0), 100.0, 1, np.random.default_rng(1))
    view = View((64.0, 64.0), 110.0, rotation=15.0)
    bent = dataclasses.replace(view, bend=bends[0])
    shown = bent.of(mask, 110) > 0
    assert ((bent.of(picture, 110)[..., 0] > 125) == shown).mean() > 0.995
    assert 0.005 < ((view.of(mask, 110) > 0) != shown).mean() < 0.1
    box = (slice(13, 71), slice(20, 110))
    assert np.array_equal(bent.part_of(picture, 110, box), bent.of(picture, 110)[box])
    half = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    assert ((bent.of(half, 110, 2)[..., 0] > 125) == shown).mean() > 0.99


def test_bends_neither_fold_nor_jump():
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(96, dtype=np.float32), np.arange(96, dtype=np.float32))
    for _ in range(30):
        bends = random_bends((0.0, 0.0), 96.0, 6, rng)
        moved = [each.bent(x, y, 1) for each in bends]
        assert all((np.diff(across, axis=1) > 0).all() for across, _ in moved)
        assert all((np.diff(along, axis=0) > 0).all() for _, along in moved)
        offsets = np.stack([each.offsets for each in bends])
        assert np.abs(np.diff(offsets, axis=0)).max() < 0.9 * np.abs(offsets).max()
        assert np.abs(np.diff(offsets, axis=0)).max() > 0


def test_motion_blur_spreads_along_its_angle_and_moves_nothing():
    frame = np.zeros((40, 50, 3), np.uint8)
    frame[20, 25] = 255
    for angle, along, across in ((0.0, 1, 0), (np.pi / 2, 0, 1)):
        spread = motion_blurred(frame, 10.0, angle)[..., 0].astype(float)
        shown = np.argwhere(spread > 5)
        assert np.ptp(shown[:, along]) in (9, 10)
        assert np.ptp(shown[:, across]) == 0
        middle = (np.argwhere(spread) * spread[spread > 0][:, None]).sum(axis=0) / spread.sum()
        assert np.allclose(middle, (20, 25), atol=0.01)
    slanting = motion_blurred(frame, 14.0, np.pi / 4)[..., 0]
    assert slanting[24, 29]
    assert not slanting[16, 29]


def test_blur_follows_the_shake(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(camera, "BLURRED_SHARE", 1.0)
    angles = []
    original = camera.motion_blurred
    monkeypatch.setattr(
        camera,
        "motion_blurred",
        lambda frame, length, angle: angles.append(angle) or original(frame, length, angle),
    )
    frames = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    before = frames.copy()
    shake = np.arange(40)[:, None] * np.array([0.01, 0.02])
    after = worn(frames, shake, np.random.default_rng(0))
    assert np.array_equal(frames, before)
    blurred = [t for t in range(1, 40) if not np.array_equal(after[t], before[t])]
    assert 10 < len(blurred) < 30
    assert np.allclose(angles[-len(blurred) :], np.arctan2(2, 1))


@pytest.mark.parametrize("share", ["NOISY_SHARE", "COMPRESSED_SHARE"])
def test_noise_and_artefacts_are_mild(monkeypatch: pytest.MonkeyPatch, share: str):
    for name in ("BLURRED_SHARE", "NOISY_SHARE", "COMPRESSED_SHARE"):
        monkeypatch.setattr(camera, name, float(name == share))
    ramp = np.tile(np.linspace(0, 255, 64), (64, 1))
    frames = np.stack([np.stack([ramp, ramp.T, 255 - ramp], axis=-1)] * 2).astype(np.uint8)
    after = worn(frames, np.zeros((2, 2)), np.random.default_rng(0))
    assert 0.2 < np.abs(after.astype(float) - frames).mean() < 8


def test_light_drifts_evenly_to_another(monkeypatch: pytest.MonkeyPatch):
    picture = np.random.default_rng(0).integers(60, 160, (20, 30, 3), dtype=np.uint8)
    monkeypatch.setattr(light, "JITTER", 0.0)
    changes = np.stack(drift(picture, 5, np.random.default_rng(1)))
    assert np.array_equal(recolored(picture, changes[0]), picture)
    assert np.allclose(np.diff(changes, n=2, axis=0), 0, atol=1e-9)
    assert np.abs(changes[-1] - changes[0]).max() > 0.03
    monkeypatch.setattr(light, "JITTER", 0.03)
    jittered = np.stack(drift(picture, 5, np.random.default_rng(1)))
    assert np.abs(np.diff(jittered, n=2, axis=0)).max() > 0.001
    first, then = np.diag([2.0, 1.0, 0.5]), np.eye(3)[::-1]
    both = light.joined(
        np.concatenate([first, np.full((3, 1), 7.0)], 1),
        np.concatenate([then, np.zeros((3, 1))], 1),
    )
    assert np.array_equal(both @ (10, 20, 30, 1), (22, 27, 27))
