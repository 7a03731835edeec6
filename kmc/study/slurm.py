"""A SLURM array script: an element of the array does one task, or a block of them, by `kmc study --task`."""

from __future__ import annotations

import shlex
from pathlib import Path

from kmc import files
from kmc.outputs import Kind
from kmc.study.definition import Study

_ELEMENTS = 1000  # SLURM's own limit is 1001 unless its administrator says otherwise

# Its users add lines of their own, so it is known by one of ours.
SCRIPT = Kind((".sh", ".bash", ".slurm", ".sbatch", ".job", ""), rb"^# \d+ tasks, \d+ an element\. Submit it")

_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={job}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --output={logs}
# {tasks} tasks, {block} an element. Submit it again after a failure: what is done is left alone.
export NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
worst=0
for ((task = SLURM_ARRAY_TASK_ID * {block}; task < (SLURM_ARRAY_TASK_ID + 1) * {block}; task++)); do
    [ "$task" -lt {tasks} ] || break
    {command} --task "$task" --quiet || worst=$?
done
exit "$worst"
"""


def write_script(study: Study, out: Path, path: Path) -> Path:
    """Write the array script of `study` with the folder `out` to `path`. Raises WriteFailed.

    Paths in it are absolute; every node must see them, and find `kmc` as the shell that submits does.
    """
    block = -(-study.count // _ELEMENTS)
    command = ["kmc", "study", str(Path(study.path).resolve()), "--out", str(out.resolve())]
    for text in study.sets:
        command += ["--set", text]
    text = _SCRIPT.format(
        job=shlex.quote(f"kmc-{study.name}"), last=-(-study.count // block) - 1, block=block,
        tasks=study.count, command=shlex.join(command),
        logs=shlex.quote(str(out.resolve() / "slurm-%A_%a.log")),
    )  # fmt: skip
    files.write_whole(path, text.encode())
    return path
