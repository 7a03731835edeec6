"""What `kmc reservoir` writes and prints."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kmc.cli.commands._tables import show_rows
from kmc.core.atomic_files import csv_text, finite, write_texts, write_whole
from kmc.core.units import format_si
from kmc.io import netcdf
from kmc_analysis.metrics.observation import Measured
from kmc_analysis.reservoir import kinetic_states, plan_identity, programming_laws
from kmc_analysis.reservoir.node_devices import ALIKE, Population
from kmc_analysis.reservoir.pipeline import Result
from kmc_analysis.reservoir.plan import Plan
from kmc_analysis.reservoir.results import (
    accuracy_table,
    design_sweep,
    energy_costs,
    memory_measures,
    reservoir_figures,
    saved_states,
    time_series,
)

NODE = '''"""The reservoir as a node of reservoirpy (extra `reservoir`)."""

from pathlib import Path

from kmc_analysis.reservoir.plan_identity import unchanged
from kmc_analysis.reservoir.results.reservoirpy_reservoir import SpikeDevices
from kmc_analysis.reservoir.plan import load

SETS = {sets!r}  # what --set changed of the file


def node(seed={seed}):
    """Input: each node's source voltage (V), a slot a step; node(...).inputs makes it from spike times."""
    return SpikeDevices(unchanged(load(Path({path!r}), SETS), {digest!r}), seed)
