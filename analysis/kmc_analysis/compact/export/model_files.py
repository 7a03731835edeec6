"""A model with its parameters as files: JSON, SPICE, Verilog-A, PWL, CSV, NPZ and what `learning` adds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kmc.cards.yaml_documents import unknown
from kmc.core import units
from kmc.core.atomic_files import csv_text, make_folder, replacing, write_texts
from kmc.core.errors import UserError, nearest
from kmc_analysis.compact.equations.model import SPREADS, CompactModel
from kmc_analysis.compact.equations.reference_traces import Drive, simulate
from kmc_analysis.compact.export import learning_formats, spice_netlists, veriloga
from kmc_analysis.compact.fitting.fit_data import Trace, covered
from kmc_analysis.compact.fitting.model_fit import Fit

# The benches that come with a model: name -> compliance in A.
SWEEPS = {"sweep_1uA": 1e-6, "sweep_10uA": 1e-5, "sweep_100uA": 1e-4, "sweep_1mA": 1e-3}
SWEEP_V, RATE_V_PER_S = 0.6, 1.0
PULSES = {"voltage": 0.6, "width": 5e-3, "gap": 10e-3}
PULSE_LIMIT_A = 1e-4  # and of the SET before a RESET
FITTED = Path(__file__).parent.parent / "fitted"  # parameters that come with the program
_LARGEST = 1e300
PULSE_STEP_S = 1.25e-4  # of ngspice at most: at 0.5 ms the first pulse of the fitted device is 5 % off


def read_changes(model: CompactModel, given: Sequence[str]) -> dict[str, float]:
    """Parameters from text such as "V_th=0.4 V", in the model's units. Raises UserError."""
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise UserError(f'"{text:.40}" sets nothing', next_step='write e.g. "V_th=0.4 V"')
        parameter = model.parameter(name.strip())
        if parameter.name in found:
            raise UserError(f"{parameter.name} is given twice", next_step="keep one of the two")
        found[parameter.name] = model.within(parameter.name, units.parse(value.strip(), parameter.unit, name))
    return found


def read_parameters(model: CompactModel, path: Path) -> dict[str, float]:
    """The parameters that `write` put into a JSON file. Raises UserError for another model's or a wrong
    file."""
    entries = _fit(model, path)["parameters"]
    numbers = _numbers(model, entries, path)
    return {name: model.within(name, value) for name, value in numbers}


def read_spreads(model: CompactModel, path: Path) -> Mapping[str, Mapping[str, float]]:
    """The spreads in such a file, else the model's own. Raises UserError as `read_parameters` does."""
    found = _fit(model, path).get("spread", model.spread)
    if not isinstance(found, Mapping) or any(not isinstance(entries, Mapping) for entries in found.values()):
        raise _no_fit(path)
    for kind in found:
        if kind not in SPREADS:
            raise unknown(f'unknown spread "{kind}"', kind, SPREADS, str(path))
    read = {kind: dict(_numbers(model, entries, path)) for kind, entries in found.items()}
    if any(sigma < 0.0 for entries in read.values() for sigma in entries.values()):
        raise UserError("has a spread below zero", str(path), next_step="give standard deviations")
    return read


