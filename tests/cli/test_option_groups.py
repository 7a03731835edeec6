"""Groups of options: a command takes them as one object, and its command line has each of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer

from kmc.cli.commands._options import Output, Quiet, grouped
from kmc.cli.commands.run import run

Volts = Annotated[float, typer.Option("--volts", min=0.0, help="Of a pulse.")]
Count = Annotated[int | None, typer.Option("--count", help="Of pulses.")]
Names = Annotated[list[str] | None, typer.Option("--name", help="May be repeated.")]
Plot = Annotated[bool, typer.Option(help="Draw it.")]
Device = Annotated[str, typer.Argument(metavar="DEVICE", help="What is driven.")]
Times = Annotated[int, typer.Option("--times", help="How often.")]


@dataclass(frozen=True)
class Pulses:
    """Four options, the first of which must be given."""

    volts: Volts
    count: Count = None
    names: Names = None
    plot: Plot = True


@dataclass(frozen=True)
class Undrawn(Pulses):
    """The same options with another default."""

    plot: Plot = False


def drive(device: Device, *, pulses: Pulses, times: Times, output: Output) -> int:
    """Drive a device."""
    SEEN.append((device, pulses, times, output))
    return 3


def draw_nothing(device: Device, *, pulses: Undrawn, times: Times, output: Output) -> int:
    """Drive a device."""
    return 3


def plain(
    device: Device,
    *,
    volts: Volts,
    count: Count = None,
    names: Names = None,
    plot: Plot = True,
    times: Times,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")] = False,
    quiet: Quiet = False,
) -> int:
    """Drive a device."""
    return 3


SEEN: list[tuple[Any, ...]] = []


def command_of(function: Callable[..., int]) -> Any:
    """What typer makes of a function."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name="drive")(function)
    return typer.main.get_command(app)


def given(words: str) -> tuple[Any, ...]:
    """What the command gets of a command line."""
    SEEN.clear()
    assert command_of(grouped(drive)).main(words.split(), "kmc", standalone_mode=False) == 3
    return SEEN[0]


def help_of(function: Callable[..., int]) -> str:
    """What --help says of a function as a command."""
    command = command_of(function)
    return str(command.get_help(typer.Context(command)))


def refusal(function: Callable[..., int], words: str) -> str:
    """What is said of a command line that is wrong."""
    try:
        command_of(function).main(words.split(), "kmc", standalone_mode=False)
    except Exception as error:
        said: Any = error
        return str(said.format_message())
    return ""


def test_the_command_line_is_that_of_the_options_by_themselves() -> None:
    """Names, order, defaults and help. Control: another default of a group is another help."""
    grown, alone, other = map(help_of, (grouped(drive), plain, grouped(draw_nothing)))
    assert grown == alone
    assert grown.replace("default: plot", "default: no-plot") == other != grown
    assert re.findall(r"--[a-z]+", grown)[:4] == ["--volts", "--count", "--name", "--plot"]
    assert list(inspect.signature(grouped(drive)).parameters) == list(inspect.signature(plain).parameters)


def test_a_group_comes_as_one_object() -> None:
    """With what was given, and the defaults of its class for the rest."""
    assert given("d1 --volts 0.5 --times 2") == ("d1", Pulses(0.5), 2, Output())
    words = "d1 --name a --times 2 --no-plot --name b --count 4 --volts 1 -q --json"
    assert given(words) == ("d1", Pulses(1.0, 4, ["a", "b"], False), 2, Output(True, True))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("d1 --times 2", "--volts"),  # required, of the group
        ("d1 --volts 1", "--times"),  # required, beside it
        ("--volts 1 --times 2", "DEVICE"),
        ("d1 --volts -1 --times 2", "--volts"),
        ("d1 --volts 1 --times 2 --pulses 3", "--pulses"),
    ],
)
def test_an_option_of_a_group_is_checked(words: str, named: str) -> None:
    """With the words that are said of the option by itself."""
    said = [refusal(one, words) for one in (grouped(drive), plain)]
    assert named in said[0]
    assert said[0] == said[1]


def test_a_program_calls_it_by_the_names_of_the_options() -> None:
    """Defaults are those of the command line; names that it does not have are errors."""
    SEEN.clear()
    assert grouped(drive)(device="d1", volts=0.2, times=1, quiet=True) == 3
    assert SEEN == [("d1", Pulses(0.2), 1, Output(quiet=True))]
    for wrong in ({"volts": 1.0}, {"times": 1}, {"volts": 1.0, "times": 1, "loud": True}):
        with pytest.raises(TypeError):
            grouped(drive)(device="d1", **wrong)


def test_what_a_group_cannot_be() -> None:
    """One of which an option is there already, or whose defaults would go unheard."""

    def twice(*, output: Output, quiet: Quiet = False) -> None: ...

    def silent(output: Output = Output(quiet=True)) -> None: ...  # noqa: B008

    with pytest.raises(ValueError, match="quiet"):
        grouped(twice)
    with pytest.raises(TypeError, match="output is a group"):
        grouped(silent)


def test_a_command_of_the_program_keeps_its_name_and_help() -> None:
    """Which the program and its documentation read."""
    assert run.__name__ == "run"
    assert (run.__doc__ or "").startswith("Run a run file")
    assert "output" not in inspect.signature(run).parameters
