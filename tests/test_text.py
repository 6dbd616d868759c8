"""Names from outside are shown as they are written, and obeyed by nobody."""

import io
import sys

import pytest

from stm_jax.cli import main
from stm_jax.commands.benchmark_dataset import BenchmarkDataset
from stm_jax.commands.shared.options import BenchmarkOptions, ModelOptions, ResultOptions
from stm_jax.errors import InputError
from stm_jax.files import write_csv
from stm_jax.runtime.progress import FrameProgress
from stm_jax.text import printable
from tests.benchmark_trees import davis2017

EVIL = "\x1b]0;x\x07[red]a\u202eb\udcff"


def test_controls_are_shown():
    assert printable(EVIL) == r"\x1b]0;x\x07[red]a\u202eb\udcff"
    assert printable("b\u00e9ta \u732b two") == "b\u00e9ta \u732b two"


def test_a_name_of_controls_and_markup_on_a_terminal(tmp_path, capsys):
    davis2017(tmp_path, {"[bold]cat": (3, 32, 32, (1,))})
    masks = tmp_path / "Annotations/480p"
    words = [str(masks), "--dataset", str(tmp_path), "--protocol", "davis2017"]
    assert main(["evaluate", *words]) == 0
    assert "[bold]cat" in capsys.readouterr().out
    (tmp_path / "ImageSets/2017/val.txt").write_text("\x1b[31mcat\n")
    for more in ((), ("--sequences", "\x1b[31m")):
        assert main(["evaluate", *words, *more]) == 2
        err = capsys.readouterr().err
        assert r"\x1b[31m" in err and "\x1b" not in err and err.count("\n") == 1


def test_progress_shows_names_as_they_are(capsys):
    with FrameProgress(3) as progress:
        progress.say(EVIL)
        progress.update(1, segmented=True, label="[/red]")
    assert r"\x1b]0;x\x07[red]a" in capsys.readouterr().err


def test_cells_that_a_spreadsheet_would_run_are_quoted(tmp_path):
    write_csv(tmp_path / "a.csv", [["=1+1", "+1", "-x", "@a", "\ta", "\rb", "a=b", -0.5, 3, ""]])
    text = (tmp_path / "a.csv").read_bytes().decode()
    assert text == "'=1+1,'+1,'-x,'@a,'\\ta,'\\rb,a=b,-0.5,3,\n"


def test_output_that_is_ascii_and_a_name_that_is_no_utf_8(tmp_path, monkeypatch):
    name = "caf\u00e9 \udcff"
    data = tmp_path / "davis"
    davis2017(data, {name: (3, 32, 32, (1,))})
    (data / "ImageSets/2017/val.txt").unlink()
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, "ascii"))
    words = [str(data / "Annotations/480p"), "--dataset", str(data), "--protocol", "folder"]
    results = [f"--{kind}={tmp_path / f'scores.{kind}'}" for kind in ("json", "csv", "html")]
    assert main(["evaluate", *words, *results]) == 0
    sys.stdout.flush()
    assert rb"caf\xe9 \udcff" in out.getvalue()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scales": (float("nan"),)}, "--scales is nan"),
        ({"scales": (float("inf"),)}, "--scales is inf"),
        ({"scales": (1.0, 1e6)}, "--scales is 1000000.0"),
        ({"model": ModelOptions(size=10**8)}, "--size is 100000000: give a number 16 or more"),
        ({"model": ModelOptions(size=10**400)}, "--size is an integer of"),
        ({"model": ModelOptions(memorize_every=10**9)}, "--memorize-every is 1000000000"),
        ({"devices": -1}, "--devices is -1"),
    ],
)
def test_options_that_make_no_sense_are_told_before_any_work(tmp_path, changes, told):
    data = BenchmarkOptions(root=tmp_path / "none", protocol="folder")
    with pytest.raises(InputError, match=told):
        BenchmarkDataset(data, ResultOptions(tmp_path / "out"), **changes).run()
