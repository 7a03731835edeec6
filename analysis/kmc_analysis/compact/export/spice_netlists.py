"""A model for circuit simulators: ngspice subcircuit and test benches, and PWL sources.

States are voltages of nodes that hold one microfarad: with one farad the rounding of fast rates that
cancel is above the simulator's absolute tolerance of currents, and its step collapses. A current-limited
device has 10 pF across it, without which the step of ngspice collapses when it switches. That charge need
not be followed closely: `chgtol` is a thousandth of a state's, which halves the number of steps. The limiter
is a bridge of diodes: its law is a tanh, but unlike one in an expression, whose slope is nil where it has
gone too far, Newton's method finds back from there, which takes a third of the iterations.

`m` devices side by side are a parameter of the subcircuit: ngspice multiplies its resistors and capacitors by
an `m` that it does not declare, but no behavioural source, and so would slow the states in place of adding
current. Only the device's current is multiplied here; a rate reads that of one device.

Without a transient's time a state is its initial one: a current pulls it there in place of its rate, so that
an operating point, and what begins at one, is the device at its start and not wherever its rates would rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kmc.core.errors import UserError
from kmc.core.units import K_B
from kmc_analysis.compact.equations.expressions import to_circuit, to_source
from kmc_analysis.compact.equations.integrator import SOFTNESS_V
from kmc_analysis.compact.equations.model import CompactModel
from kmc_analysis.compact.equations.reference_traces import Drive
from kmc_analysis.compact.export import circuit_headers

SHUNT_F = 10e-12
STATE_F = 1e-6
LEAK_OHM = 1e15  # from a state's node
_LINE = 110
JUMP = 1e-6  # of a drive's duration: how long a jump of the source takes
LEAST_OHM = 1e-3  # of a series resistance: none at all is no conductance
_BRIDGE_C = 27.0  # of the limiter's diodes, whatever the circuit's: theirs is a law, not a junction
_THERMAL_V = K_B * (_BRIDGE_C + 273.15)
# A volt from the first moment of a transient on. Not `time`, which in a .dc is the swept voltage, nor EXP,
# which waits for a step.
_RUNNING = "Vrun run 0 dc 0 PULSE(0 1 0 1f 1f 1e12 2e12)"
# reltol is how far Newton goes, too: what it leaves adds up over the steps, however short, and conductance is
# exponential in the state: at 2e-5 vvteam is 1.1 % off at a limit, at 3e-5 a device that runs away after 8
# pulses 10 %. A trtol of 5 takes a third longer than 10, at 20 vvteam is at 1 %, and at 10 the fitted device.
# A vntol of 10 nV leaves a closed device 30 fA at 0 V.
_OPTIONS = ".options method=gear reltol=1.5e-5 abstol=1e-15 vntol=1e-9 chgtol=1e-9 trtol=7 itl4=60"


def subcircuit(model: CompactModel, changes: Mapping[str, float] | None = None) -> str:
    """`.subckt kmc_NAME p n` for ngspice, every parameter and `m` its own, and `.subckt kmc_limiter`."""
    inner = "d" if has_series(model) else "p"
    names = _spice_names(model, f"V({inner},n)")
    lines = [
        f"* {model.title}",
        f"* {model.source}",
        *(f"* {line}" for line in circuit_headers.of_values(model)),
        f"* needs {_OPTIONS}",
        *(f"* {line}" for line in circuit_headers.of_parameters(model)),
        f".subckt kmc_{model.name} p n",
    ]
    lines += [f"+ {name}={value!r}" for name, value in model.values(changes).items()]
    lines.append("+ m=1")
    plain = {"kB": repr(K_B), **{name: f"let_{name}" for name in model.let}}
    lines += [f".param let_{name}={{{to_circuit(model.let[name], plain)}}}" for name in model.fixed]
    if inner == "d":
        ohm = f"max({to_source(model.series, names)},{LEAST_OHM!r})"
        lines.append(_wrapped(f"Bseries p d I = {{m}}*V(p,d)/{ohm}"))
    lines += ["* one volt in a transient, else none", _RUNNING]
    lines.append(f"Vsense {inner} q 0")
    lines.append(_wrapped(f"Bdevice q n I = {{m}}*({to_source(model.current, names)})"))
    for state in model.states:
        node = f"s_{state.name}"
        constants = {"kB": repr(K_B), **{name: f"{{{name}}}" for name in model.names}}
        initial = to_circuit(state.initial, constants)
        lines += [
            f"* {state.meaning}",
            _wrapped(
                f"B{node} 0 {node} I = {STATE_F!r}*(V(run) > 0.5 ? {to_source(state.rate, names)} : "
                f"({initial}) - V({node}))"
            ),
            f"C{node} {node} 0 {STATE_F!r} IC={initial}",
            f"R{node} {node} 0 {LEAK_OHM!r} noisy=0",
        ]
    return "\n".join([*lines, f".ends kmc_{model.name}", "", limiter()])


def limiter() -> str:
    """The compliance of a source, soft over a few millivolt: between the source (s) and the device (d).

    The device's other end is at node n; 10 pF lie across the device. A source that drives `icc` through a
    bridge of four diodes gives icc tanh(drop / (2 N kT/e)), both ways. The diodes keep their temperature, and
    the one their IS is of: ngspice raises IS with the exponential of the circuit's over N, which is small.
    """
    law = f"IS=1e-15 N={SOFTNESS_V / (2.0 * _THERMAL_V):.5g} TNOM={_BRIDGE_C:g}"
    ends = enumerate(("a s", "a d", "s b", "d b"), start=1)
    return "\n".join(
        [
            f"* current limiter: I = icc * tanh(drop / {SOFTNESS_V!r}), by a bridge of diodes",
            ".subckt kmc_limiter s d n icc=1e-6",
            "Ibias b a {icc}",
            *(f"D{k} {pair} kmc_bridge temp={_BRIDGE_C:g}" for k, pair in ends),
            f".model kmc_bridge D({law})",
            f"Cshunt d n {SHUNT_F!r}",
            ".ends kmc_limiter",
            "* the same for a positive current only: a switch lies beside it while the source is negative",
            ".subckt kmc_set_limiter s d n icc=1e-6",
            "Xboth s d n kmc_limiter icc={icc}",
            "Sback s d n s kmc_back OFF",
            ".model kmc_back sw vt=1e-3 vh=1e-3 ron=1e-3 roff=1e12",
            ".ends kmc_set_limiter",
            "",
        ]
    )


def has_series(model: CompactModel) -> bool:
    """Whether a resistance lies in front of the device, so that it has an inner node."""
    return to_circuit(model.series) != "0.0"


def _spice_names(model: CompactModel, volt: str) -> dict[str, str]:
    """What every name of an equation is in the subcircuit; named expressions are written out in place."""
    names = {name: f"{{{name}}}" for name in model.names}
    names |= {state.name: f"V(s_{state.name})" for state in model.states}
    names |= {"V": volt, "kB": repr(K_B)}
    fixed = model.fixed
    for name, tree in model.let.items():
        names[name] = f"{{let_{name}}}" if name in fixed else to_source(tree, names)
    names["I"] = "(I(Vsense)/{m})"
    return names


def _wrapped(text: str) -> str:
    """A line of SPICE broken at spaces, continued by `+`."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) > _LINE:
            lines.append(line)
            line = "+"
        line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def pwl(drive: Drive) -> str:
    """PWL(...) of the source: pairs of time (s) and voltage (V), one a line."""
    return "PWL(\n" + "\n".join(f"+ {time!r} {volt!r}" for time, volt in pwl_points(drive)) + "\n+ )"


