"""The page of a folder of `kmc reproduce`: the scoreboard with its reasons, and the figures."""

from __future__ import annotations

import json
from pathlib import Path

from kmc.core.errors import CorruptFile
from kmc_analysis.experiment.figures import all_figures
from kmc_analysis.experiment.reproduce import scoreboard
from kmc_analysis.report.html_pieces import Section, listed, page, paragraph, picture, table


def is_reproduction(out: Path) -> bool:
    """Whether `out` is a folder of `kmc reproduce`."""
    return (out / scoreboard.JSON_NAME).is_file() and (out / "tasks").is_dir()


def reproduction(out: Path) -> str:
    """The page. Raises CorruptFile for a scoreboard that cannot be read."""
    try:
        found = json.loads((out / scoreboard.JSON_NAME).read_text(encoding="utf-8"))
        rows, versions = scoreboard.rows_of(found), dict(found["versions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFile(
            f"{out / scoreboard.JSON_NAME} cannot be read: {error}", next_step="make it again with kmc reproduce --done"
        ) from error
    told = [f"{one.key}, {one.verdict}: {one.reason}" for one in rows if one.verdict != "hit"]
    sections = [
        Section(
            "scoreboard",
            "Scoreboard",
            paragraph(scoreboard.summary(rows))
            + table(scoreboard.HEADS, [scoreboard.cells(one) for one in rows], "Scoreboard"),
        ),
        Section("missed", "What is no hit", listed(told) if told else paragraph("Everything is a hit.")),
        Section("figures", "Figures", _figures(out)),
        Section("versions", "Versions", listed([" ".join(one) for one in versions.items()])),
    ]
    return page("Scoreboard", paragraph("The experiment's figures on the virtual devices."), sections)


def _figures(out: Path) -> str:
    """The pictures that were drawn, each with its protocol."""
    drawn = [(one, out / f"{one.name}.png") for one in all_figures() if (out / f"{one.name}.png").is_file()]
    body = "".join(picture(path, f"{one.name}, {one.title}: {one.protocol}.") for one, path in drawn)
    return body or paragraph("None was drawn.")