def _fit(model: CompactModel, path: Path) -> dict[str, Any]:
    """What the file of a fit of this model holds."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        name, entries = str(found["model"]), found["parameters"]
    except FileNotFoundError:
        step = "name the file that kmc compact fit wrote"
        raise UserError(f"{path} is not there", next_step=step) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise _no_fit(path) from None
    if not isinstance(entries, dict):
        raise _no_fit(path)
    if name != model.name:
        raise UserError(f"holds parameters of {name}, not of {model.name}", str(path), next_step=f"export {name}")
    return found


def _no_fit(path: Path) -> UserError:
    return UserError(
        "is not the parameters.json of a fit", str(path), next_step="name the file that kmc compact fit wrote"
    )


def _numbers(model: CompactModel, entries: Mapping[str, Any], path: Path) -> Iterator[tuple[str, float]]:
    """Names of parameters with a finite number each, in the model's units: given as such or as a mapping of
    value and unit."""
    for name, entry in entries.items():
        if name not in model.names:
            raise unknown(f'{model.name} has no parameter "{name}"', name, model.names, str(path))
        value = entry.get("value") if isinstance(entry, dict) else entry
        # An integer may be beyond what a float holds.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _LARGEST:
            raise UserError(f"{name} has no value", str(path), next_step="name the file that kmc compact fit wrote")
        own = model.parameter(name).unit
        unit = str(entry.get("unit", own)) if isinstance(entry, dict) else own
        yield name, float(value) if unit == own else units.parse(f"{value!r} {unit}", own, f"{path}: {name}")


def fitted(name: str, where: str = "") -> Path:
    """The parameters that come with the program for a device. Raises UserError with the nearest name."""
    known = sorted(path.stem for path in FITTED.glob("*.json"))
    if name not in known:
        raise UserError(
            f'no fit is called "{name}"',
            where,
            nearest=nearest(name, known),
            next_step=f"there are {', '.join(known)}, and the parameters.json of kmc compact fit",
        )
    return FITTED / f"{name}.json"


def starting_at(model: CompactModel, path: Path | None) -> CompactModel:
    """The model with values and spreads of a fit as its own: of a parameters.json, or a name for `fitted`."""
    if path is None:
        return model
    if path.name == str(path) and not path.suffix and not path.exists():
        path = fitted(path.name)
    found, values = _fit(model, path), read_parameters(model, path)
    if not values:
        raise _no_fit(path)
    own = _with_values(model, values)
    missing = [name for name in model.names if name not in values]
    origin = str(found.get("origin", f"of the fit {path.stem}"))
    origin += f"; not in it, and the model's own: {', '.join(missing)}" if missing else ""
    rests = {
        name: str(entry["rests_on"])
        for name, entry in found["parameters"].items()
        if isinstance(entry, dict) and "rests_on" in entry
    }
    return replace(
        own, spread=read_spreads(model, path), origin=origin, rests=rests, covers=str(found.get("fitted_range", ""))
    )


def _with_values(model: CompactModel, values: Mapping[str, float]) -> CompactModel:
    """The model with these as its own values, where there are such."""
    return model.with_parameters(p.model_copy(update={"value": values.get(p.name, p.value)}) for p in model.parameters)


def of_fit(model: CompactModel, found: Fit, traces: Sequence[Trace], remark: str = "") -> CompactModel:
    """The model with the values of a fit to `traces` as its own, and with what they rest on."""
    rests = dict.fromkeys(model.names, "kept, not fitted")
    rests |= {
        one.parameter.name: f"not told by the data: {one.why}" if one.why else "fitted" for one in found.estimates
    }
    return replace(
        _with_values(model, found.values),
        covers=covered(traces),
        rests=rests,
        origin=f"fitted to {len(traces)} trace(s){remark}",
    )


def write(model: CompactModel, values: Mapping[str, float], out: Path, name: str | None = None) -> list[Path]:
    """Write all exports to the folder `out`; returns the paths.

    name: in place of the model's, for a circuit with several devices of one model. parameters.json keeps the
    model's, by which it is read again.
    """
    make_folder(out)
    changed = {p.name for p in model.parameters if values[p.name] != p.value} & model.rests.keys()
    model = replace(model, rests={**model.rests, **dict.fromkeys(changed, "given")})
    texts = {"parameters.json": json.dumps(_document(model, values), indent=2) + "\n"}
    model = replace(model, name=name or model.name)
    library = f"kmc_{model.name}.sp"
    texts |= {
        library: spice_netlists.subcircuit(model, values),
        f"kmc_{model.name}.va": veriloga.veriloga(model, values),
    }
    pulses = Drive.pulses(PULSES["voltage"], PULSES["width"], PULSES["gap"], 20, PULSE_LIMIT_A)
    drives = {name: Drive.sweep(SWEEP_V, RATE_V_PER_S, limit) for name, limit in SWEEPS.items()}
    drives |= {"set_reset": Drive.set_and_reset(SWEEP_V, RATE_V_PER_S, PULSE_LIMIT_A), "pulses": pulses}
    for which, drive in drives.items():
        step = PULSE_STEP_S if which == "pulses" else None
        texts[f"{which}.cir"] = spice_netlists.bench(model, drive, library, f"{which}.txt", step=step)
        texts[f"{which}.pwl"] = "".join(f"{t!r} {v!r}\n" for t, v in spice_netlists.pwl_points(drive))
    grid = Drive.sweep(SWEEP_V, RATE_V_PER_S, 1e-5)
    texts["crossbar_3x3.cir"] = spice_netlists.crossbar(model, 3, 3, grid, library, "crossbar_3x3.txt")
    if model.spread.get("device"):
        texts["monte_carlo.cir"] = spice_netlists.monte_carlo(model, values, grid, library, "monte_carlo.txt")
    tables, arrays = _tables(model, values, drives)  # before anything is written
    texts |= _learning(model, values) | tables
    paths = write_texts(out, texts)
    with replacing(out / "traces.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return [*paths, out / "traces.npz"]


def _learning(model: CompactModel, values: Mapping[str, float]) -> dict[str, str]:
    """The files for simulators of learning, or a word on why there are none."""
    try:
        return learning_formats.texts(model, values)
    except UserError as error:
        return {"no_tables_of_pulses.txt": f"{error}\n"}


def _document(model: CompactModel, values: Mapping[str, float]) -> dict[str, object]:
    entries = {
        p.name: {
            "value": values[p.name],
            "unit": p.unit,
            "meaning": p.meaning,
            **({"rests_on": model.rests[p.name]} if p.name in model.rests else {}),
        }
        for p in model.parameters
    }
    return {
        "model": model.name,
        "title": model.title,
        "source": model.source,
        "validity": model.validity,
        "origin": model.origin,
        "fitted_range": model.covers,
        "parameters": entries,
        "spread": {k: dict(v) for k, v in model.spread.items()},
    }


def _tables(
    model: CompactModel, values: Mapping[str, float], drives: Mapping[str, Drive]
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The reference's traces: one CSV a drive by its name, and the columns of all of them."""
    arrays: dict[str, np.ndarray] = {}
    texts = {}
    for name, drive in drives.items():
        response = simulate(model, drive, values)
        columns = {
            "time_s": drive.time,
            "voltage_source_V": drive.voltage,
            "voltage_device_V": response.voltage,
            "current_A": response.current,
            "compliance_A": drive.compliance,
        }
        arrays |= {f"{name}_{head}": column for head, column in columns.items()}
        texts[f"{name}.csv"] = csv_text([*columns], np.transpose([*columns.values()]).tolist())
    return texts, arrays
