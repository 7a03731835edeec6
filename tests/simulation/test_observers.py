"""When observers look, and what they keep."""

from __future__ import annotations

import numpy as np

from kmc.simulation.observers import Always, Every, Observer


def test_a_look_is_due_once_an_interval() -> None:
    """At its end to the last bit, and after a long step once."""
    tenth, whole = Every(0.1), Every(1.0)
    assert [tenth.due(time) for time in (0.05, 0.1, 0.2, 0.3, 0.31)] == [False, True, True, True, False]
    assert [whole.due(time) for time in (3.5, 3.7, 4.0)] == [True, False, True]


def test_what_was_seen_stays_as_it_was() -> None:
    """A copy, which is handed over once."""
    sites = np.zeros(2)
    watching = Observer(Always(), lambda: {"cation": sites})
    watching.offer(0.0)
    sites[:] = 1
    assert watching.take()[0]["cation"].tolist() == [0, 0]
    assert watching.take() == []
