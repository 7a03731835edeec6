"""One window with all that must agree: metal, fields, current, heat, circuit; and when each is solved again.

The rates see voltage, potentials and temperatures of the metal there is. `kmc.kinetics.advance` alone moves entities.
"""

import math

import numpy as np

from kmc.core.units import K_B
from kmc.electrostatics import local_updates
from kmc.electrostatics.potential import Potential
from kmc.geometry.lattice import Lattice
from kmc.ions.vacancy_density import VacancyEquilibrium, density_cells, explicit_charge
from kmc.kinetics import advance as kernels
from kmc.kinetics.initial_state import populate
from kmc.simulation.update_schedule import DENSITY_MEMORY_S, Renewal
from kmc.system.metal_sites import each_once, follow_shift, keep_little
from kmc.system.parameter_tables import build_model
from kmc.system.state import Grid, grow
from kmc.thermal.temperature import Heat
from kmc.transport import circuit
from kmc.transport.electron_supply import Supply
from kmc.transport.filament import Path
from kmc.transport.leakage import Leak
from kmc.transport.network import Network

CHARGE_LEAST = 1.0  # ions of others' density that may change before the space charge is renewed
CHARGE_METAL = 20  # net silver atoms after which the space charge is renewed
HEAT_LEAST_W = 2e-9  # which warms a thin tip by a kelvin at most
FOLLOWS = 200  # most changes of metal that one call follows: of a hot filament, a second or two
VOLTAGE_STEP = 0.1  # of kT/e: rates are recomputed when the device voltage moves by this


