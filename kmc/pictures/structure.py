"""A window of a stack as a picture: one cut across the layers and plane views of the active layer.

Every region has its colour; where metal fits between crystals the colour is deeper. The silver left in
the organic layer and the widest channel above it are drawn in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kmc import channels, morphology
from kmc.lattice import ACTIVE, Lattice, Region
from kmc.settings import Settings
from kmc.streams import stream

# Name, colour (red, green, blue) and meaning of what a site can be drawn as.
_SHADES: dict[str, tuple[tuple[int, int, int], str]] = {
    "electrode": ((186, 192, 200), "silver"),
    "core": ((240, 178, 74), "crystal"),
    "surface": ((206, 126, 40), "crystal surface"),
    "gap": ((226, 235, 241), "ligand chains"),
    "open": ((122, 178, 214), "gap with room for metal"),
    "void": ((48, 108, 162), "void"),
    "boundary": ((122, 178, 214), "grain boundary"),
    "organic": ((205, 193, 226), "organic"),
    "counter": ((92, 98, 120), "counter electrode"),
    "residue": ((70, 74, 82), "silver left by forming"),
}
_CHANNEL = "#c2183c"
_INK = "#22262e"
_MARGIN_NM = 2.4
_MOST_VIEWS = 4


@dataclass(frozen=True)
class _Scene:
    """What a picture shows: lattice, its shades (uint8 [z, y, x]) and channel, and the names of layers."""

    lattice: Lattice
    shade: np.ndarray
    channel: channels.Channel | None
    names: dict[str, str]


def draw(
    stack: Any,
    lattice: Lattice | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    width: float = 7.2,
    path: str | None = None,
) -> Any:
    """Draw a window of `stack`; returns the Axes of the cut across the layers.

    lattice: the one to draw, else it is built as a run with `settings` and `seed` builds it; width: of the
    figure (inch); path: where to save it, the ending says how (png, pdf, svg).
    """
    settings = settings or Settings()
    if lattice is None:
        lattice = morphology.build(stack, settings, stream(seed, "morphology"))
    scene = _scene(stack, lattice)
    figure, main, views = _panels(scene, width)
    _cut(main, scene)
    for axes, plane in zip(views, _planes(scene), strict=True):
        _view(axes, main, scene, plane, chr(ord("b") + views.index(axes)))
    _legend(figure, scene)
    figure.suptitle(stack.description or stack.name, fontsize=8.5, color=_INK)
    if path is not None:
        figure.savefig(path, dpi=300)
    return main


def _scene(stack: Any, lattice: Lattice) -> _Scene:
    keys = list(_SHADES)
    codes = {Region.COUNTER: "counter", Region.ORGANIC: "organic", Region.CORE: "core", Region.SURFACE: "surface",
             Region.GAP: "gap", Region.VOID: "void", Region.BOUNDARY: "boundary",
             Region.ELECTRODE: "electrode"}  # fmt: skip
    table = np.array([keys.index(codes[region]) for region in Region], dtype=np.uint8)
    shade = table[lattice.region]
    shade[(lattice.region == Region.GAP) & (lattice.room > 0)] = keys.index("open")
    shade[(lattice.region == Region.BOUNDARY) & (lattice.room == 0)] = keys.index("gap")
    shade[lattice.residue] = keys.index("residue")
    channel = channels.of(lattice) if stack.active is not None else None
    names = {"electrode": _pretty(stack.electrode.name), "counter": _pretty(stack.counter.card.name)}
    if stack.organic is not None:
        names["organic"] = _pretty(stack.organic.card.name)
    if stack.active is not None:
        ligand = f"{_pretty(stack.ligand.name)}-capped\n" if stack.ligand is not None else ""
        names["active"] = f"{ligand}CsPbBr$_3$"
    return _Scene(lattice, shade, channel, names)


def _pretty(name: str) -> str:
    """A card's name as it is written in print."""
    known = {"ag": "Ag", "au": "Au", "ito": "ITO", "ptpd": "pTPD", "pedot_pss": "PEDOT:PSS"}
    return known.get(name, name.replace("_", " ").upper())


