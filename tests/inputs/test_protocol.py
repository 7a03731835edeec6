"""Protocols: staircases, pulses, holds, waveforms, loops, stop conditions."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmc.cards import yaml_documents
from kmc.core.errors import UserError
from kmc.inputs.protocol import Protocol, StopCondition, read_protocol


def test_a_double_sweep_is_a_staircase_up_and_back() -> None:
    """0 to 1.5 V and back in steps of 10 mV at 100 V/s under 1 uA: 301 steps of 0.1 ms."""
    steps = Protocol.sweep("1.5 V", rate="100 V/s", step="10 mV", compliance="1 uA").steps()
    voltages = [step.voltage_V for step in steps]
    assert len(steps) == 301
    assert (voltages[0], max(voltages), voltages[-1]) == (0.0, 1.5, 0.0)
    assert voltages == voltages[::-1]
    assert all(abs(abs(b - a) - 0.01) < 1e-12 for a, b in pairwise(voltages))
    assert all(step.duration_s == pytest.approx(1e-4) for step in steps)
    assert {(step.compliance_A, step.samples, step.segment, step.cycle) for step in steps} == {(1e-6, 1, 0, 0)}


@given(st.floats(-3, 3).filter(lambda v: abs(v) > 1e-3), st.floats(1e-3, 0.5), st.floats(1e-2, 1e3))
def test_a_sweep_ends_exactly_and_keeps_its_rate(to: float, step: float, rate: float) -> None:
    """Whatever the step: the top is met exactly and the mean rate of each step is the rate asked for."""
    steps = Protocol.sweep(to, rate=rate, step=step, back=False).steps()
    assert steps[0].voltage_V == 0.0
    assert steps[-1].voltage_V == pytest.approx(to, rel=1e-15)
    for first, second in pairwise(steps):
        assert abs(second.voltage_V - first.voltage_V) / second.duration_s == pytest.approx(rate, rel=1e-6)


def test_cycles_and_repeats_are_counted_on() -> None:
    """cycles within a sweep, repeat of a segment: one running number."""
    protocol = Protocol.sweep("1 V", rate="1 V/s", step="0.5 V", cycles=2, repeat=2)
    assert [step.cycle for step in protocol.steps()] == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_a_protocol_is_made_of_protocols() -> None:
    """Thousands of them at once, which a sum would count again and again; the same as their sum."""
    one, other = Protocol.hold("0.1 V", "1 us"), Protocol.read()
    assert Protocol([one, other, *one.segments]) == one + other + one
    assert len(Protocol(one for _ in range(5000)).segments) == 5000
    assert Protocol(one) == one
    with pytest.raises(UserError, match="not made of segments"):
        Protocol(5)


def test_pulses_with_gaps() -> None:
    """Four pulses of 5 ms, 10 ms apart."""
    steps = Protocol.pulses("1 V", width="5 ms", gap="10 ms", count=4, compliance="10 uA").steps()
    assert [(step.voltage_V, step.duration_s) for step in steps] == [(1.0, 0.005), (0.0, 0.01)] * 4
    assert [step.cycle for step in steps] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert Protocol.pulses("1 V", width="5 ms").steps()[0].compliance_A == inf


def test_pulses_with_a_read() -> None:
    """Write 1 V 20 ms, read -0.5 V 5 ms (Supplementary Fig. 25)."""
    read = {"voltage": "-0.5 V", "duration": "5 ms"}
    steps = Protocol.pulses("1 V", width="20 ms", gap="5 ms", count=2, read=read).steps()
    assert [(step.voltage_V, step.duration_s) for step in steps] == [(1, 0.02), (0, 0.005), (-0.5, 0.005)] * 2


def test_a_pattern_leaves_pulses_out() -> None:
    """State 1 is a pulse, state 0 is no bias (Supplementary Fig. 24)."""
    steps = Protocol.pulses("1 V", width="5 ms", pattern="1011").steps()
    assert [step.voltage_V for step in steps] == [1.0, 0.0, 1.0, 1.0]
    with pytest.raises(UserError, match="exclude each other"):
        Protocol.pulses("1 V", width="5 ms", pattern="1011", count=4)


def test_a_hold_looks_evenly_or_by_decades() -> None:
    """Linear: one step with many looks. Log: steps that add up to the duration."""
    (linear,) = Protocol.hold("0 V", "1 s", samples=50).steps()
    assert (linear.duration_s, linear.samples) == (1.0, 50)
    steps = Protocol.hold("0.1 V", "1e5 s", samples=12, spacing="log").steps()
    durations = [step.duration_s for step in steps]
    assert len(steps) == 12
    assert sum(durations) == pytest.approx(1e5)
    assert min(durations) > 0
    assert durations[0] == pytest.approx(0.1)


def test_a_read_has_one_look() -> None:
    """0.1 V for 1 ms unless told otherwise."""
    (step,) = Protocol.read().steps()
    assert (step.voltage_V, step.duration_s, step.samples) == (0.1, 1e-3, 1)


def test_a_free_waveform_keeps_its_integral() -> None:
    """Straight lines as a staircase of midpoints: the integral of the voltage is exact."""
    protocol = Protocol.pwl([("0 s", "0 V"), ("1 ms", "1 V"), ("2 ms", "1 V")], step="0.1 ms")
    steps = protocol.steps()
    assert len(steps) == 20
    assert sum(step.voltage_V * step.duration_s for step in steps) == pytest.approx(1.5e-3)
    assert protocol.duration_s == pytest.approx(2e-3)


def test_every_corner_of_a_free_waveform_is_an_edge() -> None:
    """A pulse between two steps is applied, at its voltage and for its time: only lines are cut."""
    corners = [("0 s", 0), ("99 us", 0), ("100 us", 1), ("119 us", 1), ("120 us", 0), ("1 ms", 0)]
    protocol = Protocol.pwl(corners, step="50 us", samples=2)
    steps = protocol.steps()
    assert [(round(step.duration_s * 1e6, 6), step.voltage_V) for step in steps[:5]] == [
        (49.5, 0.0),
        (49.5, 0.0),
        (1.0, 0.5),
        (19.0, 1.0),
        (1.0, 0.5),
    ]
    assert len(steps) == 5 + 18 == protocol.segments[0].total()
    assert all(step.duration_s <= 50e-6 * (1 + 1e-9) for step in steps)
    assert protocol.duration_s == pytest.approx(1e-3)
    assert sum(step.voltage_V * step.duration_s for step in steps) == pytest.approx(20e-6)


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(-2, 2)), min_size=1, max_size=5))
def test_corners_on_even_edges_leave_the_steps_even(lines: list[tuple[int, float]]) -> None:
    """Lines of whole steps make the staircase of the midpoints of all time in equal steps."""
    points, whole = [(0.0, 0.0)], 0
    for count, volt in lines:
        whole += count
        points.append((whole * 1e-4, volt))
    steps = Protocol.pwl(points, step="0.1 ms").steps()
    assert [step.duration_s for step in steps] == pytest.approx([1e-4] * whole, rel=1e-9)
    middles = np.interp((np.arange(whole) + 0.5) * 1e-4, *np.array(points).T)
    assert [step.voltage_V for step in steps] == pytest.approx(middles.tolist(), abs=1e-9)


def test_a_condition_on_a_limit_needs_a_limit() -> None:
    """It could never be met: of a segment its own compliance, of a loop that in which its turn ends."""
    until, hold = {"current_at_limit": True}, ("1 V", "1 ms")
    limited, free = Protocol.hold(*hold, compliance="1 uA"), Protocol.hold(*hold)
    assert (free + limited).repeated(2, until=until).segments[0].total() == 4
    assert (free + limited.repeated(2)).repeated(2, until=until).segments[0].total() == 6
    for build in (
        lambda: Protocol.hold(*hold, until=until),
        lambda: Protocol.sweep("1 V", rate="1 V/s", until=until),
        lambda: (limited + free).repeated(2, until=until),
        lambda: (limited + free.repeated(2)).repeated(2, until=until),
    ):
        with pytest.raises(UserError, match="current_at_limit") as caught:
            build()
        assert caught.value.next_step.startswith("add compliance:")
    text = "- read: {}\n- hold: {voltage: 1 V, duration: 1 s, until: {current_at_limit: true}}\n"
    with pytest.raises(UserError) as caught:
        read_protocol(yaml_documents.parse(text, "run.yaml"))
    assert caught.value.where == "run.yaml:2"


def test_protocols_add() -> None:
    """Segments are numbered on."""
    protocol = Protocol.sweep("1 V", rate="1 V/s", step="0.5 V") + Protocol.read() + Protocol.hold("0 V", "1 s")
    assert [step.segment for step in protocol.steps()] == [0] * 5 + [1, 2]
    assert hash(protocol) == hash(read_protocol(protocol.to_data()))


def way(protocol: Protocol, conductances: list[float]) -> list[int]:
    """The steps that are taken by a device that shows one conductance after another, then the last one."""
    steps, taken, at = protocol.steps(), [], 0
    while at < len(steps):
        taken.append(at)
        shown = conductances[min(len(taken), len(conductances)) - 1]
        at += steps[at].after(shown, False)
    return taken


def test_write_and_verify() -> None:
    """A loop asks its condition in the last step of each turn only."""
    pulse = Protocol.pulses("1 V", width="5 ms", gap="1 ms", compliance="50 uA")
    protocol = (pulse + Protocol.read()).repeated(3, until={"conductance_above": "0.1 mS"}) + Protocol.read()
    steps = protocol.steps()
    assert [step.cycle for step in steps] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0]
    assert {step.segment for step in steps[:-1]} == {0}
    assert way(protocol, [0.9e-4]) == list(range(10))
    assert way(protocol, [1.1e-4, 1.1e-4, 0.9e-4]) == list(range(10))
    assert way(protocol, [0.9e-4, 0.9e-4, 1.1e-4]) == [0, 1, 2, 9]
    assert way(protocol, [0.9e-4] * 5 + [1.1e-4]) == [0, 1, 2, 3, 4, 5, 9]


def test_loops_inside_loops() -> None:
    """Write until it conducts, then read, until it still conducts: each condition where its turn ends."""
    write = Protocol.hold("1 V", "1 ms", samples=1).repeated(3, until={"conductance_above": "2 mS"})
    protocol = (write + Protocol.read()).repeated(2, until={"conductance_above": "1 mS"})
    protocol += Protocol.hold("0 V", "1 s")
    assert way(protocol, [3e-3, 0.0]) == [0, 3, 4, 5, 6, 7, 8]
    assert way(protocol, [3e-3, 2e-3]) == [0, 3, 8]
    assert way(protocol, [1e-3, 1e-3, 3e-3, 0.0, 3e-3, 0.0]) == [0, 1, 2, 3, 4, 7, 8]
    assert hash(protocol) == hash(read_protocol(protocol.to_data()))


def test_a_loop_that_ends_a_turn_early_asks_the_one_around_it() -> None:
    """The inner loop is the turn's last segment: its exit is where the outer condition is asked too."""
    inner = Protocol.hold("1 V", "1 ms", samples=1).repeated(3, until={"conductance_above": "1 mS"})
    protocol = inner.repeated(2, until={"conductance_above": "2 mS"}) + Protocol.hold("0 V", "1 s")
    assert way(protocol, [1.5e-3]) == [0, 3, 6]
    assert way(protocol, [3e-3]) == [0, 6]
    assert way(protocol, [0.0, 0.0, 3e-3]) == [0, 1, 2, 6]
    assert way(protocol, [0.0]) == list(range(7))


