"""A result as a browser takes it: a file, or a folder as one ZIP that is made as it is sent."""

import io
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from stm_jax.errors import InputError

PART = 2**20  # bytes


def download(place: pathlib.Path, folder: pathlib.Path, name: str) -> Response:
    """Answers with a result.

    Args:
        place: A file or a folder.
        folder: In which it must be, and all that is in it, whatever links say.
        name: Of what is saved, without its ending.

    Raises:
        InputError: It is elsewhere, or not there.
    """
    if not place.is_dir():
        return FileResponse(_inside(place, folder), filename=f"{name}{place.suffix}")
    files = {
        each.relative_to(place.parent).as_posix(): _inside(each, folder)
        for each in sorted(place.rglob("*"))
        if not each.is_dir() and not each.name.startswith(".")
    }
    saved_as = {"content-disposition": f"attachment; filename*=utf-8''{quote(f'{name}.zip')}"}
    return StreamingResponse(zipped(files), media_type="application/zip", headers=saved_as)


def zipped(files: Mapping[str, pathlib.Path]) -> Iterator[bytes]:
    """Yields the parts of a ZIP of files, by their names in it; they are packed already."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, path in files.items():
            with (
                open(path, "rb") as source,
                archive.open(zipfile.ZipInfo.from_file(path, name), "w") as member,
            ):
                while part := source.read(PART):
                    member.write(part)
                    yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._content += content
        return len(content)

    def taken(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def _inside(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    found = path.resolve()
    if not found.is_file() or not found.is_relative_to(folder.resolve()):
        raise InputError(f"{path.name} is not there as it was exported: export it again")
    return found
