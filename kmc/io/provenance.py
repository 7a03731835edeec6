"""What a dataset says of its making: the resolved run, card hashes, versions, when and where."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kmc.core.jit_cache import engine_hash, source_hash
from kmc.io.variables import CONVENTIONS, SCHEMA_VERSION

if TYPE_CHECKING:
    import xarray as xr

    from kmc.cards.stack import Stack
    from kmc.inputs.protocol import Protocol
    from kmc.inputs.settings import Settings

_PACKAGES = ("halide-kmc", "numpy", "numba", "xarray", "netCDF4", "scipy", "pydantic")
# Settings that say when to look or stop, not what happens.
LOOKS = ("wall_limit_s", "event_budget")


class _Stack(BaseModel):
    """Of the stack, its hash."""

    model_config = ConfigDict(extra="allow", strict=True)

    hash: str


class ResolvedRun(BaseModel):
    """The entries of a resolved run, in a record or a dataset, that the program reads; others are kept unchanged."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str
    stack: _Stack
    protocol: list[Any]
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]


def describe(
    stack: Stack,
    protocol: Protocol,
    settings: Settings,
    seed: int,
    *,
    name: str = "",
    initial: str | None = None,
    snapshots: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The resolved run as plain data: all that decides the result, with card hashes, the numbers behind
    these, versions and sources."""
    cards = stack.cards()
    return {
        "name": name or stack.name,
        "stack": {
            "name": stack.name,
            "hash": stack.hash,
            "choices": plain(dict(stack.choices)),
            **({} if stack.crystal is None else {"order": stack.crystal.order}),
        },
        "cards": {
            role: {"name": card.name, "symbol": card.symbol, "hash": card.hash} for role, card in sorted(cards.items())
        },
        "numbers": {
            path: {"value": one.value, "unit": one.unit, "kind": one.kind, "sigma": one.sigma}
            for path, one in stack.numbers().items()
        },
        "protocol": plain(protocol.to_data()),
        "settings": plain(settings.model_dump()),
        "seed": int(seed),
        "initial": initial,
        "snapshots": plain(snapshots or {}),
        "sources": stack.sources(),
        "versions": versions(),
    }


def window_nm(lattice: Any) -> list[float]:
    """The sides of the window along y and x, which holds whole crystals, nm."""
    return [round(float(count * lattice.spacing_nm), 6) for count in lattice.shape[1:]]


def attributes(run: Mapping[str, Any], **provenance: Any) -> dict[str, str]:
    """Global attributes: `run` is the same for the same seed, `provenance` (time, host, wall) may differ."""
    where = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "system": platform.platform(),
        **provenance,
    }
    return {
        "Conventions": CONVENTIONS,
        "schema_version": SCHEMA_VERSION,
        "title": f"Kinetic Monte Carlo run {run.get('name', '')}".strip(),
        "run": json.dumps(run, sort_keys=True),
        "provenance": json.dumps(where, sort_keys=True),
    }


def run_hash(run: Mapping[str, Any]) -> str:
    """SHA-256 of what decides the result: not the run's name, wording, versions, nor when to look or stop.

    Of cards all counts but prose: names, kinds, sources and spreads, too (`Card.hash`).
    """
    kept = {key: run.get(key) for key in ("protocol", "seed", "initial", "snapshots")}
    kept["stack"] = dict(run["stack"])["hash"]
    kept["settings"] = {k: v for k, v in dict(run.get("settings") or {}).items() if k not in LOOKS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def run_of(ds: xr.Dataset) -> dict[str, Any]:
    """The resolved run of a dataset, {} where it has none."""
    try:
        found = json.loads(ds.attrs.get("run", "{}"))
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def lacking(ds: xr.Dataset) -> str:
    """What the resolved run of a dataset lacks of ResolvedRun, "" where it is whole."""
    try:
        ResolvedRun.model_validate(run_of(ds))
    except ValidationError as error:
        return "run" if not run_of(ds) else f"{error.errors()[0]['loc'][0]} in its run"
    return ""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results can depend on; hashes of the kernels' and of all
    the engine's sources."""
    return dict(_versions())


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "kernels": source_hash(), "engine": engine_hash()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """`value` (pydantic models, dataclasses, paths, numpy scalars inside) as what JSON can hold."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {key: plain(getattr(value, key)) for key in value.__dataclass_fields__}
    if hasattr(value, "dtype"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
