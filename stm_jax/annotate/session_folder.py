"""The folder of an annotated video: what was given, what was answered, and how far a pass is.

    DIR/masks/NAME.png            the answers, palette PNGs
    DIR/annotations/NAME.png      what was given, as it was given
    DIR/annotations.json          of which objects each of those speaks; the objects and their names
    DIR/.session/frames.json      of each answer the key (what it was made from) and its certainty
    DIR/.session/pass.npz         a stream in the middle of a pass
    DIR/.session/ahead/NAME.npz   what a forward pass has found, until a backward pass gets there
    DIR/probabilities/NAME.npz    of the answers, where they are kept

An answer is one only if `frames.json` says so, and that is written after the masks have been
flushed to the disk, and before any of them is written over. What is lost by a crash is done again.
Probabilities are kept as `stm_jax.results.probabilities` has them, here and there.
"""

import pathlib
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.annotate.annotations import Annotation, annotation
from stm_jax.annotate.fusion import Certainty, Soft
from stm_jax.data.masks import encoded_mask
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from stm_jax.files import (
    DAMAGED_ARCHIVE,
    flush,
    is_whole_png,
    remove_unfinished,
    write_json,
    write_whole,
    writing_whole,
)
from stm_jax.json_files import load_json, read_json
from stm_jax.results.probabilities import (
    PROBABILITIES,
    read_probabilities,
    write_probabilities,
)
from stm_jax.runtime.claim import claimed, make_folder

COMMAND = "segment"
FOLDERS = ("masks", "annotations", ".session", ".session/ahead")
WRITTEN = (
    *("masks/*.png", "annotations/*.png", "annotations.json", ".session/*.json"),
    *(".session/pass.npz", ".session/ahead/*.npz", f"{PROBABILITIES}/*.npz", PROBABILITIES),
    *reversed(FOLDERS),
)
"""Patterns of all files of a session, folders after what is in them."""