def test_a_failure_is_asked_where_a_cycle_ends() -> None:
    """A device that still conducts at the end of a cycle cannot be reset."""
    protocol = Protocol.sweep("-1 V", rate="1 V/s", step="0.5 V", cycles=2, until={"failure": "30 uS"})
    assert way(protocol, [1e-3] * 4 + [0.0]) == list(range(10))
    assert way(protocol, [0.0] * 4 + [1e-3]) == list(range(5))


@pytest.mark.parametrize(
    ("given", "look", "met"),
    [
        ({"conductance_above": "1 mS"}, (2e-3, False), True),
        ({"conductance_above": "1 mS"}, (1e-3, True), False),
        ({"conductance_below": "1 mS"}, (0.5e-3, True), True),
        ({"conductance_below": "1 mS"}, (2e-3, True), False),
        ({"current_at_limit": True}, (0.0, True), True),
        ({"current_at_limit": True}, (1.0, False), False),
        ({"failure": "1 mS"}, (2e-3, False), True),
        ({"failure": "1 mS"}, (1e-4, False), False),
    ],
)
def test_stop_conditions(given: dict[str, object], look: tuple[float, bool], met: bool) -> None:
    """Each on both of its sides."""
    assert StopCondition(**given).met(*look) is met


@pytest.mark.parametrize(
    ("protocol"),
    [
        Protocol.sweep(
            "1.5 V", rate="100 V/s", compliance="1 uA", until={"current_at_limit": True}, temperature="320 K"
        ),
        Protocol.pulses("1 V", width="5 ms", pattern="101", read={"voltage": "0.1 V"}),
        Protocol.hold("0 V", "1 s", spacing="log") + Protocol.read(),
        Protocol.pwl([("0 s", "0 V"), ("1 ms", "1 V")], step="0.1 ms"),
        (Protocol.sweep("1 V", rate="1 V/s") + Protocol.read()).repeated(4),
        (Protocol.sweep("1 V", rate="1 V/s") + Protocol.read()).repeated(4, until={"conductance_below": "1 uS"}),
    ],
)
def test_plain_data_reads_back(protocol: Protocol) -> None:
    """to_data holds all that decides the steps."""
    assert read_protocol(protocol.to_data()) == protocol
    assert read_protocol(protocol.to_data()).steps() == protocol.steps()


