"""What a name or path stands for: a card, a stack, a run file or a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_OF_A_RESERVOIR = {"data", "encoding", "feeding", "kinetic", "readout"}  # entries that nothing else has


def kind_of(text: str) -> tuple[str, Path]:
    """What a name or path is (card, stack, run, study), and its file."""
    from kmc.cards import card, yaml_documents
    from kmc.core.errors import UserError, nearest
    from kmc.inputs.run_file import OF_A_STUDY

    if not ("/" in text or text.endswith((".yaml", ".yml")) or _is_there(Path(text))):
        known = {path.stem: (kind, path) for kind in ("card", "stack") for path in card.list_data(kind)}
        if text in known:
            return known[text]
        if not Path(text).exists():  # what is there is a folder, which is refused as one
            here = f"{text}.yaml" if Path(f"{text}.yaml").is_file() else None
            step = "name a card or stack, or give a path to a .yaml file"
            raise UserError(f'no card or stack is called "{text}"', "", here or nearest(text, known), step)
    path = Path(text)
    for name in ("study.yaml", "run.yaml"):  # the folder stands for its file, as with kmc run and kmc study
        path = path / name if (path / name).is_file() else path
    document = yaml_documents.read(path, "stack: ogb_20nm (a run or study) or family: ligand (a card)")
    many = path.name == "study.yaml" or any(key in document for key in OF_A_STUDY)
    if "protocol" in document or "stack" in document:
        return ("study" if many else "run"), path
    if _OF_A_RESERVOIR & set(document):
        step = f"kmc reservoir {path} checks it before it begins"
        raise UserError("this is a reservoir file", f"{path}:1", next_step=step)
    if many:
        return "study", path
    if path.name == "run.yaml":
        return "run", path
    return ("stack" if _is_stack(document, path) else "card"), path


def _is_there(path: Path) -> bool:
    """Whether a name is a file or a folder that stands for one; results may lie in one called like a card."""
    return path.is_file() or any((path / name).is_file() for name in ("study.yaml", "run.yaml"))


def _is_stack(document: Any, path: Path) -> bool:
    """Whether a file without protocol is a stack: by its family, or by what it extends."""
    from kmc.cards import card
    from kmc.cards.stack_parts import KEYS
    from kmc.core.errors import UserError, nearest

    if "family" in document or "extends" not in document:
        return document.get("family") == "stack"
    if any(key in KEYS for key in document):
        return True
    try:
        card.find_data("card", str(document["extends"]), path, skip=(path.resolve(),))
    except UserError:
        known = {kind: [one.stem for one in card.list_data(kind, path)] for kind in ("card", "stack")}
        return nearest(document["extends"], known["stack"] + known["card"]) not in known["card"]
    return False
