"""What the page exports: whole or not there, told frame by frame, and fetched from nowhere else."""

import base64
import html
import io
import json
import re
import zipfile
import zlib

import numpy as np
import pytest

from stm_jax.annotate.annotator import Annotator
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from tests.lively import clip, first_mask, lively_model
from tests.paint_server import make_video

pytest.importorskip("starlette", reason="needs pip install '.[app]'")
from stm_jax.paint.download import download, zipped
from stm_jax.paint.export import ALL, export, exported

COUNT = 7


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A video that was followed from frame 2."""
    root = tmp_path_factory.mktemp("export")
    video = make_video(root / "video", clip(COUNT))
    with Annotator(lively_model(), video, root / "session", 3, keep_soft=True) as session:
        session.annotate(2, first_mask())
        session.rename_object(4, "<b>middle</b>")
        for _ in session.propagate():
            pass
        yield session


class Enough(Exception):
    pass


def stopping(frames: int):
    """Returns what lets so many frames be done."""
    left = iter(range(frames))

    def done() -> None:
        if next(left, None) is None:
            raise Enough

    return done


def test_every_kind_is_whole_and_each_frame_of_it_counted(session, tmp_path):
    counted = []
    export(session, list(ALL), tmp_path, lambda: counted.append(1))
    assert len(counted) == COUNT * (1 + len(ALL) - 2)
    assert exported(tmp_path) == {kind: tmp_path / name for kind, name in ALL.items()}
    for frame in range(COUNT):
        np.testing.assert_array_equal(
            read_truth(tmp_path / "masks" / f"{frame:03d}.png"), session.mask(frame)
        )


@pytest.mark.parametrize("kind", sorted(set(ALL) - {"palette", "npz"}))
def test_an_export_that_is_stopped_leaves_nothing_of_what_it_made(session, tmp_path, kind):
    other = "davis" if kind == "coco" else "coco"
    export(session, [other], tmp_path, lambda: None)
    with pytest.raises(Enough):
        export(session, [kind], tmp_path, stopping(COUNT + 3))
    whole = exported(tmp_path)
    assert list(whole) == ["palette", other] and whole[other].exists()
    assert not (tmp_path / ALL[kind]).exists()
    assert not list(tmp_path.rglob(".stm-jax-*.tmp"))
    with pytest.raises(Enough):  # in the masks, of which all are made
        export(session, [kind], tmp_path, stopping(2))
    assert list(exported(tmp_path)) == [other]
    export(session, [kind], tmp_path, lambda: None)
    assert exported(tmp_path).keys() == {"palette", other, kind}


def test_without_probabilities_there_are_none(tmp_path):
    video = make_video(tmp_path / "video", clip(2))
    with Annotator(lively_model(), video, tmp_path / "session") as session:
        with pytest.raises(InputError, match="paint an object"):
            export(session, ["palette"], tmp_path / "export", lambda: None)
        session.annotate(0, first_mask())
        with pytest.raises(InputError, match="--soft"):
            export(session, ["npz"], tmp_path / "export", lambda: None)
        assert list(exported(tmp_path / "export")) == ["palette"]


def data_of(page: str, name: str) -> dict:
    found = re.search(f'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_report_says_what_was_found(session, tmp_path):
    export(session, ["report"], tmp_path, lambda: None)
    page = (tmp_path / "report.html").read_text()
    assert "<b>middle" not in page and html.escape("video") in page
    (sequence,) = data_of(page, "index")["sequences"]
    assert sequence["given"] == [2] and sequence["shown"] == list(range(COUNT))
    assert sequence["worst"][0] == session.to_look_at(1)[0]
    for each in sequence["objects"]:
        sizes = [(session.mask(t) == each["id"]).sum() for t in range(COUNT)]
        assert each["largest"] == max(sizes)
        np.testing.assert_allclose(each["area"], np.array(sizes) / max(sizes), atol=1e-4)
        certain = [
            None if t == 2 else pytest.approx(min(session.certainty(t)[each["id"]]), abs=1e-4)
            for t in range(COUNT)
        ]
        assert each["certainty"] == certain
    pictures = data_of(page, "pictures-0")
    assert pictures["size"] == [52, 40]
    runs = zlib.decompress(base64.b64decode(pictures["masks"]))
    assert np.array_equal(mask_in(runs, 2), first_mask())


def mask_in(runs: bytes, frame: int) -> np.ndarray:
    """Reads runs as report/film.py writes them: of a frame its truth, not there, and its mask."""
    masks, at = [], 0
    while at < len(runs):
        ids: list[int] = []
        while len(ids) < 40 * 52:
            length = shift = 0
            while True:
                length |= (runs[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if runs[at - 1] < 128:
                    break
            if not length:
                break
            ids += [runs[at]] * length
            at += 1
        masks.append(ids)
    assert len(masks) == 2 * COUNT and not masks[2 * frame]
    return np.array(masks[2 * frame + 1], np.uint8).reshape(40, 52)


def test_a_folder_is_one_zip_made_as_it_is_sent(tmp_path):
    files = {f"masks/{i}.png": tmp_path / f"{i}.png" for i in range(3)}
    for number, path in enumerate(files.values()):
        path.write_bytes(bytes([number]) * 3_000_000)
    parts = list(zipped(files))
    assert max(map(len, parts)) < 2 * 2**20  # never all of it in memory
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        assert {n: archive.read(n) for n in archive.namelist()} == {
            name: path.read_bytes() for name, path in files.items()
        }


def test_nothing_is_fetched_from_elsewhere(tmp_path):
    secret, folder = tmp_path / "secret", tmp_path / "export"
    secret.write_text("secret")
    (folder / "rgba").mkdir(parents=True)
    (folder / "coco.json").symlink_to(secret)
    (folder / "rgba" / "000.png").symlink_to(secret)
    (folder / "masks").symlink_to(tmp_path)
    for name in ("coco.json", "rgba", "masks", "overlay.mp4"):
        with pytest.raises(InputError, match="export it again"):
            download(folder / name, folder, "name")