'''


def analysis(plan: Plan, result: Result) -> tuple[dict[str, Any], dict[str, memory_measures.Rank]]:
    """Figures of merit of one seed's reservoir, as plain data, and its two ranks."""
    population = Population.of(plan, result.seed)
    ranks = memory_measures.ranks(plan, result.wiring, population, result.seed)
    other = replace(population, seed=result.seed + 1)  # in cycles of their own
    found: dict[str, Any] = {
        f"{name}_rank": {"rank": one.rank, "effective": one.effective, "of": plan.feeding.nodes}
        for name, one in ranks.items()
    }
    found["class_separability"] = memory_measures.class_separability(result.features, result.trains.labels)
    found["stream_separability"] = memory_measures.stream_separability(plan, other)
    found["series"] = time_series.tasks(population, plan.encoding, result.seed)
    found["costs"] = energy_costs.costs(plan, result, accuracy_table.DEVICE)
    return found, ranks


def write(
    plan: Plan, results: list[Result], out: Path, pictures: bool = True, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Write tables and figures into `out`; returns what --json prints. Raises WriteFailed."""
    tell("measuring the reservoir")
    merit, ranks = analysis(plan, results[0])
    found = accuracy_table.rows(results)
    distances = {
        name: float(np.mean([accuracy_table.ks_distance(result, name) for result in results]))
        for name in results[0].readouts
        if results[0].readouts[name].plus is not None
    }
    summary: dict[str, Any] = {
        "plan": plan_identity.origin(plan),
        "seeds": [result.seed for result in results],
        "table": found,
        "scoreboard": {key: _plain(one) for key, one in accuracy_table.scoreboard(results).items()},
        "recall": _recalls(results),
        "weights_ks": distances,
        "always_the_most_frequent": accuracy_table.majority(results),
        "classes": len(results[0].trains.classes),
        "analysis": merit,
        "notes": list(_notes(results)),
    }
    summary = finite(summary)
    node = NODE.format(
        seed=results[0].seed, path=str(plan.path.resolve()), sets=list(plan.sets), digest=plan_identity.identity(plan)
    )
    texts = {
        "table.csv": _table_csv(found),
        "weights.csv": saved_states.weights_csv(results[0]),
        "trains.csv": saved_states.trains_csv(results[0].trains),
        "reservoirpy_node.py": node,
    }
    files = [*write_texts(out, texts), netcdf.write(out / "states.nc", saved_states.states(plan, results))]
    summary["files"] = [str(path) for path in [*files, out / plan_identity.RESULTS]]
    _json(summary, out / plan_identity.RESULTS)
    if pictures:
        tell("drawing")
        summary["files"] += [str(path) for path in _draw(plan, results, merit, ranks, out)]
        _json(summary, out / plan_identity.RESULTS)
    return summary


def _notes(results: list[Result]) -> Iterator[str]:
    """What a user should know of the results."""
    first, data = results[0], results[0].trains
    yield from (note for note in (data.note, first.note) if note)
    for use, lacking in (("train", data.untrained), ("test", data.untested)):
        if lacking:
            yield f"no sample to {use} with: {', '.join(lacking)}"
    alike = int(np.sum(np.ptp(first.features, axis=0) < ALIKE))
    if alike:
        yield f"{alike} of {first.features.shape[1]} nodes are in one state, whatever the sample"
    for name, trained in first.readouts.items():
        if not np.isfinite(trained.weights).all():
            yield f"{accuracy_table.NAMES[name]}: the weights diverged; lower readout.rate"


def _draw(
    plan: Plan, results: list[Result], merit: dict[str, Any], ranks: dict[str, memory_measures.Rank], out: Path
) -> list[Path]:
    first = results[0]
    return [
        reservoir_figures.trains(plan, first, out / "trains.png"),
        reservoir_figures.accuracy(results, out / "accuracy.png"),
        reservoir_figures.confusion(results, out / "confusion.png"),
        reservoir_figures.weights(first, out / "weights.png"),
        reservoir_figures.states(first, ranks, out / "states.png"),
        reservoir_figures.memory(merit["series"], out / "memory.png"),
        reservoir_figures.costs(merit["costs"], out / "costs.png"),
    ]


def _recalls(results: list[Result]) -> dict[str, dict[str, float]]:
    """{readout: {class: recall in percent}}, of the summed confusion matrices: of classes that are tested."""
    classes = results[0].trains.classes
    found = {}
    for name in results[0].readouts:
        total = np.sum([result.readouts[name].confusion for result in results], axis=0)
        shares = dict(zip(classes, (100.0 * accuracy_table.recall(total)).tolist(), strict=True))
        found[name] = {label: share for label, share in shares.items() if math.isfinite(share)}
    return found


def _json(found: dict[str, Any], path: Path) -> Path:
    write_whole(path, (json.dumps(found, indent=2) + "\n").encode())
    return path


def _table_csv(found: list[dict[str, Any]]) -> str:
    rows = []
    for row in found:
        spread = row["sd"] or [""] * len(row["mean"])
        for epoch, (mean, sd) in enumerate(zip(row["mean"], spread, strict=True)):
            rows.append([row["readout"], row["part"], row["source"], epoch, mean, sd])
    return csv_text(["readout", "part", "source", "epoch", "mean_percent", "sd_percent"], rows)


def _plain(one: Measured) -> dict[str, Any]:
    """A figure for the scoreboard; an interval that is not reliable is left out."""
    told = math.isfinite(one.low) and not one.open
    return {"simulated": one.value, "interval": [one.low, one.high] if told else None, "n": one.n}


def show(summary: dict[str, Any]) -> None:
    """The table and what the scoreboard takes from it, on standard output."""
    found = summary["table"]
    heads = accuracy_table.heads(found)
    show_rows(
        heads,
        [accuracy_table.cells(row) for row in found],
        f"accuracy in percent, {len(summary['seeds'])} seed(s)",
        right=heads[3:],
    )
    for name, row in summary["scoreboard"].items():
        bounds = row["interval"]
        shown = "" if bounds is None else f" [{bounds[0]:.4g}, {bounds[1]:.4g}]"
        print(f"{name}: {_number(row['simulated'], '.4g')}{shown}, {row['n']} seed(s)")
    for name, recalls in summary["recall"].items():
        hardest = min(recalls, key=lambda label: recalls[label])
        print(f"hardest class, {accuracy_table.NAMES[name]}: {hardest} (recall {recalls[hardest]:.1f} %)")
    print(
        f"always the most frequent class: {summary['always_the_most_frequent']:.1f} %; by chance "
        f"{100.0 / summary['classes']:.1f} %"
    )
    for line in [*_merit_lines(summary["analysis"]), *summary["notes"]]:
        print(line)
    for path in summary["files"]:
        print(path)


def _number(value: float | None, form: str = ".3g") -> str:
    return "none" if value is None else f"{value:{form}}"


def _merit_lines(merit: dict[str, Any]) -> list[str]:
    kernel, general = merit["kernel_rank"], merit["generalisation_rank"]
    cost = merit["costs"]
    lines = [
        f"kernel rank {kernel['rank']} of {kernel['of']} (effective {kernel['effective']:.1f}), "
        f"generalisation rank {general['rank']} (effective {general['effective']:.1f})",
        f"separability: {100.0 * merit['stream_separability']:.0f} % of the pairs of four-bit streams; "
        f"scatter between classes over within {_number(merit['class_separability'])}",
    ]
    for name, one in merit["series"].items():
        lines.append(
            f"series, {name}: memory capacity {_number(one['capacity'], '.2f')}, "
            f"NARMA-10 error {_number(one['narma10'], '.3f')}"
        )
    lines.append(
        f"a classification: {format_si(cost['reservoir_J'], 'J', 3)} from the reservoir's source "
        f"({format_si(cost['device_J'], 'J', 3)} in its devices), "
        f"{format_si(cost['readout_J'], 'J', 3)} in the readout, "
        f"{cost['write_pulses']:.1f} write pulses"
    )
    lines.append(
        f"wear: training programs a drift device {cost['programmings_mean']:.0f} times, the busiest "
        f"{cost['programmings_most']}; the measured endurance is {energy_costs.DRIFT_CYCLES}"
    )
    return lines


def write_sweep(plan: Plan, rows: list[dict[str, Any]], out: Path, pictures: bool) -> dict[str, Any]:
    """Write a sweep's table and figure, and which plan it is of; returns that with {rows, files}."""
    found = design_sweep.summary(rows)
    heads = ["entry", "value", "readout", "mean_percent", "sd_percent", "seeds"]
    lines = [[row["entry"], row["value"], row["readout"], row["mean"], row["sd"], row["n"]] for row in found]
    files = write_texts(out, {"sweep.csv": csv_text(heads, lines)})
    seeds = dict.fromkeys(row["seed"] for row in rows)
    about = plan_identity.kept(plan, seeds, [(row["entry"], row["value"]) for row in rows])
    lacking = [f"{row['entry']} = {row['value']}" for row in rows if "simulated" not in row]
    about |= {"rows": found, "notes": [f"{point}: {programming_laws.LEFT_OUT}" for point in dict.fromkeys(lacking)]}
    files.append(_json(about, out / plan_identity.SWEEP))
    if pictures:
        files.append(reservoir_figures.sweep(found, out / "sweep.png"))
    return {**about, "files": [str(path) for path in files]}


def show_sweep(found: dict[str, Any]) -> None:
    """Test accuracies of a sweep, a row a value."""
    names = list(accuracy_table.NAMES)
    places = list(dict.fromkeys((row["entry"], str(row["value"])) for row in found["rows"]))
    cells = {
        (row["entry"], str(row["value"]), row["readout"]): f"{row['mean']:.2f}"
        + ("" if row["sd"] is None else f" ± {row['sd']:.2f}")
        for row in found["rows"]
    }
    rows = [[*place, *(cells.get((*place, name), "-") for name in names)] for place in places]
    show_rows(["entry", "value", *names], rows, "test accuracy in percent", right=names)
    for line in [*found["notes"], *found["files"]]:
        print(line)


def write_comparison(
    plan: Plan, study: kinetic_states.States, result: Result, out: Path, pictures: bool
) -> dict[str, Any]:
    """Write how (b) predicts a study (a), and which plan that is of; returns plain data.

    Raises UserError and WriteFailed.
    """
    found = plan_identity.kept(plan, [result.seed], kinetic_states.entries(plan))
    found |= kinetic_states.compared(plan, study, result.seed)
    found["accuracy"] = kinetic_states.transferred(plan, study, result, result.seed)
    rows = list(zip(found["patterns"], found["a"], found["b"], strict=True))
    files = write_texts(
        out,
        {
            "kinetic.csv": csv_text(["pattern", "kinetic_log10_S", "compact_log10_S"], rows),
            "kinetic_states.csv": kinetic_states.as_csv(study),
        },
    )
    files.append(_json(found, out / plan_identity.COMPARISON))
    if pictures:
        files.append(reservoir_figures.kinetic(found, out / "kinetic.png"))
    return {**found, "files": [str(path) for path in files]}


def show_comparison(found: dict[str, Any]) -> None:
    """How far (b) is from (a), in words."""
    print(
        f"{len(found['patterns'])} patterns, {found['tasks']} runs; (b) is off by "
        f"{found['error_decades']:.2f} decades in the median, {found['worst_decades']:.2f} at most, "
        f"{found['bias_decades']:+.2f} on average"
    )
    spread = found["spread_a"]
    print(f"spread in decades: (a) {'-' if spread is None else f'{spread:.2f}'}, (b) {found['spread_b']:.2f}")
    scored = found["accuracy"]
    if scored["samples"]:
        print(
            f"accuracy on {scored['samples']} samples: {scored['compact']:.1f} % with (b)'s states, "
            f"{scored['kinetic']:.1f} % with (a)'s ({scored['own']:.0f} % of the node's own device)"
        )
    else:
        print(
            f"no accuracy: {scored['lacking']} of the {scored['patterns']} patterns that it takes are not"
            " in the study, or none of their runs is done"
        )
    for path in found["files"]:
        print(path)
