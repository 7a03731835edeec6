"""The loop refuses what it does not compute."""

import pytest

import kmc
from kmc.errors import UserError
from kmc.simulation import Simulation


@pytest.mark.parametrize(("settings", "more", "says"), [
    ({"windows": 2}, {}, "windows"),
    ({}, {"temperature": "350 K"}, "temperature"),
])  # fmt: skip
def test_what_is_not_built_is_refused(settings: dict, more: dict, says: str) -> None:
    """Accepted by the input's grammar, unknown to the loop: an error before anything is built."""
    protocol = kmc.Protocol.hold("0.1 V", "1 us", **more)
    with pytest.raises(UserError, match=says):
        Simulation(kmc.load_stack("ogb_20nm"), protocol, kmc.Settings(**settings), 1)
