"""``python -m evaluation build|generate|score|table|calibrate|sweep``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from .errors import INSTALL, EvaluationError

COMMANDS = {
    "build": "a benchmark out of COCO's annotations, or of the drawn world",
    "generate": "the pictures of a benchmark, by ComfyUI or by the core",
    "score": "instance feature success, AP, CLIP score and FID of pictures",
    "table": "the scores of several folders of pictures as one table",
    "calibrate": "the scores of pictures of the drawn world beside those of a verifier that knows all boxes",
    "sweep": "generate and score for many variants, as one table",
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {
        name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()
    }
    asked = next((word for word in given if word in COMMANDS), None)
    try:
        command = (
            importlib.import_module(f".commands.{asked}", __package__) if asked else None
        )  # no more than it needs
        if command is not None:
            command.add_arguments(parsers[str(asked)])
        options = parser.parse_args(given)
        return int(command.run(options)) if command is not None else 2
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}. {INSTALL}\n")
        return 2
    except (ValueError, OSError, EvaluationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was made is kept; the same command goes on from there.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