def pwl_points(drive: Drive) -> list[tuple[float, float]]:
    """The corners of the source with rising times, from 0 s on; points on a straight line are left out.

    Of points at one time the last comes JUMP of the whole later: a circuit's source knows no jump.
    """
    times, volts = (drive.time - drive.time[0]).tolist(), drive.voltage.tolist()
    rise = JUMP * times[-1]
    kept = [(times[0], volts[0])]
    for k in range(1, len(times)):
        if times[k] <= kept[-1][0]:
            if len(kept) > 1 and kept[-1][0] - kept[-2][0] <= 2.0 * rise:  # already a jump: to where it ends
                kept[-1] = (kept[-1][0], volts[k])
            elif volts[k] != kept[-1][1]:
                kept.append((kept[-1][0] + rise, volts[k]))
            continue
        if k + 1 < len(times) and times[k + 1] > times[k]:
            share = (times[k] - kept[-1][0]) / (times[k + 1] - kept[-1][0])
            if abs(kept[-1][1] + share * (volts[k + 1] - kept[-1][1]) - volts[k]) < 1e-12:
                continue
        kept.append((times[k], volts[k]))
    return kept


def bench(
    model: CompactModel,
    drive: Drive,
    library: str,
    results: str,
    osdi: str = "",
    step: float | None = None,
    source: str = "",
) -> str:
    """A whole ngspice deck: source, limiter, one device, and the trace written by wrdata to `results`.

    `library` is the file with the subcircuits; `osdi` the compiled Verilog-A, whose device is used instead.
    The limit is one, or none; `step` (s) bounds the simulator's own; `source` stands in for the PWL.
    """
    end = float(drive.time[-1] - drive.time[0])
    step = end / 4000.0 if step is None else step
    device = f"N1 x 0 mod_{model.name}" if osdi else f"X1 x 0 kmc_{model.name}"
    card = [f".model mod_{model.name} kmc_{model.name}_va"] if osdi else []
    loaded = [f"pre_osdi {osdi}"] if osdi else []
    written = f"wrdata {results} v(s) v(d) i(Vdevice)"
    circuit = [
        *card,
        f"Vsource s 0 {source or pwl(drive)}",
        _limit(drive, "d"),
        "Vdevice d x 0",
        device,
        f".tran {step!r} {end!r} 0 {step!r} uic",
    ]
    control = [*loaded, "run", "set wr_singlescale", "set numdgt=12", written]
    return _deck(f"{model.title}: test bench", library, circuit, control)


