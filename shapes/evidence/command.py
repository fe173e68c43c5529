"""The work of ``python -m shapes.evidence``, after its arguments."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import Executor

from ifadapter_diffusers.quiet import hide_loading_bars

from .questions import STUDIES
from .report.page import update_table
from .report.plots import save_plot
from .report.sheets import save_sheet
from .run import PLOTS, read_results, run_study, write_page, write_results
from .studio import Options, Studio
from .study import Study

AT_LEAST = {
    "layouts": 2,  # the Frechet distance needs two pictures
    "steps": 1,
    "train_steps": 1,
    "train_batch": 1,
    "pool": 1,
    "processes": 1,
    "seed": 0,
}
MOST_LAYOUTS = 1000  # of a layout set


def check(options: argparse.Namespace) -> list[Study]:
    """The chosen studies. Raises ValueError or OSError for wrong options, before anything is painted."""
    for name, least in AT_LEAST.items():
        if getattr(options, name) < least:
            raise ValueError(
                f"--{name.replace('_', '-')} is {getattr(options, name)}; expected at least {least}."
            )
    if options.layouts > MOST_LAYOUTS:
        raise ValueError(f"--layouts is {options.layouts}; expected at most {MOST_LAYOUTS}.")
    if options.pool < options.train_batch:
        raise ValueError(f"--pool is {options.pool}; expected at least --train-batch, {options.train_batch}.")
    for path in options.update:
        update_table(path)
    if not options.report and not (options.demo / "ifadapter.safetensors").is_file():
        raise ValueError(f"There is no {options.demo / 'ifadapter.safetensors'}. Give --demo.")
    read_results(options.output)
    return chosen(options.studies)


def chosen(names: list[str]) -> list[Study]:
    """Studies by name or group. Raises ValueError, listing all, for an unknown name."""
    groups = {
        "all": list(STUDIES),
        "trained": [key for key, study in STUDIES.items() if study.trains],
        "untrained": [key for key, study in STUDIES.items() if not study.trains],
    }
    keys = [key for name in names for key in groups.get(name, [name])]
    if unknown := [key for key in keys if key not in STUDIES]:
        raise ValueError(f"--studies: no {unknown[0]}; expected some of {', '.join((*STUDIES, *groups))}.")
    return [STUDIES[key] for key in dict.fromkeys(keys)]


def run(options: argparse.Namespace, studies: list[Study], judges: Executor) -> int:
    """Returns the exit status: 0, or 2 for an error with a message."""
    if options.list:
        for study in studies:
            sys.stdout.write(f"{study.key}: {study.title}{' (trains)' if study.trains else ''}\n")
        return 0
    hide_loading_bars()
    try:
        if options.report:
            for key, record in read_results(options.output).items():
                if key in STUDIES:
                    save_plot(STUDIES[key], record, options.output / PLOTS / f"{key}.png")
            write_page(options.output, options.update)
            return 0
        studio = Studio(studio_options(options), judges)
        for study in studies:
            write_results(options.output, study, run_study(study, studio))
            if study.shown:
                save_sheet(study, studio, options.output / PLOTS / f"{study.key}_pictures.png")
            write_page(options.output, options.update)
            sys.stdout.write(f"{study.key}: {study.answer(read_results(options.output)[study.key])}\n")
            sys.stdout.flush()
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def studio_options(options: argparse.Namespace) -> Options:
    names = ("demo", "work", "layouts", "steps", "guidance", "seed", "device", "train_steps", "train_batch")
    values = {name: getattr(options, name) for name in (*names, "pool", "processes", "timing")}
    return Options(**values)
