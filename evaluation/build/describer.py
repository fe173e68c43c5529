"""Describes the pictures of a folder for training: writes NAME.json beside each NAME.jpg."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from tqdm.auto import tqdm

from ifadapter_diffusers.pictures import picture_files, read_picture

from ..benchmark import release_json
from ..errors import EvaluationError
from ..files import pin_settings, write_atomic
from ..vision_language import EmptyAnswerError, RefusedPictureError, VisionLanguage
from ..worklist import Worklist, in_threads
from .boxes import NoDescriptionError, Source

RECORD, SETTINGS, LEFT_OUT = "_describe", "settings.json", "left_out.txt"
MAX_UNDESCRIBED = 10  # pictures after which a model that described none is given up


class NoneDescribedError(EvaluationError):
    """The model described none of the first pictures."""


class Describer:
    """Describes pictures with a vision-language model.

    A picture with a JSON file beside it is finished, whoever wrote that. One that gets no layout is listed
    in ``_describe/left_out.txt`` with the reason, and not asked about again. The files do not depend on the
    order of the answers.

    folder: searched with its subfolders.
    source: of the boxes.
    model: describes every picture.
    requests: number of concurrent questions to the model.
    """

    def __init__(self, folder: Path, source: Source, model: VisionLanguage, requests: int = 1) -> None:
        self.folder = folder
        self.record = folder / RECORD
        self.source = source
        self.model = model
        self.requests = requests
        self._lock = Lock()
        self._described = 0  # in this run
        self._undescribed: dict[str, str] = {}  # in this run, with the reasons
        self._notices: list[str] = []

    def run(self, count: int | None = None) -> str:
        """Describe all pictures, or the first ``count`` of the folder in the order of their names.

        Returns a summary.

        Raises ValueError if two pictures would share a layout or the folder was described with other
        settings; AnswerError if the model failed; NoneDescribedError if the first pictures got no layout.
        """
        names = self._names()[:count]
        settings = {"model": self.model.name, **self.source.settings}
        pin_settings(self.record / SETTINGS, settings, "the record of layouts")
        finished = {name for name in names if self._layout_path(name).exists()}
        left_out = self._read_left_out()
        self._write_left_out(left_out)  # without a line that was cut off
        waiting = [name for name in names if name not in finished and name not in left_out]
        try:
            self._describe(waiting, len(names), patient=bool(finished))
        finally:
            if self._notices:
                logging.warning(
                    "Notices about %d layouts, for example %s", len(self._notices), self._notices[0]
                )
        left_out |= self._undescribed
        self._write_left_out(left_out)
        missing = sum(name in left_out for name in names)
        summary = f"{len(names) - missing} of {len(names)} pictures have layouts.\n"
        if missing:
            path = self.record / LEFT_OUT
            summary += f"{missing} have none: {path} says why. Remove it to ask again.\n"
        return summary

    def described(self, count: int | None = None) -> list[Path]:
        """The pictures with layouts, of all or of the first ``count``."""
        every = (self.folder / name for name in self._names()[:count])
        return [path for path in every if path.with_suffix(".json").exists()]

    def _names(self) -> list[str]:
        """The pictures that can have a layout, sorted, as paths within the folder."""
        if not self.folder.is_dir():
            raise ValueError(f"There is no folder {self.folder}.")
        every = [path.relative_to(self.folder).as_posix() for path in picture_files(self.folder, "**/*")]
        layouts: dict[Path, str] = {}
        for name in every:
            other = layouts.setdefault(self._layout_path(name), name)
            if other != name:
                raise ValueError(f"{other} and {name} in {self.folder} would share a layout. Rename one.")
        known = [name for name in every if self.source.knows(name)]
        if not known:
            raise ValueError(f"There are no pictures{' with annotations' if every else ''} in {self.folder}.")
        if len(known) < len(every):
            logging.warning("%d of %d pictures have no annotations.", len(every) - len(known), len(every))
        return known

    def _describe(self, names: Sequence[str], total: int, patient: bool) -> None:
        """Describe pictures, several at a time. patient: go on if none of the first gets a layout."""
        work, failed = Worklist(names), list[BaseException]()
        with tqdm(total=total, initial=total - len(names), unit="picture", dynamic_ncols=True) as bar:

            def serve() -> None:
                while (name := work.take()) is not None:
                    try:
                        self._picture(name)
                        bar.update()
                        if not patient and not self._described and len(self._undescribed) >= MAX_UNDESCRIBED:
                            raise self._none_described()
                    except BaseException as error:
                        failed.append(error)
                        work.clear()
                    work.done()

            in_threads([serve] * self.requests)
        if failed:
            raise failed[0]

    def _picture(self, name: str) -> None:
        """Write the layout of a picture, or note why it has none. Raises AnswerError if the model failed."""
        try:
            layout, notices = self.source.layout(name, read_picture(self.folder / name), self.model)
        except (NoDescriptionError, EmptyAnswerError, RefusedPictureError, ValueError) as error:
            reason = " ".join(str(error).replace(str(self.folder / name), name).split())
            with self._lock, (self.record / LEFT_OUT).open("a", encoding="utf-8") as file:
                file.write(f"{name}\t{reason}\n")
                self._undescribed[name] = reason
            return
        write_atomic(self._layout_path(name), release_json(layout).encode())
        with self._lock:
            self._described += 1
            self._notices += [f"{name}: {notices[-1]}"] if notices else []

    def _none_described(self) -> NoneDescribedError:
        """The error that not the pictures but the model is wrong. Removes the record, to try another."""
        (self.record / LEFT_OUT).unlink(missing_ok=True)
        (self.record / SETTINGS).unlink(missing_ok=True)
        name, reason = next(iter(self._undescribed.items()))
        return NoneDescribedError(
            f"{self.model.name} described none of the first {len(self._undescribed)} pictures, for "
            f"example {name}: {reason} Choose another model, or another --notation."
        )

    def _read_left_out(self) -> dict[str, str]:
        """Pictures that got no layout in an earlier run and have none now, with the reasons."""
        path = self.record / LEFT_OUT
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        parts = [line[:-1].partition("\t") for line in lines if line.endswith("\n")]
        return {name: reason for name, _, reason in parts if not self._layout_path(name).exists()}

    def _write_left_out(self, left_out: dict[str, str]) -> None:
        lines = "".join(f"{name}\t{reason}\n" for name, reason in sorted(left_out.items()))
        if lines or (self.record / LEFT_OUT).exists():
            write_atomic(self.record / LEFT_OUT, lines.encode())

    def _layout_path(self, name: str) -> Path:
        return (self.folder / name).with_suffix(".json")
