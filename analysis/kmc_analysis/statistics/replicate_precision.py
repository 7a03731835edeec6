"""How well a study knows a metric: for replicates that go on until it is known well enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from kmc.core import units
from kmc.core.errors import UserError
from kmc_analysis.metrics import METRICS
from kmc_analysis.statistics.comparison import REPLICATE, check_names, measure, of_level


class Tightness:
    """Half the 95 % interval of a metric's mean is to be `most` at most, in every variant.

    For metrics that span decades it is relative, of the geometric mean: 0.2 is a factor of 1.2.
    """

    def __init__(self, metric: str, width: Any, where: str = "") -> None:
        """Raises UserError at `where` for a metric that there is not, and for a width that is none."""
        try:
            check_names([metric])
            self.ratio = METRICS[metric].ratio
            unit = "1" if self.ratio else METRICS[metric].unit
            self.most = units.parse(width, unit.replace("1", ""), f"the width of {metric}")
        except UserError as error:
            raise error.at(where) from None
        if not self.most > 0:
            raise UserError(f"the width of {metric} is not more than zero", where, next_step="give a spread")
        self.metric, self.text = metric, str(width)

    def __str__(self) -> str:
        return f"{self.metric} within {self.text}"

    def widths(self, study: xr.Dataset) -> np.ndarray:
        """The half width of each variant; infinite where too few runs have the metric."""
        values = measure(study, [self.metric])[self.metric].transpose(..., REPLICATE).values
        return np.array([self._width(row) for row in values.reshape(-1, values.shape[-1])])

    def _width(self, row: np.ndarray) -> float:
        found = row[np.isfinite(row)]
        if self.ratio:
            found = np.log(found[found > 0])
        low, high = of_level(self.metric, found)
        if math.isnan(low):
            return math.inf
        return math.expm1((high - low) / 2) if self.ratio else (high - low) / 2
