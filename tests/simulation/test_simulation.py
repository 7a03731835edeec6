"""The loop tells how far it is to who wants to know, and goes on where loops of the protocol end."""

import re
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import kmc
from kmc.benchmarks.small_device import small
from kmc.cli.app import main
from kmc.core.errors import UserError
from kmc.core.interrupts import Interrupted
from kmc.geometry.lattice import ACTIVE
from kmc.io import checkpoint, provenance
from kmc.kinetics import advance
from kmc.simulation import parallel_windows, simulation
from kmc.simulation.observers import Look
from kmc.simulation.simulation import Simulation
from kmc.system.state import EMPTY, KIND_ION, METAL


def short(progress: Any) -> None:
    """A hold of a nanosecond in a small window."""
    protocol = kmc.Protocol.hold("0.1 V", "1 ns")
    kmc.simulate("ogb_7nm", protocol, settings={"window": "8 nm"}, progress=progress)


def astray(device: Any) -> int:
    """Ions that the list of their cell does not name."""
    state, grid, missing = device.state, device.grid, 0
    for ion in np.flatnonzero(state.entities["kind"] == KIND_ION):
        z, y, x = (int(state.entities[name][ion]) // 4 for name in "zyx")
        other = int(state.head[(z * (grid.ny // 4) + y) * (grid.nx // 4) + x])
        for _ in range(100):
            if other in (ion, -1):
                break
            other = int(state.entities["next"][other])
        missing += other != ion
    return missing


def test_a_state_of_other_settings_has_the_rates_of_these() -> None:
    """A run without pair energies, gone on with by one that has them: the ions know each other at once."""
    protocol = kmc.Protocol.hold("0 V", "1 ns", samples=1)
    before = small(protocol, 5.0, {"ion_pairs": False}, 1)
    device = before.device
    free = np.flatnonzero(before.lattice.mask(*ACTIVE).ravel() & (device.state.sites["cation"] == EMPTY))
    places = free[np.flatnonzero(np.diff(free) == 1)[0] + np.arange(60)]
    advance.place_many(device.state, device.grid, KIND_ION, places.astype(np.int32))
    device.refresh()
    device.advance(before.events, np.inf, 500, False)
    assert device.state.run["hops"][0] > 100
    assert astray(device) > 0  # without pair energies the lists are not kept up
    paired = before.settings.changed(ion_pairs=True)
    after = Simulation(before.stack, protocol, paired, 1, before.state_dict())
    ions = after.device.state.entities["kind"] == KIND_ION
    kept, rates = (getattr(after.device.state, name)[ions].copy() for name in ("pairs", "rates"))
    assert astray(after.device) == 0
    after.device.refresh()
    assert np.count_nonzero(kept) > 0
    assert (kept == after.device.state.pairs[ions]).all()
    assert (rates == after.device.state.rates[ions]).all()


def test_a_state_of_another_lattice_is_refused() -> None:
    """Another thickness, gap, mesh or kind of vacancies: one message, where numpy's or silence was before."""
    protocol = kmc.Protocol.hold("0 V", "1 ns", samples=1)
    saved = small(protocol, 5.0, {}, 1).state_dict()

    def start(thickness: float, values: dict[str, Any]) -> None:
        new = small(protocol, thickness, values, 1)
        Simulation(new.stack, protocol, new.settings, 1, saved)

    start(5.0, {"ion_pairs": False})
    for thickness, values in (
        (8.0, {}),
        (5.0, {"ligand.gap": "1.3 nm"}),
        (5.0, {"mesh_factor": 2}),
        (5.0, {"vacancies": "explicit"}),
    ):
        with pytest.raises(UserError, match="is one of another"):
            start(thickness, values)


def test_a_refused_state_says_what_both_runs_must_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key of a run file that may be why, in the words of a run file."""
    monkeypatch.setattr(parallel_windows, "mismatch", lambda device, saved: "kind of vacancies")
    new = SimpleNamespace(devices=[None])
    with pytest.raises(UserError) as caught:
        parallel_windows.Windows.load_state_dict(new, {"parts": [{"device": {}}]})
    for word in ("stack", "choices", "window", "mesh_factor", "spacing_factor", "vacancies", "space_charge"):
        assert word in caught.value.next_step


def test_two_runs_from_one_state_do_not_disturb_each_other() -> None:
    """A state is a copy: what goes on after it leaves it alone, and so does who starts from it."""
    protocol = kmc.Protocol.hold("0.7 V", "20 us", "100 uA", samples=2)
    first = small(protocol, 5.0, {}, 1)
    first.run()
    saved = first.state_dict()
    kept = checkpoint.digest(saved)
    ends = []
    for _ in range(2):
        second = Simulation(first.stack, protocol, first.settings, 1, saved)
        second.run()
        ends.append(checkpoint.digest(second.state_dict()))
    assert ends[0] == ends[1] != kept
    assert checkpoint.digest(saved) == kept


def test_linear_algebra_has_one_thread_while_a_run_goes_on() -> None:
    """Whoever loaded numpy first: the number of threads decides the order of a sum, hence the last bit."""
    seen: list[int] = []

    def threads() -> int:
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    def look() -> bool:
        seen.append(threads())
        return False

    with threadpool_limits(2, "blas"):
        assert threads() == 2
        small(kmc.Protocol.hold("0 V", "1 ns", samples=2), 5.0, {}, 1).run(should_stop=look)
        assert threads() == 2
    assert seen == [1, 1]


def test_progress_is_shown_told_or_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """True: a line on standard error as kmc run has it; a function: numbers; False: nothing."""
    short(False)
    assert capsys.readouterr() == ("", "")
    short(True)
    told = capsys.readouterr()
    assert told.out == ""
    assert re.match(r"ogb_7nm: (100 %  1 ns|0 %  0 s) of 1 ns ", told.err)  # a slow machine tells the start
    heard: list[dict[str, Any]] = []
    short(heard.append)
    assert capsys.readouterr() == ("", "")
    assert heard[-1]["time_s"] == heard[-1]["total_s"] == pytest.approx(1e-9)


def test_who_listens_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace that was told of after every kernel call is the one that nobody asked about."""
    monkeypatch.setattr(simulation, "PROGRESS_S", 0.0)
    protocol = kmc.Protocol.hold("1 V", "20 us", samples=8)
    settings = {"window": "8 nm", "event_budget": 20}
    calls: list[dict[str, Any]] = []
    listened = kmc.simulate("ogb_7nm", protocol, 2, settings, progress=calls.append)
    alone = kmc.simulate("ogb_7nm", protocol, 2, settings)
    assert len(calls) > 5
    assert listened.equals(alone)


def test_snapshots_are_those_of_a_run_file(tmp_path: Path) -> None:
    """Of `kmc run` with the same seed, bit by bit; the trace is the one without; zero is refused."""
    protocol = kmc.Protocol.hold("1 V", "20 us", samples=8)
    seen = kmc.simulate("ogb_7nm", protocol, 2, {"window": "8 nm"}, snapshots="9 us")
    alone = kmc.simulate("ogb_7nm", protocol, 2, {"window": "8 nm"})
    assert seen["snapshot_time"].values.tolist() == pytest.approx([1e-5, 2e-5])
    assert seen.drop_dims(["snapshot_time", "z", "y", "x"]).equals(alone)
    path = tmp_path / "run.yaml"
    path.write_text(
        "stack: ogb_7nm\nseed: 2\nsettings: {window: 8 nm}\nsnapshots: {every: 9 us}\n"
        "protocol: [{hold: {voltage: 1 V, duration: 20 us, samples: 8}}]\n",
        encoding="utf-8",
    )
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--quiet", "--no-picture"]) == 0
    assert kmc.open(tmp_path / "out").equals(seen)
    with pytest.raises(UserError, match="more than zero"):
        kmc.simulate("ogb_7nm", protocol, snapshots="0 s")


def test_a_film_that_is_built_thicker_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run says what `kmc check` says; a film that can be had is built without a word."""
    path = tmp_path / "run.yaml"
    for thickness, warned in ((2, True), (20, False)):
        path.write_text(
            "stack: ogb_7nm\nsettings: {window: 8 nm}\n"
            f"choices: {{thickness: {thickness} nm}}\n"
            "protocol: [{hold: {voltage: 0 V, duration: 1 ns, samples: 1}}]\n"
        )
        assert main(["run", str(path), "--out", str(tmp_path / str(thickness)), "-q", "--no-picture"]) == 0
        assert ("nm thick where 2 nm were asked for" in capsys.readouterr().err) is warned


def test_the_window_that_there_is_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Crystals of 20 nm make 30 nm 24.7 nm: kept with the trace, and warned of; 24 nm is near enough."""
    path = tmp_path / "run.yaml"
    for asked, warned in ((30, True), (24, False)):
        path.write_text(
            f"stack: ogb_20nm\nsettings: {{window: {asked} nm}}\nsnapshots: {{every: 1 ns}}\n"
            "protocol: [{hold: {voltage: 0 V, duration: 1 ns, samples: 1}}]\n"
        )
        assert main(["run", str(path), "--out", str(tmp_path / str(asked)), "--quiet", "--no-picture"]) == 0
        assert ("nm were asked for: it holds whole crystals" in capsys.readouterr().err) is warned
        ds = kmc.open(tmp_path / str(asked))
        sides = [ds.sizes[axis] * 2.0 * float(ds["z"].values[0]) for axis in "yx"]
        assert provenance.run_of(ds)["window_nm"] == pytest.approx(sides, rel=1e-5)
        assert sides == pytest.approx([24.65, 24.65], abs=0.01)


def test_each_loop_that_ends_early_gives_way_to_the_next() -> None:
    """Two loops whose condition holds after one turn, then a hold: one row each, and no turn twice."""
    loop = kmc.Protocol.hold("0.05 V", "1 ns", samples=1).repeated(5, {"conductance_below": "1 S"})
    protocol = loop + loop + kmc.Protocol.hold("0 V", "1 ns", samples=1)
    trace = kmc.simulate("ogb_20nm", protocol, settings={"window": "8 nm"})
    assert trace.segment.values.tolist() == [0, 1, 2]
    assert float(trace.time[-1]) == pytest.approx(3e-9)
    never = kmc.Protocol.hold("0.05 V", "1 ns", samples=1).repeated(5, {"conductance_above": "1 S"})
    assert kmc.simulate("ogb_20nm", never, settings={"window": "8 nm"}).time.size == 5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seed": "a"}, "seed is 'a', not a whole number"),
        ({"protocol": [{"reed": {}}]}, 'unknown segment "reed"; did you mean "read"'),
        ({"protocol": []}, "protocol is not a list of segments"),
        ({"protocol": "read"}, "protocol is not a list of segments"),
        ({"protocol": [{"repeat": {"times": 2, "segments": [{"read": {"voltag": 1}}]}}]}, 'unknown key "voltag"'),
        ({"settings": {"windw": 3}}, 'unknown key "windw" in settings'),
        ({"initial": {}}, "initial is no state of a run"),
        ({"initial": 3}, "initial is no state of a run"),
        ({"initial": {"seed": 0, "windows": {}}}, "initial is no state of a run"),
    ],
)
def test_simulate_refuses_as_a_run_file_does(given: dict[str, Any], says: str) -> None:
    """With a UserError and a next step, before it computes."""
    words: dict[str, Any] = {"protocol": kmc.Protocol.read(), **given}
    with pytest.raises(UserError, match=says) as caught:
        kmc.simulate("ogb_7nm", **words)
    assert caught.value.next_step


def test_simulate_takes_the_segments_of_a_run_file() -> None:
    """The same trace as of the Protocol that they make, and a seed of numpy's is a seed."""
    listed = [{"hold": {"voltage": "0.1 V", "duration": "1 ns"}}]
    protocol, settings = kmc.Protocol.hold("0.1 V", "1 ns"), {"window": "8 nm"}
    made: Any = kmc.simulate("ogb_7nm", protocol, 3, settings)
    assert made.equals(kmc.simulate("ogb_7nm", listed, np.int64(3), settings))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a protocol is not made of segments"):
        kmc.Protocol(listed)


def test_simulate_stops_at_the_wall_limit() -> None:
    """It warns, and returns the rows until then; without a limit there are all of them and no warning."""
    program = kmc.Protocol.hold("0.1 V", "1 s", samples=400)
    with pytest.warns(UserWarning, match="the wall limit of 0.001 s was reached"):
        some = kmc.simulate("pedot_only", program, settings={"wall_limit_s": 0.001, "window": "6 nm"})
    assert some.sizes["time"] < 400
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert kmc.simulate("pedot_only", program, settings={"window": "6 nm"}).sizes["time"] == 400


def test_ctrl_c_keeps_what_was_simulated() -> None:
    """As the interrupt's `trace`: the first samples of the whole run, and what observers saw."""
    program, settings = kmc.Protocol.hold("0.1 V", "1 s", samples=400), {"window": "6 nm"}
    seen: list[float] = []

    def looked(look: Look) -> float:
        seen.append(1.0)
        if len(seen) == 20:
            signal.raise_signal(signal.SIGINT)
        return 7.0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in a shell's background
    try:
        with pytest.raises(Interrupted, match="`trace`") as stopped:
            kmc.simulate("pedot_only", program, settings=settings, observers={"looked": looked})
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(stopped.value, KeyboardInterrupt)
    part, whole = stopped.value.trace, kmc.simulate("pedot_only", program, settings=settings)
    assert part.sizes["time"] == 20
    assert part.drop_vars("looked").equals(whole.isel(time=slice(0, 20)))
    assert (part["looked"] == 7.0).all()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None], ids=["ignored", "own"])
def test_a_handler_of_ones_own_is_kept(handler: Any) -> None:
    """Who ignores ctrl-C, as a shell has its background jobs do, or hears it himself gets the whole run."""
    before = signal.signal(signal.SIGINT, handler)

    def looked(look: Look) -> float:
        signal.raise_signal(signal.SIGINT)
        return 1.0

    try:
        program, settings = kmc.Protocol.hold("0.1 V", "1 ms", samples=4), {"window": "6 nm"}
        trace = kmc.simulate("pedot_only", program, settings=settings, observers={"looked": looked})
        assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert trace.sizes["time"] == 4


def test_what_is_doubtful_is_a_warning() -> None:
    """What `kmc run` tells before the first step: of the window, and of the waveform. None of what is not."""
    points = [["0 s", "0 V"], ["1 ns", "0.05 V"], ["2 ns", "0 V"]]
    with pytest.warns(UserWarning, match="where 8 nm were asked for"):
        kmc.simulate("ogb_7nm", kmc.Protocol.pwl(points, step="0.5 ns"), settings={"window": "8 nm"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        kmc.simulate("ogb_7nm", kmc.Protocol.read(duration="1 ns"), settings={"window": "22.3 nm"})


@pytest.mark.parametrize("given", [[len], {"metal": 3}])
def test_an_observer_is_a_function_by_its_name(given: Any) -> None:
    """Else a UserError says what to write."""
    with pytest.raises(UserError, match="observers are functions by the name"):
        kmc.simulate("ogb_7nm", kmc.Protocol.read(), settings={"window": "8 nm"}, observers=given)


def test_an_observer_makes_a_number_of_each_sample() -> None:
    """Under its own name, of copies: what it does to them changes nothing, nor does that it looks."""
    program = kmc.Protocol.hold("0.1 V", "20 ns", samples=3)
    seen: list[Any] = []

    def highest(sites: dict[str, Any]) -> float:
        seen.append(sorted(sites))
        top = np.flatnonzero((sites["cation"] == METAL).any(axis=(1, 2))).max() * sites["spacing_nm"]
        for values in sites.values():
            if isinstance(values, np.ndarray):
                values.fill(1)
        return top

    given: dict[str, Any] = {"seed": 2, "settings": {"window": "8 nm"}, "snapshots": "10 ns"}
    plain = kmc.simulate("ogb_7nm", program, **given)
    watched = kmc.simulate("ogb_7nm", program, observers={"highest": highest}, **given)
    assert seen == 3 * [["cation", "potential", "region", "spacing_nm", "temperature", "vacancy"]]
    assert watched.highest.dims == ("time",)
    assert (watched.highest > 10).all()
    assert watched.drop_vars("highest").identical(plain.assign_attrs(provenance=watched.provenance))


@pytest.mark.parametrize(
    ("name", "found", "says"),
    [
        ("gap", 1.0, "an observer cannot be called 'gap'"),
        ("no name", 1.0, "an observer cannot be called 'no name'"),
        (1, 1.0, "an observer cannot be called 1"),
        ("shape", (1, 2), r"observer shape gave \(1, 2\)"),
    ],
)
def test_an_observer_has_a_name_of_its_own_and_gives_one_number(name: Any, found: Any, says: str) -> None:
    """Else a UserError says what to do."""
    with pytest.raises(UserError, match=says):
        kmc.simulate("ogb_7nm", kmc.Protocol.read(), settings={"window": "8 nm"}, observers={name: lambda sites: found})
