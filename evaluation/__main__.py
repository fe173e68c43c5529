"""Command line: ``python -m evaluation build|describe|generate|score|table|calibrate|sweep``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import ifadapter_diffusers.quiet  # noqa: F401  # before diffusers

from .errors import INSTALL, EvaluationError

COMMANDS = {
    "build": "build a benchmark from COCO annotations or from the drawn world",
    "describe": "write a layout beside each picture of a folder, for training",
    "generate": "generate a picture for every layout of a benchmark, with ComfyUI or diffusers",
    "score": "score pictures: instance feature success, AP, CLIP score and FID",
    "table": "join the scores of several runs into one table",
    "calibrate": "compare the protocol with an exact verifier, on pictures of the drawn world",
    "sweep": "generate and score many variants, with a table and plots",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns the exit status: 0, 2 for an error with a message, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {
        name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()
    }
    chosen = next((word for word in given if word in COMMANDS), None)
    try:
        # Import only the chosen command: the others may need packages that are not installed.
        command = importlib.import_module(f".commands.{chosen}", __package__) if chosen else None
        if command is not None:
            command.add_arguments(parsers[str(chosen)])
        options = parser.parse_args(given)
        return int(command.run(options)) if command is not None else 2
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}. {INSTALL}\n")
        return 2
    except (ValueError, OSError, EvaluationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. Finished files are kept; run the same command to resume.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
