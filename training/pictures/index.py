"""The index of a source of pictures: a file with everything about its samples but the pixels.

JSON lines: a header, then a line for each sample. The header has a hash of the lines, so that a damaged
or edited index is never believed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ifadapter_core.layout import Layout

from .layout import pack_layout, unpack_layout

FORMAT, VERSION = "IFAdapter picture index", 1
ID_BYTES = 16


class Row(NamedTuple):
    """A sample of an index.

    name: see ``Samples.name``.
    place: numbers of the source: where the sample is, or how its files were when they were read.
    files: sizes of the picture's file and of its JSON in bytes; -1 = there is none.
    size: width and height of the picture in pixels, after its EXIF orientation; zeros if it is bad.
    layout: see ``pack_layout``; None if it is bad.
    reason: why the sample cannot be used; None if it can.
    """

    name: str
    place: tuple[int, ...]
    files: tuple[int, int]
    size: tuple[int, int] = (0, 0)
    layout: list[Any] | None = None
    reason: str | None = None

    @property
    def id(self) -> str:
        """Hash of everything that decides what the sample trains: name, sizes of the files, layout."""
        parts = json.dumps([self.name, self.files, self.layout])
        return hashlib.sha256(parts.encode()).hexdigest()[: 2 * ID_BYTES]

    def line(self) -> bytes:
        """A line of the file, with its line break."""
        found: dict[str, Any] = {"name": self.name, "place": self.place, "files": self.files, "id": self.id}
        if self.reason is None:
            found |= {"size": self.size, "layout": self.layout}
        else:
            found["reason"] = self.reason
        return (json.dumps(found, separators=(",", ":")) + "\n").encode()

    @classmethod
    def usable(
        cls,
        name: str,
        place: tuple[int, ...],
        files: tuple[int, int],
        layout: Layout,
    ) -> Row:
        """A sample that can be used. layout: on a canvas of the picture's size."""
        return cls(name, place, files, (layout.width, layout.height), pack_layout(layout))

    def read_layout(self) -> Layout:
        """The layout, on a canvas of the picture's size. Only of a sample that can be used."""
        assert self.layout is not None
        return unpack_layout(self.layout, *self.size)


class Index:
    """The samples of a source, by number. The lines are parsed when they are asked for.

    head: further values of the header, of the kind of source.
    lines: of the samples, as ``Row.line`` writes them.

    sizes: int32 (samples, 2), see ``Row.size``. boxes: int32 (samples): number of boxes.
    places: int64 (samples): the first number of each place.
    reasons: of the bad samples, by number.
    """

    def __init__(self, head: Mapping[str, Any], lines: Sequence[bytes]) -> None:
        self.head = dict(head)
        self._text = b"".join(lines)
        self._starts = np.cumsum([0, *map(len, lines)], dtype=np.int64)
        self.sizes = np.zeros((len(lines), 2), np.int32)
        self.boxes = np.zeros(len(lines), np.int32)
        self.places = np.zeros(len(lines), np.int64)
        self.ids = np.zeros(len(lines), f"S{2 * ID_BYTES}")
        self.reasons: dict[int, str] = {}
        for number, line in enumerate(lines):
            found = json.loads(line)
            self.ids[number] = found["id"]
            self.places[number] = found["place"][0]
            if "reason" in found:
                self.reasons[number] = found["reason"]
            else:
                self.sizes[number] = found["size"]
                self.boxes[number] = len(found["layout"][1])

    def __len__(self) -> int:
        return len(self.ids)

    def line(self, number: int) -> bytes:
        return self._text[self._starts[number] : self._starts[number + 1]]

    def row(self, number: int) -> Row:
        found = json.loads(self.line(number))
        return Row(
            found["name"],
            tuple(found["place"]),
            tuple(found["files"]),
            tuple(found.get("size", (0, 0))),
            found.get("layout"),
            found.get("reason"),
        )

    def write(self, path: Path) -> None:
        """Write the file whole: to a temporary one, which is then renamed. Raises OSError.

        No other process may write it at the same time.
        """
        digest = hashlib.sha256(self._text).hexdigest()
        head = {"format": FORMAT, "version": VERSION, "count": len(self), "sha256": digest, **self.head}
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file:
                file.write(json.dumps(head).encode() + b"\n")
                file.write(self._text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def read_index(content: bytes, name: str) -> Index:
    """The index in a file's content. name: of the file, in messages.

    Raises ValueError if it is none, of another version, or damaged.
    """
    first, _, text = content.partition(b"\n")
    try:
        head = json.loads(first)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError(f"{name} is no index of pictures.")
    if head.get("version") != VERSION:
        raise ValueError(f"{name} is an index of version {head.get('version')}; expected {VERSION}.")
    if head.get("sha256") != hashlib.sha256(text).hexdigest():
        raise ValueError(f"{name} is damaged: its lines are not those that were written.")
    known = ("format", "version", "count", "sha256")
    found = Index(
        {key: value for key, value in head.items() if key not in known}, text.splitlines(keepends=True)
    )
    if len(found) != head.get("count"):
        raise ValueError(f"{name} is damaged: it has {len(found)} samples in place of {head.get('count')}.")
    return found


def make_index(head: Mapping[str, Any], rows: Iterable[Row]) -> Index:
    """An index of these samples."""
    return Index(head, [row.line() for row in rows])
