"""Data prepared as ArrayRecord files: what is read is what was written, and no TensorFlow is."""

import contextlib
import dataclasses
import io
import json
import pathlib
import sys

import numpy as np
import pytest
import scipy.io
from PIL import Image

from stm_jax.commands.train import with_root
from stm_jax.config import TINY
from stm_jax.data import records
from stm_jax.data.config import DataConfig
from stm_jax.data.pipeline import training_clips
from stm_jax.data.sources import (
    Davis,
    Photographs,
    PreparedPhotographs,
    PreparedVideos,
    Videos,
    YoutubeVos,
)
from stm_jax.data.sources.protocol import Source
from stm_jax.errors import InputError
from stm_jax.train.config import StageConfig, TrainConfig
from tests.benchmark_trees import boxes, davis2017, run_elsewhere
from tests.test_clips import write_pair
from tests.test_sources import LEFT, RIGHT, coco, square, write_image, youtube

tfds = pytest.importorskip("tensorflow_datasets", reason="needs the extra tfds")

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
prepare_data = pytest.importorskip("prepare_data")


def prepare(source: Source, out: pathlib.Path, name: str = "some", **options) -> str:
    prepare_data.main(prepare_data.Options(source=source, out=out, name=name, **options))
    return str(out / "pictures_with_masks" / name / "1.0.0")


def first_batches(*sources: Source) -> list[np.ndarray]:
    config = DataConfig(sources, pasted=1, size=16, batch_size=2)
    clips = training_clips(config, seed=3, steps=8)
    return [array for _ in range(3) for array in next(clips).values()]


def test_clips_of_records_are_those_of_files(tmp_path: pathlib.Path, monkeypatch):
    for name in ("a", "b", "c"):
        write_pair(tmp_path / f"photos/{name}.jpg", tmp_path / f"photos/{name}.png", left=30)
    youtube(tmp_path / "videos", {frame: (1, 3) for frame in range(0, 30, 5)})
    monkeypatch.setattr("stm_jax.data.tfds_builder.PART_BYTES", 1500)  # of two photographs
    photographs, videos = Photographs(tmp_path / "photos"), YoutubeVos(tmp_path / "videos")
    prepared = PreparedPhotographs(prepare(photographs, tmp_path / "out", "photos"))
    filmed = PreparedVideos(prepare(videos, tmp_path / "out", "videos"))
    parts = {path.name[:31] for path in pathlib.Path(prepared.folder).glob("*train_*")}
    assert len(parts) > 1

    pairs = list(zip(photographs.photographs(), prepared.photographs(), strict=True))
    (there,), (here,) = videos.videos(), filmed.videos()
    assert (here.name, here.every) == (there.name, there.every) == ("zoo", 5)
    pairs += zip(there.samples, here.samples, strict=True)
    assert len(pairs) == 9
    for ours, theirs in pairs:
        assert ours.image.read_bytes() == theirs.image.read_bytes()
        assert np.array_equal(ours.ids(), theirs.ids())
    for one, other in zip(
        first_batches(photographs, videos), first_batches(prepared, filmed), strict=True
    ):
        assert np.array_equal(one, other)


def test_davis_2016_stays_one_object(tmp_path: pathlib.Path):
    davis2017(tmp_path, {"cat": (3, 24, 32, (1, 2)), "dog": (2, 24, 32, (1,))})
    (tmp_path / "ImageSets/2016").symlink_to(tmp_path / "ImageSets/2017")
    source = Davis(tmp_path, year=2016, split="val")
    videos = PreparedVideos(prepare(source, tmp_path / "out")).videos()
    assert [(video.name, len(video.samples)) for video in videos] == [("cat", 3), ("dog", 2)]
    assert set(np.unique(videos[0].samples[0].ids())) == {0, 1}


def test_outlines_become_masks(tmp_path: pathlib.Path):
    left = {"image_id": 1, "segmentation": [[1, 2, 8, 2, 8, 9, 1, 9]]}
    right = {"image_id": 1, "segmentation": [[12, 4, 22, 4, 22, 14, 12, 14]]}
    source = coco(tmp_path, left, right)
    (sample,) = PreparedPhotographs(prepare(source, tmp_path / "out")).photographs()
    (drawn,) = source.photographs()
    assert set(np.unique(sample.ids())) == {0, 1, 2}
    assert np.array_equal(sample.ids(), drawn.ids())


