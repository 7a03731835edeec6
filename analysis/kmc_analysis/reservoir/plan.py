"""reservoir.yaml: spike data, how trains feed the devices, the devices, and the readout; checked with file
and line.

Times are in s, voltages in V, conductances in S.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, WrapValidator, field_validator, model_validator

from kmc.cards import yaml_documents
from kmc.cards.validators import Refused, build, nested, parsed, positive
from kmc.cards.yaml_documents import check_keys, place
from kmc.core.errors import UserError
from kmc.core.units import format_si
from kmc.inputs.overrides import apply_sets

_Volt = Annotated[float, parsed("V", -100.0, 100.0)]
_Second = Annotated[float, positive("s")]
_Siemens = Annotated[float, positive("S")]
_Frozen = ConfigDict(frozen=True, extra="forbid")
_Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


def _placed(value: Any, check: Callable[[Any], Any]) -> Any:
    """A mapping as it came, with the lines of its entries, which pydantic's copy of it has not."""
    checked = check(value)
    return value if isinstance(value, yaml_documents.Mapping) else checked


def _check_whole(what: str, time_s: float, slot: str, slot_s: float, where: str = "") -> None:
    """A time that is rounded to slots would be another one than was asked for. Raises Refused."""
    nearest_s = slot_s * max(1, round(time_s / slot_s))
    if not math.isclose(time_s, nearest_s, rel_tol=1e-9):
        given, unit, step = (format_si(one, "s", 9) for one in (time_s, slot_s, nearest_s))
        raise Refused(UserError(f"{what}{given} is no multiple of {slot}, {unit}", where, next_step=f"write {step}"))


class Data(BaseModel):
    """The spike trains: generated, or from a file of one's own (`file`, beside the yaml)."""

    model_config = _Frozen
    samples: Annotated[int, Field(strict=True, ge=8, le=100_000)] = 1990
    test: _Count = 498
    duration: _Second = 0.75
    jitter: Annotated[float, parsed("s", 0.0, 1.0)] = 5e-3
    noise: Annotated[float, parsed("V", 0.0, 0.1)] = 5e-4
    current_spread: Annotated[float, parsed("", 0.0, 0.5)] = 0.05
    file: str | None = None

    @model_validator(mode="after")
    def _some_left(self) -> Data:
        if self.file is None and self.test >= self.samples:
            raise ValueError(f"none is left to train with: {self.test} of {self.samples} samples are to test")
        return self

    @property
    def unread(self) -> list[str]:
        """What was given of generated trains beside a file of them."""
        if self.file is None:
            return []
        return [key for key in ("samples", "noise", "current_spread") if key in self.model_fields_set]


class Encoding(BaseModel):
    """Spikes as voltages: a write for each spike on a grid of slots, a read at the end.

    A slot of the device's time stands for `bin` of the neuron's, which is as long unless it is given.
    """

    model_config = _Frozen
    slot: _Second = 5e-3
    bin: Annotated[float | None, positive("s")] = None
    amplitude: _Volt = 1.0
    width: Annotated[_Second, Field(validate_default=True)] = 20e-3
    read_amplitude: _Volt = -0.5
    read_width: _Second = 5e-3

    @model_validator(mode="after")
    def _reads(self) -> Encoding:
        if self.read_amplitude == 0.0:
            raise ValueError("read_amplitude is 0 V, at which no current tells a conductance")
        return self

    @field_validator("width")
    @classmethod
    def _whole(cls, width: float, info: ValidationInfo) -> float:
        if "slot" in info.data:
            _check_whole("", width, "slot", info.data["slot"])
        return width

    @property
    def slots(self) -> int:
        """The slots that one write takes."""
        return round(self.width / self.slot)

    @property
    def bin_s(self) -> float:
        """The neuron's time of one slot."""
        return self.slot if self.bin is None else self.bin


class Feeding(BaseModel):
    """How one train feeds all nodes (the experiment's text does not say).

    Node k sees the `window` (of the neuron's time) of the train that ends where it is read: evenly `spaced`
    times, `random` ones, or all at the `end`. Its amplitude is the encoding's times a gain from `least_gain`
    to 1, evenly spaced in random order.
    """

    model_config = _Frozen
    nodes: Annotated[int, Field(strict=True, ge=1, le=1000)] = 30
    reads: Literal["spaced", "random", "end"] = "spaced"
    window: _Second = 50e-3
    least_gain: Annotated[float, parsed("", 0.01, 1.0)] = 1.0
    devices: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None


def _check_window(feeding: Feeding, encoding: Encoding, where: str = "") -> None:
    name = "encoding.slot" if encoding.bin is None else "encoding.bin"
    _check_whole("window = ", feeding.window, name, encoding.bin_s, where)


