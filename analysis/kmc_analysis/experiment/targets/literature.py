"""Table 2 of the experiment's supplement: devices with both modes, and the simulated ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kmc.core.atomic_files import csv_text
from kmc_analysis.experiment.reproduce.scoreboard import Row, number
from kmc_analysis.experiment.targets.verdict import STALE


class Device(NamedTuple):
    """A row of table 2; N.R. is not reported."""

    composition: str
    reconfigurable: str
    volatile_ratio: str
    volatile_cycles: str
    ratio: str
    retention_s: str
    cycles: str


NAME = "table2.csv"
HEADS = (
    "composition",
    "reconfigurable?",
    "volatile on/off",
    "volatile cycles",
    "non-volatile on/off",
    "retention (s)",
    "non-volatile cycles",
)
# Composition, and the rest as the table gives it; its references are numbers 6 to 27 of the supplement.
REPORTED = (
    Device("Au/Ti/h-BN/Cu", "no", "1e3 to 1e4", "500", "1e2", "1e3", "100"),
    Device("Ag/WSe2/Ag", "no", "< 1e2", "90", "1e3", "1e4", "N.R."),
    Device("ITO/amorphous TiOx/Ag/polycrystalline TiOx/FTO", "no", "1e2", "10", "1e2", "1e4", "100"),
    Device("Ti/Al/Ni/Au/GaN thin films/Ti/Al/Ni/Au", "no", "1e3", "1e3", "1e1", "N.R.", "N.R."),
    Device("Al/RbPbBr3/ITO/PET", "no", "1e3 to 1e4", "N.R.", "1e3 to 1e4", "1e4", "500"),
    Device("Au/Ti/CuO nanowires/Au/Ti", "no", "1e3", "1e5", "1e5", "N.R.", "N.R."),
    Device("Ag/SiO2/Pt", "no", "1e3", "N.R.", "> 1e4", "N.R.", "N.R."),
    Device("Ti/h-BN/Cu", "no", "1e4", "N.R.", "1e4", "N.R.", "600"),
    Device("Ag/CoFe2O4/Pt", "no", "1e2", "100", "> 1e3", "1e3", "500"),
    Device("Ag/fibroin/Au", "potentially", "1e2", "10", "1e6", "1e4", "10"),
    Device("Ag/IGZO/MnO/Pt", "potentially", "1e4", "N.R.", "1e7", "1e4", "200"),
    Device("Ag/OGB-capped CsPbBr3/pTPD/PEDOT:PSS/ITO (the experiment)", "yes", "1e3", "2e6", ">= 1e3", "1e5", "5.6e3"),
)


def simulated(rows: Mapping[str, Row]) -> list[Device]:
    """The rows of the virtual devices, from the scoreboard by key; a dash for what that has not.

    The non-volatile ratio is the smaller of those of 20 nm and 90 nm, which is what S19 says.
    """

    def told(key: str) -> str:
        if key not in rows:
            return "-"
        stale = " (stale)" if rows[key].verdict == STALE else ""
        return f"{'>= ' if rows[key].least else ''}{number(rows[key].simulated)}{stale}"

    ogb = (
        "S29_reconfigurable",
        "S3_volatile_switching",
        "T2_ogb_volatile_endurance",
        "S19_thickness_on_off",
        "S8_ogb_retention",
        "fig3b_ogb_nonvolatile_endurance",
    )
    ddab = ("", "S3_ddab_switches", "S3_ddab_volatile_endurance", "", "", "S7_ddab_nonvolatile_endurance")
    return [
        Device("OGB, 20 nm, simulated (share of switches that succeed)", *map(told, ogb)),
        Device("DDAB, 20 nm, simulated", *map(told, ddab)),
    ]


def as_csv(rows: Mapping[str, Row]) -> str:
    """The table with the simulated devices' rows below the literature's."""
    return csv_text(HEADS, [*REPORTED, *simulated(rows)])
