"""Windows of one device in parallel on one circuit: one voltage, currents that add.

Each window is its own lattice, State, fields and random streams, and its own draw of the rough film's
thickness. They interact through the device voltage alone, where a series resistance or the limiter turns a
current into a voltage. Time advances in slices. Within a slice each window runs independently, with the other
windows' filaments at their conductance at its start; at its end the conductances are exchanged. The ends of slices
do not depend on observers, so that observation changes no result. Windows that do not move the voltage give the same
bytes as windows run alone. Error: a change of the others' current is late by one slice at most. A slice is a
`window_slices`-th of a step. It is shorter, down to a thousandth of that, after a slice that moved the voltage and
at the start of a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc.geometry.builder import MOST_SITES, build
from kmc.ions.pair_energies import link_all
from kmc.kinetics.advance import BUDGET, REACHED
from kmc.simulation.state_dict import device_state, mismatch, restore_device
from kmc.simulation.update_schedule import GROWTH
from kmc.simulation.window import VOLTAGE_STEP, Device
from kmc.transport.circuit import Operating

FINEST = 1 / 1024  # of the longest slice


class Windows:
    """Windows on one circuit. Arguments: stack, settings, seed; `numbers` of the windows, if not all of them.

    devices: one `Device` a window; the first is that of a run with one window. generators: of their events.
    """

    def __init__(self, stack, settings, seed: int, numbers: Sequence[int] | None = None):
        self.devices: list[Device] = []
        self.generators: list[np.random.Generator] = []
        self.slices = settings.window_slices
        numbers = range(settings.windows) if numbers is None else numbers
        for number in numbers:
            lattice = build(stack, settings, random_streams.numbered(seed, "morphology", number))
            if len(numbers) * lattice.sites > MOST_SITES:
                told = f"{len(numbers)} windows of {lattice.sites:.2g} sites; {MOST_SITES:.0e} are the most"
                raise UserError(told, next_step="give fewer or smaller windows")
            device = Device(lattice, stack, settings, seed, number)
            generator = random_streams.numbered(seed, "events", number)
            device.state.run["unspent"] = generator.standard_exponential()
            self.devices.append(device)
            self.generators.append(generator)
        self.longest, self.slice, self.slice_end = math.inf, math.inf, math.inf
        self.voltage_device = 0.0  # at the last meeting

    def __iter__(self) -> Iterator[Device]:
        return iter(self.devices)

    def total(self, name: str) -> int:
        """Sum of a counter of the States."""
        return sum(int(device.state.run[name][0]) for device in self)

    @property
    def time_s(self) -> float:
        """Simulated time that all windows have reached, s."""
        return min(float(device.state.run["time"][0]) for device in self)

    # -- the circuit -----------------------------------------------------------------------------------------

    def filaments(self) -> float:
        """Conductance of all filaments, S."""
        return math.fsum(device.path.conductance for device in self)

    def point(self) -> Operating:
        """Device voltage, and the current of all windows with the leak of the whole contact."""
        first = self.devices[0]
        return first.point if len(self.devices) == 1 else first.meet(self.filaments())

    def conductance(self) -> float:
        """I/V above 1 mV, else the small-signal conductance at 10 mV, S."""
        first, point = self.devices[0], self.point()
        if abs(point.voltage_device) > 1e-3:
            return point.current / point.voltage_device
        return self.filaments() + first.leak.current(0.01, first.stage) / 0.01

    def set_stage(self, kelvin: float) -> None:
        """Another temperature of the stage."""
        for device in self:
            device.set_stage(kelvin)

    def set_slice(self, seconds: float) -> None:
        """Limit the mean time slice of the frozen-environment walks of ions and adatoms; 0: event by event."""
        for device in self:
            device.model["slice"] = min(device.settings.ion_slice, seconds)
            device.model["stroll"] = min(device.settings.atom_slice, seconds)

    def set_source(self, voltage_source: float, limit: float, duration_s: float) -> None:
        """A corner of the waveform, and how long the step lasts that begins here; all clocks are equal."""
        total = self.filaments()
        for device in self:
            device.beside = total - device.path.conductance
            device.set_source(voltage_source, limit, duration_s)
        self.voltage_device = self.point().voltage_device
        if len(self.devices) > 1:
            self.longest = duration_s / self.slices
            self.slice = self.longest * FINEST
            self.slice_end = self.time_s + self.slice

    def advance(self, stop_s: float, budget: int, look: bool) -> int:
        """Run all windows to `stop_s` or until the budget of trials is spent: see `Device.advance`."""
        spent = 0
        while True:
            end = min(self.slice_end, stop_s)
            keep = look or end < stop_s  # the clock, at the last event
            for device, generator in zip(self.devices, self.generators, strict=True):
                if spent >= budget:
                    return BUDGET
                before = device.state.run["trials"][0]
                status = device.advance(generator, end, budget - spent, keep)
                spent += int(device.state.run["trials"][0] - before)
                if status != REACHED:
                    return status
            if end == stop_s:
                return REACHED
            if end == self.slice_end:
                self._meet(end)
                self.slice_end = end + self.slice

    def _meet(self, now_s: float) -> None:
        """Exchange the conductances between windows; a window whose rates change first advances to `now_s`."""
        total = self.filaments()
        for device, generator in zip(self.devices, self.generators, strict=True):
            device.beside = total - device.path.conductance
            moves = abs(device.meet(total).voltage_device - device.state.run["voltage_device"][0])
            if moves > VOLTAGE_STEP * device.thermal:
                device.advance(generator, now_s, 1, False)
            device.operate()
        before, self.voltage_device = self.voltage_device, self.point().voltage_device
        if abs(self.voltage_device - before) > VOLTAGE_STEP * self.devices[0].thermal:
            self.slice = max(self.slice / 2, self.longest * FINEST)
        else:
            self.slice = min(self.slice * GROWTH, self.longest)

    def close(self, now_s: float) -> Operating:
        """End a step: what follows slowly is brought up to date. Returns where device and circuit meet."""
        if len(self.devices) > 1:
            self._meet(now_s)
        point = self.point()
        for device in self:
            device.heat.follow_surface(device.power(), now_s)
            device.follow_density()
        return point

    # -- what one may look at, and carry ---------------------------------------------------------------------

    def row(self, now_s: float) -> dict[str, float]:
        """The row of the trace at this time: sums over windows, the smallest gap, the hottest filament."""
        point, first = self.point(), self.devices[0]
        return {
            "voltage_source": first.source,
            "voltage_device": point.voltage_device,
            "current": point.current,
            "conductance": self.conductance(),
            "temperature_filament": self.hottest(),
            "temperature_surface": first.heat.stage + first.heat.surface_at(first.power(), now_s),
            "n_ag_metal": self.total("metal"),
            "n_ag_ion": self.total("ions"),
            "n_br_vacancy": round(self.vacancy_number()),
            "gap": min(device.path.gap_nm for device in self),
            "events": self.total("events"),
            "limited": point.limited,
        }

    def vacancy_number(self) -> float:
        """Bromide vacancies, one by one or in equilibrium."""
        return sum(
            float(device.vacancies.number.sum())
            if device.vacancies is not None
            else float(device.state.run["vacancies"][0])
            for device in self
        )

    def hottest(self) -> float:
        """Temperature of the hottest filament, K."""
        return max(device.heat.stage + device.heat.peak() for device in self)

    def state_dict(self) -> dict[str, Any]:
        """All that the windows carry from one stop to the next, as nested plain data."""
        parts = [
            {"device": device_state(device), "events": random_streams.get_state(generator)}
            for device, generator in zip(self.devices, self.generators, strict=True)
        ]
        return {
            "parts": parts,
            "longest": self.longest,
            "slice": self.slice,
            "slice_end": self.slice_end,
            "voltage_device": self.voltage_device,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. Raises UserError for other windows."""
        if len(saved["parts"]) != len(self.devices):
            told = f"the state has {len(saved['parts'])} windows, this run {len(self.devices)}"
            raise UserError(told, next_step=f"give windows: {len(saved['parts'])}")
        for device, part in zip(self.devices, saved["parts"], strict=True):
            if told := mismatch(device, part["device"]):
                raise UserError(
                    f"the state is one of another {told}",
                    next_step="give what the other run has of stack, choices, window, "
                    "mesh_factor, spacing_factor, vacancies and space_charge",
                )
        for device, generator, part in zip(self.devices, self.generators, saved["parts"], strict=True):
            restore_device(device, part["device"])
            random_streams.set_state(generator, part["events"])
        for name in ("longest", "slice", "slice_end", "voltage_device"):
            setattr(self, name, saved[name])

    def start_again(self) -> None:
        """The clock begins at zero with everything on the sites as it is; the rest is of these settings."""
        for device in self:
            link_all(device.state, device.grid)
            device.start_again()
