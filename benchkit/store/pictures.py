"""The pictures of a record: PNG files in a folder beside it, which only those who show them read."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchkit.files import opened
from benchkit.store.files import slug

HEAD = "data:image/png;base64,"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 2**18
"""Bytes in the largest picture that is read."""
NAME = re.compile(r"[\w=+,-][\w.=+,-]*\.png")


def folder_of(record: Path) -> Path:
    """Return the folder of a record's pictures, given the path of its file."""
    return record.with_suffix("")


def parted(gallery: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return a gallery with file names in place of data URIs, and the content of each file."""
    inside = {caption: src for caption, src in gallery.items() if isinstance(src, str) and src.startswith(HEAD)}
    names = {caption: f"{slug(caption)}.png" for caption in inside}
    raw = {names[caption]: base64.b64decode(src.removeprefix(HEAD)) for caption, src in inside.items()}
    return {**gallery, **names}, raw


class Pictures(Mapping[str, Any]):
    """The pictures of one record by caption, as data URIs; a file is read when its picture is asked for.

    What is neither a name nor a data URI is as it was found. A file that is missing or no PNG is "".
    """

    def __init__(self, folder: Path, gallery: Mapping[str, Any]) -> None:
        self.folder, self.gallery = folder, gallery

    def __getitem__(self, caption: str) -> Any:
        src = self.gallery[caption]
        return self._read(src) if isinstance(src, str) and NAME.fullmatch(src) else src

    def __iter__(self) -> Iterator[str]:
        return iter(self.gallery)

    def __len__(self) -> int:
        return len(self.gallery)

    def __repr__(self) -> str:
        return repr(self.gallery)

    def _read(self, name: str) -> str:
        try:
            with opened(self.folder / name, LARGEST, links=False) as file:
                raw = file.read(LARGEST)
        except OSError:
            return ""
        return HEAD + base64.b64encode(raw).decode() if raw.startswith(SIGNATURE) else ""
