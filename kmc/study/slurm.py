"""A SLURM array script: an element of the array does one task, or a block of them, by `kmc study --task`."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from kmc.core import atomic_files, blas_threads
from kmc.core.errors import UserError
from kmc.core.output_paths import Kind
from kmc.study.definition import Study

_MEMORY = "--mem-per-cpu"  # which is ours to begin with, and then the user's
_ELEMENTS = 1000  # SLURM's own limit is 1001 unless its administrator says otherwise

# Its users add lines of their own above one of ours, by which it is known.
_OURS = r"^# \d+ tasks, \d+ an element\. Submit it"
_MARK = re.compile(_OURS, re.MULTILINE)
# The lines that follow it: whatever else is there is the user's.
_BELOW = re.compile(
    rf"""\#\ \d+\ tasks,|export\ {blas_threads.VARIABLES[0]}|worst=0|for\ \(\(task|\s+\["""
    r"""|.*--task\ "\$task"|done$|exit\ |$""",
    re.VERBOSE,
)
SCRIPT = Kind((".sh", ".bash", ".slurm", ".sbatch", ".job", ""), _OURS.encode())

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={job}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=1500M
#SBATCH --output={logs}
# {tasks} tasks, {block} an element. Submit it again after a failure: what is done is left alone.
export {threads}
worst=0
for ((task = SLURM_ARRAY_TASK_ID * {block}; task < (SLURM_ARRAY_TASK_ID + 1) * {block}; task++)); do
    [ "$task" -lt {tasks} ] || break
    {command} --task "$task" --quiet || worst=$?
done
exit "$worst"
"""


def write_script(study: Study, out: Path, path: Path) -> Path:
    """Write the array script of `study` with the folder `out` to `path`. Raises WriteFailed.

    Paths in it are absolute, that of this Python too; every node must see them. Lines of the user's own above
    the one that counts the tasks stay. Raises UserError for such below it.
    """
    block = -(-study.count // _ELEMENTS)
    command = [sys.executable, "-m", "kmc", "study", str(Path(study.path).resolve()), "--out", str(out.resolve())]
    for text in study.sets:
        command += ["--set", text]
    text = _SCRIPT.format(
        job=shlex.quote(f"kmc-{study.name}"),
        last=-(-study.count // block) - 1,
        block=block,
        tasks=study.count,
        command=shlex.join(command),
        threads=" ".join(f"{name}=1" for name in blas_threads.VARIABLES),
        logs=shlex.quote(str(out.resolve()).replace("%", "%%") + "/slurm-%A_%a.log"),
    )
    atomic_files.write_whole(path, _with_own(text, path).encode())
    return path


def _with_own(text: str, path: Path) -> str:
    """The script with the lines that the user of the one at `path` put above ours. Raises UserError."""
    old = path.read_text(errors="replace") if path.is_file() else ""
    found, place = _MARK.search(old), _MARK.search(text)
    if found is None or place is None:
        return text
    extra = next((line for line in old[found.start() :].splitlines() if not _BELOW.match(line)), None)
    if extra is not None:
        raise UserError(
            f"{path} has a line of yours below ours: {extra.strip():.60}",
            "--slurm",
            next_step=f'move it above "{found[0]}", or choose another file',
        )
    before, head = old[: found.start()].splitlines(), text[: place.start()].splitlines()
    given, ours = {_option(line): line for line in before}, {_option(line) for line in head}
    head = [given.get(_MEMORY, line) if _option(line) == _MEMORY else line for line in head]
    own = [line for line in before if _option(line) not in ours]
    return "\n".join([*head, *own, ""]) + text[place.start() :]


def _option(line: str) -> str:
    """What a line of the head sets: a SLURM option without its value, or the whole line."""
    return line.split("=")[0].removeprefix("#SBATCH").strip() if line.startswith("#SBATCH") else line
