"""A window of a stack as a picture: one cut across the layers and plane views of the active layer.

Every region has its colour, and so has the room for metal between crystals or grains. The silver left in the
organic layer and the widest channel above it are drawn in.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmc.cards.card import Card
from kmc.core.random_streams import stream
from kmc.geometry import builder, percolation
from kmc.geometry.lattice import ACTIVE, OPEN, Lattice, Region
from kmc.inputs.settings import Settings
from kmc.plotting.figure_files import save
from kmc.plotting.plot_style import with_choices

# Name, colour (red, green, blue) and meaning of what a site can be drawn as.
_SHADES: dict[str, tuple[tuple[int, int, int], str]] = {
    "electrode": ((186, 192, 200), "silver"),
    "core": ((240, 178, 74), "crystal"),
    "surface": ((206, 126, 40), "crystal surface"),
    "gap": ((228, 236, 242), "ligand chains"),
    "void": ((190, 212, 228), "void"),
    "boundary": ((190, 212, 228), "grain boundary"),
    "open": ((58, 124, 182), "room for metal"),
    "organic": ((205, 193, 226), "organic"),
    "counter": ((92, 98, 120), "counter electrode"),
    "residue": ((70, 74, 82), "silver left by forming"),
}
_CHANNEL = "#c2183c"
_INK = "#22262e"
_MARGIN_NM = 2.4
_MOST_VIEWS = 4
# Inches: the axes' height and the width of the cut at most, what labels and legend take.
_TALLEST, _WIDEST = 6.6, 3.3
_LEFT, _NAMES, _RIGHT, _BETWEEN = 0.55, 1.35, 0.12, 0.52
_ROW, _LABEL, _ENTRY = 0.17, 0.42, 1.65


@dataclass(frozen=True)
class _Scene:
    """What a picture shows.

    shade: uint8 [z, depth, width], turned so that the channel's foot is in the middle of the window; path:
    the channel, bool of the same shape, or None; axes: names of the lateral axes (width, depth); aside: sites
    from the middle to the cut, which stays within the channel; names: of the layers.
    """

    lattice: Lattice
    shade: np.ndarray
    path: np.ndarray | None
    width_nm: float
    axes: str
    aside: int
    names: dict[str, str]

    @property
    def lateral_nm(self) -> tuple[float, float]:
        """Width and depth of the window (nm)."""
        step = self.lattice.spacing_nm
        return self.shape[2] * step, self.shape[1] * step

    @property
    def shape(self) -> tuple[int, int, int]:
        """(planes, depth, width) in sites."""
        return self.shade.shape


def draw(
    stack: Any, lattice: Lattice | None = None, settings: Settings | None = None, seed: int = 0, path: str | None = None
) -> Any:
    """Draw a window of `stack`; returns the Axes of the cut across the layers (its `figure` is the whole).

    lattice: the one to draw, else it is built as a run with `settings` and `seed` builds it; path: where to
    save the picture, its ending says how (png, pdf, svg). The window is shown with the channel in its middle.
    """
    if lattice is None:
        lattice = builder.build(stack, settings or Settings(), stream(seed, "morphology"))
    scene = _scene(stack, lattice)
    planes = _planes(scene)
    told = "" if stack.choices else stack.description  # which choices make untrue
    title = (told or with_choices(stack.name, stack.choices)).replace("CsPbBr3", "CsPbBr$_3$")
    main, views = _panels(scene, len(planes), title)
    _cut(main, scene)
    for k, (axes, plane) in enumerate(zip(views, planes, strict=True)):
        _view(axes, main, scene, plane, chr(ord("b") + k))
    if path is not None:
        save(main.figure, Path(path), dpi=300)
    return main


def _scene(stack: Any, lattice: Lattice) -> _Scene:
    """Shades, names, and the channel in the middle; the cut is the one that shows more of the crystals."""
    keys = list(_SHADES)
    table = np.array([keys.index(region.name.lower()) for region in Region], dtype=np.uint8)
    shade = table[lattice.region]
    shade[(lattice.room == OPEN) & lattice.mask(*ACTIVE)] = keys.index("open")
    shade[lattice.residue] = keys.index("residue")
    names = {"electrode": _printed(stack.electrode), "counter": _printed(stack.counter.card)}
    if stack.organic is not None:
        names["organic"] = _printed(stack.organic.card)
    if stack.active is None:
        return _Scene(lattice, shade, None, 0.0, "xy", 0, names)
    capped = f"{_printed(stack.ligand)}-capped\n" if stack.ligand is not None else ""
    names["active"] = capped + _printed(stack.active.card)
    channel = percolation.of(lattice)
    middle = (lattice.shape[1] // 2, lattice.shape[2] // 2)
    turn = (0, middle[0] - channel.y, middle[1] - channel.x)
    shade, path = np.roll(shade, turn, (0, 1, 2)), np.roll(channel.path, turn, (0, 1, 2))
    crystal = shade == keys.index("core")
    near = range(-(channel.width // 2), channel.width // 2 + 1)
    cuts = {(False, k): crystal[:, middle[0] + k].mean() for k in near}
    cuts |= {(True, k): crystal[:, :, middle[1] + k].mean() for k in near}
    turned, aside = max(cuts, key=lambda cut: cuts[cut])
    if turned:
        shade, path = shade.transpose(0, 2, 1), path.transpose(0, 2, 1)
    axes = "yx" if turned else "xy"
    return _Scene(lattice, shade, path, channel.width * lattice.spacing_nm, axes, aside, names)


def _printed(card: Card) -> str:
    """A card's symbol, its numbers lowered, or else its name."""
    return re.sub(r"(\d)", r"$_\1$", card.symbol) or card.name.replace("_", " ").upper()


