"""Benchmarks out of real pictures or of the drawn world: layouts, and the real pictures beside them in ``real/``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.layout import Box, Layout
from ifadapter_core.layout_formats import from_json
from shapes.drawing import draw
from shapes.sampler import HELD_OUT, World, sample_scene

from ..benchmark import Benchmark, release_json, write_benchmark
from ..files import keep_settings, png_bytes, write_whole
from ..vision_language import AnswerError, VisionLanguage
from ..worklist import Worklist, in_threads
from .coco import Draft

BUILD = "build.json"
REAL = "real"
PROMPTS = Path(__file__).parent / "prompts"


class CocoBuilder:
    """Drafts -> a benchmark in ``folder``. What was described stays, so that a run goes on from where it stopped.

    images: folder of the drafts' files. size: pixels along each side of the canvas. source: what the drafts come from.
    requests: questions that the model is asked at once.
    """

    def __init__(
        self,
        folder: Path,
        images: Path,
        size: int,
        model: VisionLanguage,
        source: dict[str, Any],
        requests: int = 1,
    ) -> None:
        self.folder = folder
        self.images = images
        self.size = size
        self.model = model
        self.prompts = {
            name: (PROMPTS / f"{name}.txt").read_text("utf-8").strip()
            for name in ("caption", "local_description")
        }
        self.source = {**source, "size": size, "model": model.name, "prompts": self.prompts}
        self.requests = requests

    def build(self, drafts: Sequence[Draft]) -> Benchmark:
        """Raises ValueError when a picture is missing or is not the annotated one, AnswerError when the model gives no words."""
        missing = [draft.file_name for draft in drafts if not (self.images / draft.file_name).is_file()]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(drafts)} pictures are not in {self.images}, as {missing[0]}. Give the folder of all."
            )
        keep_settings(self.folder / BUILD, self.source, "layouts")
        wanting = [draft for draft in drafts if not self._layout_path(draft).exists()]
        work, failed = Worklist(wanting), list[BaseException]()
        with tqdm(
            total=len(drafts), initial=len(drafts) - len(wanting), unit="picture", dynamic_ncols=True
        ) as bar:

            def serve() -> None:
                while (draft := work.take()) is not None:
                    try:
                        self._describe(draft)
                        bar.update()
                    except BaseException as error:
                        failed.append(error)
                        work.clear()
                    work.done()

            in_threads([serve] * self.requests)
        if failed:
            raise failed[0]
        layouts = {
            draft.name: from_json(self._layout_path(draft).read_text("utf-8"), self.size, self.size)
            for draft in drafts
        }
        return write_benchmark(self.folder, layouts, self.source)

    def _layout_path(self, draft: Draft) -> Path:
        return self.folder / "layouts" / f"{draft.name}.json"

    def _describe(self, draft: Draft) -> None:
        """Write the real picture, then its layout."""
        picture = self._square(draft)
        instances = tuple(
            replace(
                one,
                local_description=self._ask(
                    draft, cut(picture, one.box), "local_description", one.local_description
                ),
            )
            for one in draft.layout.instances
        )
        layout = Layout(self.size, self.size, instances, self._ask(draft, picture, "caption", ""))
        resized = picture.resize((self.size, self.size), Image.Resampling.LANCZOS)
        write_whole(self.folder / REAL / f"{draft.name}.png", png_bytes(resized))
        write_whole(self._layout_path(draft), release_json(layout).encode())

    def _square(self, draft: Draft) -> Image.Image:
        path = self.images / draft.file_name
        try:
            with Image.open(path) as file:
                picture = file.convert("RGB")
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        if picture.size != draft.size:
            raise ValueError(
                f"{path} has {picture.size} pixels and its annotation says {draft.size}. Give the pictures of this annotation."
            )
        x, y, side = draft.square
        return picture.crop((x, y, x + side, y + side))

    def _ask(self, draft: Draft, picture: Image.Image, prompt: str, category: str) -> str:
        """The words of an answer on one line, without quotation marks around them."""
        answer = " ".join(
            self.model.ask(picture, self.prompts[prompt].format(category=category)).split()
        ).strip("\"'` ")
        if not answer:
            raise AnswerError(f"{self.model.name} has no words for {draft.file_name}. Choose another model.")
        return answer


def cut(picture: Image.Image, box: Box) -> Image.Image:
    """The pixels that a box touches."""
    (x0, x1), (y0, y1) = (
        (int(low * side), -int(-high * side // 1)) for low, high, side in _edges(box, picture.size)
    )
    return picture.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))


def _edges(box: Box, size: tuple[int, int]) -> Iterable[tuple[float, float, int]]:
    return ((box.x0, box.x1, size[0]), (box.y0, box.y1, size[1]))


def build_drawn(folder: Path, world: World, count: int) -> Benchmark:
    """The first scenes that no training may see."""
    if not 1 <= count <= len(HELD_OUT):
        raise ValueError(
            f"{count} scenes are asked for; expected 1 to {len(HELD_OUT)}, which no training sees."
        )
    source = {"kind": "drawn world", "world": asdict(world), "first_scene": HELD_OUT[0]}
    keep_settings(folder / BUILD, source, "layouts")
    layouts = {}
    for index in tqdm(HELD_OUT[:count], unit="scene"):
        drawn, name = sample_scene(world, index), f"{index:05d}"
        write_whole(folder / REAL / f"{name}.png", png_bytes(Image.fromarray(draw(drawn))))
        layouts[name] = drawn.layout
    return write_benchmark(folder, layouts, source)
