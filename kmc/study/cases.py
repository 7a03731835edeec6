"""Cases of a study: named changes of what the file describes, each a level of the axis "case".

    cases:
      whole: {}
      without pairs: {settings.ion_pairs: false}
      frozen: {settings.vacancies: explicit, active.vacancy_migration_barrier: 2 eV}

A case may change what `variants` may vary, and goes before what the file says elsewhere.
"""

from __future__ import annotations

from kmc.cards.yaml_documents import Mapping
from kmc.core.errors import UserError
from kmc.inputs.overrides import CASES, flat, place_of
from kmc.study.axes import CASE, Axis, Level, check_name, check_value, setting_of


def read_cases(document: Mapping, axes: list[Axis]) -> list[Axis]:
    """The axis of `cases:` beside those of `variants:`, none where there is no such entry. Raises UserError
    with file and line."""
    if CASES not in document:
        return []
    given = document[CASES]
    if not isinstance(given, Mapping) or not given:
        raise UserError(
            "cases is not a mapping of names to changes",
            document.where(CASES),
            next_step="write cases: {whole: {}, cold: {temperature: 280 K}}",
        )
    levels = [Level(name, name, given.where(name), _changes(given, name, axes)) for name in given]
    return [Axis(CASE, tuple(levels), where=document.where(CASES))]


def _changes(given: Mapping, name: str, axes: list[Axis]) -> dict[str, Level]:
    """What the case `name` changes, as levels of the names that it changes."""
    if not name.strip() or not name.isprintable():
        raise UserError(f"{name!r} is no name of a case", given.where(name), next_step="write letters")
    if not isinstance(given[name], Mapping):
        raise UserError(
            f"the case {name} is not a mapping of names to values",
            given.where(name),
            next_step=f"write {name}: {{temperature: 280 K}}, or {{}} for no change",
        )
    found: dict[str, Level] = {}
    for key, value in flat(given, name).items():
        where = place_of(given, name, key)
        check_name(key, where)
        check_value(key, value, where)
        _refuse_twice(key, where, [axis.name for axis in axes], "variants")
        _refuse_twice(key, where, list(found), f"the case {name}")
        found[key] = Level(value, str(value), where)
    return found


def _refuse_twice(key: str, where: str, others: list[str], place: str) -> None:
    """One of two values of a name would be dropped; "temperature" is a setting's name, too."""
    if key in others or (setting_of(key) and setting_of(key) in map(setting_of, others)):
        raise UserError(f'"{key}" is in {place} already', where, next_step="keep one of the two")
