"""Results that other tools take: each read back gives the same mask, by others' readers too."""

import dataclasses
import fractions
import json
import pathlib

import av
import numpy as np
import pytest
from PIL import Image

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.clips import clip_from_video
from stm_jax.data.masks import write_mask
from stm_jax.data.sources.davis import Davis
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError
from stm_jax.json_files import read_json
from stm_jax.results.alpha import matte, read_cut_out, read_matte
from stm_jax.results.alpha_video import VP9, read_alpha_video
from stm_jax.results.finished import SegmentedVideo
from stm_jax.results.make import NOTES, PLACES, make
from stm_jax.results.probabilities import STEPS, ids_of, read_probabilities, write_probabilities
from stm_jax.results.video_writer import VideoWriter

HEIGHT, WIDTH, COUNT = 37, 51, 9  # odd, as some videos are
OBJECTS = np.array([1, 4], np.uint8)
TIMES = [fractions.Fraction(n, 1000) for n in (0, 33, 100, 133, 167, 240, 267, 300, 500)]
"""Of a video whose frames are not evenly apart."""


def soft_masks(index: int) -> np.ndarray:
    """(3, HEIGHT, WIDTH) float32: two soft discs that move; the second leaves after frame 5."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    one = 1 / (1 + np.exp((np.hypot(x - 14 - index, y - 15) - 8) / 1.5))
    other = (1 - one) / (1 + np.exp((np.hypot(x - 36, y - 20) - 6) / 1.5)) * (index <= 5)
    return np.stack([1 - one - other, one, other]).astype(np.float32)


def picture(index: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([4 * x + index, 5 * y, 255 - 4 * x], axis=-1).astype(np.uint8)


def write_source(path: pathlib.Path, sound: str | None = "aac") -> None:
    """Writes a video of uneven times, losslessly; with a tone that lasts a little longer."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if path.suffix == ".mkv" else "libx264rgb", rate=30)
        stream.height, stream.width = HEIGHT, WIDTH
        stream.pix_fmt = "bgr0" if path.suffix == ".mkv" else "rgb24"
        stream.codec_context.time_base = fractions.Fraction(1, 1000)
        if stream.name == "libx264rgb":
            stream.options = {"qp": "0"}
        tone = container.add_stream(sound, rate=48_000) if sound else None
        for index, time in enumerate(TIMES):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = int(time * 1000), fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            wave = np.sin(np.arange(48_000) * 0.06).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48_000, 0
            container.mux(tone.encode(samples))
            container.mux(tone.encode())


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("source") / "clip.mkv"
    write_source(path)
    return path


def segmented(source: pathlib.Path, folder: pathlib.Path) -> SegmentedVideo:
    """Writes masks and probabilities of every frame."""
    for name in ("masks", "probabilities"):
        (folder / name).mkdir(parents=True)
    frames = open_frames(source)
    for index in range(COUNT):
        name, soft = frames.name_of(index), soft_masks(index)
        write_mask(folder / "masks" / f"{name}.png", ids_of(soft, OBJECTS))
        write_probabilities(folder / "probabilities" / f"{name}.npz", soft, OBJECTS)
    return SegmentedVideo(frames, folder / "masks", folder / "probabilities", "clip")


@pytest.fixture
def video(source, tmp_path) -> SegmentedVideo:
    return segmented(source, tmp_path / "out")


@pytest.fixture(scope="module")
def made(source, tmp_path_factory) -> pathlib.Path:
    """A folder with every kind."""
    folder = tmp_path_factory.mktemp("made") / "out"
    make(list(PLACES), segmented(source, folder), folder)
    return folder


def alpha_of(index: int) -> np.ndarray:
    """What the opacity is, at 8 bits, of what was kept of the soft masks."""
    kept = np.rint(soft_masks(index)[0] * STEPS) / STEPS
    return np.rint(255 * (1 - kept)).astype(int)


def ids(index: int) -> np.ndarray:
    return ids_of(soft_masks(index), OBJECTS)


def test_the_masks_are_soft_and_change():
    assert all(len(np.unique(alpha_of(i))) > 50 for i in range(COUNT))
    assert set(np.unique(ids(5))) == {0, 1, 4} and set(np.unique(ids(6))) == {0, 1}


