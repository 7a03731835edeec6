"""A study whose replicates go on: rounds of the engine, until the metric is known well enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kmc.study import manifest as records
from kmc.study.definition import Study
from kmc.study.engine import Outcome, execute
from kmc.study.results import open_study


def grown(study: Study, out: Path, **options: Any) -> Outcome:
    """Do `study` with more and more replicates until its metric is known well enough.

    `options` are those of engine.execute. What was begun with more replicates goes on with those; a task that
    failed is not tried again meanwhile.
    """
    growth = study.growth
    assert growth is not None
    count, done, failed = _begun(study, out), 0, frozenset[str]()
    wall_s, warnings = 0.0, list[str]()
    while True:
        now = study.with_replicates(count)
        outcome = execute(now, out, leave=failed, **options)
        done, wall_s = done + outcome.done, wall_s + outcome.wall_s
        warnings += [told for told in outcome.warnings if told not in warnings]
        failed |= {now.hashes[one.task] for one in outcome.failed}
        after = None if outcome.left else growth.after(count, growth.tightness.widths(open_study(out)))
        if after is None or count == growth.most:
            break
        count = min(after, growth.most)
    if after is not None:
        told = f"{growth.tightness} is not reached with {count} replicates, the most allowed"
        warnings.append(told)
    found = records.read_manifest(out)
    outcome.failed = records.failures(out, found, records.states(out, found))
    return replace(outcome, already=outcome.already + outcome.done - done, done=done, wall_s=wall_s, warnings=warnings)


def _begun(study: Study, out: Path) -> int:
    """The replicates to begin with: as many as the folder's manifest has, within the limits."""
    assert study.growth is not None
    least, most = study.growth.least, study.growth.most
    if not records.is_study(out):
        return least
    seeds = records.read_manifest(out).seeds
    return min(max(len(seeds), least), most) if seeds[0] == study.seeds[0] else least
