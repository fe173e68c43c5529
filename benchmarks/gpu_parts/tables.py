"""Markdown of the report of `make gpu`, and the GPU section of docs/performance.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from timing import markdown

from .bars import DTYPES, bars, ratio_of, worst_error

START, END = "<!-- gpu report: start -->", "<!-- gpu report: end -->"


def markdown_report(report: Mapping[str, Any]) -> str:
    """The whole report, with its errors and what was left out."""
    return "\n\n".join(_sections(report)) + "\n"


def write_docs(reports: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Replace the text between the markers in the page.

    reports: of one machine; a part of a later one takes the place of the same part of an earlier one.
    Raises ValueError if the page has no markers, or for reports of different machines.
    """
    text = page.read_text()
    if START not in text or END not in text:
        raise ValueError(f"{page.name} has no section for the GPU: add the lines {START} and {END}.")
    settings = [report["setting"] for report in reports]
    if any(setting != settings[0] for setting in settings):
        raise ValueError(f"The reports have different settings: {settings}. Give reports of one machine.")
    parts = {name: part for report in reports for name, part in report["parts"].items()}
    content = markdown_report({"setting": settings[0], "parts": {**parts, **_short(parts)}})
    before, _, rest = text.partition(START)
    page.write_text(f"{before}{START}\n\n{content}\n{END}{rest.partition(END)[2]}")


