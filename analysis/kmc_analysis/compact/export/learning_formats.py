"""A model as what simulators of learning read: aihwkit, CrossSim, NeuroSim, reservoirpy; plain tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kmc.core.atomic_files import csv_text
from kmc_analysis.compact.equations.model import FOLDER, CompactModel
from kmc_analysis.compact.export import pulse_response
from kmc_analysis.compact.export.pulse_response import Ladder, Levels
from kmc_analysis.metrics.reads_and_retention import READ_V

NODES = 12  # of the piecewise step: equally spaced from the least weight to the largest
LEAST_RATIO = 1.5  # of the conductances at the largest and the least compliance
LEAST_STEP = 1e-6  # of the range, by which NeuroSim's arrays rise at least


def texts(model: CompactModel, values: Mapping[str, float]) -> dict[str, str]:
    """The files by name. Raises UserError where the model does not move under pulses."""
    steps, found = pulse_response.ladder(model, values), pulse_response.levels(model, values)
    made = {
        "pulses_up_down.csv": pulse_table(steps),
        "levels.csv": level_table(found),
        "crosssim/set.csv": crosssim_table(steps.up),
        "crosssim/reset.csv": crosssim_table(steps.down),
        "aihwkit_pulsed.py": aihwkit_pulsed(model, steps),
        "neurosim_arrays.h": neurosim_arrays(model, steps),
        "reservoirpy_node.py": reservoirpy_node(model, values, steps.up_s),
    }
    if found.mean[-1] > LEAST_RATIO * found.mean[0]:  # else no compliance programs it
        made["crosssim/kmc_device.py"] = crosssim_device(model, found)
        made["aihwkit_programmed.py"] = aihwkit_programmed(model, found)
    return made


def pulse_table(steps: Ladder) -> str:
    """Conductance (S) after every pulse, the mean of the ramps and their spread."""
    columns = [steps.up.mean(0), steps.up.std(0, ddof=1), steps.down.mean(0), steps.down.std(0, ddof=1)]
    rows = ([k, *row] for k, row in enumerate(np.transpose(columns).tolist()))
    return csv_text(["pulse", "up_S", "up_spread_S", "down_S", "down_spread_S"], rows)


def level_table(found: Levels) -> str:
    """Conductance (S) against compliance (A), at once and later."""
    columns = [found.limits, found.mean, found.spread, *found.later.values()]
    heads = ["compliance_A", "conductance_S", "spread_S", *(f"after_{wait:g}_s_S" for wait in found.later)]
    return csv_text(heads, np.transpose(columns).tolist())


def crosssim_table(ramps: np.ndarray) -> str:
    """CrossSim 2's table: a column a ramp, a row a pulse, in A at the read voltage of 0.1 V."""
    return csv_text([f"rmp{k + 1}" for k in range(len(ramps))], (READ_V * ramps.T).tolist())


def weights(g: np.ndarray, low: float, high: float) -> np.ndarray:
    """Conductances as weights from -1 to 1."""
    return 2.0 * (g - low) / (high - low) - 1.0


def piecewise(ramps: np.ndarray, low: float, high: float) -> tuple[np.ndarray, float]:
    """Step of the weight at NODES weights from -1 to 1, and the spread of a step over its mean.

    The steps of all ramps, averaged in bins around the nodes; a bin without a step takes its neighbours'.
    """
    found = weights(ramps, low, high)
    at, step = found[:, :-1].ravel(), np.abs(np.diff(found, axis=1)).ravel()
    bins = np.clip(np.rint((at + 1.0) / 2.0 * (NODES - 1)), 0, NODES - 1).astype(int)
    filled = np.unique(bins)
    mean = np.array([step[bins == k].mean() for k in filled])
    rest = step - np.interp(bins, filled, mean)
    return np.interp(np.arange(NODES), filled, mean), float(rest.std() / step.mean())


def neurosim_pair(steps: Ladder) -> tuple[np.ndarray, np.ndarray]:
    """Arrays up and down: strictly monotonic, each beginning where the other ends."""
    from scipy.optimize import isotonic_regression

    up = isotonic_regression(steps.up.mean(0)).x
    down = isotonic_regression(steps.down.mean(0), increasing=False).x
    low, high = max(up[0], down[-1]), min(up[-1], down[0])
    rise = np.linspace(0.0, 1.0, up.size)
    pinned = []
    for one in (up, down[::-1]):
        share = (one - one[0]) / (one[-1] - one[0])
        share = (share + LEAST_STEP * up.size * rise) / (1.0 + LEAST_STEP * up.size)
        pinned.append(low + (high - low) * share)
        pinned[-1][[0, -1]] = low, high
    return pinned[0], pinned[1][::-1]


