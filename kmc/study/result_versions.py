"""The program versions that made the results of a study, read from each result.

The manifest is no source for them: it is that of the last start, and a task may be run alone, on any machine.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
from pathlib import Path

from kmc.io import provenance
from kmc.study.manifest import Manifest, result_path

# As the attribute `run` has them. Through the netCDF library this takes twenty times as long, of thousands.
_VERSIONS = re.compile(rb'"versions": (\{[^{}]*\})')


def others(out: Path, manifest: Manifest) -> int:
    """How many of the tasks that are done in `out` were done by versions other than these."""
    now = provenance.versions()
    found = (_versions_of(result_path(out, name)) for name in manifest.tasks)
    return sum(one is not None and one != now for one in found)


def _versions_of(path: Path) -> dict[str, str] | None:
    """The versions that made a dataset; None where it is not there or does not say."""
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:  # ValueError: it is empty
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _VERSIONS.search(data)
            return None if found is None else json.loads(found[1])
    return None


def warnings(out: Path, manifest: Manifest) -> list[str]:
    """What to say of results that other versions made, nothing where there are none."""
    count = others(out, manifest)
    if not count:
        return []
    return [
        f"{count} of {len(manifest.tasks)} tasks in {out} were done by other versions of the program; "
        "they are kept as they are, and another --out has all done by these"
    ]
