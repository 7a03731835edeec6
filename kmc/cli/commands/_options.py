"""Options that several commands have, said once, and how a command takes several as one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

Result = TypeVar("Result")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes at once; one a core if not given.")]
CheckpointEvery = Annotated[
    str, typer.Option("--checkpoint-every", metavar="TIME", help="Least time between checkpoints.")
]
Drawn = Annotated[bool, typer.Option(help="Draw the I-V or the trace beside the dataset.")]
Picture = Annotated[bool, typer.Option(help="Draw the figures.")]


@dataclass(frozen=True)
class Output:
    """What a command shows."""

    as_json: Json = False
    quiet: Quiet = False


@dataclass(frozen=True)
class DrawnOutput(Output):
    """What a command shows and draws."""

    picture: Picture = True


@dataclass(frozen=True)
class RunOutput(Output):
    """What a run shows, keeps on its way and draws."""

    checkpoint_every: CheckpointEvery = "2 s"
    picture: Drawn = True


def grouped(command: Callable[..., Result]) -> Callable[..., Result]:
    """A command that takes groups of options, as one that has each of these options by itself.

    A parameter whose type is a dataclass is a group: the dataclass's fields, written as the options of a
    command are, stand in its place, and the command gets their values as one object. What is returned is
    called with the names of the options, as typer does.
    """
    hints = get_type_hints(command, include_extras=True)
    given_back = hints.pop("return", None)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    own = inspect.signature(command).parameters.values()
    options = [option for one in own for option in _options_of(one, hints[one.name])]

    @functools.wraps(command)
    def expanded(**values: Any) -> Result:
        for name, group in groups.items():
            its = {one.name: values.pop(one.name) for one in fields(group) if one.name in values}
            values[name] = group(**its)
        return command(**values)

    told: Any = expanded
    told.__signature__ = inspect.Signature(options, return_annotation=given_back)
    told.__annotations__ = {one.name: one.annotation for one in options} | {"return": given_back}
    return expanded


def _options_of(own: Parameter, kind: Any) -> Iterator[Parameter]:
    """One option for a command's own parameter, or those of its group; a required one may follow others."""
    if not is_dataclass(kind):
        yield own.replace(kind=Parameter.KEYWORD_ONLY, annotation=kind)
        return
    if own.default is not Parameter.empty:
        raise TypeError(f"{own.name} is a group of options: the defaults stand in its class")
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])


def refuse_mixtures(given: dict[str, Any]) -> None:
    """Of options that each ask for something else, one at a time can be given: the others are None."""
    from kmc.core.errors import UserError

    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise UserError(f"{chosen[0]} and {chosen[1]} do not go together", next_step="give one of them")


def sets(example: str) -> typer.models.OptionInfo:
    """The option --set, with an entry that the command's file has."""
    return typer.Option("--set", metavar="PATH=VALUE", help=f"Change an entry, e.g. {example}.")


Sets = Annotated[list[str] | None, sets("settings.window=32nm")]