def neurosim_arrays(model: CompactModel, steps: Ladder) -> str:
    """NeuroSim's measured device: what its Cell.cpp takes as data, in S."""
    up, down = neurosim_pair(steps)

    def array(name: str, data: np.ndarray) -> str:
        return f"{name} = {{\n" + ",\n".join(f"    {g!r}" for g in data.tolist()) + "\n};\n"

    return (
        f"// {model.title}: conductances in S after equal pulses, for NeuroSim's MeasuredDevice (Cell.cpp)\n"
        f"maxNumLevelLTP = {up.size - 1};\nmaxNumLevelLTD = {down.size - 1};\n"
        f"writeVoltageLTP = {pulse_response.PULSE_V!r};\nwriteVoltageLTD = {pulse_response.PULSE_V!r};\n"
        f"writePulseWidthLTP = {steps.up_s!r};\nwritePulseWidthLTD = {steps.down_s!r};\n"
        f"readVoltage = {READ_V!r};\n" + array("dataConductanceLTP", up) + array("dataConductanceLTD", down)
    )


def _plain(numbers: np.ndarray) -> str:
    return "[" + ", ".join(f"{number:.6g}" for number in numbers) + "]"


def _told(text: str) -> str:
    """A user's words as they may stand in a docstring."""
    return text.replace("\\", " ").replace('"', "'")


def aihwkit_pulsed(model: CompactModel, steps: Ladder) -> str:
    """A module with a device that learns by pulses."""
    low, high = steps.up.mean(0)[0], steps.up.mean(0)[-1]
    up, up_spread = piecewise(steps.up, low, high)
    down, down_spread = piecewise(steps.down, low, high)
    least, spread = float(min(up.mean(), down.mean())), max(up_spread, down_spread)
    return _PULSED.format(
        title=_told(model.title),
        source=_told(model.source),
        dw_min=f"{least:.6g}",
        spread=f"{spread:.4g}",
        up=_plain(up / least),
        down=_plain(down / least),
    )


def aihwkit_programmed(model: CompactModel, found: Levels) -> str:
    """A module with the noise of a device that is programmed by compliance; conductances in microsiemens."""
    micro = 1e6
    later = "{" + ", ".join(f"{t:g}: {_plain(g * micro)}" for t, g in found.later.items()) + "}"
    return _PROGRAMMED.format(
        title=_told(model.title),
        source=_told(model.source),
        g_min=f"{found.mean[0] * micro:.6g}",
        g_max=f"{found.mean[-1] * micro:.6g}",
        levels=_plain(found.mean * micro),
        spreads=_plain(found.spread * micro),
        later=later,
    )


def crosssim_device(model: CompactModel, found: Levels) -> str:
    """A device class of CrossSim 3 for the compliance-programmed device."""
    later = "{" + ", ".join(f"{t:g}: {_plain(g / found.mean[-1])}" for t, g in found.later.items()) + "}"
    name = "Kmc" + "".join(word.capitalize() for word in model.name.split("_"))
    return _CROSSSIM.format(
        name=name,
        title=_told(model.title),
        source=_told(model.source),
        r_min=f"{1.0 / found.mean[-1]:.6g}",
        r_max=f"{1.0 / found.mean[0]:.6g}",
        levels=_plain(found.mean / found.mean[-1]),
        spreads=_plain(found.spread / found.mean[-1]),
        later=later,
    )


def reservoirpy_node(model: CompactModel, values: Mapping[str, float], width_s: float) -> str:
    """A module that makes a reservoirpy node of devices with these parameters.

    width_s: of a pulse where the caller gives none: pulses that do not move the devices teach nothing.
    """
    lines = "".join(f"    {name!r}: {value!r},\n" for name, value in values.items())
    spread = {kind: dict(sigmas) for kind, sigmas in model.spread.items()}
    where = model.path.stem if model.path.parent == FOLDER else str(model.path.resolve())
    return _RESERVOIRPY.format(title=_told(model.title), name=where, values=lines, spread=spread, width=width_s)