def test_masks_of_sbd_become_pictures(tmp_path: pathlib.Path):
    write_image(tmp_path / "img/a.jpg")
    (tmp_path / "inst").mkdir()
    mask = square(v1=LEFT, v2=RIGHT)
    scipy.io.savemat(tmp_path / "inst/a.mat", {"GTinst": {"Segmentation": mask}})
    source = Photographs(tmp_path)
    (sample,) = PreparedPhotographs(prepare(source, tmp_path / "out")).photographs()
    assert np.array_equal(sample.ids(), mask)


def png(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


class Davis2(tfds.core.GeneratorBasedBuilder):
    """A data set with the features of TFDS's own `davis`."""

    VERSION = tfds.core.Version("2.1.0")

    def _info(self):
        video = {
            "frames": tfds.features.Image(shape=(None, None, 3)),
            "segmentations": tfds.features.Image(shape=(None, None, 1), use_colormap=True),
        }
        features = {
            "video": tfds.features.Sequence(video),
            "metadata": {"num_frames": np.int64, "video_name": np.str_},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples("cat"), "validation": self._generate_examples()}

    def _generate_examples(self, name: str = "dog"):
        frames = [png(np.full((24, 32, 3), 40 * t, np.uint8)) for t in range(4)]
        masks = [png(boxes(24, 32, (1, 2), t)) for t in range(4)]
        video = {"frames": frames, "segmentations": masks}
        yield name, {"video": video, "metadata": {"num_frames": 4, "video_name": name}}


def test_the_davis_of_tfds_is_read(tmp_path: pathlib.Path):
    builder = Davis2(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    (video,) = PreparedVideos(str(builder.data_dir), split="validation").videos()
    assert (video.name, len(video.samples)) == ("dog", 4)
    for t, sample in enumerate(video.samples):
        picture, ids = sample.read()
        assert (picture == 40 * t).all()
        assert np.array_equal(ids, boxes(24, 32, (1, 2), t))
    source = PreparedVideos(str(builder.data_dir))
    assert any(masks.any() for masks in first_batches(source)[1::2])
    with pytest.raises(InputError, match=r"no split test in .*; there are train, validation"):
        dataclasses.replace(source, split="test").videos()


def test_tensorflow_is_not_needed(tmp_path: pathlib.Path, monkeypatch):
    davis2017(tmp_path, {"cat": (3, 24, 32, (1, 2))})
    none = tmp_path / "none/tensorflow/__init__.py"  # found first, also by the worker processes
    none.parent.mkdir(parents=True)
    none.write_text("raise ImportError('TensorFlow is wanted')")
    program = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "import prepare_data; from stm_jax.data.config import DataConfig\n"
        "from stm_jax.data.sources import *\n"
        "from stm_jax.data.pipeline import training_clips\n"
        "root = pathlib.Path(sys.argv[2])\n"
        "prepare_data.main(prepare_data.Options(Videos(root), root / 'out', 'cat'))\n"
        "source = PreparedVideos(str(root / 'out/pictures_with_masks/cat/1.0.0'))\n"
        "config = DataConfig((source,), size=16, batch_size=2)\n"
        "from absl import flags; flags.FLAGS.mark_as_parsed()\n"
        "print(next(training_clips(config, 0, 1, workers=1))['frames'].shape)\n"
    )
    given = [str(pathlib.Path(prepare_data.__file__).parent), str(tmp_path)]
    monkeypatch.setenv("PYTHONPATH", str(none.parents[1]))
    done = run_elsewhere(program, given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(2, 3, 16, 16, 3)"


def test_what_is_stopped_begins_again(tmp_path: pathlib.Path, monkeypatch, capsys):
    davis2017(tmp_path, {"cat": (3, 24, 32, (1,)), "dog": (3, 24, 32, (1,))})
    from stm_jax.data.tfds_builder import PicturesWithMasks

    original = PicturesWithMasks._generate_examples

    def stopped(self, videos):
        yield next(original(self, videos))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(PicturesWithMasks, "_generate_examples", stopped)
        prepare(Videos(tmp_path), tmp_path / "out")
    left = tmp_path / "out/pictures_with_masks/some/incomplete.KILLED_1.0.0"
    left.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(prepare(Videos(tmp_path), tmp_path / "out"))
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    capsys.readouterr()
    prepare(Videos(tmp_path), tmp_path / "out")
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    printed = capsys.readouterr().out
    assert "is there already" in printed
    assert "2 videos, 6 records, 2 objects (at most 1 in one)" in printed


@contextlib.contextmanager
def opened_anew():
    """Forgets what has been opened, as another process would."""
    caches = (records._builder, records._parts, records._source, records._record)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "cat has sha256 .* its index says 000"),
        ({"ids": [1, 2, 7]}, r"cat has ids \(1, 2\), its index says \[1, 2, 7\]"),
        ({"size": [24, 31]}, r"cat has size \(24, 32\)"),
        ({"records": 4}, "has 3 records, its index names 4"),
    ],
)
def test_what_differs_from_its_index_is_named(tmp_path: pathlib.Path, change: dict, said: str):
    davis2017(tmp_path, {"cat": (3, 24, 32, (1, 2))})
    folder = pathlib.Path(prepare(Videos(tmp_path), tmp_path / "out"))
    index = json.loads((folder / "metadata.json").read_text())
    index["entries"][0] |= change
    (folder / "metadata.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=said):
        prepare_data.verify(folder)


def test_a_damaged_file_is_named(tmp_path: pathlib.Path):
    davis2017(tmp_path, {"cat": (3, 24, 32, (1, 2))})
    folder = pathlib.Path(prepare(Videos(tmp_path), tmp_path / "out"))
    (file,) = folder.glob("*.array_record-*")
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    used = np.flatnonzero(content)  # the rest fills a block
    content[used[len(used) // 4] : used[len(used) // 2]] = 0
    file.write_bytes(content.tobytes())
    with opened_anew(), pytest.raises(InputError, match=r"some.1\.0\.0"):
        prepare_data.verify(folder)


def test_bad_data_is_not_prepared(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture):
    for name in ("a", "b"):
        write_pair(tmp_path / f"in/{name}.jpg", tmp_path / f"in/{name}.png", left=30)
    (tmp_path / "in/b.jpg").write_bytes((tmp_path / "in/b.jpg").read_bytes()[:400])
    with pytest.raises(InputError, match=r"b\.jpg cannot be read"):
        prepare(Photographs(tmp_path / "in"), tmp_path / "out")
    assert not (tmp_path / "out/pictures_with_masks/some/1.0.0").exists()
    folder = prepare(Photographs(tmp_path / "in"), tmp_path / "out", bad_files="skip")
    assert len(PreparedPhotographs(folder).photographs()) == 1
    assert "left out 1 of the 2" in caplog.text


def test_a_folder_of_another_kind_says_so(tmp_path: pathlib.Path, monkeypatch):
    write_pair(tmp_path / "in/a.jpg", tmp_path / "in/a.png", left=30)
    folder = prepare(Photographs(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(InputError, match=r"holds photographs, not videos; .* PreparedPhotographs"):
        PreparedVideos(folder).videos()
    with pytest.raises(InputError, match=r"no dataset_info\.json, it holds a\.jpg, a\.png"):
        PreparedPhotographs(str(tmp_path / "in")).photographs()
    with pytest.raises(InputError, match="there is no such folder"):
        PreparedPhotographs(str(tmp_path / "none")).photographs()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with opened_anew(), pytest.raises(InputError, match=r"pip install 'stm_jax\[tfds\]'"):
        PreparedPhotographs(folder).photographs()


def test_a_bucket_stays_a_bucket(tmp_path: pathlib.Path, monkeypatch):
    sources = (PreparedVideos("gs://bucket/cats/1.0.0"), PreparedPhotographs("dogs/1.0.0"))
    stage = StageConfig(DataConfig(sources), steps=1, learning_rate=0.0)
    below = with_root(TrainConfig(TINY, (stage,)), pathlib.Path("/data")).stages[0].data.sources
    assert [source.folder for source in below] == ["gs://bucket/cats/1.0.0", "/data/dogs/1.0.0"]
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"gs://bucket/cats/1\.0\.0 is in a bucket .*\[gcs\]"):
        sources[0].videos()
    with pytest.raises(InputError, match="cannot be written to a bucket"):
        prepare(Videos(tmp_path), pathlib.Path("gs://bucket/cats"))
