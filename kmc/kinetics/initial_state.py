"""The State at t = 0: silver left by forming, surface sites of the electrode, vacancies if explicit."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kmc.core import random_streams
from kmc.core.errors import UserError
from kmc.geometry import builder
from kmc.geometry.lattice import Lattice, Region
from kmc.ions.vacancy_density import vacancy_cells
from kmc.kinetics import advance
from kmc.system.state import (
    COUNTER_METAL,
    ELECTRODE_METAL,
    KIND_EMITTER,
    KIND_METAL,
    KIND_VACANCY,
    Grid,
    State,
    allocate,
)


def populate(lattice: Lattice, stack, settings, seed: int, sheet: np.ndarray, number: int = 0) -> State:
    """State of a window before its first event; `sheet`: sites whose potential is held; its number."""
    region = lattice.region
    places = (
        (KIND_EMITTER, lattice.electrode_surface()),
        (KIND_METAL, np.flatnonzero(lattice.residue)),
        (KIND_VACANCY, draw_vacancies(lattice, stack, settings, seed, number)),
    )
    state = allocate(region, lattice.room, sum(len(sites) for _, sites in places) + 4096)
    state.sites["cation"][region.ravel() == Region.ELECTRODE] = ELECTRODE_METAL
    state.sites["cation"][region.ravel() == Region.COUNTER] = COUNTER_METAL
    state.sites["held"][sheet] = 1
    for kind, sites in places:
        advance.place_many(state, Grid(*lattice.shape), kind, sites.astype(np.int32))
    return state


def check_windows(devices: Iterable[tuple[Any, Any]]) -> tuple[str, ...]:
    """Warnings for stacks and settings whose windows are built thicker than asked, each once.

    Raises UserError for a window that no run would build.
    """
    found = set()
    for stack, settings in devices:
        builder.refuse_too_large(stack, settings)
        refuse_explicit(stack, settings)
        found.add(builder.built_thicker(stack, settings))
    return tuple(sorted(found - {""}))


def refuse_explicit(stack, settings) -> None:
    """Explicit vacancies where they are not one halide site a unit cell. Raises UserError.

    Halide sites are every second site of the lattice along each axis, and each holds one vacancy.
    """
    if stack.active is None or settings.vacancies != "explicit":
        return
    factor, limit = settings.spacing_factor, stack.active.card.value("vacancy_site_limit")
    if round(1 / factor) != 2:
        told, needed = f"spacing_factor is {factor:g}", "0.5: a halide site is every second one"
    elif limit != 1.0:
        told, needed = f"active.vacancy_site_limit is {limit:g}", "1: a halide site holds one vacancy"
    else:
        return
    step = f"vacancies: explicit needs {needed}; or take vacancies: equilibrium"
    raise UserError(f"{told}, and vacancies are explicit", next_step=step)


def draw_vacancies(lattice: Lattice, stack, settings, seed: int, number: int = 0) -> np.ndarray:
    """Halide sites of explicit vacancies, drawn with the built-in density; none where in equilibrium.

    Raises UserError where more are drawn than there are sites.
    """
    refuse_explicit(stack, settings)
    if stack.active is None or settings.vacancies != "explicit":
        return np.zeros(0, np.int64)
    built_in, most = vacancy_cells(lattice, stack, 2)
    generator = random_streams.numbered(seed, "vacancies", number)
    weight = np.where(most > 0.0, built_in, 0.0).ravel()
    if not weight.any():  # a perfect crystal
        return np.zeros(0, np.int64)
    count, sites = int(generator.poisson(built_in.sum())), int(np.count_nonzero(weight))
    if count > sites:
        raise UserError(
            f"{count} explicit vacancies were drawn for {sites} halide sites",
            next_step="lower the vacancy densities, or take vacancies: equilibrium",
        )
    cells = generator.choice(weight.size, size=count, replace=False, p=weight / weight.sum())
    z, y, x = np.unravel_index(np.sort(cells), built_in.shape)
    drawn = np.ravel_multi_index((2 * z, 2 * y, 2 * x), lattice.shape)
    return drawn[~lattice.residue.ravel()[drawn]]  # none is under silver