def _planes(scene: _Scene) -> list[int]:
    """Planes of the views from above: evenly through the active layer, from the silver down."""
    lattice = scene.lattice
    low, high = lattice.organic_surface(), int(np.median(lattice.silver_surface()))
    if scene.channel is None:
        return [low // 2 + 1]
    tall = lattice.extent_nm[0] + 2 * _MARGIN_NM
    count = int(np.clip(round(tall / lattice.extent_nm[1]), 2, _MOST_VIEWS))
    return [round(low + (high - low) * (k + 0.5) / count) for k in reversed(range(count))]


def _panels(scene: _Scene, width: float) -> tuple[Any, Any, list[Any]]:
    """Figure with the cut at the left and the views from above stacked at the right, all to one scale."""
    from matplotlib.figure import Figure

    depth, deep, wide = scene.lattice.extent_nm
    depth += 2 * _MARGIN_NM
    count = len(_planes(scene))
    views = max(depth / count * 0.86, 1.0)
    ratio = views * wide / deep / wide
    body = 0.80 * width
    height = body * depth / (wide * (1 + min(ratio, 1.0)))
    height = float(np.clip(height, 2.4, 1.35 * width))
    figure = Figure(figsize=(width, height + 1.15), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.02, hspace=0.03)
    grid = figure.add_gridspec(count, 2, width_ratios=[1.0, min(ratio, 1.0)])
    main = figure.add_subplot(grid[:, 0])
    return figure, main, [figure.add_subplot(grid[k, 1]) for k in range(count)]


def _colours(shade: np.ndarray) -> np.ndarray:
    palette = np.array([colour for colour, _ in _SHADES.values()], dtype=np.uint8)
    return palette[shade]


def _cut(axes: Any, scene: _Scene) -> None:
    """The cut across the layers, through the foot of the channel; heights count from the organic's top."""
    lattice, step = scene.lattice, scene.lattice.spacing_nm
    y = scene.channel.y if scene.channel is not None else lattice.shape[1] // 2
    margin = round(_MARGIN_NM / step)
    image = _colours(np.pad(scene.shade[:, y], ((margin, margin), (0, 0)), mode="edge"))
    floor = lattice.organic_surface()
    low = -(floor + margin) * step
    extent = (0, lattice.extent_nm[2], low, low + image.shape[0] * step)
    axes.imshow(image, origin="lower", extent=extent, interpolation="nearest", aspect="equal")
    if scene.channel is not None and scene.channel.open:
        _outline(axes, scene.channel.path[:, y], (0, -floor * step), step)
    _dress(axes, "x (nm)", "height above the organic layer (nm)", "a")
    _name_layers(axes, scene, extent)


def _name_layers(axes: Any, scene: _Scene, extent: tuple[float, ...]) -> None:
    lattice, step = scene.lattice, scene.lattice.spacing_nm
    floor = lattice.organic_surface()
    top = float(lattice.silver_surface().mean() - floor) * step
    places = {"electrode": (extent[3] + lattice.silver_surface().max() * step - floor * step) / 2,
              "active": top / 2, "organic": -(floor - 2) * step / 2,
              "counter": extent[2] + _MARGIN_NM / 2 + step}  # fmt: skip
    for key, place in places.items():
        if key in scene.names:
            axes.annotate(scene.names[key], (0, place), xytext=(1.015, place), textcoords=("axes fraction", "data"),
                          fontsize=7, color=_INK, va="center", ha="left", linespacing=1.15)  # fmt: skip


def _outline(axes: Any, mask: np.ndarray, origin: tuple[float, float], step: float) -> None:
    """A line round the sites of a plane mask [row, column]."""
    padded = np.pad(mask.astype(float), 1)
    fine = np.kron(padded, np.ones((4, 4)))
    rows = origin[1] + (np.arange(fine.shape[0]) + 0.5) * step / 4 - step
    columns = origin[0] + (np.arange(fine.shape[1]) + 0.5) * step / 4 - step
    if mask.any():
        axes.contour(columns, rows, fine, levels=[0.5], colors=[_CHANNEL], linewidths=0.9)


def _view(axes: Any, main: Any, scene: _Scene, plane: int, letter: str) -> None:
    """One plane from above, and its height marked in the cut."""
    lattice, step = scene.lattice, scene.lattice.spacing_nm
    extent = (0, lattice.extent_nm[2], 0, lattice.extent_nm[1])
    axes.imshow(_colours(scene.shade[plane]), origin="lower", extent=extent, interpolation="nearest", aspect="equal")
    if scene.channel is not None:
        _outline(axes, scene.channel.path[plane], (0, 0), step)
        axes.axhline((scene.channel.y + 0.5) * step, color=_INK, linewidth=0.6, linestyle=(0, (4, 3)))
    height = (plane + 0.5 - lattice.organic_surface()) * step
    main.axhline(height, color=_INK, linewidth=0.6, linestyle=(0, (1, 2)))
    main.annotate(letter, (1, height), xycoords=("axes fraction", "data"), xytext=(-3, 1.5),
                  textcoords="offset points", fontsize=7, fontweight="bold", ha="right", color=_INK)  # fmt: skip
    _dress(axes, "x (nm)", "y (nm)", f"{letter}   at {height:.1f} nm")


def _dress(axes: Any, x_label: str, y_label: str, title: str) -> None:
    axes.set_xlabel(x_label, fontsize=7.5, labelpad=2)
    axes.set_ylabel(y_label, fontsize=7.5, labelpad=2)
    axes.set_title(title, loc="left", fontsize=8, color=_INK, pad=3)
    axes.tick_params(labelsize=7, length=2.5, width=0.6, color=_INK)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(_INK)


def _legend(figure: Any, scene: _Scene) -> None:
    """Only what the picture shows, and in numbers what the channel is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(np.unique(scene.shade).tolist())
    items: list[Any] = [
        Patch(facecolor=[c / 255 for c in colour], edgecolor=_INK, linewidth=0.4, label=meaning)
        for k, (colour, meaning) in enumerate(_SHADES.values())
        if k in present
    ]
    if scene.channel is not None and scene.channel.open:
        wide = scene.channel.width * scene.lattice.spacing_nm
        label = f"widest channel (at least {wide:.1f} nm)"
        items.append(Line2D([], [], color=_CHANNEL, linewidth=1.2, label=label))
    figure.legend(handles=items, loc="outside lower center", ncols=4, fontsize=7, frameon=False, handlelength=1.3,
                  handleheight=0.9, columnspacing=1.4)  # fmt: skip


def summary(stack: Any, lattice: Lattice) -> dict[str, float]:
    """The numbers of a window: sites, shares of the active layer, thickness and relief (nm), channel."""
    active = bool(lattice.mask(*ACTIVE).any())
    channel = channels.of(lattice) if active else None
    return {
        "sites": lattice.sites, "fill": lattice.fill(), "room": lattice.room_fraction(),
        "void": lattice.fraction(Region.VOID), "thickness_nm": lattice.thickness_nm(),
        "roughness_nm": lattice.roughness_nm(), "channel_width": channel.width if channel else 0,
        "channel_steps": channel.steps if channel else 0,
    }  # fmt: skip
