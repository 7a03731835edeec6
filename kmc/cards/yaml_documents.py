"""YAML 1.2 documents whose every entry knows its file and line.

Anchors and aliases, tags, repeated keys and files over 1 MB are refused, so that a card is what it
looks like."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from kmc.core.errors import UserError, listed, nearest

SIZE_LIMIT = 1_000_000  # bytes
DEPTH_LIMIT = 40
KEPT_MOST = 100_000  # characters of a file that is not parsed again
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NOT_FINITE = {".nan": "nan", ".inf": "inf", "+.inf": "inf", "-.inf": "-inf"}
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class Mapping(dict):
    """A YAML mapping; `where(key)` is "file:line" of a key, or of the mapping itself."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file, self.line = file, line
        self.lines: dict[Any, int | str] = {}  # a text says that the value came from elsewhere

    def where(self, key: Any = None) -> str:
        line = self.lines.get(key, self.lines.get(None, self.line))
        return line if isinstance(line, str) else f"{self.file}:{line}"


class Sequence(list):
    """A YAML sequence; `where(index)` is "file:line" of an item, or of the sequence itself."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__()
        self.file, self.line = file, line
        self.lines: list[int] = []

    def where(self, index: Any = None) -> str:
        known = isinstance(index, int) and 0 <= index < len(self.lines)
        return f"{self.file}:{self.lines[index] if known else self.line}"


def sibling(path: Path, kind: str = ".yaml") -> str | None:
    """The name of the file of a kind most like the missing `path` in its folder, or None."""
    try:
        names = [one.name for one in path.parent.iterdir() if one.suffix.replace(".yml", ".yaml") == kind]
    except (OSError, ValueError):  # a name that no file can have
        return None
    return nearest(path.name, names)


def read_text(path: Path, kind: str = ".yaml", limit: int = SIZE_LIMIT) -> str:
    """The text of `path`, a file of this kind. UserError when missing, a directory, binary, or too large."""
    try:
        if path.is_dir():
            raise UserError("is a directory", str(path), next_step=f"name a {kind} file in it")
        if not path.is_file():  # a device or pipe would be read for ever
            raise UserError("no such file", str(path), sibling(path, kind), "check the path")
        with path.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", str(path), next_step="check its permissions") from None
    except ValueError:
        raise UserError("is not a valid path", next_step=f"name a {kind} file") from None
    if len(data) > limit:
        step = "a card or run file is a few kB" if limit == SIZE_LIMIT else "give fewer rows"
        raise UserError(f"is larger than {limit / 1e6:g} MB", str(path), next_step=step)
    try:
        text = data.decode("utf-8-sig")
        if "\0" in text:
            raise ValueError
    except ValueError:
        step = f"name a {kind} file" if b"\0" in data else "save it as UTF-8"  # Latin-1 has no zeros
        raise UserError("is not a text file in UTF-8", f"{path}:1", next_step=step) from None
    return text


def read(path: Path, begin: str = "family: ligand") -> Mapping:
    """The top-level mapping of the YAML file `path`, which may `begin` so."""
    text = read_text(path)
    document = copy.deepcopy(_kept(text, str(path))) if len(text) <= KEPT_MOST else parse(text, str(path))
    if not isinstance(document, Mapping):
        raise UserError("is not a YAML mapping of keys to values", f"{path}:1", next_step=f"begin with e.g. {begin}")
    return document


@lru_cache(maxsize=64)
def _kept(text: str, file: str) -> Any:
    """What a file said when it was read before: a stack is of ten cards, a study of hundreds of stacks."""
    return parse(text, file)


def parse(text: str, file: str) -> Any:
    """The value of the YAML 1.2 `text`; `file` is the name that errors show."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.composer.warn_double_anchors = False  # all anchors are refused below
        node = yaml.compose(text)
        return None if node is None else _convert(node, file, 0)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else f"{file}:1"
        problem = str(error.problem or error.context)
        step = "use spaces, not tabs" if r"\t" in problem else "check indentation, colons and quotes"
        raise UserError(f"is not valid YAML: {problem}", where, next_step=step) from None
    except RecursionError:
        raise UserError("is nested too deeply", f"{file}:1", next_step="flatten it") from None
    except (YAMLError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"is not valid YAML: {first}", f"{file}:1", next_step="save it as plain text") from None


