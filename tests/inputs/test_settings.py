"""Settings: defaults, units, bounds, unknown names."""

from __future__ import annotations

import pytest

from kmc.core.errors import UserError
from kmc.inputs.settings import Settings, read_settings


def test_defaults() -> None:
    """Those of the design."""
    settings = read_settings()
    assert (settings.window, settings.spacing_factor, settings.mesh_factor) == (24.0, 0.5, 4)
    assert (settings.vacancies, settings.windows, settings.temperature) == ("equilibrium", 1, 300.0)
    assert all(
        getattr(settings, name)
        for name in ("local_temperature", "ion_pairs", "tunnelling", "compliance", "space_charge")
    )


def test_text_with_units() -> None:
    """Lengths, times, temperatures."""
    settings = read_settings({"window": "0.012 um", "wall_limit_s": "2 min", "temperature": "27 degC"})
    assert (settings.window, settings.wall_limit_s) == (12.0, 120.0)
    assert settings.temperature == pytest.approx(300.15)


def test_changed_is_checked_and_leaves_the_original() -> None:
    """A copy."""
    settings = Settings()
    assert settings.changed(windows=16).windows == 16
    assert settings.windows == 1
    assert settings.changed() == settings
    with pytest.raises(UserError):
        settings.changed(windows=0)


@pytest.mark.parametrize(
    ("values", "says", "near"),
    [
        ({"windw": 1}, "unknown key", "window"),
        ({"window": "3 eV"}, "wrong dimension", None),
        ({"window": "3"}, "no unit", None),
        ({"window": "1 mm"}, "out of range", None),
        ({"window": float("nan")}, "not finite", None),
        ({"refresh_bound": float("inf")}, "not finite", None),
        ({"refresh_bound": 0}, "greater than 0", None),
        ({"vacancies": "explict"}, "should be", "explicit"),
        ({"windows": 1.5}, "integer", None),
        ({"windows": True}, "integer", None),
        ({"mesh_factor": 3}, "1, 2 or 4", None),
        ({"ion_pairs": "perhaps"}, "boolean", None),
        ({"temperature": "0 K"}, "out of range", None),
        ([], "not a mapping", None),
    ],
)
def test_wrong_settings_are_refused(values: object, says: str, near: str | None) -> None:
    """With the nearest name and a next step."""
    with pytest.raises(UserError, match=says) as caught:
        read_settings(values)
    assert caught.value.nearest == near
    assert caught.value.next_step


def test_settings_do_not_change() -> None:
    """Frozen."""
    with pytest.raises(Exception, match="frozen"):
        Settings().window = 3.0


@pytest.mark.parametrize(
    ("values", "says", "near"),
    [
        ({"windw": 3}, 'unknown key "windw" in settings', "window"),
        ({"window": "3 V"}, "window in settings has the wrong dimension", None),
        ({"window": float("inf")}, "not finite", None),
        ({"windows": 0}, "windows in settings is 0", None),
    ],
)
def test_the_constructor_refuses_as_a_run_file_does(values: dict, says: str, near: str | None) -> None:
    """kmc.Settings(...) raises what kmc.simulate(settings={...}) raises."""
    with pytest.raises(UserError, match=says) as caught:
        Settings(**values)
    assert caught.value.nearest == near
    assert caught.value.next_step
    assert Settings(window="30 nm") == read_settings({"window": "30 nm"})
