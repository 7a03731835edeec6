"""Studies: variants, protocols and replicates crossed into tasks, run by workers, read as one dataset."""

from __future__ import annotations

from kmc.study.definition import Study, load_study

__all__ = ["Study", "load_study"]
