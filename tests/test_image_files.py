"""The door for pictures: one way of decoding, nothing but pictures, never at any cost."""

import os
import pathlib
import socket
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from stm_jax.data import whole_png
from stm_jax.data.image_files import animation, read_rgb, size_of
from stm_jax.data.samples import Sample
from stm_jax.errors import InputError
from stm_jax.report.pictures import whole_picture
from tests.hostile import drawn

RAMP = np.broadcast_to(np.linspace(0, 250, 30)[:, None, None], (30, 40, 3)).astype(np.uint8)


def refused(read, path: pathlib.Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def in_training(path: pathlib.Path) -> np.ndarray:
    return Sample(path, path).rgb(size_of(path))


READERS = [read_rgb, in_training, whole_picture]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_training_reads_what_segmenting_reads(tmp_path, orientation, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "frame.jpg"
    Image.fromarray(RAMP).convert(mode).save(path, exif=exif)
    assert size_of(path) == ((40, 30) if orientation == 6 else (30, 40))
    np.testing.assert_array_equal(in_training(path), read_rgb(path))
    dark, light = {1: (0, -1), 3: (-1, 0), 6: (-1, 0)}[orientation]
    first = read_rgb(path)[:, :, 0] if orientation != 6 else read_rgb(path)[:, :, 0].T
    assert first[dark].mean() < 60 < 190 < first[light].mean()


def test_sixteen_bits_and_alpha_are_read_the_same_in_training(tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(np.full((4, 5), 0x80FF, np.uint16)).save(path)
    assert np.unique(in_training(path)).tolist() == np.unique(read_rgb(path)).tolist() == [128]
    Image.fromarray(RAMP).convert("RGBA").save(path)
    np.testing.assert_array_equal(in_training(path), RAMP)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["EPS", "PDF"])
def test_what_starts_other_programs_is_never_opened(tmp_path, read, kind):
    path = tmp_path / "frame.jpg"
    Image.fromarray(RAMP).save(path, format=kind)
    assert "is not a picture" in refused(read, path)


@pytest.mark.parametrize("read", READERS)
def test_pipes_sockets_and_devices_are_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.png")
    assert "a device or a pipe" in refused(read, tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.png"))
        assert "a device or a pipe" in refused(read, tmp_path / "s.png")
    assert "a device or a pipe" in refused(read, pathlib.Path("/dev/null"))


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch, read, kind):
    path = tmp_path / "frame.png"
    Image.new("L", (50, 40)).save(path, format=kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1999)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("was decoded"))
    assert "more than 1999 pixels" in refused(read, path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_an_animation_is_no_frame(tmp_path, read, kind):
    path = tmp_path / "frame.png"
    others = [Image.fromarray(RAMP[::-1])]
    Image.fromarray(RAMP).save(path, format=kind, save_all=True, append_images=others)
    assert "holds several pictures" in refused(read, path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_part_of_a_picture_is_none(tmp_path, monkeypatch, read, ending):
    path = tmp_path / f"frame.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "cut off" in refused(read, path)


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "0.png").symlink_to(tmp_path / "gone.png")
    assert "link to nothing" in refused(read_rgb, tmp_path / "0.png")


@pytest.mark.parametrize("read", READERS)
def test_a_png_that_was_changed_or_lacks_rows_is_told(tmp_path, read):
    path, pixels = tmp_path / "frame.png", np.full((30, 20), 7, np.uint8)
    path.write_bytes(drawn.png(20, 30, zlib.compress(drawn.rows(pixels))))
    assert (read_rgb(path) == 7).all()
    path.write_bytes(drawn.png(20, 30, zlib.compress(drawn.rows(pixels[:29]))))
    assert "rows are missing" in refused(read, path)
    whole = bytearray(drawn.png(20, 30, zlib.compress(drawn.rows(pixels), 0)))
    whole[200] ^= 1
    path.write_bytes(whole)
    assert "check sum" in refused(read, path)


def test_a_changed_picture_of_an_animation_is_told(tmp_path):
    frames = [Image.fromarray(np.full((30, 20, 3), 7 * i, np.uint8)) for i in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], compress_level=0)
    assert len(list(animation(tmp_path / "a.png"))) == 3
    changed = bytearray((tmp_path / "a.png").read_bytes())
    changed[changed.rindex(b"fdAT") + 20] ^= 1
    (tmp_path / "a.png").write_bytes(changed)
    assert "check sum" in refused(lambda path: list(animation(path)), tmp_path / "a.png")


def test_the_last_row_may_have_the_colour_that_looks_for_missing_ones(tmp_path):
    path, pixels = tmp_path / "frame.png", np.full((30, 20), whole_png.INK, np.uint8)
    path.write_bytes(drawn.png(20, 30, zlib.compress(drawn.rows(pixels))))
    assert (read_rgb(path) == whole_png.INK).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_turned_tiff(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RAMP).save(tmp_path / "frame.tif", exif=exif)
    assert size_of(tmp_path / "frame.tif") == read_rgb(tmp_path / "frame.tif").shape[:2]


def test_a_message_holds_nothing_that_a_terminal_obeys(tmp_path):
    with pytest.raises(InputError) as caught:
        read_rgb(tmp_path / "\x1b[2J\n.png")
    assert r"\x1b[2J\n.png" in str(caught.value)
