"""What comes in as a video: no list of other files, nothing endless, HDR and times as they are."""

import fractions
import os
import pathlib

import av
import numpy as np
import pytest
from PIL import Image

from stm_jax.data import hdr, video_files
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError
from stm_jax.results.video_writer import VideoWriter
from tests.hostile.videos import encoded
from tests.test_video_files import HEIGHT, WIDTH, picture, refused, write_video

PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {video.name}\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 ::1\ns=x\nc=IN IP4 ::1\nt=0 0\nm=video 5 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("ending", ["", ".mp4"])
def test_a_list_of_other_files_is_refused(tmp_path, monkeypatch, name, ending):
    write_video(tmp_path / "video.mp4")
    path = tmp_path / (name + ending)
    path.write_text(PLAYLISTS[name].format(video=tmp_path / "video.mp4"))
    decoded = []
    monkeypatch.setattr(video_files, "_decode", lambda *which: decoded.append(which) or iter(()))
    refused(path)
    assert not decoded


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "video.mp4")
    assert "a device or a pipe" in refused(tmp_path / "video.mp4")
    assert "a device or a pipe" in refused(pathlib.Path("/dev/zero"))


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = write_video(tmp_path / "video.mp4")
    monkeypatch.setattr(video_files, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    assert "more than 1535 pixels a frame" in refused(path)


def test_an_animated_webp_is_a_video(tmp_path):
    frames = [Image.fromarray(picture(index)) for index in range(4)]
    moving = {"save_all": True, "append_images": frames[1:], "lossless": True}
    frames[0].save(tmp_path / "moving.webp", duration=[40, 80, 40, 40], **moving)
    found = open_frames(tmp_path / "moving.webp")
    assert (found.height, found.width, found.count, found.rate) == (HEIGHT, WIDTH, 4, 20)
    for index, (frame, time) in enumerate(found.timed()):
        np.testing.assert_array_equal(frame, picture(index))
        assert time == fractions.Fraction([0, 40, 120, 160][index], 1000)


def test_the_writer_keeps_the_times_of_the_frames(tmp_path):
    times = [fractions.Fraction(5 + t, 25) for t in (0, 1, 2, 10, 11)]
    with VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, 11) as writer:
        for index, time in enumerate(times):
            writer.write(picture(index), time)
    read = [float(time) for _, time in open_frames(tmp_path / "out.mp4").timed()]
    np.testing.assert_allclose(np.subtract(read, read[0]), [0, 0.04, 0.08, 0.4, 0.44], atol=1e-3)


def pq_frame(code: float) -> av.VideoFrame:
    """A frame of one grey, given as the code of PQ from 0 to 1."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p10le")
    for plane, level in zip(frame.planes, (round(64 + code * 876), 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, level, "<u2").tobytes())
    frame.color_trc, frame.color_primaries, frame.colorspace = 16, 9, 9
    frame.pts, frame.time_base = 0, fractions.Fraction(1, 25)
    return frame


@pytest.mark.parametrize(("code", "lowest", "highest"), [(0.58, 240, 255), (0.2, 10, 40)])
def test_hdr_is_mapped_so_that_paper_is_white(monkeypatch, tmp_path, code, lowest, highest):
    """203 candela a square metre, the white of paper, have code 0.58 (ITU-R BT.2408)."""
    frame = pq_frame(code)
    assert hdr.is_hdr(frame)
    graph = hdr.graph_for(frame, "x.mp4")
    graph.vpush(frame)
    rgb = graph.vpull().to_ndarray(format="rgb24")
    assert lowest <= rgb.min() <= rgb.max() <= highest


def test_hdr_that_cannot_be_mapped_is_refused_with_what_does_it(monkeypatch):
    def fails() -> None:
        raise ValueError("no such filter")

    monkeypatch.setattr(hdr, "Graph", fails)
    with pytest.raises(InputError, match=r"x\.mp4 is HDR video .*ffmpeg -i IN"):
        hdr.graph_for(pq_frame(0.5), "x.mp4")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "avi"])
def test_what_has_no_end_is_cut_off(tmp_path, kind):
    path = tmp_path / "video.mp4"
    if kind == "avi":
        path.write_bytes(encoded("avi", "mjpeg", "yuvj420p"))
    else:
        first, *others = (Image.fromarray(picture(index)) for index in range(4))
        first.save(path, format=kind, save_all=True, append_images=others)
    assert open_frames(path)
    path.write_bytes(path.read_bytes()[: 3 * path.stat().st_size // 5])
    assert "cut off" in refused(path)
