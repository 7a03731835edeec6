"""Errors that are a user's to mend: one line that says where, what, the nearest name and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType


class UserError(Exception):
    """Bad input. The command line prints it as one line and leaves with exit code 2.

    Parameters
    ----------
    message : what is wrong, in a few words.
    where : "file:line" of the offending text, or "" when there is none.
    nearest : the valid name closest to the one given, or None.
    next_step : what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, where: str = "", nearest: str | None = None, next_step: str = "") -> None:
        super().__init__(message, where, nearest, next_step)
        self.message = message
        self.where = where
        self.nearest = nearest
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.message]
        if self.nearest:
            parts.append(f'did you mean "{self.nearest}"?')
        if self.next_step:
            parts.append(self.next_step)
        text = "; ".join(parts)
        return one_line(f"{self.where}: {text}" if self.where else text)

    def at(self, where: str) -> UserError:
        """The same error at `where`; a place already known is kept."""
        return self if self.where else type(self)(self.message, where, self.nearest, self.next_step)


class CorruptFile(UserError):
    """A dataset or checkpoint that cannot be read. The command line leaves with exit code 3."""

    exit_code = 3


def optional(module: str, extra: str, who: str, otherwise: str = "") -> ModuleType:
    """A module that an extra of the package brings. UserError, with how to get it, where it is missing."""
    try:
        return import_module(module)
    except ImportError:
        told = f"{who} needs {module.partition('.')[0]}, which is not installed"
        step = f"in the project's folder: .venv/bin/pip install -e '.[{extra}]'{otherwise}"
        raise UserError(told, next_step=step) from None


_LETTERS = 4  # of a name that was cut short


def nearest(name: object, names: Iterable[str]) -> str | None:
    """The entry of `names` that begins with `name` (some letters of it), or is most like it; else None."""
    by_folded = {candidate.lower(): candidate for candidate in names}
    given = str(name).lower()
    begun = [one for one in by_folded if one.startswith(given)] if len(given) >= _LETTERS else []
    found = begun[:1] or difflib.get_close_matches(given, by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def listed(names: Iterable[str], near: str | None = None) -> str:
    """The next step after a wrong name: rename it where one is near, else the names there are."""
    known = list(names)
    if near:
        return "rename it or remove it"
    return "use one of: " + ", ".join(known[:30]) + (" ..." if len(known) > 30 else "")


def one_line(text: str) -> str:
    """`text` without line breaks and other control characters, which a file could put into a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
