"""What enemies write: sound files to start from, nasty values, and command lines."""

from __future__ import annotations

from hypothesis import strategies as st

RUN = """stack: ogb_20nm
description: "a run"
choices: {ligand: ddab, thickness: 40 nm, electrode.bond_energy: 0.31 eV}
protocol:
  - sweep: {to: 0.5 V, rate: 1 kV/s, step: 50 mV, compliance: 1 uA, temperature: 300 K}
  - pulses: {amplitude: 1 V, width: 5 ms, gap: 10 ms, count: 4, read: {voltage: 0.1 V, duration: 1 ms}}
  - hold: {voltage: 0 V, duration: 1 s, spacing: log, until: {conductance_below: 1 uS}}
  - pwl: {points: [[0 s, 0 V], [1 ms, 1 V]], step: 10 us}
  - repeat_until: {until: {conductance_above: 0.1 mS}, most: 5, segments: [read: {voltage: 0.1 V}]}
seed: 7
settings: {window: 8 nm, mesh_factor: 2, refresh_bound: 1.0, wall_limit_s: 60 s, vacancies: explicit}
snapshots: {every: 1 ms}
initial: other/out
"""
STUDY = """stack: ogb_20nm
variants: {ligand: [ogb, ddab], thickness: [20 nm, 40 nm], electrode.bond_energy: 3 draws}
cases: {as it is: {}, warm: {temperature: 330 K, settings.ion_pairs: false}}
protocols:
  slow: [sweep: {to: 0.5 V, rate: 1 V/s, step: 50 mV, compliance: 1 uA}]
  fast: [hold: {voltage: 0.5 V, duration: 1 ms}]
replicates: 2
seed: 7
settings: {window: 8 nm}
"""
# In place of a value: what is not finite, not plain, not safe, too large, or from another alphabet.
NASTY = (
    ".nan",
    ".inf",
    "-.inf",
    "1e999",
    "-1",
    "0",
    "1e-320",
    "true",
    "null",
    "~",
    "[]",
    "{}",
    "0x10",
    "0o7",
    "1_000",
    "2020-01-01",
    "&a 1",
    "*a",
    "!!python/object/apply:os.system ['touch owned']",
    "!!binary aGk=",
    "!!set {a}",
    "'1 V'",
    "'-5 nm'",
    "'1e400 V'",
    "'nan V'",
    "'1 parsec'",
    "'1 V^9'",
    "'1 V**99999999'",
    "'1 /0'",
    "'\u0663 V'",
    "'../../../../etc/passwd'",
    "'/dev/zero'",
    "'/proc/self/mem'",
    r'"\0"',
    r'"a/\0b.yaml"',
    r'"\ud800"',
    r'"a/\ud800.yaml"',
    r'"\e[31m"',
    "'<script>alert(1)</script>'",
    "'__class__'",
    "'{0.__class__}'",
    "'$(touch owned)'",
    "'%s%n'",
    "9" * 90,
    "9" * 6000,
    "'" + "x" * 5000 + "'",
    "[" * 200,
    "[" * 60 + "]" * 60,
    "{a: " * 30 + "1" + "}" * 30,
)
SYNTAX = (
    "\t",
    "\n",
    "\n  ",
    ": ",
    "- ",
    "#",
    "'",
    '"',
    "---\n",
    "...\n",
    "? ",
    "|\n",
    ">\n",
    "%YAML 9.9\n",
    "<<: *a\n",
    "\r",
    "\x85",
    "\u2028",
)
_WORDS = (
    "run.yaml",
    "none.yaml",
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/zero",
    "/proc/self/mem",
    "x" * 5000,
    "-",
    "--",
    "\udcff",
    "a\nb",
    "\x1b[31m",
    "*",
    "~",
    "-1",
    "nan",
    "9" * 400,
    "study.yaml",
    "full",
    "full/run.nc",
    "full/checkpoint.npz",
    "card.yaml",
    "ogb",
    "ogb_20nm",
    "{}",
    "'",
    '"',
    "é",
    "../../x",
)
_OPTIONS = (
    "--seed",
    "--out",
    "--set",
    "--resume",
    "--json",
    "--quiet",
    "--checkpoint-every",
    "--no-picture",
    "--format",
    "--barriers",
    "--workers",
    "--task",
    "--slurm",
    "--scheduler",
    "--metric",
    "--figure",
    "--reference",
    "--sed",
    "-x",
    "--help",
    "--version",
    "--var",
    "--stride",
)
_SETS = (
    "seed=",
    "=",
    "seed",
    "settings.window=",
    "protocol.0.sweep.to=",
    "protocol.99.x=1",
    "choices.ligand=",
    "choices.electrode.bond_energy=",
    "variants.ligand=",
    "replicates=",
    "..=1",
    "protocol=",
    "seed.x.y=1",
    "stack=",
)
# Those that compute for minutes when they are given nothing are left out.
_COMMANDS = (
    "check",
    "resume",
    "verify",
    "export",
    "cite",
    "schema",
    "compare",
    "report",
    "bench",
    "study",
    "run",
    "compact",
    "reservoir",
    "chek",
    "",
)


@st.composite
def arguments(draw: st.DrawFn) -> list[str]:
    """A command line that asks for nothing that takes long: the folder of a run is full."""
    command = draw(st.sampled_from(_COMMANDS))
    words = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 5))
        if kind < 3:
            words.append(draw(st.sampled_from(_WORDS)))
        elif kind < 5:
            words.append(draw(st.sampled_from(_OPTIONS)))
        else:
            words += ["--set", draw(st.sampled_from(_SETS)) + draw(st.sampled_from(NASTY))]
    if command in ("run", "study"):
        words += ["--out", "full"]
    if command in ("report", "bench", "compare"):  # what they say of their progress is no message
        words.insert(0, "--quiet")
    return [command, *words]