@pytest.mark.parametrize("kind", ["alpha", "alpha16"])
def test_mattes(made, kind):
    for index in range(COUNT):
        file = made / kind / f"{index:05d}.png"
        with Image.open(file) as image:
            assert image.mode == ("L" if kind == "alpha" else "I;16")
        most = 0.5 / STEPS + (0.5 / 255 if kind == "alpha" else 0.5 / 65535)
        assert np.abs(read_matte(file) - (1 - soft_masks(index)[0])).max() <= most + 1e-3 / STEPS


def test_cut_outs_have_straight_alpha_and_nothing_of_the_background(made):
    for index in range(COUNT):
        rgba = read_cut_out(made / "rgba" / f"{index:05d}.png")
        alpha = rgba[..., 3].astype(int)
        np.testing.assert_array_equal(alpha, alpha_of(index))
        np.testing.assert_array_equal(rgba[alpha > 0, :3], picture(index)[alpha > 0])
        assert (alpha == 0).any() and not rgba[alpha == 0].any()


@pytest.mark.parametrize(
    ("name", "decoder"), [("prores4444.mov", None), ("vp9-alpha.webm", "libvpx-vp9")]
)
def test_alpha_of_videos_by_ffmpegs_own_reader(made, name, decoder):
    """Alpha is exact, to the rounding of ten bits and back; colours are near."""
    with av.open(str(made / name)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        packets = list(container.demux(stream))
        frames = [f for p in packets for f in context.decode(p if p.size else None)]
    assert len(frames) == COUNT
    for index, frame in enumerate(frames):
        assert frame.format.components[3].is_alpha
        plane, wide = frame.planes[3], frame.format.components[3].bits > 8
        samples = np.frombuffer(plane, np.uint16 if wide else np.uint8)
        samples = samples.reshape(plane.height, -1)[:, :WIDTH].astype(float)
        scale = 255 / (2 ** frame.format.components[3].bits - 1)
        np.testing.assert_array_equal(np.rint(samples * scale), alpha_of(index))
        rgb = frame.to_ndarray(format="rgb24").astype(int)
        assert np.abs(rgb - picture(index)).mean() < 6


@pytest.mark.parametrize("name", ["prores4444.mov", "vp9-alpha.webm"])
def test_alpha_of_videos_by_our_reader(made, name):
    read = list(read_alpha_video(made / name))
    assert len(read) == COUNT
    for index, rgba in enumerate(read):
        np.testing.assert_array_equal(rgba[..., 3], alpha_of(index))
        assert np.abs(rgba[..., :3].astype(int) - picture(index)).mean() < 6


def test_vp9_can_be_sought_where_the_picture_changes(tmp_path):
    """Colour and alpha are encoded apart: a keyframe of one must be one of the other."""
    rng = np.random.default_rng(0)
    shots = [np.kron(rng.integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1))) for _ in range(4)]
    frames = [np.roll(shots[i // 7], i, axis=0).astype(np.uint8) for i in range(28)]
    alphas = [np.full((32, 48, 1), 9 * i, np.uint8) for i in range(28)]
    with VideoWriter(tmp_path / "a.webm", 32, 48, 5, codec=VP9) as writer:
        for frame, alpha in zip(frames, alphas, strict=True):
            writer.write(np.concatenate([frame, alpha], axis=-1))
    with av.open(str(tmp_path / "a.webm")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    assert keys == [0, 10, 20]
    for key in keys:
        (frame,) = av.CodecContext.create("libvpx-vp9", "r").decode(packets[key])
        assert set(bytes(frame.planes[3])[:48]) == {9 * key}


@pytest.mark.parametrize("name", ["overlay.mp4", "prores4444.mov", "vp9-alpha.webm"])
def test_times_and_sound_are_kept(made, source, name):
    """Of the sound, what begins before the last frame ends; as it is where the file may hold it."""
    with av.open(str(source)) as container:
        theirs = [bytes(p) for p in container.demux(audio=0) if p.size]
    with av.open(str(made / name)) as container:
        sound = container.streams.audio[0]
        packets = [p for p in container.demux(sound) if p.size]
        ours, seconds = [bytes(p) for p in packets], float(packets[-1].pts * sound.time_base)
        kept = sound.codec_context.name
    with av.open(str(made / name)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert times == TIMES
    assert 0.45 < seconds < 0.54
    if name.endswith(".webm"):
        assert "opus" in kept and ours != theirs
    else:
        assert kept == "aac" and len(ours) > 20 and ours == theirs[1 : len(ours) + 1]


def test_sound_that_cannot_be_kept_is_told_of(made, video, tmp_path, capsys):
    make(["vp9-alpha", "overlay"], video, tmp_path / "out")
    told = capsys.readouterr().err
    assert "its sound, aac, is encoded anew, as opus" in told and told.count("sound") == 1


def test_encoded_sound_is_the_same_tone(made):
    with av.open(str(made / "vp9-alpha.webm")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    wave = np.concatenate(frames, axis=1)[0]
    spectrum = np.abs(np.fft.rfft(wave[2000:22_000]))
    assert abs(spectrum.argmax() / 20_000 - 0.06 / (2 * np.pi)) < 1e-4


def test_silent_videos_and_folders_stay_silent(tmp_path):
    write_source(tmp_path / "silent.mkv", sound=None)
    (tmp_path / "frames").mkdir()
    for index in range(COUNT):
        Image.fromarray(picture(index)).save(tmp_path / "frames" / f"{index:05d}.png")
    for name in ("silent.mkv", "frames"):
        out = tmp_path / f"out of {name}"
        make(["overlay", "vp9-alpha"], segmented(tmp_path / name, out), out)
        with av.open(str(out / "vp9-alpha.webm")) as container:
            assert not container.streams.audio
            times = [frame.time for frame in container.decode(video=0)]
        given = [i / 24 for i in range(COUNT)] if name == "frames" else list(map(float, TIMES))
        np.testing.assert_allclose(times, given, atol=6e-4)  # WebM counts milliseconds


def test_run_lengths_are_those_of_pycocotools(made):
    coco = pytest.importorskip("pycocotools.mask", reason="needs pip install '.[test]'")
    content = json.loads((made / "coco.json").read_text())
    (entry,) = content["videos"]
    assert entry["file_names"] == [f"clip/{i:05d}.jpg" for i in range(COUNT)]
    assert (entry["height"], entry["width"], entry["length"]) == (HEIGHT, WIDTH, COUNT)
    assert [each["id"] for each in content["annotations"]] == [1, 4]
    for each in content["annotations"]:
        for index in range(COUNT):
            mask = ids(index) == each["id"]
            ours, box, area = (each[k][index] for k in ("segmentations", "bboxes", "areas"))
            if not mask.any():
                assert ours is box is area is None
                continue
            theirs = coco.encode(np.asfortranarray(mask))
            assert ours == {"size": theirs["size"], "counts": theirs["counts"].decode()}
            assert box == coco.toBbox(theirs).tolist() and area == coco.area(theirs)
            np.testing.assert_array_equal(coco.decode(ours).astype(bool), mask)
    assert content["annotations"][1]["segmentations"][6] is None


def test_a_result_is_a_data_set_to_measure_and_to_train_on(made):
    for split in ("train", "val"):
        (sequence,) = benchmark_sequences(made / "davis", "davis2017", split)
        assert sequence.name == "clip" and len(sequence.frames) == COUNT
        assert sequence.given == {0: (1, 4)}
    for index in range(COUNT):
        np.testing.assert_array_equal(sequence.truth(index), ids(index))
    with Image.open(sequence.frames[3]) as image:
        assert np.abs(np.array(image, int) - picture(3)).mean() < 3
    (listed,) = Davis(folder=made / "davis").videos()
    clip = clip_from_video(listed, 1, (), np.random.default_rng(0), length=3, size=32, objects=2)
    assert len(clip["frames"]) == 3 and set(np.unique(clip["masks"])) >= {0, 1}


def test_probabilities_keep_the_mask_where_rounding_makes_equals(tmp_path):
    soft = np.array([[0.33336, 0.5001, 0.2], [0.33334, 0.4999, 0.4], [0.3333, 0.0, 0.4]])
    soft = np.stack([soft[0], soft[2], soft[1]]).reshape(3, 1, 3).astype(np.float32)
    soft[1, 0, 1], soft[2, 0, 1] = 0.50010, 0.50012
    half = soft.astype(np.float16)
    assert (half.argmax(axis=0) != soft.argmax(axis=0)).any()
    write_probabilities(tmp_path / "a.npz", soft, OBJECTS)
    read, object_ids = read_probabilities(tmp_path / "a.npz")
    assert read.dtype == np.float16 and np.abs(read - soft).max() <= 1.5 / STEPS
    np.testing.assert_array_equal(ids_of(read, object_ids), ids_of(soft, OBJECTS))


def test_a_correction_counts_more_than_older_probabilities(tmp_path):
    soft = soft_masks(0)
    write_probabilities(tmp_path / "a.npz", soft, OBJECTS)
    corrected = ids(0).copy()
    corrected[:5] = 1
    corrected[12:18, 10:18] = 0
    alpha = matte(corrected, read_probabilities(tmp_path / "a.npz"))
    assert (alpha[:5] == 1).all() and not alpha[12:18, 10:18].any()
    same = corrected == ids(0)
    np.testing.assert_allclose(alpha[same], 1 - soft[0][same], atol=1e-3)


def test_what_is_whole_is_not_made_again_but_what_is_not_is(video, capsys):
    out = video.masks.parent
    kinds = ["coco", "alpha", "davis", "vp9-alpha"]
    make(kinds, video, out)
    files = [f for f in sorted(out.rglob("*")) if f.is_file()]
    before = {f: f.stat().st_mtime_ns for f in files}
    make(kinds, video, out)
    assert {f: f.stat().st_mtime_ns for f in files} == before
    (out / "alpha" / "00003.png").unlink()
    (out / "davis" / "JPEGImages" / "480p" / "clip" / "00002.jpg").write_bytes(b"")
    (out / "vp9-alpha.webm").write_bytes(b"")
    make(kinds, video, out)
    assert (out / "coco.json").stat().st_mtime_ns == before[out / "coco.json"]
    assert read_matte(out / "alpha" / "00003.png").any()
    assert len(list(read_alpha_video(out / "vp9-alpha.webm"))) == COUNT


def test_all_is_made_again_when_a_mask_changes(video):
    out = video.masks.parent
    make(["coco", "rgba", "vp9-alpha", "davis"], video, out)
    write_mask(video.masks / "00002.png", np.full((HEIGHT, WIDTH), 4, np.uint8))
    (video.masks / "00007.png").unlink()
    make(["coco", "rgba", "vp9-alpha", "davis"], video, out)
    assert (read_cut_out(out / "rgba" / "00002.png")[..., 3] >= 250).mean() > 0.3
    names = [f"{i:05d}.png" for i in range(COUNT) if i != 7]
    assert sorted(f.name for f in (out / "rgba").iterdir()) == names
    assert len(list(read_alpha_video(out / "vp9-alpha.webm"))) == COUNT - 1
    content = json.loads((out / "coco.json").read_text())
    assert content["annotations"][1]["areas"][2] == HEIGHT * WIDTH
    (sequence,) = benchmark_sequences(out / "davis", "davis2017", "train")
    assert (sequence.truth(2) == 4).all() and len(sequence.frames) == COUNT - 1


def test_soft_kinds_are_made_again_when_probabilities_change(video):
    out = video.masks.parent
    make(["coco", "alpha"], video, out)
    before = (out / "coco.json").stat().st_mtime_ns
    soft = soft_masks(2)
    write_probabilities(video.probabilities / "00002.npz", np.rint(soft), OBJECTS)
    assert make(["coco", "alpha"], video, out) == ["alpha"]
    assert (out / "coco.json").stat().st_mtime_ns == before
    assert set(np.unique(read_matte(out / "alpha" / "00002.png"))) == {0, 1}


def test_frames_that_do_not_count_leave_gaps(source, video, tmp_path):
    some = frozenset({1, 4, 5})
    found = list(dataclasses.replace(video, only=some))
    assert [frame.name for frame in found] == ["00001", "00004", "00005"]
    assert [frame.time for frame in found] == [TIMES[i] for i in sorted(some)]
    (tmp_path / "frames").mkdir()
    for index in range(COUNT):
        Image.fromarray(picture(index)).save(tmp_path / "frames" / f"{index:05d}.png")
    pictures = dataclasses.replace(segmented(tmp_path / "frames", tmp_path / "other"), only=some)
    assert [frame.time * 24 for frame in pictures] == [1, 4, 5]
    np.testing.assert_array_equal([f.ids for f in pictures], [ids(i) for i in sorted(some)])


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError, OSError])
@pytest.mark.parametrize("kind", ["overlay", "prores4444", "coco"])
def test_stopped_while_it_is_made(video, monkeypatch, kind, error):
    """There is no half a file, and the next run makes a whole one."""
    out = video.masks.parent

    def stop(self):
        yield from list(frames(self))[:4]
        raise error("stop")

    frames = SegmentedVideo.__iter__
    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(SegmentedVideo, "__iter__", stop)
        make([kind], video, out)
    assert sorted(f.name for f in out.iterdir()) == ["masks", "probabilities"]
    make([kind], video, out)
    assert (out / PLACES[kind]).is_file() and kind in read_json(out / NOTES)
