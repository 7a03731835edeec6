"""Every stack of the program on a window of a few nanometres, for the laws that hold over all of them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from small_device import Window

from kmc.cards.stack import Stack, load_stack
from kmc.core.random_streams import stream
from kmc.geometry import percolation
from kmc.geometry.builder import build
from kmc.geometry.lattice import ACTIVE, Region
from kmc.inputs.settings import Settings
from kmc.kinetics import advance
from kmc.kinetics.event_changes import add_charge
from kmc.simulation.window import Device
from kmc.system.state import KIND_ION, KIND_METAL, KIND_VACANCY

FOLDER = Path(__file__).resolve().parents[2] / "materials" / "stacks"
STACKS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SOME = ("ogb_20nm", "ddab_20nm", "thin_film_100nm", "interlayers_only")  # one of each kind; the rest is slow
loaded = lru_cache(maxsize=32)(load_stack)
LAYERED = [name for name in STACKS if loaded(name).active is not None]
WINDOW_NM = 4.6


def reduced(name: str, organic_nm: float = 2.4, **choices: Any) -> Stack:
    """A stack with all its cards and layers, whose lengths are cut down: windows of 3,000 to 40,000 sites."""
    stack = loaded(name)
    small: dict[str, Any] = {
        "device.residue_gap": "1.2 nm",
        "device.residue_radius": "0.7 nm",
        "device.heat_padding": "30 nm",
    }
    if stack.active is not None:
        small["thickness"] = f"{4 + stack.active.thickness_nm / 16} nm"
    if stack.crystal is not None:
        small["crystal_size"] = f"{stack.crystal.size_nm / 3.5} nm"
        small["ligand.gap"] = f"{stack.ligand.value('gap') / 2} nm"
    stack = stack.choose(**{**small, **choices})
    parts: dict[str, Any] = {"organic": stack.organic.model_copy(update={"thickness_nm": organic_nm})}
    if stack.active is not None:
        parts["active"] = stack.active.model_copy(update={"roughness_nm": 0.4})
    if stack.grain is not None:
        parts["grain"] = stack.grain.model_copy(update={"size_nm": 3.0})
    return stack.model_copy(update=parts)


def settings(**values: Any) -> Settings:
    """Settings of a small window."""
    return Settings(window=WINDOW_NM, **values)


def device(stack: Stack | str, seed: int = 1, **values: Any) -> Device:
    """A small window of a stack at zero volt."""
    stack = reduced(stack) if isinstance(stack, str) else stack
    some = settings(**values)
    return Device(build(stack, some, stream(seed, "morphology")), stack, some, seed)


def window_of(d: Device) -> Window:
    """What the kernels see of a device."""
    return Window(d.state, d.grid, d.potential.fields, d.model)


def put_silver(d: Device, sites: np.ndarray) -> None:
    """Silver atoms on sites, with everything that follows the metal solved for them."""
    advance.place_many(d.state, d.grid, KIND_METAL, np.asarray(sites, np.int32))
    d.trace_current()
    d.solve_fields()


def seam(d: Device) -> np.ndarray:
    """Free sites of the widest way from the organic layer to the electrode, from the bottom up."""
    where = percolation.of(d.lattice).path & d.lattice.mask(*ACTIVE)
    return free(d, where)


def free(d: Device, where: np.ndarray) -> np.ndarray:
    """Sites of a mask on which no cation is."""
    return np.flatnonzero(where.ravel() & (d.state.sites["cation"] == 0))


def put_charges(d: Device, each: int, seed: int = 3) -> None:
    """Up to `each` ions in every region that takes them, and as many explicit vacancies."""
    generator = np.random.default_rng(seed)
    halide = np.zeros(d.lattice.shape, bool)
    halide[::2, ::2, ::2] = True
    inside = (Region.ORGANIC, *ACTIVE)
    for kind, regions, where in ((KIND_ION, inside, np.True_), (KIND_VACANCY, ACTIVE, halide)):
        for region in regions:
            sites = free(d, (d.lattice.region == region) & where)
            if kind == KIND_VACANCY and (not d.model["explicit_vacancies"] or d.model["exchange"] > 100):
                continue
            for site in generator.permutation(sites)[:each]:
                if kind == KIND_ION or d.state.sites["vacancy"][site] < 0:
                    add_charge(d.state, d.grid, d.model, kind, int(site))
    d.refresh()
