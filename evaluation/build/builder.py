"""Builds benchmarks: layouts, and the real pictures beside them in ``real/``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.language.questions import caption_question, prompt_text
from ifadapter_core.layout import Instance, Layout
from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.pictures import decoded_sizes, read_picture
from shapes.drawing import draw
from shapes.sampler import HELD_OUT, World, sample_scene

from ..benchmark import Benchmark, release_json, write_benchmark
from ..files import inside, pin_settings, png_bytes, write_atomic
from ..vision_language import AnswerError, VisionLanguage
from ..worklist import Worklist, in_threads
from .boxes import PROMPTS, NoDescriptionError, ask, crop_box
from .coco import Draft

BUILD = "build.json"
REAL = "real"
MAX_UNDESCRIBED = 10  # pictures after which a model that described none is given up


class CocoBuilder:
    """Describes drafts with a vision-language model and writes the benchmark.

    Finished layouts are kept on resuming.

    folder: output folder of the benchmark.
    images: folder with the drafts' picture files.
    size: side of the square canvas in pixels.
    model: describes every picture and every object.
    source: origin of the drafts, recorded in the manifest.
    requests: number of concurrent questions to the model.
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
            "caption": (PROMPTS / "caption.txt").read_text("utf-8").strip(),
            "local_description": prompt_text("describe_named"),
        }
        self.source = {**source, "size": size, "model": model.name, "prompts": self.prompts}
        self.requests = requests

    def build(self, drafts: Sequence[Draft]) -> Benchmark:
        """Describe all drafts and write the manifest.

        A picture that the model does not describe is left out, with a warning.

        Raises ValueError if a picture is missing, broken, outside of its folder, or does not match
        its annotation; AnswerError if the model fails, or describes none of the first pictures.
        """
        remaining = self._check(drafts)
        undescribed = self._describe_all(remaining, len(drafts))
        described = [draft for draft in drafts if self._layout_path(draft).exists()]
        if len(described) + len(undescribed) < len(drafts):
            raise AnswerError(
                f"{len(drafts)} pictures were given, but not all were asked about. Run it again."
            )
        if undescribed:
            left_out = f"{len(undescribed)} of {len(drafts)} pictures, for example {undescribed[0]}"
            if not described:
                raise AnswerError(f"{self.model.name} did not describe {left_out}. Choose another model.")
            logging.warning("Left out because the model did not describe them: %s.", left_out)

        # Write the manifest last: a folder with a manifest is complete.
        layouts = {
            draft.name: from_json(self._layout_path(draft).read_text("utf-8"), self.size, self.size)
            for draft in described
        }
        return write_benchmark(self.folder, layouts, self.source)

    def _check(self, drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts that have no layout yet. Checks all inputs, before the first question."""
        paths = {draft.name: inside(self.images, draft.file_name) for draft in drafts}
        missing = [draft.file_name for draft in drafts if not paths[draft.name].is_file()]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(drafts)} pictures are missing in {self.images}, "
                f"for example {missing[0]}. "
                "Give the folder with all pictures."
            )
        pin_settings(self.folder / BUILD, self.source, "layouts")
        remaining = [draft for draft in drafts if not self._layout_path(draft).exists()]
        sizes = decoded_sizes([paths[draft.name] for draft in remaining])
        for draft, size in zip(remaining, sizes, strict=True):
            if size != draft.size:
                raise ValueError(
                    f"{paths[draft.name]} has {size} pixels, its annotation says {draft.size}. "
                    "Give the pictures that belong to the annotations, which must be of the pictures "
                    "after their EXIF orientation."
                )
        return remaining

    def _describe_all(self, remaining: Sequence[Draft], total: int) -> list[str]:
        """Describe drafts, several at a time. Returns why pictures were not described.

        The first error stops all threads. total: number of drafts, for the progress bar.
        Raises AnswerError if the first pictures get no description.
        """
        work, failed, undescribed = Worklist(remaining), list[BaseException](), list[str]()
        done = total - len(remaining)
        with tqdm(total=total, initial=done, unit="picture", dynamic_ncols=True) as bar:

            def serve() -> None:
                while (draft := work.take()) is not None:
                    try:
                        self._describe(draft)
                        bar.update()
                    except NoDescriptionError as error:
                        undescribed.append(str(error))
                        if bar.n == 0 and len(undescribed) >= MAX_UNDESCRIBED:
                            failed.append(self._none_described(undescribed))
                            work.clear()
                    except BaseException as error:
                        failed.append(error)
                        work.clear()
                    work.done()

            in_threads([serve] * self.requests)
        if failed:
            raise failed[0]
        return undescribed

    def _none_described(self, undescribed: Sequence[str]) -> AnswerError:
        return AnswerError(
            f"{self.model.name} described none of the first {len(undescribed)} pictures, for example "
            f"{undescribed[0]}. Choose another model."
        )

    def _layout_path(self, draft: Draft) -> Path:
        return self.folder / "layouts" / f"{draft.name}.json"

    def _describe(self, draft: Draft) -> None:
        """Write the real picture, then its layout: an existing layout marks a finished draft."""
        picture = self._square(draft)
        instances = tuple(self._described(draft, picture, instance) for instance in draft.layout.instances)
        layout = Layout(self.size, self.size, instances, self._ask(draft, picture, self.prompts["caption"]))
        resized = picture.resize((self.size, self.size), Image.Resampling.LANCZOS)
        write_atomic(self.folder / REAL / f"{draft.name}.png", png_bytes(resized))
        write_atomic(self._layout_path(draft), release_json(layout).encode())

    def _described(self, draft: Draft, picture: Image.Image, instance: Instance) -> Instance:
        """The instance with the model's description of its crop in place of its category."""
        question = caption_question(instance.local_description)
        text = self._ask(draft, crop_box(picture, instance.box), question)
        return replace(instance, local_description=text)

    def _square(self, draft: Draft) -> Image.Image:
        """The draft's central square, cropped from its file."""
        x, y, side = draft.square
        return read_picture(inside(self.images, draft.file_name)).crop((x, y, x + side, y + side))

    def _ask(self, draft: Draft, picture: Image.Image, question: str) -> str:
        """The answer as a description in one line. Raises NoDescriptionError if it is none."""
        try:
            return ask(self.model, picture, question)
        except NoDescriptionError as error:
            raise NoDescriptionError(f"{draft.file_name}, {error}") from error


def build_drawn(folder: Path, world: World, count: int) -> Benchmark:
    """A benchmark of the first ``count`` held-out scenes, which no training uses.

    Raises ValueError for a wrong count.
    """
    if not 1 <= count <= len(HELD_OUT):
        raise ValueError(
            f"{count} scenes were requested; expected 1 to {len(HELD_OUT)}, the held-out scenes."
        )
    source = {"kind": "drawn world", "world": asdict(world), "first_scene": HELD_OUT[0]}
    pin_settings(folder / BUILD, source, "layouts")
    layouts = {}
    for index in tqdm(HELD_OUT[:count], unit="scene"):
        drawn, name = sample_scene(world, index), f"{index:05d}"
        write_atomic(folder / REAL / f"{name}.png", png_bytes(Image.fromarray(draw(drawn))))
        layouts[name] = drawn.layout
    return write_benchmark(folder, layouts, source)
