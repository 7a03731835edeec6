"""Plausibility warnings: inputs that are valid but hardly intended. They do not stop a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kmc.cards.stack import Stack
from kmc.core.units import format_si
from kmc.geometry.builder import built_thicker, spacing_nm
from kmc.inputs.protocol import Protocol
from kmc.inputs.segments import Loop, Pulses, Pwl, Segment
from kmc.inputs.settings import Settings

# A length, and what it lies in.
_INSIDE = (
    ("active.roughness", "active.thickness"),
    ("device.residue_gap", "active.thickness"),
    ("crystal.size", "active.thickness"),
    ("ligand.seam_width", "ligand.gap"),
)
# Numbers that nothing reads: where vacancies are no events, where a ligand fills what is between crystals, of
# an organic as the counter electrode, and always.
_OF_EVENTS = (
    "active.vacancy_migration_barrier",
    "active.vacancy_diffusion_prefactor",
    "active.vacancy_surface_barrier_ratio",
    "active.electrode_exchange_barrier",
    "active.electrode_exchange_energy",
)
_OF_FILMS = ("active.boundary_", "active.metal_adhesion")
_OF_COUNTERS = ("counter.conductivity", "counter.hole_mobility", "counter.injection_limit", "counter.silver_")
_OF_FORMING = ("device.residue_", "device.stump_")
_OF_STUMPS = ("device.residue_gap", "device.stump_radius")
_NEVER = ("contact.metal_adhesion",)
_FAR = 0.05  # by which a window differs from what is asked for
_COLDEST_K = 250.0  # below, an ion stays in a cell of the mesh while its charge is averaged: it feels itself
_STRONGEST = 1.0  # V/nm over all layers: films of organics break down at 0.1 to 0.3


def doubts(stack: Stack, settings: Settings, protocol: Protocol | None = None, begun: bool = False) -> list[str]:
    """Plausibility warnings of a stack, its settings and a protocol, one sentence each.

    They cover a length that is larger than what contains it, a chosen number that has no effect, and a voltage that
    no film withstands. begun: whether the run starts from the final state of another.
    """
    return [*_of_stack(stack, settings, begun), *_of_program(stack, settings, Program.of(protocol))]


class Program(NamedTuple):
    """Summary of a protocol: its greatest voltage in V, the stage temperatures of its steps in K (None is that
    of the settings), and the plausibility warnings that do not depend on the device."""

    volt: float = 0.0
    stages: frozenset[float | None] = frozenset()
    told: tuple[str, ...] = ()

    @classmethod
    def of(cls, protocol: Protocol | None) -> Program:
        """Of a protocol, or of none; its steps are looked at once."""
        if protocol is None:
            return cls()
        steps = {(abs(step.voltage_V), step.temperature_K) for step in protocol.steps()}
        told = (*_cut(protocol.segments), *_joined(protocol.segments))
        volts, stages = zip(*steps, strict=True)
        return cls(max(volts), frozenset(stages), told)


def _of_program(stack: Stack, settings: Settings, program: Program) -> list[str]:
    return [*_too_cold(stack, settings, program.stages), *_too_strong(stack, program.volt), *program.told]


def _of_stack(stack: Stack, settings: Settings, begun: bool) -> list[str]:
    sizes = {path: one.internal for path, one in stack.numbers().items()}
    found = [
        f"{one} is {sizes[one]:g} nm, more than {other}, {sizes[other]:g} nm"
        for one, other in _INSIDE
        if sizes.get(one, 0.0) > sizes.get(other, float("inf"))
    ]
    found += [
        f"{path} does nothing here: {why}" for path in stack.choices if (why := _unread(path, stack, settings, begun))
    ]
    return found


def of_devices(devices: Iterable[tuple[Stack, Settings, Protocol | None]], begun: bool = False) -> list[str]:
    """Plausibility warnings of devices before any window is built, each once (`begun`: see `doubts`).

    They include films that are built thicker than asked. Raises UserError for windows that no run would build. The
    check of the windows imports scipy and numba, which reading a run file does not need.
    """
    from kmc.kinetics.initial_state import check_windows

    once = {(id(stack), settings, id(protocol)): (stack, settings, protocol) for stack, settings, protocol in devices}
    programs = {id(protocol): Program.of(protocol) for protocol in {id(one): one for *_, one in once.values()}.values()}
    told = list(check_windows((stack, settings) for stack, settings, _ in once.values()))
    for stack, settings, protocol in once.values():
        told += [
            *narrow(stack, settings),
            *_of_stack(stack, settings, begun),
            *_of_program(stack, settings, programs[id(protocol)]),
        ]
    told += _alike((stack, settings) for stack, settings, _ in once.values())
    return list(dict.fromkeys(told))


def _alike(devices: Iterable[tuple[Stack, Settings]]) -> list[str]:
    """Warning for different residue gaps that round to the same number of sites: their devices are the same."""
    found: dict[tuple[float, int], set[float]] = {}
    for stack, settings in devices:
        if stack.active is not None and not stack.crevice_fraction:  # which cut the stump anywhere
            gap, spacing = stack.device.value("residue_gap"), spacing_nm(stack, settings)
            found.setdefault((spacing, round(gap / spacing)), set()).add(gap)
    alike = {place: sorted(gaps) for place, gaps in found.items() if len(gaps) > 1}
    if not alike:
        return []
    (spacing, count), gaps = next(iter(alike.items()))
    more = f" ({len(alike)} such groups in all)" if len(alike) > 1 else ""
    return [
        f"device.residue_gap: {len(gaps)} values from {gaps[0]:g} nm to {gaps[-1]:g} nm are one gap of "
        f"{count} sites, {count * spacing:.3g} nm{more}"
    ]


def of_run(
    stack: Stack, settings: Settings, protocol: Protocol, sides_nm: Sequence[float], begun: bool = False
) -> list[str]:
    """All plausibility warnings of a run whose window was built with sides `sides_nm` (`begun`: see `doubts`)."""
    found, asked = [], float(settings.window)
    if max(abs(side / asked - 1.0) for side in sides_nm) > _FAR:
        y, x = sides_nm
        whole = "crystals" if stack.crystal is not None else "cells of the heat's mesh"
        found.append(
            f"the window is {x:.4g} nm by {y:.4g} nm where {asked:g} nm were asked for: it holds whole {whole}"
        )
    thicker = built_thicker(stack, settings)
    return [*found, *([thicker] if thicker else []), *doubts(stack, settings, protocol, begun)]


def narrow(stack: Stack, settings: Settings) -> list[str]:
    """Warning for a window that is asked to be too narrow for two crystals a side; `of_run` gives its width."""
    if stack.crystal is None or stack.ligand is None:
        return []
    least = 2.0 * (stack.crystal.size_nm + float(stack.ligand.value("gap")))
    if settings.window >= least * (1.0 - _FAR):
        return []
    return [
        f"the window is {least:.3g} nm wide at least where {settings.window:g} nm were asked for: it "
        "holds two crystals along each side"
    ]


def _too_cold(stack: Stack, settings: Settings, stages: Iterable[float | None]) -> list[str]:
    """Warning for the coldest stage temperature of a run with space charge."""
    coldest = min((stage or settings.temperature for stage in stages), default=settings.temperature)
    if coldest >= _COLDEST_K or not settings.space_charge or stack.active is None:
        return []
    return [
        f"at {coldest:g} K ions hardly move while their charge is averaged, and feel their own: their "
        "rates are off by kT and more"
    ]


def _too_strong(stack: Stack, volt: float) -> list[str]:
    """Warning for a field that no film withstands: a number without a unit, meant in mV, is read in V."""
    thick = sum(layer.thickness_nm for layer in (stack.active, stack.organic) if layer is not None)
    if not thick or volt <= _STRONGEST * thick:
        return []
    return [
        f"{format_si(volt, 'V')} over {thick:g} nm is {volt / thick:.3g} V/nm, which no film holds; a "
        "voltage without a unit is in V"
    ]


def _cut(segments: Iterable[Segment]) -> list[str]:
    """Warnings for corners that a staircase does not reach: each step is at the middle of its piece of a line."""
    found = []
    for one in segments:
        if isinstance(one, Loop):
            found += _cut(one.segments)
        if not isinstance(one, Pwl):
            continue
        volts, cuts = [volt for _, volt in one.points], one._cuts()
        lost = [_short(volts, cuts, k) for k in range(len(volts))]
        k = max(range(len(volts)), key=lambda place: abs(lost[place]))
        if abs(lost[k]) > _FAR * (max(volts) - min(volts)):
            found.append(
                f"pwl reaches {format_si(volts[k] - lost[k], 'V')} where a corner has "
                f"{format_si(volts[k], 'V')}: give a shorter step"
            )
    return found


def _joined(segments: Iterable[Segment]) -> list[str]:
    """Warnings for pulses with neither a gap nor a read between them."""
    found = []
    for one in segments:
        if isinstance(one, Loop):
            found += _joined(one.segments)
        elif isinstance(one, Pulses) and one.count > 1 and not one.gap and one.read is None:
            whole = format_si(one.count * one.width, "s")
            found.append(f"{one.count} pulses without a gap are one of {whole}")
    return found


def _short(volts: list[float], cuts: list[int], k: int) -> float:
    """By how much a staircase of so many steps a line misses corner k, at which the voltage turns or is
    greatest at an end, V."""
    if k in (0, len(volts) - 1) and abs(volts[k]) < max(map(abs, volts)):
        return 0.0
    near = [(volts[k] - volts[j], cuts[min(j, k)]) for j in (k - 1, k + 1) if 0 <= j < len(volts)]
    if any(rise == 0.0 for rise, _ in near) or len({rise > 0.0 for rise, _ in near}) > 1:
        return 0.0
    return min((rise / (2 * count) for rise, count in near if count), key=abs, default=near[0][0])


def _unread(path: str, stack: Stack, settings: Settings, begun: bool) -> str:
    """Why nothing reads the number `path` of a stack, "" where something does."""
    if path.startswith(_OF_FORMING) and begun:
        return "silver is where the other run left it (initial)"
    if path.startswith(_OF_FORMING) and (stack.active is None or stack.organic is None):
        return "without crystals or a film, and an organic below, forming leaves no silver"
    if path in _OF_STUMPS and stack.device.value("residue_height") < 1.0:
        return "the silver that forming left ends in the organic (device.residue_height)"
    if settings.vacancies == "equilibrium" and path in _OF_EVENTS:
        return "vacancies are in equilibrium (settings.vacancies)"
    if stack.ligand is not None and path.startswith(_OF_FILMS):
        return "a ligand is between the crystals"
    if path.startswith(_OF_COUNTERS):
        return "the counter electrode is its resistances (device.series_resistance, .spreading_resistance)"
    return "the counter electrode's counts" if path in _NEVER else ""
