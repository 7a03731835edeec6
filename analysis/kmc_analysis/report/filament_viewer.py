"""The section with the filament: a canvas, a time slider, and the frames as data."""

from __future__ import annotations

import json
from typing import Any

from kmc_analysis.report.html_pieces import Section, packaged, paragraph, text

_NONE = (
    "No run has snapshots, so there is no filament to show. Add snapshots: {every: 1 ms} to the file, and run it again."
)
_ABOUT = (
    "Silver atoms (grey) and silver ions (orange) in the window, in the layers that are named at the "
    "right; below, the current on a logarithmic scale."
)
_HELP = (
    "Drag to turn. With the keyboard: arrow keys turn the picture when it has the focus, + and - zoom, "
    "0 goes back; the slider and the button are reached with Tab."
)


def section(runs: list[dict[str, Any]]) -> Section:
    """The viewer of `runs`, each as `frames.frames` gives it."""
    if not runs:
        return Section("filament", "Filament", paragraph(_NONE))
    options = "".join(f'<option value="{k}">{text(one["title"])}</option>' for k, one in enumerate(runs))
    data = json.dumps(runs, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    body = f"""
{paragraph(_ABOUT)}
<div class="controls"><label for="filament-run">Run</label><select id="filament-run">{options}</select></div>
<canvas id="filament-view" tabindex="0" role="img" aria-label="The filament in three dimensions"
 aria-describedby="filament-told filament-help"></canvas>
<canvas id="filament-trace" aria-hidden="true"></canvas>
<div class="controls"><button id="filament-play" type="button">Play</button>
<label for="filament-time">Time</label>
<input id="filament-time" type="range" min="0" max="0" value="0" step="1"></div>
<p id="filament-told" role="status"></p>
<p id="filament-help">{text(_HELP)}</p>
{_left_out(runs)}
<script type="application/json" id="filament-data">{data}</script>
<script>{packaged("filament.js")}</script>"""
    return Section("filament", "Filament", body)


def _left_out(runs: list[dict[str, Any]]) -> str:
    """That frames are missing, where they are."""
    shown, total = sum(len(one["changes"]) for one in runs), sum(one["total"] for one in runs)
    return "" if shown == total else paragraph(f"{shown} of {total} snapshots are shown, evenly chosen.")
