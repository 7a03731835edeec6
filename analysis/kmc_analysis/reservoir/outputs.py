"""What `kmc reservoir` writes and prints."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from kmc.files import make_folder, write_whole
from kmc_analysis.reservoir import table
from kmc_analysis.reservoir.pipeline import Result
from kmc_analysis.reservoir.settings import Plan
from kmc_analysis.tables import show_rows


def write(plan: Plan, results: list[Result], out: Path) -> dict[str, Any]:
    """Write tables and figures into `out`; returns what --json prints. Raises WriteFailed."""
    make_folder(out)
    found = table.rows(results)
    summary: dict[str, Any] = {
        "seeds": [result.seed for result in results],
        "table": found,
        "scoreboard": table.scoreboard(results),
        "recall": _recalls(results),
    }
    files = [out / "table.csv", out / "results.json"]
    write_whole(files[0], _csv(found).encode())
    summary["files"] = [str(path) for path in files]
    write_whole(files[1], (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def _recalls(results: list[Result]) -> dict[str, dict[str, float]]:
    """{readout: {class: recall in percent}}, of the summed confusion matrices."""
    classes = results[0].trains.classes
    found = {}
    for name in results[0].readouts:
        total = np.sum([result.readouts[name].confusion for result in results], axis=0)
        found[name] = dict(zip(classes, (100.0 * table.recall(total)).tolist(), strict=True))
    return found


def _csv(found: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["readout", "part", "source", "epoch", "mean_percent", "sd_percent"])
    for row in found:
        spread = row["sd"] or [""] * len(row["mean"])
        for epoch, (mean, sd) in enumerate(zip(row["mean"], spread, strict=True)):
            writer.writerow([row["readout"], row["part"], row["source"], epoch, mean, sd])
    return text.getvalue()


def show(summary: dict[str, Any]) -> None:
    """The table and what the scoreboard takes from it, on standard output."""
    found = summary["table"]
    heads = table.heads(found)
    show_rows(heads, [table.cells(row) for row in found],
              f"accuracy in percent, {len(summary['seeds'])} seed(s)", right=heads[3:])  # fmt: skip
    for name, row in summary["scoreboard"].items():
        bounds = row["interval"]
        shown = "" if bounds is None else f" [{bounds[0]:.4g}, {bounds[1]:.4g}]"
        print(f"{name}: {row['simulated']:.4g}{shown}, {row['n']} seed(s)")
    for name, recalls in summary["recall"].items():
        hardest = min(recalls, key=lambda label: recalls[label])
        print(f"hardest class, {table.NAMES[name]}: {hardest} (recall {recalls[hardest]:.1f} %)")
    for path in summary["files"]:
        print(path)
