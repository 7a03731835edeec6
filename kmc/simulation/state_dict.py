"""What a checkpoint holds of a window: State, fields with warm starts, circuit, heat and accumulators."""

import copy
from dataclasses import asdict
from typing import Any

import numpy as np

from kmc.simulation.update_schedule import Renewal
from kmc.simulation.window import Device
from kmc.system.state import EPOCH, GROUPS, MADE, State, allocate
from kmc.transport import circuit
from kmc.transport.filament import Heated, Path

_PLAIN = ("stage", "source", "limit", "beside", "charge_voltage", "charge_metal", "density_time", "flight_voltage")
_HEAT = ("nodes", "electrons", "rise", "released", "surface", "since_s", "hottest", "told", "carried")
_PATH = ("conductance", "bridged", "gap_nm")
_PATCHES = ("drift", "count", "sites")
_POTENTIAL = ("fields", "fixed", "unit", "space_potential", "source", "share", "ions")


def device_state(device: Device) -> dict[str, Any]:
    """All that a window carries from one stop to the next, as plain nested data of its own."""
    return copy.deepcopy(_carried(device))


def _carried(device: Device) -> dict[str, Any]:
    """The same, with the window's own arrays."""
    state = device.state
    saved: dict[str, Any] = {name: getattr(device, name) for name in _PLAIN}
    saved["state"] = {name: getattr(state, name) for name in State._fields if name not in MADE}
    saved["state"]["members"] = np.concatenate([state.members[g, : state.groups["count"][g]] for g in range(GROUPS)])
    saved["potential"] = {name: getattr(device.potential, name) for name in _POTENTIAL}
    saved["solves"], saved["sheet_voltage"] = device.potential.solves, device.potential.sheet_voltage
    saved["density"], saved["charge_density"] = device.density, device.charge_density
    saved["silver"] = device.network.silver.saved()
    saved["side"] = device.network.side[device.network.film]
    saved["label"] = device.network.label[device.network.film]
    saved["plated"] = device.potential.plated
    saved["path"] = {name: getattr(device.path, name) for name in _PATH}
    saved["path"]["heat"] = device.path.heat._asdict()
    saved["point"] = asdict(device.point)
    saved["patches"] = {name: getattr(device.patches, name) for name in _PATCHES}
    heat = device.heat
    saved["heat"] = {name: getattr(heat, name) for name in _HEAT}
    saved["renewal"] = asdict(device.renewal)
    saved["explicit"] = bool(device.model["explicit_vacancies"])
    if device.vacancies is not None:
        saved["vacancies"] = {
            "number": device.vacancies.number,
            "mu": device.vacancies.mu,
            "response": device.vacancies.response,
        }
    return saved


def mismatch(device: Device, saved: dict[str, Any]) -> str:
    """In what a saved state differs from a new window so that it cannot go on in it, "" if in nothing."""
    explicit = bool(device.model["explicit_vacancies"])
    if (device.vacancies is None) != ("vacancies" not in saved) or explicit != saved["explicit"]:
        return "kind of vacancies"
    sites, mine = saved["state"]["sites"], device.state.sites
    if sites.shape != mine.shape or saved["potential"]["unit"].shape != device.potential.unit.shape:
        return "stack, window or mesh_factor"
    if any((sites[name] != mine[name]).any() for name in ("region", "room", "held")):
        return "lattice"
    return ""


def restore_device(device: Device, saved: dict[str, Any]) -> None:
    """Put a new window of the same lattice, stack and settings where `device_state` was taken."""
    if saved["stage"] != device.stage:
        device.take_stage(saved["stage"])
    for name in _PLAIN:
        setattr(device, name, saved[name])
    restore_state(device, saved["state"])
    for name in _POTENTIAL:
        getattr(device.potential, name)[:] = saved["potential"][name]
    device.potential.renew_faces()
    nz, ny, nx = device.potential.fixed.shape
    assert device.potential.hierarchy is not None  # a new window has solved its potential
    device.potential.hierarchy.update((0, nz, 0, ny, 0, nx))
    device.potential.solves, device.potential.sheet_voltage = saved["solves"], saved["sheet_voltage"]
    device.density[:], device.charge_density[:] = saved["density"], saved["charge_density"]
    device.network.restore(saved["silver"], saved["side"], saved["label"])
    device.supply.anew = True
    device.potential.plated = saved["plated"].copy()
    heated = Heated(**saved["path"]["heat"])
    conductance, bridged, gap = (saved["path"][name] for name in _PATH)
    device.path = Path(conductance, bridged, gap, lambda: heated)
    device.point = circuit.Operating(**saved["point"])
    device.renewal = Renewal(**saved["renewal"])
    for name, value in saved["patches"].items():
        setattr(device.patches, name, copy.copy(value))
    for name, value in saved["heat"].items():
        setattr(device.heat, name, copy.copy(value))
    device.operated = (device.source, device.limit, device.path.conductance + device.beside)
    if device.vacancies is not None:
        device.vacancies.number[:] = saved["vacancies"]["number"]
        device.vacancies.response[:] = saved["vacancies"]["response"]
        device.vacancies.mu = saved["vacancies"]["mu"]


def restore_state(device: Device, saved: dict[str, np.ndarray]) -> None:
    """Arrays of the State, with the member lists unpacked again."""
    if saved["entities"].size != device.state.entities.size:
        device.state = allocate(device.lattice.region, device.lattice.room, saved["entities"].size)
    state = device.state
    for name in State._fields:
        if name not in MADE:
            getattr(state, name)[:] = saved[name]
    state.table[:, EPOCH] = 0.0
    start = 0
    for g in range(GROUPS):
        count = int(state.groups["count"][g])
        state.members[g, :count] = saved["members"][start : start + count]
        start += count
