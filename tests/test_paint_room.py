"""What pages are told, and edits of all that is given: undone, without changing anything else."""

import json
import threading
import time

import numpy as np
import pytest

from stm_jax.annotate.annotator import Annotator
from stm_jax.errors import InputError
from tests.lively import IDS, clip, first_mask, lively_model
from tests.paint_server import make_video

pytest.importorskip("starlette", reason="needs pip install '.[app]'")
from stm_jax.paint import messages
from stm_jax.paint.room import Room

COUNT = 6


@pytest.fixture
def told():
    return []


@pytest.fixture
def room(tmp_path, told):
    video = make_video(tmp_path / "video", clip(COUNT))
    with Annotator(lively_model(), video, tmp_path / "session", 3) as session:
        room = Room(session, tmp_path / "session", told.append)
        yield room
        room.close()


def state_of(room: Room) -> dict:
    greeted = []
    room.greet(greeted.append)
    return json.loads(json.dumps(greeted[0]))


def put_together(state: dict, events: list) -> dict:
    """What the page's main.js makes of a state and of what it is told."""
    state = dict(state)
    for event in json.loads(json.dumps(events)):
        if event["kind"] in ("changed", "progress"):
            state |= event
        if event["kind"] == "done":
            states, certainty = list(state["states"]), list(state["certainty"])
            states[event["frame"]], certainty[event["frame"]] = event["state"], event["certainty"]
            state |= {"states": "".join(states), "certainty": certainty}
    return state | {"kind": "state"}


def follow(room: Room) -> None:
    room.do(messages.Follow(0, COUNT - 1))
    ended(room)


def ended(room: Room) -> None:
    """Returns when the work is done and pages are told so."""
    while room.worker.progress is not None:
        time.sleep(0.01)
    room.close()


def test_pages_put_together_the_state_from_what_has_changed(room, told):
    first = state_of(room)
    room.annotate(1, first_mask(), list(IDS), "")
    follow(room)
    room.do(messages.ChangeObject(4, "four", "#123456", hidden=True, locked=False))
    assert put_together(first, told) == state_of(room)
    middle, since = state_of(room), len(told)
    room.annotate(4, first_mask()[::-1], list(IDS), "")
    assert set(told[-1]) == {"kind", "states", "look"}  # and not how certain each frame is
    follow(room)
    room.do(messages.RemoveObject(4))
    assert put_together(first, told) == state_of(room)
    assert put_together(middle, told[since:]) == state_of(room)


def given(room: Room) -> dict:
    return {t: (each.digest, each.objects) for t, each in room.session.annotations.items()}


@pytest.mark.parametrize(
    "command", [messages.RemoveObject(4), messages.MergeObjects(4, 9), messages.Unannotate(1)]
)
def test_an_edit_of_all_frames_is_undone(room, command):
    room.annotate(1, first_mask(), list(IDS), "")
    alone = np.where(first_mask() == 4, 4, 0).astype(np.uint8)
    room.annotate(3, alone, [4], "")
    room.do(messages.ChangeObject(4, "four", "#123456", hidden=False, locked=True))
    follow(room)
    before, state = given(room), state_of(room)
    assert set(state["states"]) == {"a", "d"}
    number = room.do(command)
    assert number is not None and given(room) != before
    room.annotate(5, np.where(first_mask() == 9, 9, 0).astype(np.uint8), [9], "")
    room.do(messages.Undo(number))
    assert given(room).items() >= before.items() and 5 in given(room)  # what came since stays
    room.do(messages.Unannotate(5))
    assert given(room) == before
    assert state_of(room) == state  # names and looks too, and answers are fresh again
    with pytest.raises(InputError, match="any more"):
        room.do(messages.Undo(number))


def test_what_was_painted_since_is_not_undone_with_it(room):
    room.annotate(1, first_mask(), list(IDS), "")
    number = room.do(messages.RemoveObject(4))
    assert number is not None
    room.annotate(1, first_mask()[::-1] * (first_mask()[::-1] != 4), [1, 9], "")
    now = given(room)
    with pytest.raises(InputError, match="frame 1 was painted since"):
        room.do(messages.Undo(number))
    assert given(room) == now
    number = room.do(messages.RemoveObject(9))
    assert number is not None
    room.do(messages.AddObject())
    room.session.add_object("another", 9)
    with pytest.raises(InputError, match="another object 9"):
        room.do(messages.Undo(number))


def test_nothing_is_said_of_objects_that_are_gone(room):
    room.annotate(1, first_mask(), list(IDS), "")
    follow(room)
    assert min(state_of(room)["certainty"]) >= 0 and state_of(room)["look"]
    for each in IDS:
        room.do(messages.RemoveObject(each))
    assert state_of(room)["certainty"] == [-1] * COUNT


def test_an_export_can_be_stopped_and_another_is_whole(room, told, monkeypatch):
    room.annotate(1, first_mask(), list(IDS), "")
    step, asked = room.worker.step, threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(room.worker, "step", lambda: (asked.wait(), step()))
        room.do(messages.Export(("palette", "coco")))
        room.do(messages.Pause())
        asked.set()
        ended(room)
    assert "coco" not in state_of(room)["exported"]
    with pytest.raises(InputError, match="has not been exported"):
        room.exported("coco")
    with pytest.raises(InputError, match="has not been exported"):
        room.exported("../secret")
    told.clear()
    room.do(messages.Export(("palette", "coco")))
    ended(room)
    assert state_of(room)["exported"] == ["palette", "coco"] and room.worker.error == ""
    counts = [e["progress"]["done"] for e in told if e["kind"] == "progress" and e["progress"]]
    assert counts == list(range(len(counts))) and counts[-1] == COUNT + 1  # one frame has a mask
    assert told[1]["progress"]["total"] == 2 * COUNT