class Devices(BaseModel):
    """The reservoir's devices: a compact model, changes of its parameters, and their two spreads.

    model: one that comes with the program, or a .yaml of one's own, beside the plan.
    parameters: a fit that comes with the program (ogb_20nm, ogb_20nm_even_weights), the parameters.json of
    `kmc compact fit`, or a mapping; device_spread and cycle_spread multiply the standard deviations.
    windows: how many of the model are in parallel behind one limiter, as in the settings of a run; each
    differs from the others as devices do, and what it conducts when off is its share of the contact's.
    """

    model_config = _Frozen
    model: str = "silver"
    parameters: Annotated[str | dict[str, Any], WrapValidator(_placed)] = "ogb_20nm_even_weights"
    compliance: Annotated[float, positive("A")] = 1e-6
    device_spread: Annotated[float, parsed("", 0.0, 10.0)] = 1.0
    cycle_spread: Annotated[float, parsed("", 0.0, 10.0)] = 1.0
    windows: Annotated[int, Field(strict=True, ge=1, le=32)] = 1
    off: _Siemens = 1e-10
    on: _Siemens = 1e-5

    @model_validator(mode="after")
    def _rises(self) -> Devices:
        if self.off >= self.on:
            raise ValueError("off is not below on")
        return self


class Readout(BaseModel):
    """The readout: learning rate, epochs, and the differential devices of the experiment's note 4.

    A pair is rewritten when it is asked to change by more than `threshold`. constant: whether one more input
    is always 1. leak: of the ideal reservoir that it is compared with.
    """

    model_config = _Frozen
    rate: Annotated[float, parsed("", 0.0, 100.0, above=True)] = 0.01
    epochs: Annotated[int, Field(strict=True, ge=1, le=1000)] = 5
    output: Literal["softmax", "linear"] = "softmax"
    constant: Annotated[bool, Field(strict=True)] = True
    initial_mean: _Siemens = 0.5e-3
    initial_sigma: _Siemens = 0.1e-3
    most: _Siemens = 0.35e-3
    least: _Siemens = 0.1e-3
    threshold: Annotated[float, parsed("S", 0.0, 1.0)] = 1e-6
    leak: _Second = 30e-3

    @model_validator(mode="after")
    def _rises(self) -> Readout:
        if self.least >= self.most:
            raise ValueError("least is not below most")
        return self


class Kinetic(BaseModel):
    """Source (a): the stack, its choices and the settings of the study, and how many samples it covers."""

    model_config = _Frozen
    stack: str = "ogb_20nm"
    choices: dict[str, Any] = {}
    settings: dict[str, Any] = {"window": "8 nm"}
    samples: _Count = 40

    @field_validator("settings")
    @classmethod
    def _windows(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "windows" in settings:
            raise ValueError("windows belong to devices.windows, which both sources of states read")
        return settings


class Plan(BaseModel):
    """A whole reservoir.yaml."""

    model_config = _Frozen
    description: str = ""
    data: Annotated[Data, nested(Data, "data", "data: {jitter: 5 ms}")] = Data()
    encoding: Annotated[Encoding, nested(Encoding, "encoding", "encoding: {width: 20 ms}")] = Encoding()
    feeding: Annotated[Feeding, nested(Feeding, "feeding", "feeding: {nodes: 30}"), Field(validate_default=True)] = (
        Feeding()
    )
    devices: Annotated[Devices, nested(Devices, "devices", "devices: {model: silver}")] = Devices()
    readout: Annotated[Readout, nested(Readout, "readout", "readout: {rate: 0.1}")] = Readout()
    kinetic: Annotated[Kinetic, nested(Kinetic, "kinetic", "kinetic: {stack: ogb_20nm}")] = Kinetic()
    sweep: dict[str, list[Any]] = {}
    seeds: Annotated[int, Field(strict=True, ge=1, le=1000)] = 10
    seed: Annotated[int, Field(strict=True, ge=0)] = 1
    path: Path = Path()
    sets: tuple[str, ...] = ()  # what was changed of the file at `path`: both load the plan again

    @field_validator("feeding", mode="wrap")
    @classmethod
    def _whole(cls, value: Any, check: Callable[[Any], Feeding], info: ValidationInfo) -> Feeding:
        feeding = check(value)
        if "encoding" in info.data:
            _check_window(feeding, info.data["encoding"], place(value, "window"))
        return feeding

    def beside(self, name: str) -> Path:
        """A file that the yaml names, relative to the yaml."""
        return self.path.parent / name

    def changed(self, **parts: dict[str, Any]) -> Plan:
        """A copy with entries of some parts changed: changed(feeding={"nodes": 10})."""
        made: dict[str, Any] = {}
        for name, changes in parts.items():
            part = getattr(self, name)
            made[name] = build(type(part), {**part.model_dump(exclude_unset=True), **changes}, name)
        changed = self.model_copy(update=made)
        try:
            _check_window(changed.feeding, changed.encoding)
        except Refused as error:
            raise error.cause from None
        return changed


def load(path: Path, sets: Iterable[str] = (), seed: int | None = None) -> Plan:
    """The plan in a reservoir.yaml, with `sets` ("data.samples=400") and the first seed over it.

    Raises UserError with file and line.
    """
    raw = yaml_documents.read(path, "data: {samples: 1990}")
    changes = [*sets, *([] if seed is None else [f"seed={seed}"])]
    own = ("path", "sets")
    apply_sets(raw, changes, tuple(key for key in Plan.model_fields if key not in own), "a reservoir file")
    check_keys(raw, [key for key in Plan.model_fields if key not in own], "the plan")
    plan = build(Plan, raw, "the plan", "see runs/firing_patterns/reservoir.yaml")
    return plan.model_copy(update={"path": path, "sets": tuple(changes)})