def _convert(node: Any, file: str, depth: int) -> Any:
    """Plain data for a composed node."""
    line = node.start_mark.line + 1
    where = f"{file}:{line}"
    if depth > DEPTH_LIMIT:
        raise UserError("is nested too deeply", where, next_step="flatten it")
    if node.anchor:
        raise UserError(
            "anchors and aliases (&, *) are not allowed", where, next_step="write the value out, or use extends:"
        )
    if isinstance(node.value, str):
        return _scalar(node, where)
    if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
        raise UserError(f"the tag {node.tag} is not allowed", where, next_step="write plain values")
    if node.tag.endswith("seq"):
        items = Sequence(file, line)
        _check_commas(node, file)
        for child in node.value:
            items.lines.append(child.start_mark.line + 1)
            items.append(_convert(child, file, depth + 1))
        return items
    return _mapping(node, file, depth)


def _mapping(node: Any, file: str, depth: int) -> Mapping:
    """A mapping whose keys are words, each given once."""
    mapping = Mapping(file, node.start_mark.line + 1)
    before = ""  # the value before, as it is written
    for key_node, child in node.value:
        if node.flow_style:
            _check_comma(before, key_node, child, file)
        before = child.value if isinstance(child.value, str) else ""
        key = _convert(key_node, file, depth + 1)
        place = f"{file}:{key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise UserError(f"the key {key!r:.40} is not a word", place, next_step="quote it, or remove it")
        if key in mapping:
            raise UserError(f'the key "{key}" is given twice', place, next_step="keep one of the two")
        mapping.lines[key] = key_node.start_mark.line + 1
        mapping[key] = _convert(child, file, depth + 1)
    return mapping


def _check_comma(before: str, key_node: Any, child: Any, file: str) -> None:
    """UserError for {value: 0,38}, which YAML takes for a value and a key without one."""
    after = key_node.value
    if child.value == "" and isinstance(after, str) and _NUMBER.fullmatch(before) and after[:1].isdigit():
        raise _comma(f"{before},{after}", f"{file}:{key_node.start_mark.line + 1}")


def _check_commas(node: Any, file: str) -> None:
    """UserError for [300, 312,5] and [0.9 nm, 1,2 nm], which YAML takes for three items."""
    pairs = [(one, other, other.start_mark.index - one.end_mark.index) for one, other in pairwise(node.value)]
    spaced = any(gap > 1 for *_, gap in pairs)
    for one, other, gap in pairs:
        texts = one.value, other.value
        if gap == 1 and all(isinstance(text, str) and text[:1].isdigit() for text in texts):
            alone = [_NUMBER.fullmatch(text) is not None for text in texts]
            if alone == [True, False] or (alone == [True, True] and spaced):
                raise _comma(",".join(texts), f"{file}:{one.start_mark.line + 1}")


def _comma(text: str, where: str) -> UserError:
    point = text.replace(",", ".")
    step = f"write {point:.40}; between two values put a space after the comma"
    return UserError(f'"{text:.40}" has a decimal comma', where, next_step=step)


def _scalar(node: Any, where: str) -> Any:
    """A number, true, false, null or text, by YAML 1.2's core schema without octal and hexadecimal."""
    explicit = node.tag not in ("tag:yaml.org,2002:" + kind for kind in ("str", "int", "float", "bool", "null"))
    if explicit and not node.tag.endswith((":timestamp", ":merge", ":value")):
        raise UserError(f"the tag {node.tag} is not allowed", where, next_step="write plain values")
    text = node.value
    if node.style is not None:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text.lower() in _NOT_FINITE:
        return float(_NOT_FINITE[text.lower()])
    if len(text) <= 100 and _NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    return text


def unknown(message: str, name: object, names: Iterable[str], where: str) -> UserError:
    """The error of a wrong name, with the nearest right one, or else all there are."""
    names = list(names)
    near = nearest(name, names)
    return UserError(message, where, near, listed(names, near))


def check_keys(mapping: dict[str, Any], allowed: Iterable[str], what: str) -> None:
    """UserError at the first key of `mapping` that is not in `allowed`."""
    names = list(allowed)
    for key in mapping:
        if key not in names:
            raise unknown(f'unknown key "{key}" in {what}', key, names, place(mapping, key))


def need(mapping: Mapping, key: str, what: str, example: str) -> Any:
    """The value of a key that must be there."""
    if mapping.get(key) is None:
        raise UserError(f'{what} has no "{key}"', mapping.where(key), next_step=f"add e.g. {example}")
    return mapping[key]


def place(container: Any, key: Any = None) -> str:
    """ "file:line" of `key` in `container`, or "" for data that came from no file."""
    return container.where(key) if isinstance(container, (Mapping, Sequence)) else ""
