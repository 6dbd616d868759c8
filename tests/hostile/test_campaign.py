"""Some of the campaign in every run of the tests; `python -m tests.hostile` has as many as wanted.

Each test is a few inputs of one generator. A failure names the input; it is run alone by
`python -m tests.hostile --only KIND.NAME --seed SEED`.
"""

import numpy as np
import pytest

from stm_jax.errors import InputError
from tests.hostile.attempt import Attempt, judge
from tests.hostile.kinds import GENERATORS

EACH = 5  # inputs of a generator
FEWER = ("weight_files.damaged_run", "names.foreign_folder", "training.no_data")  # slow ones


@pytest.mark.parametrize("name", GENERATORS)
def test_what_comes_in_is_read_right_or_refused(name):
    failures = {
        seed: wrong
        for seed in range(2 if name in FEWER else EACH)
        if (wrong := judge(GENERATORS[name], name, seed)) is not None
    }
    assert not failures


def test_there_are_enough():
    assert (EACH * (len(GENERATORS) - len(FEWER))) >= 500


def refuse(message: str):
    raise InputError(message)


WRONG = {
    "taken": Attempt(lambda: 3),
    "read wrongly": Attempt(lambda: 3, lambda answer: answer == 4),
    "refused": Attempt(lambda: refuse("no"), lambda answer: True),
    "ValueError": Attempt(lambda: int("x"), may_refuse=True),
    "characters": Attempt(lambda: refuse("x" * 500)),
    "does not name": Attempt(lambda: refuse("no"), told=("mask.png",)),
    "warned": Attempt(lambda: np.float32(1) / np.float32(0), lambda answer: True),
}


@pytest.mark.parametrize("told", WRONG)
def test_the_judge_sees_what_is_wrong(told):
    assert told in (judge(lambda folder, rng: WRONG[told], "x.y", 0) or "")


def test_the_judge_sees_what_is_changed_outside():
    def make(folder, rng):
        place = folder.parent / "precious.txt"
        return Attempt(lambda: place.write_text("other"), lambda answer: True, writes=("out",))

    assert "changed outside" in (judge(make, "x.y", 0) or "")


def test_the_judge_is_content_with_a_right_answer_and_a_good_refusal():
    assert judge(lambda folder, rng: Attempt(lambda: 3, lambda a: a == 3), "x.y", 0) is None
    assert judge(lambda folder, rng: Attempt(lambda: refuse("a.png is none")), "x.y", 0) is None