_PULSED = '''"""{title}, for aihwkit. {source}."""

from aihwkit.simulator.configs.devices import PiecewiseStepDevice


def pulsed(**changes):
    """A device that learns by pulses; weights from -1 to 1."""
    preset = dict(
        w_min=-1.0,
        w_max=1.0,
        w_min_dtod=0.0,
        w_max_dtod=0.0,
        dw_min={dw_min},
        dw_min_std={spread},
        dw_min_dtod=0.0,
        up_down_dtod=0.0,
        piecewise_up={up},
        piecewise_down={down},
    )
    return PiecewiseStepDevice(**{{**preset, **changes}})
'''

_PROGRAMMED = '''"""{title}, for aihwkit. {source}."""

import numpy as np
from aihwkit.inference.converter.conductance import SinglePairConductanceConverter
from aihwkit.inference.noise.base import BaseNoiseModel

G_MIN, G_MAX = {g_min}, {g_max}  # microsiemens
LEVELS = {levels}  # microsiemens, programmed by compliance
SPREADS = {spreads}  # microsiemens
LATER = {later}  # seconds: microsiemens


def _at(g, values):
    """`values` at the conductances `g`, of the same kind as `g`: a tensor or an array."""
    found = np.interp(np.asarray(g, dtype=float), LEVELS, values)
    return g.new_tensor(found) if hasattr(g, "new_tensor") else found


class ComplianceProgrammed(BaseNoiseModel):
    """Conductances as a compliance sets them: spread when programmed, and what is left later."""

    def __init__(self, seed=0):
        super().__init__(SinglePairConductanceConverter(g_min=G_MIN, g_max=G_MAX))
        self.random = np.random.default_rng(seed)

    def apply_programming_noise_to_conductance(self, g_target):
        noise = _at(g_target, SPREADS) * _at_random(self.random, g_target)
        return g_target + noise

    def generate_drift_coefficients(self, g_target):
        return g_target

    def apply_drift_noise_to_conductance(self, g_prog, drift_noise_param, t_inference):
        times = sorted(LATER)
        left = [np.interp(np.log(max(t_inference, times[0])), np.log(times), column)
                for column in zip(*(LATER[time] for time in times))]
        return g_prog * _at(drift_noise_param, left) / _at(drift_noise_param, LEVELS)


def _at_random(random, g):
    drawn = random.standard_normal(tuple(g.shape))
    return g.new_tensor(drawn) if hasattr(g, "new_tensor") else drawn
'''

_CROSSSIM = '''"""{title}, for CrossSim 3. {source}.

Put it into simulator/devices/custom, import it in simulator/devices/device.py, and name its model "{name}";
set the device's Rmin to {r_min} ohm and Rmax to {r_max} ohm.
"""

import numpy as np
from simulator.devices.idevice import EmptyDevice

LEVELS = {levels}  # over the largest conductance, programmed by compliance
SPREADS = {spreads}
LATER = {later}  # seconds: over the largest conductance


class {name}(EmptyDevice):
    """Conductances as a compliance sets them."""

    def programming_error(self, input_):
        """Spread from cycle to cycle."""
        return input_ + np.interp(input_, LEVELS, SPREADS) * np.random.standard_normal(input_.shape)

    def read_noise(self, input_):
        """None: the model has no noise within a cycle."""
        return input_

    def drift_error(self, input_, time):
        """What is left of every level, straight between the times in their logarithm."""
        times = sorted(LATER)
        left = [np.interp(np.log(max(time, times[0])), np.log(times), column)
                for column in zip(*(LATER[one] for one in times))]
        programmed = self.programming_error(input_)
        return programmed * np.interp(input_, LEVELS, left) / np.interp(input_, LEVELS, LEVELS)
'''

_RESERVOIRPY = '''"""{title}, as a node of reservoirpy: devices that differ, driven by pulses of a voltage."""

from dataclasses import replace

from kmc_analysis.compact.equations.model import load_model
from kmc_analysis.compact.export.reservoirpy_device import Devices

MODEL = {name!r}
PARAMETERS = {{
{values}}}
SPREAD = {spread!r}
WIDTH_S = {width!r}  # of the longest pulse: at 0.6 V a third of 32 such pulses goes half of the way


def node(devices=50, seed=0, width_s=WIDTH_S, **settings):
    """Features between 0 and 1: the logarithm of each device's conductance."""
    model = replace(load_model(MODEL), spread=SPREAD)
    return Devices(model, PARAMETERS, devices, seed, width_s=width_s, **settings)
'''