def _planes(scene: _Scene) -> list[int]:
    """Planes of the views from above: evenly through the active layer, from the silver down."""
    lattice = scene.lattice
    low, high = lattice.organic_surface(), int(np.median(lattice.silver_surface()))
    if scene.path is None:
        return []
    tall = lattice.extent_nm[0] + 2 * _MARGIN_NM
    count = int(np.clip(round(tall / scene.lateral_nm[0]), 2, _MOST_VIEWS))
    return [round(low + (high - low) * (k + 0.5) / count) for k in reversed(range(count))]


def _panels(scene: _Scene, count: int, title: str) -> tuple[Any, list[Any]]:
    """The cut at the left and `count` views from above stacked at the right, between title and legend."""
    from matplotlib.figure import Figure

    wide, deep = scene.lateral_nm
    depth = scene.lattice.extent_nm[0] + 2 * _MARGIN_NM
    tall = min(_TALLEST, _WIDEST * depth / wide)
    cut = tall * wide / depth
    each = (tall - (count - 1) * _BETWEEN) / max(count, 1)
    view = each * wide / deep if count else 0.0
    if view > cut:
        each, view = each * cut / view, cut
    wide_in = _LEFT + cut + _NAMES + view + _RIGHT
    lines = textwrap.wrap(title, int(13 * wide_in))
    items, columns = _legend_items(scene), max(2, int(wide_in / _ENTRY))
    bottom = _LABEL + _ROW * (-(-len(items) // columns)) + 0.1
    size = (wide_in, bottom + tall + 0.42 + 0.16 * (len(lines) - 1))
    figure = Figure(figsize=size)
    figure.text(0.1 / size[0], 1 - 0.07 / size[1], "\n".join(lines), fontsize=9, color=_INK, va="top")
    figure.legend(
        handles=items,
        loc="lower left",
        bbox_to_anchor=(0.0, 0.0),
        ncols=columns,
        fontsize=7.5,
        frameon=False,
        handlelength=1.3,
        handleheight=0.9,
        columnspacing=1.4,
    )

    def place(left: float, bottom: float, width: float, height: float) -> Any:
        return figure.add_axes((left / size[0], bottom / size[1], width / size[0], height / size[1]))

    main = place(_LEFT, bottom, cut, tall)
    step = (tall - each) / max(1, count - 1)
    lows = [bottom + tall - each - k * step for k in range(count)]
    return main, [place(_LEFT + cut + _NAMES, low, view, each) for low in lows]


def _colours(shade: np.ndarray) -> np.ndarray:
    palette = np.array([colour for colour, _ in _SHADES.values()], dtype=np.uint8)
    return palette[shade]


def _cut(axes: Any, scene: _Scene) -> None:
    """The cut across the layers, through the foot of the channel; heights count from what the film is on."""
    lattice, step = scene.lattice, scene.lattice.spacing_nm
    margin = round(_MARGIN_NM / step)
    shade = _with_shadow(scene)
    image = _colours(np.pad(shade, ((margin, margin), (0, 0)), mode="edge"))
    floor = lattice.organic_surface()
    low, left = -(floor + margin) * step, -(scene.shape[2] // 2) * step
    extent = (left, left + scene.lateral_nm[0], low, low + image.shape[0] * step)
    if scene.path is not None:
        # A way that leaves the cut is drawn as its shadow on it.
        _outline(axes, np.any(scene.path, axis=1), (left, -floor * step), step)
    title = f"a   cut at {scene.axes[1]} = {_number((scene.aside + 0.5) * step)} nm"
    ground = "organic layer" if "organic" in scene.names else "counter electrode"
    _dress(axes, image, extent, (f"{scene.axes[0]} (nm)", f"height above the {ground} (nm)", title))
    _name_layers(axes, scene, extent)


def _with_shadow(scene: _Scene) -> np.ndarray:
    """The cut's shades [z, x]. What forming left in the channel is drawn as its shadow, as the channel is:
    where that leaves the cut its tip would seem farther from the silver than it is."""
    shade = scene.shade[:, scene.shape[1] // 2 + scene.aside].copy()
    if scene.path is not None:
        residue = list(_SHADES).index("residue")
        shade[((scene.shade == residue) & scene.path).any(axis=1)] = residue
    return shade


def _name_layers(axes: Any, scene: _Scene, extent: tuple[float, ...]) -> None:
    lattice, step = scene.lattice, scene.lattice.spacing_nm
    floor = lattice.organic_surface()
    top = float(lattice.silver_surface().mean() - floor) * step
    places = {
        "electrode": (extent[3] + lattice.silver_surface().max() * step - floor * step) / 2,
        "active": top / 2,
        "organic": -(floor - 2) * step / 2,
        "counter": extent[2] + _MARGIN_NM / 2 + step,
    }
    for key, place in places.items():
        if key in scene.names:
            axes.annotate(
                scene.names[key],
                (0, place),
                xytext=(1.02, place),
                textcoords=("axes fraction", "data"),
                fontsize=7.5,
                color=_INK,
                va="center",
                ha="left",
                linespacing=1.15,
            )


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
    step = scene.lattice.spacing_nm
    left, low = -(scene.shape[2] // 2) * step, -(scene.shape[1] // 2) * step
    extent = (left, left + scene.lateral_nm[0], low, low + scene.lateral_nm[1])
    height = (plane + 0.5 - scene.lattice.organic_surface()) * step
    if scene.path is not None:
        _outline(axes, scene.path[plane], (left, low), step)
    axes.axhline((scene.aside + 0.5) * step, color=_INK, linewidth=0.6, linestyle=(0, (5, 4)))
    main.axhline(height, color=_INK, linewidth=0.6, linestyle=(0, (1, 2.5)))
    main.annotate(
        letter,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 1.5),
        fontsize=7.5,
        textcoords="offset points",
        fontweight="bold",
        ha="right",
        color=_INK,
    )
    labels = (f"{scene.axes[0]} (nm)", f"{scene.axes[1]} (nm)", f"{letter}   plane at {_number(height)} nm")
    _dress(axes, _colours(scene.shade[plane]), extent, labels)


def _number(value: float) -> str:
    """One decimal, with the minus sign that the axes have."""
    return f"{value:.1f}".replace("-", "\N{MINUS SIGN}")


def _dress(axes: Any, image: np.ndarray, extent: tuple[float, ...], labels: tuple[str, str, str]) -> None:
    """Image, labels (x, y, title) and frame of one panel."""
    from matplotlib.ticker import MaxNLocator

    axes.imshow(image, origin="lower", extent=extent, interpolation="nearest", aspect="auto")
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    inches = axes.bbox.height / axes.figure.dpi
    axes.yaxis.set_major_locator(MaxNLocator(max(5, int(2 * inches)), steps=[1, 2, 5, 10]))
    axes.set_xlabel(labels[0], fontsize=7.5, labelpad=2)
    axes.set_ylabel(labels[1], fontsize=7.5, labelpad=2)
    axes.set_title(labels[2], loc="left", fontsize=8, color=_INK, pad=3)
    axes.tick_params(labelsize=7, length=2.5, width=0.6, color=_INK)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(_INK)


def _legend_items(scene: _Scene) -> list[Any]:
    """Only what the picture shows, and in numbers what the channel is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(np.unique(scene.shade).tolist())
    items: list[Any] = [
        Patch(facecolor=(red / 255, green / 255, blue / 255), edgecolor=_INK, linewidth=0.4, label=meaning)
        for k, ((red, green, blue), meaning) in enumerate(_SHADES.values())
        if k in present
    ]
    if scene.width_nm > 0:
        label = f"widest channel, {scene.width_nm:.1f} nm (shadow)"
        items.append(Line2D([], [], color=_CHANNEL, linewidth=1.2, label=label))
    return items