class SessionFolder:
    """One folder of an annotated video.

    Args:
        path: The folder; made if it is not there.
        names: Of the frames.

    Attributes:
        names: Of the frames, without .png.
        keys: Of each frame that has an answer, what it was made from.
        certainty: Of those frames, by object.
        soft: Those of them whose probabilities are kept.
        ahead: Of each frame for which a forward pass's answer is kept, that pass's key.
    """

    def __init__(self, path: pathlib.Path, names: list[str]) -> None:
        self.path, self.names = path, names
        self._unflushed: set[pathlib.Path] = set()
        self.keys: dict[int, str] = {}
        self.certainty: dict[int, dict[int, Certainty]] = {}
        self.soft: set[int] = set()
        self.ahead: dict[int, str] = {}

    def claimed(self) -> AbstractContextManager[None]:
        """Has the folder for this process alone; all else is done inside."""
        return claimed(self.path, COMMAND, WRITTEN)

    def open(self) -> tuple[dict[int, Annotation], dict[int, str], dict[str, Any]]:
        """Makes the folder ready; returns annotations, names of objects, and what was noted.

        Raises:
            InputError: What was given is missing or damaged: only a person can give it again.
        """
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            make_folder(folder)
            remove_unfinished(folder)
        remove_unfinished(self.probabilities)
        notes = self.path / "annotations.json"
        saved = load_json(notes) if notes.exists() else {}
        objects = {int(each): name for each, name in saved.get("objects", {}).items()}
        annotations = {}
        for frame, note in saved.get("annotations", {}).items():
            file = self._annotation(int(frame), note["digest"])
            annotations[int(frame)] = annotation(read_truth(file), note["objects"])
            if annotations[int(frame)].digest != note["digest"]:
                raise InputError(f"{file} has changed since it was given: give it again")
        self._read_answers()
        return annotations, objects, saved.get("video", {})

    def save_annotations(
        self,
        annotations: Mapping[int, Annotation],
        objects: Mapping[int, str],
        video: Mapping[str, Any],
    ) -> None:
        """Writes what is given; it outlasts a power cut from now on."""
        notes = {}
        for frame, each in sorted(annotations.items()):
            notes[str(frame)] = {"objects": sorted(each.objects), "digest": each.digest}
            file = self._annotation(frame, each.digest)
            if not file.exists():
                write_whole(file, encoded_mask(each.mask))
        content = {"video": dict(video), "objects": {str(i): n for i, n in objects.items()}}
        write_json(self.path / "annotations.json", content | {"annotations": notes})
        used = {self._annotation(t, each.digest) for t, each in annotations.items()}
        for file in set((self.path / "annotations").glob("*.png")) - used:
            file.unlink()

    @property
    def masks(self) -> pathlib.Path:
        """Where the answers are."""
        return self.path / "masks"

    @property
    def probabilities(self) -> pathlib.Path:
        """Where their probabilities are."""
        return self.path / PROBABILITIES

    def mask(self, frame: int) -> pathlib.Path:
        """Returns where a frame's answer is."""
        return self.masks / f"{self.names[frame]}.png"

    def read_mask(self, frame: int) -> UInt8[np.ndarray, "height width"]:
        """Returns the answer of a frame that has one."""
        return read_truth(self.mask(frame))

    def forget(self, frames: Iterable[int]) -> None:
        """Counts answers as not there, on the disk too, before they are written over."""
        gone = [frame for frame in frames if self.keys.pop(frame, None) is not None]
        if gone:
            self.save_answers()

    def write_answer(
        self, frame: int, key: str, soft: Soft, found: dict[int, Certainty], keep: bool
    ) -> None:
        """Writes the answer of a frame; it counts once `save_answers` is called."""
        write_whole(self.mask(frame), encoded_mask(soft.labels), durable=False)
        self._unflushed.add(self.mask(frame))
        self.soft.discard(frame)
        if keep:
            make_folder(self.probabilities)
            self._write_soft(self._soft(frame), soft)
            self.soft.add(frame)
        else:  # those of an answer before
            self._soft(frame).unlink(missing_ok=True)
        self.keys[frame], self.certainty[frame] = key, found
        self._drop_ahead(frame)

    def read_soft(self, frame: int) -> Soft | None:
        """Returns the probabilities of a frame's answer, None if they are not kept."""
        return self._read_soft(self._soft(frame)) if frame in self.soft else None

    def write_ahead(self, frame: int, key: str, soft: Soft) -> None:
        """Keeps what a forward pass has found, for the backward pass."""
        self._drop_ahead(frame)
        self._write_soft(self._ahead(frame, key), soft)
        self.ahead[frame] = key

    def read_ahead(self, frame: int) -> Soft | None:
        """Returns what a forward pass has found; None if that is damaged."""
        soft = self._read_soft(self._ahead(frame, self.ahead[frame]))
        if soft is None:
            self._drop_ahead(frame)
        return soft

    def save_answers(self) -> None:
        """Has all that was written outlast a power cut, and count."""
        flush(file for file in self._unflushed if file.exists())
        self._unflushed.clear()
        frames = {
            str(t): {"key": key, "certainty": {str(i): c for i, c in self.certainty[t].items()}}
            for t, key in sorted(self.keys.items())
        }
        ahead = {str(t): key for t, key in sorted(self.ahead.items())}
        write_json(self.path / ".session/frames.json", {"frames": frames, "ahead": ahead}, indent=0)

    def save_pass(self, key: str, done: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes where a pass stands, after all that it has answered."""
        self.save_answers()
        path = self.path / ".session/pass.npz"
        with writing_whole(path) as temporary, open(temporary, "wb") as file:
            notes = {"pass.key": np.array(key), "pass.done": np.array(done)}
            np.savez(file, **{**arrays, **notes})  # pyright: ignore[reportArgumentType]

    def load_pass(self) -> tuple[str, int, dict[str, np.ndarray]]:
        """Returns what `save_pass` has written; ("", 0, {}) if there is nothing."""
        arrays = self._read_arrays(self.path / ".session/pass.npz")
        if arrays is None or "pass.key" not in arrays or "pass.done" not in arrays:
            return "", 0, {}
        return str(arrays.pop("pass.key")), int(arrays.pop("pass.done")), arrays

    def _read_answers(self) -> None:
        saved = read_json(self.path / ".session/frames.json")
        for name, note in saved.get("frames", {}).items():
            frame = int(name)
            if frame < len(self.names) and is_whole_png(self.mask(frame)):
                self.keys[frame] = note["key"]
                certainty = note["certainty"].items()
                self.certainty[frame] = {int(i): Certainty(*each) for i, each in certainty}
        self.soft = {t for t in self.keys if zipfile.is_zipfile(self._soft(t))}
        ahead = {int(t): key for t, key in saved.get("ahead", {}).items()}
        self.ahead = {t: key for t, key in ahead.items() if self._ahead(t, key).is_file()}
        used = {self._ahead(t, key) for t, key in self.ahead.items()}
        for file in set((self.path / ".session/ahead").glob("*.npz")) - used:
            file.unlink()

    def _annotation(self, frame: int, digest: str) -> pathlib.Path:
        # By its content as well, so that none is written over before another is noted.
        return self.path / "annotations" / f"{self.names[frame]}.{digest[:12]}.png"

    def _ahead(self, frame: int, key: str) -> pathlib.Path:
        # By the pass's key, for a crash may leave what another pass has found.
        return self.path / ".session/ahead" / f"{self.names[frame]}.{key[:12]}.npz"

    def _drop_ahead(self, frame: int) -> None:
        key = self.ahead.pop(frame, None)
        if key is not None:
            self._ahead(frame, key).unlink(missing_ok=True)

    def _soft(self, frame: int) -> pathlib.Path:
        return self.probabilities / f"{self.names[frame]}.npz"

    def _write_soft(self, path: pathlib.Path, soft: Soft) -> None:
        objects = np.array(soft.ids[1:], np.uint8)
        write_probabilities(path, soft.planes, objects, durable=False)
        self._unflushed.add(path)

    def _read_soft(self, path: pathlib.Path) -> Soft | None:
        try:
            planes, objects = read_probabilities(path)
        except InputError:
            return None
        return Soft((0, *objects.tolist()), planes.astype(np.float32))

    def _read_arrays(self, path: pathlib.Path) -> dict[str, np.ndarray] | None:
        try:
            with np.load(path, allow_pickle=False) as saved:
                return dict(saved)
        except DAMAGED_ARCHIVE:
            return None
