"""``python -m demo``: a few layouts through the small models of this folder, on a CPU, and how well they came out."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.contact_sheet import comparison
from ifadapter_diffusers.painter import METHODS, Painter, Pixels
from ifadapter_diffusers.sampling import GUIDANCE, STEPS
from shapes.descriptions import read_description
from shapes.recognition.verifier import ATTRIBUTES, AttributeVerdict, verify
from shapes.scene import Figure

MODELS = Path(__file__).parent
COLUMNS = ("caption", "eot", "full")
CANVAS = 128  # pixels, of the pictures that the models were trained on


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Place instances in small pictures, on a CPU."
    )
    parser.add_argument(
        "--layout",
        type=Path,
        nargs="+",
        help="layouts of your own, JSON files; default: those of demo/layouts",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise that sampling starts from")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument(
        "--guidance", type=float, default=GUIDANCE, help="strength of classifier-free guidance"
    )
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for the pictures")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        layouts = [read_layout(path) for path in options.layout or sorted(MODELS.glob("layouts/*.json"))]
        painter = Painter(MODELS, options.seed, options.steps, options.guidance)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    options.output.mkdir(parents=True, exist_ok=True)
    columns, lines = {}, []
    for method in tqdm(COLUMNS, desc="sampling", unit="method"):
        pictures = painter.paint(METHODS[method], layouts)
        columns[METHODS[method].title] = pictures
        verdicts = [
            verdict
            for picture, layout in zip(pictures, layouts, strict=True)
            for verdict in judge(picture, layout)
        ]
        lines.append(row(METHODS[method].title, verdicts))
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(options.output / f"{method}_{number}.png")
    sheet = options.output / "sheet.png"
    comparison(layouts, columns).save(sheet)
    sys.stdout.write("\n".join(["", row("", None), *lines, ""]))
    sys.stdout.write(f"\n{sheet}: layout | {' | '.join(columns)} ({time.monotonic() - start:.0f} s)\n")
    sys.stdout.write(
        "With SDXL: put this folder into ComfyUI/custom_nodes and open workflows/place_things_with_boxes.json (see README.md, Install).\n"
    )


def read_layout(path: Path) -> Layout:
    """Raises ValueError that names the file when it is no layout."""
    try:
        return from_json(path.read_text("utf-8"), CANVAS, CANVAS)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def judge(picture: Pixels, layout: Layout) -> list[AttributeVerdict]:
    """The verdicts on the instances whose descriptions speak of the drawn world; the others cannot be judged."""
    figures = []
    for instance in layout.instances:
        attributes = read_description(instance.local_description)
        if attributes is not None:
            x0, y0, x1, y1 = (round(edge * CANVAS) for edge in instance.box)
            figures.append(Figure(attributes, (x0, y0, x1, y1), instance.local_description))
    return verify(picture, figures)


def row(name: str, verdicts: list[AttributeVerdict] | None) -> str:
    """A line of the table; without verdicts its head."""
    if verdicts is None:
        cells = ("success", *ATTRIBUTES)
    elif not verdicts:
        cells = ("-",) * (len(ATTRIBUTES) + 1)
    else:
        cells = tuple(
            f"{sum(getattr(verdict, key) for verdict in verdicts)}/{len(verdicts)}"
            for key in ("success", *ATTRIBUTES)
        )
    return f"{name:34}" + "".join(f"{cell:>16}" for cell in cells)


if __name__ == "__main__":
    main()
