"""A wrong option is told in one line, as everything else that is wrong."""

import pytest

from stm_jax.cli import main

SEGMENT = ["segment", "video.mp4", "--out", "result", "--mask", "first.png"]
WRONG = {
    "no number": (
        [*SEGMENT, "--size", "large"],
        ("--size", "'large'", "`stm-jax segment --help`"),
    ),
    "no such option": (
        [*SEGMENT, "--siz", "3"],
        ("unrecognized options: --siz", "perhaps you meant --size"),
    ),
    "no such choice": ([*SEGMENT, "--dtype", "half"], ("'half'", "'float32', 'bfloat16'")),
    "no value": ([*SEGMENT, "--size"], ("missing value", "--size")),
    "missing": (["segment"], ("missing from stm-jax segment: VIDEO, --out PATH;",)),
    "no such command": (
        ["segmint"],
        ("unrecognized options: segmint", "segment, study, synthetic, train"),
    ),
    "nothing": ([], ("expected one of {", "; `stm-jax --help` tells")),
    "control characters": ([*SEGMENT, "--size", "\x1b[31m\n\u202e"], ("--size", "x1b", "u202e")),
    "a long word": ([*SEGMENT, "x" * 5000], ("unrecognized options: xxx",)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_it_is_one_line(kind: str, capsys: pytest.CaptureFixture):
    words, told = WRONG[kind]
    with pytest.raises(SystemExit) as end:
        main(words)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == ""
    assert err.startswith("stm-jax: error: ") and err.count("\n") == 1
    assert len(err) < 400 and err[:-1].isprintable()
    for each in told:
        assert each in err


def test_help_is_not_an_error(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as end:
        main(["segment", "--help"])
    out, err = capsys.readouterr()
    assert not end.value.code and "--mask" in out and err == ""
