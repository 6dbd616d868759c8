"""Nothing is removed, replaced or written over that this program did not write."""

import os
import pathlib
import socket
import stat
import subprocess
import sys

import pytest

from stm_jax import files
from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.files import write_whole
from stm_jax.runtime.claim import MARK, claimed, remove_written
from stm_jax.runtime.outputs import check_outputs, weights_read
from tests.made_inputs import made_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    return made_inputs(tmp_path_factory.mktemp("inputs"), 3)


def benchmark(inputs: pathlib.Path, out: pathlib.Path, *more: str) -> int:
    given = ["benchmark-dataset", str(inputs / "davis"), "--protocol", "davis2017"]
    return main([*given, "--out", str(out), "--weights", str(inputs / "tiny.safetensors"), *more])


def segment(inputs: pathlib.Path, out: pathlib.Path, *more: str) -> int:
    given = ["segment", str(inputs / "video.mp4"), "--mask", str(inputs / "mask.png")]
    return main([*given, "--out", str(out), "--weights", str(inputs / "tiny.safetensors"), *more])


def strange(path: pathlib.Path, kind: str) -> None:
    """Makes what is no file there; devices are the test's own."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.chdir(path.parent)  # a socket's name may be no longer than 107 bytes
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    elif kind == "link":
        (path.parent / "target").write_text("mine")
        path.symlink_to("target")
    elif kind == "folder":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")


KINDS = ("fifo", "socket", "link", "folder", "device")


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_regular_file_is_replaced(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "result.json"
    strange(path, kind)
    before = path.lstat()
    with pytest.raises(InputError, match=r"result\.json is a"):
        write_whole(path, b"{}")
    with pytest.raises(InputError):
        check_outputs([], files=[path])
    assert stat.S_IFMT(path.lstat().st_mode) == stat.S_IFMT(before.st_mode)
    assert path.lstat().st_ino == before.st_ino
    left = {"result.json", "target"} if kind == "link" else {"result.json"}
    assert {file.name for file in tmp_path.iterdir()} == left


def test_what_came_in_the_meantime_is_not_replaced(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(InputError), files.writing_whole(path) as temporary:
        temporary.write_text("{}")
        os.mkfifo(path)
    assert path.is_fifo() and list(tmp_path.iterdir()) == [path]


def test_temporary_files_of_others_survive(tmp_path):
    other = tmp_path / ".result.json.tmp"
    other.write_text("mine")
    write_whole(tmp_path / "result.json", b"{}")
    assert other.read_text() == "mine"


FOREIGN = ("scores.json", "report.html", "submission.zip", "settings.json", "masks/ant/00000.png")


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_files_of_others_survive_a_benchmark(inputs, tmp_path, capsys, name, more):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert benchmark(inputs, tmp_path / "out", *more) == 2
    assert path.name in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("name", ["segment.json", ".resume", ".resume/run.json", "overlay.mp4"])
def test_files_of_others_survive_segment(inputs, tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert segment(inputs, tmp_path / "out", "--overwrite") == 2
    assert path.read_text() == "mine"


def test_what_a_user_put_among_results_survives_overwriting(inputs, tmp_path):
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    notes = [out / "notes.txt", out / "masks" / "notes.txt", out / ".x.tmp"]
    for note in notes:
        note.write_text("mine")
    assert benchmark(inputs, out, "--no-score") == 0
    notes += [out / "masks" / "ant" / "notes.txt", out / "sequences" / "notes.txt"]
    for note in notes:
        note.write_text("mine")
    assert benchmark(inputs, out, "--no-score", "--overwrite") == 0
    assert all(note.read_text() == "mine" for note in notes)


def test_results_of_another_command_are_refused(inputs, tmp_path, capsys):
    assert segment(inputs, tmp_path / "out") == 0
    assert benchmark(inputs, tmp_path / "out", "--overwrite") == 2
    assert "another command" in capsys.readouterr().err
    assert (tmp_path / "out" / "segment.json").is_file()


def test_nothing_is_removed_behind_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    mine = tmp_path / "elsewhere" / "00000.png"
    mine.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").symlink_to(tmp_path / "elsewhere")
    remove_written(tmp_path / "out", ("masks/*.png",))
    assert mine.read_text() == "mine"


def test_outputs_apart_from_inputs_and_from_each_other(tmp_path):
    data, plain = tmp_path / "data", tmp_path / "plain"
    for folder in (data / "in", plain):
        folder.mkdir(parents=True)
    (plain / "link").symlink_to(data)
    given = data / "in" / "mask.png"
    given.write_text("")
    for file in (data / "a.json", data / "in" / "a.json", plain / "link" / "a.json", given):
        with pytest.raises(InputError, match="lies in what is read"):
            check_outputs([data], files=[file])
    with pytest.raises(InputError, match="lies in what is read"):
        check_outputs([given], files=[given])
    check_outputs([data, given.parent], files=[data / "a.json"], roots=[data])
    (data / "a.json").write_text("mine")
    for file in (data / "a.json", data / "in" / "a.json"):
        with pytest.raises(InputError, match="lies in what is read"):
            check_outputs([data], files=[file], roots=[data])
    with pytest.raises(InputError, match="two results"):
        check_outputs([], files=[plain / "a", plain / ".." / "plain" / "a"])
    with pytest.raises(InputError, match="make it, or give"):
        check_outputs([], files=[tmp_path / "none" / "a"])
    for out in (data, data / "in" / "new"):
        with pytest.raises(InputError, match="lies in what is read"):
            check_outputs([data], folder=out, names=("masks",))
    with pytest.raises(InputError, match="where results would be written"):
        check_outputs([data / "in"], folder=tmp_path, names=("data",))
    check_outputs([given, data], files=[plain / "a", plain / "b", None], folder=tmp_path)


def test_a_run_folder_may_have_results_beside_its_weights(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    check_outputs(weights_read(run), files=[run / "model.safetensors"])
    for name in ("best.safetensors", "config.json", "checkpoints/a"):
        with pytest.raises(InputError):
            check_outputs(weights_read(run), files=[run / name])


@pytest.mark.parametrize(
    "words",
    [
        "evaluate {d}/davis/Annotations/480p --dataset {d}/davis --protocol davis2017"
        " --json {d}/davis/ImageSets/new.json",
        "evaluate {d}/davis/Annotations/480p --dataset {d}/davis --protocol davis2017"
        " --csv {t}/a --html {t}/a",
        "benchmark-dataset {d}/davis --protocol davis2017 --out {d}/davis/out",
        "segment {d}/davis/JPEGImages/480p/ant --mask {d}/mask.png"
        " --out {d}/davis/JPEGImages/480p/ant/out",
        "attention {d}/video.mp4 --mask {d}/mask.png --frame 1 --pixel 0 0 --out {d}/mask.png",
        "compare {d}/mask.png {d}/video.mp4 --json {d}/mask.png",
        "convert {d}/tiny.safetensors {d}/tiny.safetensors",
    ],
)
def test_every_command_keeps_its_inputs(words, inputs, tmp_path, capsys):
    def there() -> dict[pathlib.Path, bytes]:
        return {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()}

    before = there()
    assert main([word.format(d=inputs, t=tmp_path) for word in words.split()]) == 2
    assert "give" in capsys.readouterr().err
    assert there() == before and not list(tmp_path.iterdir())


HOLDING = """
import pathlib, sys, time
from stm_jax.runtime.claim import claimed
with claimed(pathlib.Path(sys.argv[1]), "segment", ()):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_program_at_a_time(inputs, tmp_path, capsys):
    out = tmp_path / "out"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(out)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        for more in ((), ("--overwrite",)):
            assert segment(inputs, out, *more) == 2
            assert "another stm-jax is working" in capsys.readouterr().err
        assert [path.name for path in out.iterdir()] == [MARK]
    finally:
        holder.kill()
        holder.communicate()
    assert segment(inputs, out) == 0


def test_a_mark_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / MARK)
    with pytest.raises(InputError), claimed(tmp_path, "segment", ()):
        pass
