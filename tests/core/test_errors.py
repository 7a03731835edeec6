"""Errors: one line with place, matter, nearest name and next step."""

from __future__ import annotations

import pytest

from kmc.core.errors import CorruptFile, UserError, listed, nearest, optional


def test_the_message_has_place_matter_nearest_name_and_next_step() -> None:
    """All four parts, in that order."""
    error = UserError('unknown key "gpa"', "card.yaml:3", "gap", "rename it")
    assert str(error) == 'card.yaml:3: unknown key "gpa"; did you mean "gap"?; rename it'


def test_parts_that_are_missing_leave_no_trace() -> None:
    """Nothing but the matter."""
    assert str(UserError("no such file")) == "no such file"


def test_a_message_is_one_printable_line() -> None:
    """Line breaks and control characters are taken out."""
    assert str(UserError("a\nb\x1b[31mc")) == "a b [31mc"


def test_a_place_is_added_once() -> None:
    """The first place known is the one shown."""
    assert UserError("x").at("a:1").where == "a:1"
    assert UserError("x", "a:1").at("b:2").where == "a:1"
    assert isinstance(CorruptFile("x").at("a:1"), CorruptFile)


def test_exit_codes() -> None:
    """2 for bad input, 3 for a corrupted file."""
    assert (UserError("x").exit_code, CorruptFile("x").exit_code) == (2, 3)


@pytest.mark.parametrize(("name", "found"), [("gpa", "gap"), ("GAP", "gap"), ("zzz", None), ("", None), (3, None)])
def test_nearest(name: object, found: str | None) -> None:
    """The likest name, whatever the case, or none."""
    assert nearest(name, ["gap", "length"]) == found


def test_a_name_that_was_cut_short_is_completed() -> None:
    """Though another is as long and has nearly its letters; of a few letters all have the beginning."""
    names = ["S30_volatile_heat", "S3_volatile_switching", "sweep"]
    assert nearest("S3_volatile", names) == "S3_volatile_switching"
    assert nearest("s3", names) is None


def test_the_names_are_listed_where_none_is_near() -> None:
    """At most thirty of them."""
    assert listed(["a", "b"]) == "use one of: a, b"
    assert "a" not in listed(["a", "b"], "b").split()[2:]
    assert listed(map(str, range(100))).endswith("29 ...")


def test_what_an_extra_brings_is_named_with_how_to_get_it() -> None:
    """A module of an extra that is missing; control: one that is there."""
    assert optional("json", "viz", "this").dumps(1) == "1"
    with pytest.raises(
        UserError,
        match=r"this needs nothing_such, which is not installed; in the project's "
        r"folder: \.venv/bin/pip install -e '\.\[viz\]'; or not",
    ):
        optional("nothing_such.part", "viz", "this", "; or not")
