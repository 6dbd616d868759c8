"""Sound goes with its frame, whatever the container and wherever its times begin."""

import fractions
import pathlib

import av
import numpy as np
import pytest

from stm_jax.data.video_files import open_frames
from stm_jax.results.alpha_video import VP9
from stm_jax.results.sound import Sound
from stm_jax.results.video_writer import H264, VideoWriter

HEIGHT, WIDTH, COUNT, RATE, FLASH = 32, 48, 40, 20, 24
HERTZ = 48_000


def write_flash(path: pathlib.Path, codec: str, sound: str) -> None:
    """Writes a dark video that is white in one frame, during which there is a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        tone = container.add_stream(sound, rate=HERTZ)
        packets = []
        for index in range(COUNT):
            grey = np.full((HEIGHT, WIDTH, 3), 250 if index == FLASH else 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = index, fractions.Fraction(1, RATE)
            packets += stream.encode(frame)
        wave = np.zeros((1, HERTZ * COUNT // RATE), np.float32)
        begin, length = HERTZ * FLASH // RATE, HERTZ // RATE
        wave[0, begin : begin + length] = np.sin(np.arange(length) * 0.3)
        samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        samples.sample_rate, samples.pts = HERTZ, 0
        packets += [*stream.encode(), *tone.encode(samples), *tone.encode()]
        for packet in sorted(packets, key=lambda each: each.dts * each.time_base):
            container.mux(packet)


def flash_and_tone(path: pathlib.Path) -> tuple[float, float]:
    """Returns when the picture is white and when the tone begins, in seconds."""
    with av.open(str(path)) as container:
        white = [f.time for f in container.decode(video=0) if f.to_ndarray().mean() > 150]
    tone = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray()[0]) > 0.3
            if loud.any():
                tone.append(frame.time + loud.argmax() / frame.sample_rate)
    assert len(white) == 1 and tone
    return white[0], tone[0]


@pytest.mark.parametrize("codec", [H264, VP9], ids=["copied or AAC", "Opus"])
@pytest.mark.parametrize(
    ("name", "coded", "sound"),
    [
        ("usual.mp4", "libx264", "aac"),
        ("late.ts", "libx264", "aac"),  # its times begin at 1.4 s
        ("web.webm", "libvpx-vp9", "libopus"),
    ],
)
@pytest.mark.parametrize("first", [0, 15])
def test_tone_and_flash_stay_together(tmp_path, name, coded, sound, codec, first):
    write_flash(tmp_path / name, coded, sound)
    white, tone = flash_and_tone(tmp_path / name)
    assert abs(white - tone) < 0.03
    out = tmp_path / f"out.{codec.container}"
    carried = Sound(tmp_path / name)
    with VideoWriter(out, HEIGHT, WIDTH, RATE, sound=carried, codec=codec) as writer:
        for index, (rgb, time) in enumerate(open_frames(tmp_path / name).timed()):
            if index >= first:
                opaque = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
                writer.write(rgb if codec is H264 else np.dstack([rgb, opaque]), time)
    there = flash_and_tone(out)
    assert abs(there[0] - (FLASH - first) / RATE) < 1e-3
    assert abs((there[0] - there[1]) - (white - tone)) < 0.01
    with av.open(str(out)) as container:
        last = max(
            packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size
        )
    assert 0 <= (COUNT - first) / RATE - last < 0.06


def test_damaged_sound_ends_and_is_told_of(tmp_path):
    """What is wrong with the sound does not cost the pictures."""
    path = tmp_path / "a.webm"
    write_flash(path, "libvpx-vp9", "libopus")
    carried = Sound(path)
    with VideoWriter(tmp_path / "out.mp4", HEIGHT, WIDTH, RATE, sound=carried) as writer:
        carried._encoded = carried._copied = _failing
        for rgb, time in open_frames(path).timed():
            writer.write(rgb, time)
    assert "is damaged and ends there" in carried.note
    assert len(list(open_frames(tmp_path / "out.mp4").read())) == COUNT


def _failing(*arguments):
    raise av.error.InvalidDataError(1, "damaged")
    yield
