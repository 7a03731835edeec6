"""The declared table of processes: what each event is, when it can happen, its rate law and what it changes.

`kmc check --barriers`, the reference page and the law of detailed balance read PROCESSES; the mechanisms of
electron transfer, which share the channels of oxidation and reduction, are in `kmc.kinetics.electron_transfer`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmc.geometry.builder import spacing_nm
from kmc.inputs.settings import Settings
from kmc.kinetics.process_rows import (
    Device,
    Row,
    RowMaker,
    electrode_rows,
    exchange_rows,
    ion_hop_rows,
    oxidation_rows,
    reduction_rows,
    return_rows,
    surface_move_rows,
    vacancy_hop_rows,
)
from kmc.system.parameter_tables import build_model
from kmc.system.rate_laws import thermal_rate
from kmc.system.state import (
    EXCHANGE,
    FILLING,
    HOPS,
    KIND_EMITTER,
    KIND_ION,
    KIND_METAL,
    KIND_VACANCY,
    OXIDATION,
    REDUCTION,
    RETURN,
)


@dataclass(frozen=True)
class Process:
    """One kind of event.

    kind, channels: of the entity that owns it, and which columns of its row of rates; reverse: the name of the
    process that undoes it; condition, law, changes: in words; card_keys: the numbers of cards that its barrier
    and prefactor read; rows: its lines in `kmc check --barriers`.
    """

    name: str
    kind: int
    channels: tuple[int, ...]
    reverse: str
    condition: str
    law: str
    card_keys: tuple[str, ...]
    changes: str
    rows: RowMaker


_SIX = tuple(range(HOPS))
_ION_BARRIERS = (
    "silver_ion_migration_barrier",
    "silver_ion_surface_barrier",
    "gap_barrier",
    "boundary_barrier",
    "silver_ion_barrier",
)
_TRANSFER = (
    "bond_energy",
    "reduction_barrier",
    "transfer_coefficient",
    "metal_adhesion",
    "insertion_barrier",
    "isolated_redox_factor",
    "gap_ion_energy",
)
_BUTLER_VOLMER = "Butler-Volmer with shared clamps, by mechanism (electron_transfer)"
PROCESSES = (
    Process(
        "ion hop",
        KIND_ION,
        _SIX,
        "ion hop",
        "the neighbouring cation site is empty",
        "Bronsted-Evans-Polanyi, transfer 1/2",
        _ION_BARRIERS,
        "an ion moves to a neighbouring site",
        ion_hop_rows,
    ),
    Process(
        "vacancy hop",
        KIND_VACANCY,
        _SIX,
        "vacancy hop",
        "vacancies are explicit; the neighbouring halide site has none, and no metal is on it",
        "Bronsted-Evans-Polanyi, transfer 1/2",
        ("vacancy_migration_barrier", "vacancy_surface_barrier_ratio", "gap_barrier"),
        "a bromide vacancy moves by one cell",
        vacancy_hop_rows,
    ),
    Process(
        "oxidation",
        KIND_METAL,
        (OXIDATION,),
        "reduction",
        "an electron can pass to metal, an electrode or the sheet of carriers",
        _BUTLER_VOLMER,
        _TRANSFER,
        "an atom of metal becomes an ion on its site; an electron goes to the metal",
        oxidation_rows,
    ),
    Process(
        "reduction",
        KIND_ION,
        (REDUCTION,),
        "oxidation",
        "the site has room for an atom, and an electron can come from metal, an electrode or the sheet",
        _BUTLER_VOLMER,
        _TRANSFER,
        "an ion becomes an atom of metal on its site",
        reduction_rows,
    ),
    Process(
        "surface move",
        KIND_METAL,
        _SIX,
        "surface move",
        "the neighbouring site is empty and has room",
        "barrier of diffusion plus the bonds lost",
        ("surface_diffusion_barrier", "bond_energy", "insertion_barrier"),
        "an atom of metal moves to a neighbouring site",
        surface_move_rows,
    ),
    Process(
        "ionisation",
        KIND_EMITTER,
        _SIX,
        "return",
        "the neighbouring site is empty and not of the electrode",
        "Butler-Volmer with shared clamps",
        ("exchange_barrier", "transfer_coefficient"),
        "an atom of the electrode becomes an ion on a neighbouring site",
        electrode_rows,
    ),
    Process(
        "return",
        KIND_ION,
        (RETURN,),
        "ionisation",
        "the silver electrode is a neighbour",
        "Butler-Volmer with shared clamps",
        ("exchange_barrier", "transfer_coefficient"),
        "an ion joins the electrode",
        return_rows,
    ),
    Process(
        "exchange",
        KIND_EMITTER,
        (EXCHANGE,),
        "filling",
        "vacancies are explicit; the nearest halide site has none",
        "Butler-Volmer with shared clamps",
        ("electrode_exchange_barrier", "electrode_exchange_energy"),
        "bromide joins the silver electrode: Ag + Br- -> AgBr + V_Br+ + e-",
        exchange_rows,
    ),
    Process(
        "filling",
        KIND_VACANCY,
        (FILLING,),
        "exchange",
        "the silver electrode is within one halide site",
        "Butler-Volmer with shared clamps",
        ("electrode_exchange_barrier", "electrode_exchange_energy"),
        "bromide of the electrode fills a vacancy",
        lambda device: iter(()),
    ),
)


def process_of(kind: int, channel: int) -> Process | None:
    """The process of a channel of an entity of some kind, None where it has none."""
    return next((one for one in PROCESSES if one.kind == kind and channel in one.channels), None)


def reverse_of(process: Process) -> Process:
    """The process that undoes one."""
    return next(one for one in PROCESSES if one.name == process.reverse)


def process_table(stack, settings: Settings | None = None) -> list[dict[str, Any]]:
    """Rows of event, place, barrier_eV, prefactor_hz, rate_hz (no field, at the settings' temperature) and
    source: the numbers of cards behind them."""
    settings = settings or Settings()
    model = build_model(stack, spacing_nm(stack, settings), settings).view(np.recarray)[0]
    device = Device(stack, model, stack.electrode.symbol or stack.electrode.name)
    return [_with_rate(row, settings.temperature) for row in _rows(device)]


def _rows(device: Device) -> Iterator[Row]:
    for process in PROCESSES:
        yield from process.rows(device)


def _with_rate(row: Row, stage_K: float) -> dict[str, Any]:
    rate = float(thermal_rate(row.prefactor_hz, row.barrier_eV, stage_K))
    return {
        "event": row.event,
        "place": row.place,
        "barrier_eV": round(row.barrier_eV, 3),
        "prefactor_hz": row.prefactor_hz,
        "rate_hz": rate,
        "source": row.source,
    }
