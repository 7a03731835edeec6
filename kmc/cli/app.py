"""The command line: finds a command's module when it is given, and turns errors into messages and exit codes.

0 done; 2 bad input; 3 interrupted, failed rows or a corrupted file; 1, with a traceback, is a bug. A package
adds commands by entry points of the group kmc.commands that name functions ("package.module:function").
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from kmc.core.errors import UserError, nearest, one_line
from kmc.core.source_files import package_folder

GROUP = "kmc.commands"
BUILT_IN = ("check", "run", "resume", "warmup", "study", "verify", "export", "structure", "cite", "bench", "schema")
# What the system says of a path that a user gives; the rest is a bug.
_NO_WAY = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
_CONTROL_C = 130  # the parser's own exit code, where it was interrupted before the command
_SUMMARY = re.compile(r'"""(?:kmc [\w-]+: )?(.+?)(?:"""|\n)')


class _Listener:
    """Standard error: from the moment that nobody listens what is said is dropped, and stops nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As that of the stream."""
        return self._tried(self._stream.write, text) or 0

    def flush(self) -> None:
        """As that of the stream."""
        self._tried(self._stream.flush)

    def _tried(self, do: Any, *given: Any) -> Any:
        try:
            return do(*given)
        except OSError:
            with contextlib.suppress(OSError):  # what it still holds goes there too, at the program's end
                _to_nowhere(self._stream)


def _to_nowhere(stream: Any) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Interrupted(UserError):
    """Stopped by ctrl-C before it was done."""

    exit_code = 3


def commands() -> dict[str, str]:
    """Every command's "module:function": the built-in ones, then those that packages add."""
    found = _built_in()
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda p: p.name):
        found.setdefault(point.name, point.value)
    return found


def _built_in() -> dict[str, str]:
    return {name: f"kmc.cli.commands.{name}:{name}" for name in BUILT_IN}


def summary(target: str) -> str:
    """The first line of the docstring of a command's module, read without importing it."""
    top, *rest = target.partition(":")[0].split(".")
    spec = util.find_spec(top)
    places = (spec.submodule_search_locations or [spec.origin or ""]) if spec else []
    for place in places:
        path = Path(place).joinpath(*rest)
        path = path.with_suffix(".py") if rest else path
        if path.is_file() and (match := _SUMMARY.match(path.read_text(encoding="utf-8"))):
            return match[1][:1].upper() + match[1][1:]
    return ""


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is invoked, not to list it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the documentation."""
        return list(commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command `cmd_name`. Raises UserError with the nearest name when there is none."""
        known = _built_in()
        if cmd_name not in known:
            known = commands()
        if cmd_name not in known:
            raise UserError(
                f'kmc has no command "{cmd_name}"', nearest=nearest(cmd_name, known), next_step="kmc --help lists them"
            )
        module, _, function = known[cmd_name].partition(":")
        found = getattr(import_module(module), function)
        if not isinstance(found, typer.Typer):
            app = _app()
            app.command(name=cmd_name)(found)
            found = app
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and its arguments; an unknown name is a UserError of get_command."""
        if args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        return args[0], self.get_command(ctx, args[0]), args[1:]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(target)) for name, target in commands().items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ctrl-C is exit code 3, an output that nobody reads to its end no error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except BrokenPipeError as error:
            try:
                print(flush=True)  # whether standard output itself is broken shows only when it is written to again
            except BrokenPipeError:
                _to_nowhere(sys.stdout)
                return 0
            raise RuntimeError("a pipe broke that is not the output") from error


def _app(**options: Any) -> typer.Typer:
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo("\n".join(_facts()))
        raise typer.Exit


def _facts() -> list[str]:
    """The version, and what a report of a bug needs: what it runs on, and which kernels of whose."""
    import platform

    import kmc
    from kmc.io.provenance import versions

    found = versions()
    kernels, python = found.pop("kernels"), found.pop("python")
    found.pop("halide-kmc", None)
    packages = ", ".join(f"{name} {version}" for name, version in found.items())
    return [
        f"kmc {kmc.__version__}",
        f"Python {python} on {platform.platform()}",
        packages,
        f"kernels {kernels} in {package_folder('kmc')}",
    ]


def _program() -> Any:
    app = typer.Typer(
        cls=LazyGroup,
        add_completion=True,
        rich_markup_mode=None,
        no_args_is_help=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def kmc(
        version: bool = typer.Option(
            False, "--version", help="Print the version and leave.", callback=_show_version, is_eager=True
        ),
    ) -> None:
        """Kinetic Monte Carlo of halide-perovskite memristors.

        A stack of material cards and a voltage protocol make a run; a run makes a dataset.
        """

    return typer.main.get_command(app)


def main(argv: list[str] | None = None) -> int:
    """Run `kmc` with `argv` (without the program's name; sys.argv if None) and return its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `2>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    listener: Any = _Listener(sys.stderr)
    with contextlib.redirect_stderr(listener):
        return _run(list(sys.argv[1:] if argv is None else argv) or ["--help"])


def _run(arguments: list[str]) -> int:
    """The exit code of a command with its arguments; a user's errors are printed."""
    try:
        code = _program().main(args=arguments, prog_name="kmc", standalone_mode=False)
    except UserError as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:
            _to_nowhere(sys.stdout)  # what it still holds has no room either
            return _complain("the output cannot be written: no space is left; make room", 3)
        if error.errno == errno.ENOENT and _is_nowhere():
            return _complain("the folder that kmc was started in is gone; change to one that is there", 2)
        if error.errno not in _NO_WAY or error.filename is None:
            raise
        name = str(error.filename)
        shown = name if len(name) <= 200 else f"{name[:40]}..."
        return _complain(f"{shown}: {(error.strerror or 'cannot be read').lower()}; check the path", 2)
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of the parser's own errors
            raise
        return _complain(_usage(error), 2)
    if code == _CONTROL_C:
        return _complain("interrupted", Interrupted.exit_code)
    return code if isinstance(code, int) else 0


def _is_nowhere() -> bool:
    """Whether the working directory was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _usage(error: Any) -> str:
    """What the parser has to say, with the nearest option and where to look."""
    context = getattr(error, "ctx", None)
    program = context.command_path if context is not None else "kmc"
    option = getattr(error, "option_name", None)
    if option and context is not None and type(error).__name__ == "NoSuchOption":
        options = [name for parameter in context.command.params for name in parameter.opts]
        message = f"no option {option}"
        close = nearest(option, options)
        message += f'; did you mean "{close}"?' if close else ""
    else:
        message = " ".join(error.format_message().split()).rstrip(".")
    return f"{program}: {message}; {program} --help says more"


def _complain(message: str, code: int) -> int:
    """Print one line on standard error; returns the exit code."""
    print(one_line(message), file=sys.stderr)
    return code