class Device:
    """A window on a circuit. Arguments: lattice, stack, settings, seed and number (for vacancies)."""

    def __init__(self, lattice: Lattice, stack, settings, seed: int, number: int = 0):
        self.lattice, self.stack, self.settings = lattice, stack, settings
        self.grid = Grid(*lattice.shape)
        self.stage, self.thermal = settings.temperature, K_B * settings.temperature
        self.model = build_model(stack, lattice.spacing_nm, settings)[0]
        self.potential = Potential(lattice, stack, settings.mesh_factor)
        self.network = Network(lattice, stack, settings.tunnelling)
        self.supply = Supply(lattice, self.network, float(self.model["isolated"]))
        self.heat = Heat(lattice, stack, self.stage)
        self.leak = Leak(stack)
        self.leakage = self.leak.current(0.1, self.stage) / 0.1  # of the layers at a low voltage, S
        self.series = sum(stack.device.value(f"{part}_resistance") for part in ("series", "spreading"))
        self.state = populate(lattice, stack, settings, seed, self.potential.sheet, number)
        self.potential.prepare(self.state)
        self.vacancies = VacancyEquilibrium.wanted(
            lattice, stack, settings, self.potential.mesh, self.potential.fixed == 0
        )
        self.path = Path()
        self.point = circuit.Operating(0.0, 0.0, False)
        self.source, self.limit, self.beside = 0.0, math.inf, 0.0  # beside: other windows' filaments, S
        self.operated: tuple = ()
        self.density = np.zeros(self.potential.source.shape)
        self.charge_density = np.zeros_like(self.density)  # at the last solution
        self.charge_voltage, self.charge_metal, self.density_time, self.flight_voltage = 0.0, 0, 0.0, 0.0
        self.renewal = Renewal()
        self.patches = local_updates.Patches(self.potential)
        self._settle()

    def _settle(self) -> None:
        """First solution of everything at zero volt."""
        self.potential.fields["temperature"] = self.stage
        self.trace_current()
        self.solve_fields()
        self.state.run["shift_bound"] = self.settings.refresh_bound * self.thermal

    @property
    def now_s(self) -> float:
        """The window's own clock, s."""
        return float(self.state.run["time"][0])

    def advance(self, generator: np.random.Generator, stop_s: float, budget: int, look: bool) -> int:
        """Run events until `stop_s` or the budget; fields, current and circuit follow the metal on the way.

        With `look` the clock stays at the last event: such a stop changes nothing. It ends too after FOLLOWS.
        """
        spent = 0
        for _ in range(FOLLOWS):
            before, end = self.state.run["trials"][0], min(stop_s, self.renewal.due(self.now_s))
            status = kernels.advance(
                self.state,
                self.grid,
                self.potential.fields,
                self.model,
                generator,
                end,
                budget - spent,
                look and end < self.renewal.end_s,
            )
            spent += int(self.state.run["trials"][0] - before)
            if status == kernels.FULL:
                self.state = grow(self.state, 2 * self.state.entities.size)
            elif status == kernels.REFRESH:
                self.follow_metal()
                if self._outgrown():
                    self.renewal.soon(self.density_time)
            elif status == kernels.REACHED and end >= self.renewal.end_s:
                follows = self.renewal.again if self._outgrown() else self.renewal.next
                self.follow_density()
                follows(end)
            if status == kernels.REACHED and end == stop_s:
                return status
            if spent >= budget:
                break
        return kernels.BUDGET

    def follow_metal(self) -> None:
        """Current, potential, heat and circuit for metal that changed."""
        state, fields, silver = self.state, self.potential.fields, self.network.silver
        changes, changed, felt, metal, old, voltage_device = silver.begin(state, fields)
        before = self.path.conductance
        plated = self.trace_current(changed)
        size = abs(voltage_device)
        if self.path.conductance < 0.9 * before:  # it opens, and a limiter gives the voltage back
            size = max(size, abs(self.meet(self.path.conductance + self.beside).voltage_device))
        bound = self.settings.refresh_bound * self.thermal
        # Metal whose own potential moved shifts the field everywhere; a changed site only near itself.
        moved, far = keep_little(
            state.sites, fields, silver.in_organic, metal, old, size, local_updates.LEAST * self.thermal, bound
        )
        follow_shift(changes, fields, felt, voltage_device)
        if far or self.patches.count >= local_updates.MOST:
            self.potential.prepare(state)
            self.potential.publish(state, True)
            self.supply.follow(state, self.potential)
            self.patches.clear()
            boxes = None  # all over
        else:
            boxes = self.patches.follow(state, changes, size, self.thermal, bound)
        if boxes is None:
            self._forget_flights()
        if self.operate() or self._warm():
            return
        if boxes is None:
            self.refresh()
            return
        kernels.refresh_near(state, self.grid, fields, self.model, each_once(np.append(moved, plated)))
        for box in boxes:
            kernels.refresh_box(state, self.grid, fields, self.model, box)

    def trace_current(self, changed: np.ndarray | None = None) -> np.ndarray:
        """The filament of the metal (`changed`: see `Network.update`); sites newly plated, or no more."""
        self.path = self.network.update(self.state, self.potential.fields, changed)
        self.network.watch(self.state.run, self.path, self.leakage)
        return self.potential.plate(self.state, self.network.plated)

    def solve_fields(self, refresh: bool = True) -> None:
        """Solve the potential on the whole mesh for all metal, with the space charge if it counts."""
        if self.state.run["dirty"][0]:
            self.trace_current(self.network.silver.begin(self.state, self.potential.fields)[1])
        voltage_device = float(self.state.run["voltage_device"][0])
        self.charge_density[:], self.charge_metal = self.density, int(self.state.run["metal"][0])
        if self.settings.space_charge and self.stack.active is not None:
            self._solve_charge(voltage_device)
        else:
            self.potential.without_charge()
            self.potential.prepare(self.state)
            self.potential.publish(self.state, False)
        self.supply.follow(self.state, self.potential)
        self.charge_voltage = voltage_device
        self.patches.clear()
        self._forget_flights()
        if refresh and not self.operate():
            self.refresh()

    def _solve_charge(self, voltage_device: float) -> None:
        """Space charge of vacancies and of the ions' averaged density."""
        potential = self.potential
        potential.prepare(self.state)
        potential.sheet_voltage = self.leak.organic_voltage(voltage_device, self.stage)
        potential.hold_charge(self.state)
        screen = None
        if self.vacancies is not None:
            screen = self.vacancies.solve(potential, voltage_device, self.density)
        else:
            vacancies = explicit_charge(self.state, self.lattice, self.stack, self.settings.mesh_factor)
            potential.solve_charge(self.density + vacancies)
        potential.lay_charge(self.state, self.density)
        potential.publish(self.state, True, screen)
        if self.vacancies is not None:
            self.vacancies.keep_open(self.state, self.grid, potential, self.model)

    def operate(self) -> bool:
        """Solve circuit and device together; True if the voltage moved enough to recompute all rates."""
        conductance = self.path.conductance + self.beside
        key = (self.source, self.limit, conductance)
        if key == self.operated:
            return False
        self.operated = key
        run = self.state.run
        self.heat.follow_surface(self.power(), float(run["time"][0]))
        self.point = self.meet(conductance)
        if abs(self.point.voltage_device - run["voltage_device"][0]) <= VOLTAGE_STEP * self.thermal:
            return False
        run["voltage_device"] = self.point.voltage_device
        self.refresh()
        self._warm()
        return True

    def power(self) -> float:
        """What the whole device takes from the circuit, W."""
        return abs(self.point.current * self.point.voltage_device)

    def meet(self, conductance: float) -> circuit.Operating:
        """Where the circuit meets filaments of this conductance (S) and the leak of the whole contact."""
        limit, leak = self.limit if self.settings.compliance else math.inf, self.leak.current
        return circuit.solve(self.source, self.series, limit, lambda v: conductance * v + leak(v, self.stage))

    def _warm(self) -> bool:
        """Local temperature for the present power; True if it moved enough to recompute all rates."""
        path, heat, voltage_device = self.path, self.heat, self.point.voltage_device
        if path.conductance * voltage_device**2 > HEAT_LEAST_W:
            sites, watts, siemens, ends = path.heat
            film, net = self.network.filament(self.state, sites), self.network
            heat.solve(self.state, film, net.side, net.column, sites, watts * voltage_device**2, siemens, ends)
        else:
            heat.cool()
        if not heat.moved():
            return False
        if self.settings.local_temperature:
            heat.publish(self.potential.fields)
            self._forget_flights()
            self.refresh()
            return True
        heat.hottest = heat.peak()
        return False

    def refresh(self) -> None:
        """Recompute all rates."""
        if abs(float(self.state.run["voltage_device"][0]) - self.flight_voltage) > self.thermal:
            self._forget_flights()
        kernels.refresh_all(self.state, self.grid, self.potential.fields, self.model)

    def _forget_flights(self) -> None:
        """Chances of an atom's ion to come back are those of potentials and temperatures at its last try."""
        self.state.entities["returns"] = 0.0
        self.flight_voltage = float(self.state.run["voltage_device"][0])

    def set_source(self, voltage_source: float, limit: float, duration_s: float = math.inf) -> None:
        """A corner of the waveform, and how long it is until the next."""
        self.source, self.limit = voltage_source, limit
        self.renewal.begin(self.now_s, duration_s)
        self.operate()
        if self._lags():
            self.solve_fields()

    def set_stage(self, kelvin: float) -> None:
        """Another temperature of the stage: film and heat sinks are there at once, in equilibrium."""
        if kelvin == self.stage:
            return
        self.take_stage(kelvin)
        self.potential.fields["temperature"] = kelvin
        self._renew()

    def start_again(self) -> None:
        """The clock at zero and all sites as they are; the rest is of these cards and settings."""
        run = self.state.run
        self.density_time -= float(run["time"][0])
        self.heat.since_s -= float(run["time"][0])
        run["time"], run["events"] = 0.0, 0
        run["shift_bound"] = self.settings.refresh_bound * self.thermal
        if not self.settings.local_temperature:
            self.potential.fields["temperature"] = self.stage
        self.potential.forget()
        self.trace_current()
        self._renew()

    def _renew(self) -> None:
        self.solve_fields(refresh=False)
        self.operated = ()
        if not self.operate() and not self._warm():
            self.refresh()

    def take_stage(self, kelvin: float) -> None:
        """The temperature of the stage in all that knows it; nothing is solved."""
        self.stage, self.thermal = kelvin, K_B * kelvin
        self.leakage = self.leak.current(0.1, kelvin) / 0.1
        self.heat.take_stage(kelvin)
        self.state.run["shift_bound"] = self.settings.refresh_bound * self.thermal
        if self.vacancies is not None:
            self.vacancies.thermal = self.thermal

    def _lags(self) -> bool:
        """Whether the voltage moved by kT/e since the last whole solution; asked at corners and renewals."""
        return abs(self.point.voltage_device - self.charge_voltage) > self.thermal

    def _outgrown(self) -> bool:
        """Whether so much metal came or went that the space charge is another's."""
        came = int(self.state.run["metal"][0]) - self.charge_metal
        return self.settings.space_charge and abs(came) > CHARGE_METAL

    def follow_density(self) -> None:
        """Average the ions' density over the memory time and renew the space charge if it counts."""
        elapsed = self.now_s - self.density_time
        if elapsed <= 0.0 or not self.settings.space_charge:
            return
        kernels.settle_all(self.state, self.grid)
        weight = -math.expm1(-elapsed / DENSITY_MEMORY_S)
        fresh = density_cells(self.state, self.lattice, self.potential.mesh) / elapsed
        self.density += weight * (fresh - self.density)
        self.state.density[:] = 0.0
        self.density_time = self.now_s
        ions = self.density.sum()
        crowd = abs(ions - self.charge_density.sum()) > max(CHARGE_LEAST, 0.25 * ions)
        if crowd or self._lags() or self._outgrown():
            self.solve_fields()