def test_a_hold_asks_its_condition_at_each_look() -> None:
    """A step a look, at the same times as without one; met at the third, the hold is over."""
    plain = Protocol.hold("1 V", "1 s", samples=4)
    asked = Protocol.hold("1 V", "1 s", samples=4, until={"conductance_above": "1 mS"})
    after = (asked + Protocol.read()).steps()
    assert [step.duration_s for step in plain.steps()] == [1.0]
    assert [step.duration_s for step in after[:4]] == [0.25] * 4
    assert asked.duration_s == plain.duration_s
    assert [step.after(2e-3, False) for step in after[:4]] == [4, 3, 2, 1]
    assert [step.after(1e-4, False) for step in after[:4]] == [1, 1, 1, 1]
    many = Protocol.hold("1 V", "1 s", samples=5000, until={"conductance_above": "1 mS"})
    assert len(many.steps()) == 5000


def test_the_temperature_of_a_segment() -> None:
    """None is the stage's own."""
    assert Protocol.read().steps()[0].temperature_K is None
    assert Protocol.read(temperature="360 K").steps()[0].temperature_K == 360.0


@pytest.mark.parametrize(
    "build",
    [
        lambda: Protocol([]),
        lambda: Protocol.sweep("1 V", rate="1 V/s", compliance="0 A"),
        lambda: Protocol.sweep("1 V", rate="1 V/s", compliance="-1 uA"),
        lambda: Protocol.sweep("0 V", rate="1 V/s"),
        lambda: Protocol.sweep("1 V", rate="0 V/s"),
        lambda: Protocol.sweep("1 V", rate=None),
        lambda: Protocol.sweep("1 V", rate="1 V/s", step="1 nV"),
        lambda: Protocol.sweep("1 V", rate="1 V/s", cycles=True),
        lambda: Protocol.pulses("1 V", width="-5 ms"),
        lambda: Protocol.pulses("1 V", width="5 ms", count=0),
        lambda: Protocol.pulses("1 V", width="5 ms", pattern="102"),
        lambda: Protocol.pulses("1 V", width="5 ms", repeat=10**9),
        lambda: Protocol.hold("0 V", "0 s"),
        lambda: Protocol.hold("0 V", "1e308 s"),
        lambda: Protocol.sweep("1 V", rate="1e-320 V/s"),
        lambda: Protocol.hold(float("nan"), "1 s"),
        lambda: Protocol.pwl([("0 s", "0 V")], step="1 ms"),
        lambda: Protocol.pwl([("1 s", "0 V"), ("0 s", "1 V")], step="1 ms"),
        lambda: Protocol.pwl([("1 ms", "0 V"), ("2 ms", "1 V")], step="0.1 ms"),
        lambda: Protocol.pwl([("0 s", "0 V"), ("1 ps", "1 V")], step="1 ms"),
        lambda: Protocol.read(temperature="0.001 K"),
        lambda: Protocol.read(until={}),
        lambda: Protocol.read(until={"failure": "1 mS", "conductance_above": "1 mS"}),
        lambda: Protocol.read().repeated(0),
    ],
)
def test_a_senseless_protocol_is_refused(build) -> None:
    """With a next step."""
    with pytest.raises(UserError) as caught:
        build()
    assert caught.value.next_step