def _short(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Parts with fewer rows in their tables, without single kernels; the bars are those of all rows."""
    return {
        name: {
            **parts[name],
            "shown": [{**row, "kernels": []} for row in parts[name]["rows"] if _is_shown(row)],
        }
        for name in ("layers", "launches", "memory")
        if name in parts
    }


def _is_shown(row: Mapping[str, Any]) -> bool:
    return row["kind"] in ("medium", "overlapping") and row["count"] in (4, 10, 32)


def _sections(report: Mapping[str, Any]) -> Iterator[str]:
    setting, parts = report["setting"], report["parts"]
    if setting:
        yield (
            f"{setting['device']}, torch {setting['torch']}, CUDA {setting['cuda']}, "
            f"Python {setting['python']}, activations in {setting['dtype']}."
            + (" Tiny sizes: these numbers only show that the command works." if setting["small"] else "")
        )
    yield markdown(
        ["bar", "at most", "measured", ""],
        [
            [bar.what, f"{bar.limit:g}", "" if bar.value is None else f"{bar.value:.3g}", bar.verdict]
            for bar in bars(report)
        ],
    )
    writers = {
        "exactness": _exactness,
        "layers": _layers,
        "unet": _unet,
        "encoding": _encoding,
        "memory": _memory,
        "launches": _launches,
        "compiled": _compiled,
    }
    for name, write in writers.items():
        if name in parts:
            part = parts[name]
            yield from write(part.get("shown", part["rows"]), part.get("through", ""))
            if "shown" in part:
                yield f"{len(part['shown'])} of {len(part['rows'])} cases; the bars are those of all."
            if part["errors"]:
                yield _list(f"Errors of part {name}:", _joined(part["errors"]))
            if parts[name]["left_out"]:
                yield _list(f"Left out of part {name}:", parts[name]["left_out"])


def _list(title: str, lines: list[str]) -> str:
    return "\n".join([title, "", *(f"- {line}" for line in lines)])


def _joined(errors: Iterable[str]) -> list[str]:
    """Errors of the same words in one line, after the rows that had them."""
    rows: dict[str, list[str]] = {}
    for error in errors:
        row, _, message = error.partition(": ")
        rows.setdefault(message, []).append(row)
    return [f"{'; '.join(names)}: {message}" for message, names in rows.items()]


def _exactness(rows: list[Any], _through: str) -> Iterator[str]:
    yield (
        "### Exactness\n\nLargest error relative to the largest value, against `tests/reference` in float64 "
        "on the CPU; float32 without TF32."
    )
    lines = []
    for what, dtype in itertools.product(("tokens", "layer"), DTYPES):
        errors = (worst_error(rows, what, dtype, where) for where in ("device", "triton", "cpu"))
        lines.append([what, dtype, *("" if error is None else f"{error:.1e}" for error in errors)])
    yield markdown(["", "dtype", "device", "device, by Triton", "CPU in the same dtype"], lines)


def _layers(rows: list[Any], _through: str) -> Iterator[str]:
    yield (
        "### One adapted layer\n\nMilliseconds, medians with quartiles. *One by one*: each call starts on an "
        "idle device, so the gaps between launches count. *Graph*: the same kernels in a CUDA graph."
    )
    names = ("base", "ours", "dense")
    head = ["grid", "boxes", "n", "kernel", *("cross attention", "ours adds", "dense adds")]
    head += ["graph: cross attention", "graph: ours", "graph: dense", "operators"]
    lines = []
    for row in rows:
        cells = [f"{row['grid'][0]} x {row['grid'][1]}", row["kind"], str(row["count"]), row["kernel"]]
        cells += [_ms(row.get(f"{name}_ms")) for name in names]
        cells += [_ms(row.get(f"{name}_graph_ms")) for name in names]
        lines.append([*cells, str(row.get("operators", ""))])
    yield markdown(head, lines)


def _launches(rows: list[Any], _through: str) -> Iterator[str]:
    yield "### Kernel launches of one adapted layer"
    head = ["grid", "boxes", "n", "kernel", "cross attention", "ours adds", "dense adds"]
    names = ("base_launches", "launches", "dense_launches")
    yield markdown(
        head,
        [
            [
                f"{row['grid'][0]} x {row['grid'][1]}",
                row["kind"],
                str(row["count"]),
                row["kernel"],
                *(str(row.get(name, "")) for name in names),
            ]
            for row in rows
        ],
    )
    for row in rows:
        if row.get("kernels"):
            title = f"Slowest kernels, {row['count']} {row['kind']} boxes, {row['kernel']}:"
            yield title
            yield markdown(
                ["kernel", "launches", "us"],
                [[f"`{name}`", str(count), str(us)] for name, count, us in row["kernels"]],
            )


def _compiled(rows: list[Any], _through: str) -> Iterator[str]:
    yield "### One adapted layer by torch.compile"
    yield markdown(
        ["grid", "boxes", "n", "ours adds, ms", "launches"],
        [
            [
                f"{row['grid'][0]} x {row['grid'][1]}",
                row["kind"],
                str(row["count"]),
                _ms(row.get("ours_ms")),
                str(row.get("launches", "")),
            ]
            for row in rows
        ],
    )


def _unet(rows: list[Any], through: str) -> Iterator[str]:
    yield (
        "### A UNet call\n\nSDXL's architecture with random weights, two rows, through "
        f"{through or 'nothing'}. *Ratio*: to the call without the adapter."
    )
    lines = []
    for row in rows:
        if "ms" not in row:
            continue
        graph = "in a CUDA graph" in row
        own = [other for other in rows if "ms" in other and ("in a CUDA graph" in other) == graph]
        ratio, note = ratio_of(own, row["variant"], row["kernel"])
        words = note.partition(":")[0] if ratio is None else f"{ratio:.3f}"
        if "ratio" in row:
            words = f"{words} ({row['ratio']['low']:.3f} .. {row['ratio']['high']:.3f})"
        is_base = row["variant"].startswith("without")
        host = f"{row['host_ms']:.1f}" if "host_ms" in row else ""
        name = row["variant"] + ", in a CUDA graph" * graph
        lines.append([name, row["kernel"], _ms(row["ms"]), "" if is_base else words, host])
        if not row.get("finite", True):
            lines[-1][0] += " (its output is not finite)"
    yield markdown(["", "kernel", "ms", "ratio", "host issues it in, ms"], lines)
    peaks = [[row["memory of"], row["kernel"], f"{row['peak_mib']:.1f}"] for row in rows if "peak_mib" in row]
    yield markdown(["peak memory of new tensors", "kernel", "MiB"], peaks)


def _encoding(rows: list[Any], through: str) -> Iterator[str]:
    yield f"### Encoding and loading\n\nThrough {through or 'nothing'}."
    lines = []
    for row in rows:
        if "ms" in row:
            base = next(iter(row["ms"].values()))["median"]
            lines += [[name, _ms(ms), f"{ms['median'] / base:.2f}"] for name, ms in row["ms"].items()]
        if "seconds" in row:
            lines.append([f"{row['what']} ({row['mib']:.0f} MiB)", f"{1000 * row['seconds']:.0f}", ""])
    yield markdown(["", "ms", "ratio"], lines)


def _memory(rows: list[Any], _through: str) -> Iterator[str]:
    yield "### Memory\n\nPeak of new tensors in one layer, MiB."
    yield markdown(
        ["grid", "boxes", "n", "kernel", "ours", "dense"],
        [
            [
                f"{row['grid'][0]} x {row['grid'][1]}",
                row["kind"],
                str(row["count"]),
                row.get("kernel", "torch"),
                str(row.get("ours_mib", "")),
                str(row.get("dense_mib", "")),
            ]
            for row in rows
        ],
    )


def _ms(timing: dict[str, float] | None) -> str:
    """median (first quartile .. third quartile), with microseconds where it is short."""
    if timing is None:
        return ""
    low, median, high = timing["low"], timing["median"], timing["high"]
    digits = 3 if median < 10 else 1
    return f"{median:.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"
