"""kmc structure: the window that a stack or a run file builds, in numbers and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kmc.cli.commands._options import Json, Sets
from kmc.core.errors import UserError

if TYPE_CHECKING:
    from kmc.cards.stack import Stack
    from kmc.geometry.lattice import Lattice
    from kmc.inputs.settings import Settings

_ROWS = {
    "width_nm": ("window, width", "nm"),
    "depth_nm": ("window, depth", "nm"),
    "sites": ("lattice sites", ""),
    "spacing_nm": ("distance of sites", "nm"),
    "organic_nm": ("organic layer", "nm"),
    "thickness_nm": ("active layer, mean of the window", "nm"),
    "roughness_nm": ("silver's lower face, rms in the window", "nm"),
    "crystal_share": ("active layer that is crystal", "%"),
    "room_share": ("room for metal in it", "%"),
    "channel_nm": ("widest channel, width", "nm"),
    "channel_way_nm": ("its way to the silver", "nm"),
    "residue_atoms": ("silver left by forming", "atoms"),
    "residue_gap_nm": ("from its tip to the silver", "nm"),
}


Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The run file's, or 0; others are other devices.")]
Out = Annotated[Path | None, typer.Option("--out", help="Draw it as this .png, .pdf or .svg.")]


def structure(
    what: Annotated[str, typer.Argument(help="A stack or run file, by name or path.")],
    seed: Seed = None,
    out: Out = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Build one window of a stack as a run builds it, and print what came of it; with --out draw it.

    Nothing is simulated. Numbers are of this window, not of the card: crystals are packed at random, so
    seeds differ. --set changes an entry of a run file.

    Examples:

        kmc structure ogb_20nm --out ogb.png

        kmc structure ddab_20nm --seed 3

        kmc structure runs/quick/run.yaml --set choices.ligand=ddab --out ddab.pdf
    """
    from kmc.core.output_paths import PICTURE, check_file
    from kmc.core.progress import spinner
    from kmc.core.random_streams import stream
    from kmc.geometry import builder
    from kmc.plotting.structure_plots import draw

    if out is not None:
        check_file(out, PICTURE)
    stack, settings, own_seed = _read(what, sets or [])
    seed = own_seed if seed is None else seed
    picture = None if out is None else str(out)
    with spinner("building the window", as_json, lines=False):
        lattice = builder.build(stack, settings, stream(seed, "morphology"))
        if picture is not None:
            draw(stack, lattice, path=picture)
    whole = {"stack": stack.name, "seed": seed, **_numbers(stack, lattice), "picture": picture}
    typer.echo(json.dumps(whole, indent=2) if as_json else "\n".join(_lines(whole, stack)))


def _read(what: str, sets: list[str]) -> tuple[Stack, Settings, int]:
    """A run file's stack, settings and seed, or a stack with what a run has by default. Raises UserError."""
    from kmc.cards.stack import load_stack
    from kmc.cli.commands._kinds import kind_of
    from kmc.inputs.run_file import load_run
    from kmc.inputs.settings import Settings

    kind, path = kind_of(what)
    if kind == "run":
        run = load_run(path, sets, must_exist=False)
        return run.device, run.settings, run.seed
    if kind != "stack":
        raise UserError(f"a {kind} has no structure of its own", what, next_step="name a stack or a run file")
    if sets:
        step = "make a copy of the stack, or give a run file, e.g. runs/quick/run.yaml"
        raise UserError("--set changes an entry of a run file, and this is a stack", what, next_step=step)
    return load_stack(path), Settings(), 0


def _numbers(stack: Stack, lattice: Lattice) -> dict[str, float | int | None]:
    """What a window has, by the keys of the table; without an active layer only what is left of it."""
    from kmc.geometry import percolation

    _, depth, width = lattice.extent_nm
    found: dict[str, float | int | None] = {
        "width_nm": width,
        "depth_nm": depth,
        "sites": lattice.sites,
        "spacing_nm": lattice.spacing_nm,
        "organic_nm": stack.organic.thickness_nm if stack.organic is not None else 0.0,
    }
    if stack.active is None:
        return found
    channel = percolation.of(lattice)
    return found | {
        "thickness_nm": lattice.thickness_nm(),
        "roughness_nm": lattice.roughness_nm(),
        "crystal_share": lattice.fill(),
        "room_share": lattice.room_fraction(),
        "channel_nm": channel.width * lattice.spacing_nm,
        "channel_way_nm": channel.steps * lattice.spacing_nm if channel.open else None,
        "residue_atoms": int(lattice.residue.sum()),
        "residue_gap_nm": _gap(lattice),
    }


def _gap(lattice: Lattice) -> float | None:
    """Least height from the silver that forming left to the electrode above it (nm); None without either."""
    z, y, x = lattice.residue.nonzero()
    if not len(z):
        return None
    return float((lattice.silver_surface()[y, x] - z - 1).min()) * lattice.spacing_nm


def _lines(whole: dict[str, Any], stack: Stack) -> Iterator[str]:
    """The table, and below it where the picture is; choices make a stack's description untrue."""
    from kmc.plotting.plot_style import with_choices

    named = f"{with_choices(stack.name, stack.choices)}, seed {whole['seed']}"
    yield named if stack.choices or not stack.description else f"{named}: {stack.description}"
    for key, (name, unit) in _ROWS.items():
        if key in whole:
            value = whole[key]
            shown = "none" if value is None else f"{_shown(value, unit)} {unit}"
            yield f"  {name:<40}{shown}".rstrip()
    if whole["picture"] is not None:
        yield whole["picture"]


def _shown(value: float | int, unit: str) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{100 * value:.1f}" if unit == "%" else f"{value:.4g}"
