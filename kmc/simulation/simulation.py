"""The loop: a stack, a protocol and a seed become a trace. It never turns back."""

import time as wall
from collections.abc import Callable
from typing import Any

import numpy as np

from kmc.core import blas_threads
from kmc.core.progress import Progress, warn_of_cache
from kmc.geometry.lattice import Lattice
from kmc.inputs.settings import Settings
from kmc.io.final_state import same_seed
from kmc.io.variables import TRACES
from kmc.kinetics.advance import REACHED
from kmc.simulation.observers import Observer, Rows
from kmc.simulation.parallel_windows import Windows
from kmc.simulation.window import Device
from kmc.system.state import METAL

PROGRESS_S = 0.5
SLICES_A_STEP = 10  # at least, of ions, in what is held between two corners
LEAST_SLICE_S = 5e-9  # shorter ones cost more than hops one by one


class Simulation:
    """One run in progress. Arguments: stack, protocol, settings, seed; `initial`: final state of another."""

    def __init__(
        self, stack, protocol, settings: Settings | None = None, seed: int = 0, initial: dict[str, Any] | None = None
    ):
        warn_of_cache()
        self.stack, self.protocol, self.seed = stack, protocol, seed
        self.settings = settings or Settings()
        self.steps = protocol.steps()
        self.step, self.sample = 0, 0
        self.started_s = 0.0  # simulated time at which the present step began
        self.rows = Rows(TRACES)
        self.observers: list[Observer] = []
        self.opened = False
        with blas_threads.alone():  # as in `run`
            self.windows = Windows(stack, self.settings, seed)
            if initial is not None:
                self._start_from(initial)

    def state_dict(self) -> dict[str, Any]:
        """All that the loop carries, as nested plain data: see `kmc.simulation.state_dict`."""
        return {
            "windows": self.windows.state_dict(),
            "step": self.step,
            "sample": self.sample,
            "started_s": self.started_s,
            "opened": self.opened,
            "seed": self.seed,
        }

    @classmethod
    def from_state_dict(cls, stack, protocol, settings: Settings, saved: dict[str, Any]) -> "Simulation":
        """Go on where `state_dict` was taken: the rest is the same to the last bit."""
        simulation = cls(stack, protocol, settings, saved["seed"])
        simulation.windows.load_state_dict(saved["windows"])
        for name in ("step", "sample", "started_s", "opened"):
            setattr(simulation, name, saved[name])
        if simulation.opened:
            simulation.windows.set_slice(simulation._slice())
        return simulation

    def _start_from(self, initial: dict[str, Any]) -> None:
        """Take over the windows of another run of the same stack and seed; the clock starts again at zero."""
        same_seed(initial, self.seed)
        self.windows.load_state_dict(initial["windows"])
        self.windows.start_again()

    @property
    def device(self) -> Device:
        """The first window."""
        return self.windows.devices[0]

    @property
    def lattice(self) -> Lattice:
        """The first window's."""
        return self.device.lattice

    @property
    def events(self) -> np.random.Generator:
        """The stream of the first window's events."""
        return self.windows.generators[0]

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        return self.windows.time_s

    @property
    def finished(self) -> bool:
        """Whether the protocol is at its end."""
        return self.step >= len(self.steps)

    def run(self, progress: Progress | None = None, should_stop: Callable[[], bool] | None = None) -> None:
        """Go on to the end of the protocol, or until `should_stop` between kernel calls."""
        told, events = wall.monotonic(), self._events()
        with blas_threads.alone():  # in a notebook, too: the bytes and the speed are those of the command
            while not self.finished:
                if should_stop is not None and should_stop():
                    return
                self._advance()
                now = wall.monotonic()
                if progress is not None and now - told >= PROGRESS_S:
                    progress(self._progress((self._events() - events) / (now - told)))
                    told, events = now, self._events()
        if progress is not None:
            progress(self._progress(0.0))

    def _events(self) -> int:
        return self.windows.total("events")

    def _advance(self) -> None:
        """Up to the next look or the event budget, whichever comes first."""
        step = self.steps[self.step]
        if not self.opened:
            self.windows.set_stage(step.temperature_K or self.settings.temperature)
            self.windows.set_slice(self._slice())
            self.windows.set_source(step.voltage_V, step.compliance_A, step.duration_s)
            self.opened = True
        last = self.sample + 1 == step.samples
        # The share of the last look is exactly 1: a step ends at the same time however often one looks.
        look = self.started_s + step.duration_s * ((self.sample + 1) / step.samples)
        status = self.windows.advance(look, self.settings.event_budget, not last)
        if status == REACHED:
            self.sample += 1
            if last:
                self._close(step, look)
            self._look(step, look)

    def _slice(self) -> float:
        """Longest time slice of the frozen-environment walks in this step, s.

        It is short compared with the durations of the present level and of the one after the next corner, since a
        walk that is under way does not notice the corner.
        """
        step = self.steps[self.step]
        after = {self.step + 1, *(self.step + ahead for _, ahead in step.exits)} - {len(self.steps)}
        held = [self._held(self.step), *(self._held(k) for k in after if self.steps[k].level != step.level)]
        longest = min(held) / SLICES_A_STEP
        return longest if longest >= LEAST_SLICE_S else 0.0

    def _held(self, first: int) -> float:
        """How long a level is held from a step on, s, or long enough."""
        total, level = 0.0, self.steps[first].level
        enough = SLICES_A_STEP * max(self.settings.ion_slice, self.settings.atom_slice)
        for k in range(first, len(self.steps)):
            if self.steps[k].level != level or total > enough:
                break
            total += self.steps[k].duration_s
        return total

    def _close(self, step, now_s: float) -> None:
        """End a step; then the protocol says what is next."""
        point = self.windows.close(now_s)
        self.started_s = now_s
        self.sample, self.opened = 0, False
        self.step += step.after(self.windows.conductance(), point.limited)

    def _look(self, step, now_s: float) -> None:
        """One row of the trace, and what observers see if it is time; reads only."""
        self.rows.append(time=now_s, segment=step.segment, cycle=step.cycle, **self.windows.row(now_s))
        for observer in self.observers:
            observer.offer(now_s)

    def take_rows(self) -> dict[str, np.ndarray]:
        """The rows since the last call, as columns."""
        return self.rows.take()

    def _progress(self, rate: float) -> dict[str, float]:
        windows, point = self.windows, self.windows.point()
        return {
            "time_s": self.time_s,
            "total_s": self.protocol.duration_s,
            "events": self._events(),
            "events_per_s": rate,
            "voltage_V": point.voltage_device,
            "current_A": point.current,
            "conductance_S": windows.conductance(),
            "temperature_K": windows.hottest(),
        }

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of the first window: cation, vacancy, potential, temperature, region [z, y, x]."""
        device, shape = self.device, self.lattice.shape
        fields, state = device.potential.fields, device.state
        cation = state.sites["cation"].copy()
        cation[cation > METAL] = 0
        potential = state.run["voltage_device"][0] * fields["unit"] + fields["space_potential"]
        return {
            "cation": cation.reshape(shape),
            "vacancy": self._vacancy().astype(np.float32),
            "potential": potential.astype(np.float32).reshape(shape),
            "temperature": fields["temperature"].astype(np.float32).reshape(shape),
            "region": self.lattice.region.copy(),
        }

    def _vacancy(self) -> np.ndarray:
        """Vacancies around each site, in as much as two sites are long, wide and high."""
        device = self.device
        if device.vacancies is not None:
            mesh = device.potential.mesh
            f, sites = mesh.factor, np.repeat(mesh.end - mesh.start, mesh.factor) * mesh.factor**2
            number = device.vacancies.number.repeat(f, 0).repeat(f, 1).repeat(f, 2)
            above = np.arange(len(number)) >= np.repeat(mesh.start, f)
            return number * (above * 8.0 / sites)[:, None, None]
        taken = (device.state.sites["vacancy"] >= 0).reshape(self.lattice.shape)[::2, ::2, ::2]
        return taken.repeat(2, 0).repeat(2, 1).repeat(2, 2)
