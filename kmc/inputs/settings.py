"""How a run is computed: window, mesh, error bounds and the switches of ablations."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kmc.cards import yaml_documents
from kmc.cards.validators import build, parsed, positive
from kmc.core.errors import UserError

# What a setting that is no plain number is kept in.
UNITS = {"window": "nm", "ion_slice": "s", "atom_slice": "s", "wall_limit_s": "s", "temperature": "K"}


class _Fields(BaseModel):
    """The settings themselves, read by pydantic with its own errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Annotated[
        float,
        parsed(UNITS["window"], 2.0, 500.0),
        Field(description="lateral size in nm, to whole crystals, two at least"),
    ] = 24.0
    spacing_factor: Annotated[float, Field(ge=0.25, le=2.0, description="site spacing over lattice constant")] = 0.5
    mesh_factor: Annotated[Literal[1, 2, 4], Field(description="field mesh over site spacing")] = 4
    refresh_bound: Annotated[
        float, Field(gt=0.0, le=5.0, description="error bound of the ions' potential, in kT/e")
    ] = 2.0
    flight_reach: Annotated[
        int, Field(strict=True, ge=0, le=4, description="sites around an atom where its ion's way is solved")
    ] = 2
    ion_slice: Annotated[
        float,
        parsed(UNITS["ion_slice"], 0.0, 1e-6),
        Field(
            description="mean time in s that an ion hops by itself, all else at rest, a tenth of the time "
            "between corners at most; 0: hop by hop"
        ),
    ] = 1e-7
    atom_slice: Annotated[
        float,
        parsed(UNITS["atom_slice"], 0.0, 1e-4),
        Field(
            description="mean time in s that an atom whose ion is reduced near goes on by itself, five "
            "steps at most in the mean; limited as ion_slice is; 0: flight by flight"
        ),
    ] = 1e-6
    vacancies: Annotated[
        Literal["explicit", "equilibrium"], Field(description="bromide vacancies one by one, or in equilibrium")
    ] = "equilibrium"
    event_budget: Annotated[
        int, Field(strict=True, ge=1, le=10**9, description="events for each call of the kernel")
    ] = 200_000
    wall_limit_s: Annotated[
        float | None, positive(UNITS["wall_limit_s"]), Field(description="stop after this many seconds of computing")
    ] = None
    temperature: Annotated[
        float, parsed(UNITS["temperature"], 1.0, 2000.0), Field(description="stage temperature in K")
    ] = 300.0
    windows: Annotated[int, Field(strict=True, ge=1, le=10_000, description="windows in parallel")] = 1
    window_slices: Annotated[
        int, Field(strict=True, ge=1, le=10**6, description="times a step at which windows meet, at least")
    ] = 64
    local_temperature: Annotated[bool, Field(description="rates feel the local temperature")] = True
    ion_pairs: Annotated[bool, Field(description="ions act on each other at short range")] = True
    tunnelling: Annotated[bool, Field(description="current tunnels across gaps")] = True
    compliance: Annotated[bool, Field(description="the limiter acts")] = True
    space_charge: Annotated[bool, Field(description="charges bend the potential, and the organic takes its share")] = (
        True
    )


class Settings(_Fields):
    """Numerical settings of a run. Frozen; unknown names are refused, and so is what is out of range.

    Values with a unit are given as text ("24 nm") and kept as floats in internal units.
    """

    def __init__(self, **values: Any) -> None:
        super().__init__(**_checked(values).model_dump())

    def changed(self, **values: Any) -> Settings:
        """A copy with some settings changed, checked as the rest are."""
        return read_settings({**self.model_dump(), **values})


def read_settings(values: Any = None, where: str = "") -> Settings:
    """Settings from a run file's mapping or keywords; errors name file and line, and the nearest name."""
    if values is None:
        return Settings()
    if not isinstance(values, dict):
        raise UserError("settings is not a mapping", where, next_step="write settings: {window: 24 nm}")
    try:
        return Settings(**_checked(values).model_dump())
    except UserError as error:
        raise error.at(where) from None


def _checked(values: dict[str, Any]) -> _Fields:
    """The settings in `values`. UserError at the key that is wrong, where `values` knows its place."""
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(
                f"{key} in settings is not finite", yaml_documents.place(values, key), next_step="write a finite number"
            )
    return build(_Fields, values, "settings")
