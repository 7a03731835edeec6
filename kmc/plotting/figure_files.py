"""How pictures are saved: whole, with this program's name in them, and with nothing of the day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmc.core.atomic_files import replacing
from kmc.core.output_paths import MAKER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By this name `kmc.core.output_paths.PICTURE` recognises a picture that kmc drew, and that it may replace.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": MAKER},
    "pdf": {"Creator": MAKER, "CreationDate": None},
    "svg": {"Creator": MAKER, "Date": None},
}


def save(figure: Figure, path: Path, **options: Any) -> Path:
    """Save `figure` as what `path` ends in, as PNG where it has no ending; the same figure, the same bytes.

    options: of matplotlib's savefig, such as dpi. Raises WriteFailed.
    """
    from matplotlib import rc_context

    kind = path.suffix.lstrip(".").lower() or "png"
    # The names inside of an SVG are random without a salt.
    with replacing(path) as temporary, rc_context({"svg.hashsalt": MAKER}):
        figure.savefig(temporary, format=kind, facecolor="white", metadata=_METADATA.get(kind), **options)
    return path