def _deck(title: str, library: str, circuit: Sequence[str], control: Sequence[str]) -> str:
    """A whole deck. One thread: with more, ngspice spends its time waiting between them at every call of a
    compiled device."""
    lines = [
        f"* {title}",
        f".include {library}",
        _OPTIONS,
        *circuit,
        ".control",
        "set num_threads=1",
        *control,
        ".endc",
        ".end",
    ]
    return "\n".join(lines) + "\n"


def monte_carlo(
    model: CompactModel, values: Mapping[str, float], drive: Drive, library: str, results: str, count: int = 10
) -> str:
    """A deck of `count` devices, drawn one after the other by the spread from device to device. A line of
    `results` each: the source's voltage at which it first carries half of the limit, -1 where it does not."""
    end, limit = float(drive.time[-1] - drive.time[0]), float(drive.compliance[0])
    drawn = [
        f"+ {name}={{{values[name]!r}*exp(agauss(0,{sigma!r},1))}}" for name, sigma in model.spread["device"].items()
    ]
    title = f"{model.title}: {count} devices, by the spread from device to device"
    circuit = [f"Vsource s 0 {pwl(drive)}", _limit(drive, "d"), "Vdevice d x 0", f"X1 x 0 kmc_{model.name}", *drawn]
    control = [
        "setseed 1",
        f"echo device set_voltage_V > {results}",
        f"foreach device {' '.join(str(k + 1) for k in range(count))}",
        "reset",
        f"tran {end / 2000.0!r} {end!r} 0 {end / 2000.0!r} uic",
        "let set_v = -1",
        f"meas tran set_v find v(s) when i(Vdevice)={limit / 2.0!r} cross=1",
        f"echo $device $&set_v >> {results}",
        "destroy",
        "end",
    ]
    return _deck(title, library, circuit, control)


def _limit(drive: Drive, node: str) -> str:
    """The limiter between source and `node`, of a positive current alone where the drive's negative voltages
    have none; without a limit what it leaves there, 10 pF."""
    ahead, back = (set(drive.compliance[sign * drive.voltage > 0.0].tolist()) for sign in (1.0, -1.0))
    limit = min(ahead or back or {float(drive.compliance[0])})
    if len(ahead) > 1 or len(back) > 1 or not back <= {limit, math.inf}:
        raise UserError(
            "a circuit's limiter has one compliance, and the drive has several", next_step="write a deck for each"
        )
    if math.isfinite(limit):
        kind = "kmc_set_limiter" if math.inf in back else "kmc_limiter"
        return f"Xlimit s {node} 0 {kind} icc={limit!r}"
    return f"Vlimit s {node} 0\nClimit {node} 0 {SHUNT_F!r}"


def crossbar(
    model: CompactModel,
    rows: int,
    columns: int,
    drive: Drive,
    library: str,
    results: str,
    parameters: Sequence[Mapping[str, float]] = (),
) -> str:
    """A passive array: row 0 is driven, the others float on 1 Mohm; columns go to ground through 10 ohm.

    `parameters` gives each device its own values, row by row; the current of each column is written.
    """
    end = float(drive.time[-1] - drive.time[0])
    lines = [f"Vsource s 0 {pwl(drive)}", _limit(drive, "r0")]
    lines += [f"Rrow{i} r{i} 0 1e6\nCrow{i} r{i} 0 {SHUNT_F!r}" for i in range(1, rows)]
    for j in range(columns):
        lines += [f"Vcol{j} c{j} b{j} 0", f"Rcol{j} b{j} 0 10", f"Ccol{j} c{j} 0 {SHUNT_F!r}"]
    for i in range(rows):
        for j in range(columns):
            own = parameters[i * columns + j] if parameters else {}
            given = "".join(f"\n+ {name}={float(value)!r}" for name, value in own.items())
            lines.append(f"X{i}_{j} r{i} c{j} kmc_{model.name}{given}")
    written = " ".join(f"i(Vcol{j})" for j in range(columns))
    lines.append(f".tran {end / 2000.0!r} {end!r} 0 {end / 2000.0!r} uic")
    control = ["run", "set wr_singlescale", f"wrdata {results} {written}"]
    return _deck(f"{rows}x{columns} crossbar of {model.title}", library, lines, control)
