"""What an infrared camera would see: the lumped surface node drawn as a disc on its stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from kmc_analysis.experiment.figures.definition import card_value
from kmc_analysis.plotting.figure_style import panels

GLASS_W_MK = 1.05  # thermal conductivity of the stage
HALF_WIDTH_UM = 150.0
LEAST_K = 1.0  # resolution of the camera: less is drawn dark
_PIXELS = 121


def substrate_resistance(ds: xr.Dataset) -> float:
    """Thermal resistance of the substrate that a run was made with, K/W."""
    return card_value(ds, "device.substrate_thermal_resistance")


def spot_radius_um(resistance: float) -> float:
    """Radius of the disc whose spreading resistance 1 / (4 k a) on glass is `resistance` (K/W), um."""
    return 1e6 / (4 * GLASS_W_MK * resistance) if resistance else math.inf


def disc_profile(radius_um: np.ndarray, rise_K: float, spot_um: float) -> np.ndarray:
    """Rise at a distance from the middle of an isothermal disc on a half space, K: the disc's own inside it,
    (2 / pi) arcsin(a / r) of that outside (Carslaw and Jaeger, Conduction of Heat in Solids, 8.2)."""
    outside = np.arcsin(1 / np.maximum(radius_um / spot_um, 1))
    return rise_K * 2 / math.pi * outside


def draw(rises: Mapping[str, float], resistance: float, path: Path) -> None:
    """One thermogram for each rise (K) on a substrate of that `resistance` (K/W), on one scale of colours."""
    along = np.linspace(-HALF_WIDTH_UM, HALF_WIDTH_UM, _PIXELS)
    radius = np.hypot(*np.meshgrid(along, along))
    spot, most = spot_radius_um(resistance), max([*rises.values(), LEAST_K])
    with panels(path, tuple(f"{name}: {rise:.3g} K" for name, rise in rises.items())) as places:
        for axes, rise in zip(places, rises.values(), strict=True):
            shown = axes.imshow(
                disc_profile(radius, rise, spot),
                cmap="inferno",
                vmin=0.0,
                vmax=most,
                extent=(-HALF_WIDTH_UM, HALF_WIDTH_UM) * 2,
            )
            axes.grid(False)
            axes.set_xlabel("position (um)")
        places[-1].figure.colorbar(shown, ax=places, label="rise of the surface (K)", shrink=0.8)