def test_errors_name_file_and_line() -> None:
    """Down to the key within a segment within a loop."""
    text = "- repeat:\n    times: 2\n    segments:\n      - sweep:\n          to: 1 V\n          rat: 1 V/s\n"
    with pytest.raises(UserError, match='did you mean "rate"') as caught:
        read_protocol(yaml_documents.parse(text, "run.yaml"))
    assert caught.value.where == "run.yaml:6"


@pytest.mark.parametrize(
    ("segment", "says", "step"),
    [
        ("repeat: {times: 0, segments: [read: {}]}", "times in repeat is 0", "e.g. repeat: {times: 10"),
        ("repeat: {times: 2}", 'repeat has no "segments"', "e.g. repeat: {times: 10"),
        ("repeat: 3", "repeat has no settings", "write - repeat: {times: 10"),
        (
            "repeat_until: {most: -1, until: {failure: 1 mS}, segments: [read: {}]}",
            "most in repeat_until is -1",
            "e.g. repeat_until: {until: ",
        ),
        ("pwl: {points: [[0 s, 0 V]], step: 1 us}", "fewer than 2 entries", "e.g. pwl: {points: "),
        ("pwl: {points: 3, step: 1 us}", "points in pwl is 3: not a list", "e.g. pwl: {points: "),
    ],
)
def test_errors_speak_of_what_was_written(segment: str, says: str, step: str) -> None:
    """The keys of this loop and an example of it, no words of Python's."""
    with pytest.raises(UserError, match=says) as caught:
        read_protocol(yaml_documents.parse(f"- {segment}", "run.yaml"))
    assert caught.value.where == "run.yaml:1"
    assert caught.value.next_step.startswith(step)
