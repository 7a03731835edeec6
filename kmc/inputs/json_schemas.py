"""JSON schemas and a reference in Markdown, made from the tables that validate cards, stacks and runs."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from kmc.cards.card_schema import FAMILIES, MEANING, STACK_KEYS, Key
from kmc.cards.quantity import KINDS
from kmc.cards.stack_parts import LAYERS, NUMBERS, ORDERS, ROLES
from kmc.inputs.run_file import KEYS, OF_A_STUDY
from kmc.inputs.segments import KINDS as WAVEFORMS
from kmc.inputs.segments import Segment
from kmc.inputs.settings import Settings

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_PLAIN = {"type": ["string", "number"]}
_HEADER = {"family": _TEXT, "name": _TEXT, "description": _TEXT, "extends": _TEXT}


def names() -> list[str]:
    """What there is a schema of."""
    return [*FAMILIES, "stack", "run", "study", "settings"]


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of a family's card, of a stack, a run file, a study or settings."""
    makers = {"stack": _stack, "run": _run, "study": _study, "settings": _settings}
    body = makers[name]() if name in makers else _card(name)
    return {"$schema": DRAFT, "title": f"kmc {name}", **body}


def reference() -> str:
    """The keys of all families, of a stack and of settings as Markdown tables."""
    parts = []
    for family, table in FAMILIES.items():
        parts += [f"### {family}", "", f"{MEANING[family][0].upper()}{MEANING[family][1:]}.", "", *_table(table), ""]
    parts += ["### stack", "", "The numbers of a stack's layers, crystals and grains.", "", *_table(STACK_KEYS), ""]
    units = "The segments of a protocol; voltages without a unit are in V, times in s, rates in V/s."
    corners = (
        "`pwl` takes a `file` in place of `points`: a table with the columns `time_s` and "
        "`voltage_source_V`, or times and voltages alone."
    )
    parts += ["### protocol", "", units, "", *_segments(), "", corners, ""]
    parts += ["### settings", "", "| name | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        parts.append(f"| `{name}` | {field.default} | {field.description} |")
    return "\n".join([*parts, ""])


def _segments() -> list[str]:
    """The segments of a protocol: their needed keys, and their own others with defaults."""
    rows = ["| segment | needed | optional (default) | meaning |", "|---|---|---|---|"]
    for name, kind in WAVEFORMS.items():
        fields = {key: field for key, field in kind.model_fields.items() if key not in Segment.model_fields}
        needed = ", ".join(f"`{key}`" for key, field in fields.items() if field.is_required())
        optional = ", ".join(
            f"`{key}` ({'none' if field.default is None else field.default})"
            for key, field in fields.items()
            if not field.is_required()
        )
        meaning = " ".join((kind.__doc__ or "").split())
        rows.append(f"| `{name}` | {needed} | {optional} | {meaning} |")
    return rows


def _table(table: dict[str, Key]) -> list[str]:
    rows = ["| key | unit | from | to | needed | meaning |", "|---|---|---|---|---|---|"]
    for name, key in table.items():
        needed = "yes" if key.required else ""
        rows.append(f"| `{name}` | {key.unit or '1'} | {key.low:g} | {key.high:g} | {needed} | {key.meaning} |")
    return rows


def _object(properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required, **more}


def _quantity(key: Key) -> dict[str, Any]:
    properties = {
        "value": {"type": "number"},
        "unit": {"type": ["string", "number"], "examples": [key.unit or 1]},
        "sigma": {"type": ["number", "null"], "minimum": 0},
        "kind": {"enum": list(KINDS)},
        "source": _TEXTS,
        "why": _TEXT,
        "targets": _TEXTS,
        "run": _TEXT,
        "where": _TEXT,
    }
    bounds = f"{key.meaning}; {key.low:g} to {key.high:g} {key.unit}".rstrip()
    required = ["value", "kind", *([] if key.unit == "" else ["unit"])]
    needs = {"assumed": ["why"], "fitted": ["targets", "run"], "measured": ["source"], "computed": ["source"]}
    rules = [
        {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": fields}}
        for kind, fields in needs.items()
    ]
    return _object(properties, required, description=bounds, allOf=rules)


def _card(family: str) -> dict[str, Any]:
    table = FAMILIES[family]
    properties = {
        **_HEADER,
        "symbol": _TEXT,
        "family": {"const": family},
        **{name: _quantity(key) for name, key in table.items()},
    }
    whole = ["family", *(name for name, key in table.items() if key.required)]
    return _object(properties, [], description=MEANING[family], anyOf=[{"required": ["extends"]}, {"required": whole}])


def _stack() -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for role, keys in NUMBERS.items():
        layer = role in LAYERS
        properties = {**({"card": _TEXT} if layer else {}), **{key: _quantity(STACK_KEYS[key]) for key in keys}}
        if role == "crystal":
            properties["order"] = {"enum": list(ORDERS)}
        required = [*(["card"] if layer else []), *(key for key in keys if STACK_KEYS[key].required)]
        parts[role] = {"anyOf": [_object(properties, required), {"type": "null"}]}
    for role in ROLES:
        parts[role] = {"type": ["string", "null"]}
    parts["crevice_fraction"] = _quantity(STACK_KEYS["crevice_fraction"])
    whole = ["family", "electrode", "counter"]
    return _object(
        {**_HEADER, "family": {"const": "stack"}, **parts}, [], anyOf=[{"required": ["extends"]}, {"required": whole}]
    )


def _settings() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        kind: dict[str, Any] = {"type": "boolean"} if isinstance(field.default, bool) else dict(_PLAIN)
        if get_origin(field.annotation) is Literal:
            kind = {"enum": list(get_args(field.annotation))}
        if field.default is None:
            kind["type"] = ["string", "number", "null"]
        properties[name] = {**kind, "default": field.default, "description": field.description}
    return _object(properties, [])


def _run() -> dict[str, Any]:
    segments: dict[str, Any] = {}
    for name, kind in WAVEFORMS.items():
        fields: dict[str, Any] = {key: {} for key in kind.model_fields}
        required = [key for key, field in kind.model_fields.items() if field.is_required()]
        segments[name] = _object(fields, required, description=kind.example)
    pwl = segments["pwl"]
    pwl["properties"]["file"] = _TEXT  # which the reader of a protocol turns into points
    pwl["required"].remove("points")
    pwl["oneOf"] = [{"required": [key]} for key in ("points", "file")]
    inner = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/segment"}}
    count = {"type": "integer", "minimum": 1}
    segments["repeat"] = _object({"times": count, "segments": inner}, ["times", "segments"])
    segments["repeat_until"] = _object({"until": {}, "most": count, "segments": inner}, ["until", "most", "segments"])
    segment = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": segments,
    }
    properties = {
        "description": _TEXT,
        "stack": _TEXT,
        "choices": {"type": "object"},
        "protocol": inner,
        "seed": {"type": "integer", "minimum": 0},
        "settings": _settings(),
        "snapshots": _object({"every": _TEXT}, ["every"]),
        "initial": _TEXT,
    }
    return _object({key: properties[key] for key in KEYS}, ["stack", "protocol"], **{"$defs": {"segment": segment}})


def _study() -> dict[str, Any]:
    """A run's keys but `initial`, and what is crossed over them."""
    run = _run()
    shared = {key: rule for key, rule in run["properties"].items() if key != "initial"}
    listed = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}
    levels = [listed, {"type": "string", "pattern": "^[1-9][0-9]* draws?$"}]
    inner = {"type": "object", "additionalProperties": {"anyOf": levels}}  # {electrode: {bond_energy: [...]}}
    named = {"type": "object", "minProperties": 1}
    count = {"type": "integer", "minimum": 1}
    until = _object({"from": count, "to": count, "until": {**named, "maxProperties": 1}}, ["to", "until"])
    own = {
        "variants": {**named, "additionalProperties": {"anyOf": [*levels, inner]}},
        "cases": {**named, "additionalProperties": {"type": "object"}},
        "protocols": {**named, "additionalProperties": shared["protocol"]},
        "replicates": {"anyOf": [count, until]},
    }
    varied = {"required": ["variants"], "properties": {"variants": {"required": ["stack"]}}}
    rules = [
        {"anyOf": [{"required": [key]}, other]}
        for key, other in (("stack", varied), ("protocol", {"required": ["protocols"]}))
    ]
    return _object({**shared, **{key: own[key] for key in OF_A_STUDY}}, [], allOf=rules, **{"$defs": run["$defs"]})
