"""Random fields of a film: thickness of a window, relief of its surface, patches of bare ligand shell."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

# Share of the height variance that lies within one window: atomic force images of spun films are ruled
# by waves longer than a window, so most of the roughness is a window's mean thickness (assumed).
LOCAL_SHARE = 0.25
_LARGEST_DRAW = 2.5
_LEAST_SHARE = 0.3


def noise(shape: tuple[int, ...], lengths: tuple[float, ...], generator: np.random.Generator) -> np.ndarray:
    """Periodic Gaussian field of unit variance, correlation exp(-r^2 / (2 length^2)) along each axis.

    shape and lengths (in sites) have one entry an axis; returns float64 [shape].
    """
    spectrum = np.fft.rfftn(generator.standard_normal(shape))
    for axis, (count, length) in enumerate(zip(shape, lengths, strict=True)):
        last = axis == len(shape) - 1
        wave = 2 * math.pi * (np.fft.rfftfreq(count) if last else np.fft.fftfreq(count))
        full = 2 * math.pi * np.fft.fftfreq(count)
        scale = math.sqrt(np.mean(np.exp(-((full * length) ** 2) / 2)))
        factor = np.exp(-((wave * length) ** 2) / 4) / scale
        spectrum *= factor.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.fft.irfftn(spectrum, s=shape, axes=range(len(shape)))


def threshold(share: np.ndarray) -> np.ndarray:
    """Level that a unit Gaussian exceeds with probability 1 - share (tabulated to 1e-4; inf at 1)."""
    grid = np.linspace(0.0, 1.0, 2001)
    normal = NormalDist()
    levels = [-np.inf, *(normal.inv_cdf(p) for p in grid[1:-1]), np.inf]
    return np.asarray(levels)[np.rint(np.clip(share, 0, 1) * 2000).astype(np.int64)]


def window_thickness(thickness_nm: float, roughness_nm: float, generator: np.random.Generator) -> float:
    """Mean thickness of one window (nm), drawn from the film's thickness and its long-wave roughness."""
    draw = float(np.clip(generator.standard_normal(), -_LARGEST_DRAW, _LARGEST_DRAW))
    return max(thickness_nm + math.sqrt(1 - LOCAL_SHARE) * roughness_nm * draw, _LEAST_SHARE * thickness_nm)


def relief(shape: tuple[int, int], length: float, roughness: float, generator: np.random.Generator) -> np.ndarray:
    """Height of the surface about its mean: float64 [ny, nx], periodic, zero mean.

    length: lateral correlation (sites); roughness: the layer's whole rms, of which the local share
    is put into this window. Result and roughness have one unit.
    """
    field = noise(shape, (length, length), generator)
    field -= field.mean()
    deviation = field.std()
    return field * (math.sqrt(LOCAL_SHARE) * roughness / deviation if deviation > 0 else 0.0)


def stochastic_round(values: np.ndarray | float, generator: np.random.Generator) -> np.ndarray:
    """Whole numbers whose mean is the value: 2.3 becomes 2 or 3."""
    values = np.asarray(values, dtype=float)
    return np.floor(values + generator.random(values.shape)).astype(np.int64)


def blur(field: np.ndarray, length: float) -> np.ndarray:
    """Periodic Gaussian mean of a plane, float64 [ny, nx]; length in cells."""
    y, x = np.fft.fftfreq(field.shape[0]), np.fft.rfftfreq(field.shape[1])
    kernel = np.exp(-2 * (math.pi * length) ** 2 * (y[:, None] ** 2 + x[None, :] ** 2))
    return np.fft.irfft2(np.fft.rfft2(field) * kernel, s=field.shape)
