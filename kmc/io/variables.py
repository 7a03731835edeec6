"""The one table of what a dataset may hold: names, types, units and meanings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

SCHEMA_VERSION, CONVENTIONS = "1.0", "CF-1.11"
OBSERVED = {"source": "observer"}  # of a number that a function of the user's made


class Variable(NamedTuple):
    """One variable of a dataset: numpy dtype name, unit, one-line meaning and further CF attributes."""

    dtype: str
    units: str
    long_name: str
    more: Mapping[str, Any] = MappingProxyType({})

    def attributes(self) -> dict[str, Any]:
        """The attributes as they are written to the file."""
        more = dict(self.more)
        if "flag_values" in more:  # CF wants the flags in the variable's own type
            more["flag_values"] = np.array(more["flag_values"], self.dtype)
        return {"units": self.units, "long_name": self.long_name, **more}


def is_observed(variable: Any) -> bool:
    """Whether a variable of a dataset is a number of the user's own."""
    return variable.attrs.get("source") == OBSERVED["source"]


_CONDUCTANCE = "current / voltage_device where |voltage_device| > 1 mV, else a 10 mV small-signal solve"
_FLAGS = {"flag_values": [0, 1], "flag_meanings": "free limited"}

# One value a sample, on the dimension `time`.
TRACES: dict[str, Variable] = {
    "time": Variable("float64", "s", "simulated time", {"axis": "T"}),
    "voltage_source": Variable("float64", "V", "voltage of the source, silver against counter electrode"),
    "voltage_device": Variable("float64", "V", "voltage across the device, after resistance and limiter"),
    "current": Variable("float64", "A", "current through the device"),
    "conductance": Variable("float64", "S", "conductance of the device", {"definition": _CONDUCTANCE}),
    "temperature_filament": Variable("float64", "K", "highest temperature of the silver's lattice"),
    "temperature_surface": Variable("float64", "K", "temperature of the surface an infrared camera sees"),
    "n_ag_metal": Variable("int64", "1", "silver atoms as metal outside the electrode, those of forming too"),
    "n_ag_ion": Variable("int64", "1", "silver ions in the film"),
    "n_br_vacancy": Variable("int64", "1", "bromide vacancies in the film"),
    "gap": Variable("float64", "nm", "height from the cathode's metal to the silver electrode"),
    "events": Variable("int64", "1", "events since the start of the run"),
    "segment": Variable("int32", "1", "index of the protocol's segment"),
    "cycle": Variable("int32", "1", "index of the repetition within the segment"),
    "limited": Variable("int8", "1", "whether the current limiter held the current", _FLAGS),
}


def column(name: str) -> str:
    """Head of a trace's column in a table: its name and unit; an observer's number has none."""
    units = TRACES[name].units if name in TRACES else "1"
    return name if units == "1" else f"{name}_{units}"


# On snapshot_time, z, y, x; `region` does not change and has no time.
SNAPSHOTS: dict[str, Variable] = {
    "cation": Variable(
        "uint8",
        "1",
        "what is on the cation site",
        {"flag_values": [0, 1, 2], "flag_meanings": "empty silver_ion silver_metal"},
    ),
    "vacancy": Variable("float32", "1", "bromide vacancies of the perovskite cell that the site is in"),
    "potential": Variable("float32", "V", "electric potential that ions feel"),
    "temperature": Variable("float32", "K", "local temperature"),
    "region": Variable(
        "uint8",
        "1",
        "kind of place",
        {"flag_values": list(range(8)), "flag_meanings": "counter organic core surface gap void boundary electrode"},
    ),
}

AXES: dict[str, Variable] = {
    "snapshot_time": Variable("float64", "s", "simulated time of the snapshot"),
    "z": Variable("float64", "nm", "height above the lower edge", {"axis": "Z", "positive": "up"}),
    "y": Variable("float64", "nm", "position along y", {"axis": "Y"}),
    "x": Variable("float64", "nm", "position along x", {"axis": "X"}),
}

ALL = {**TRACES, **SNAPSHOTS, **AXES}
