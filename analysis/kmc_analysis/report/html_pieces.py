"""Small pieces of HTML. Every text is escaped here, and nowhere else."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from kmc.core.output_paths import Kind

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
PAGE = Kind((".html", ".htm", ""), b"default-src 'none'; img-src data:; style-src 'unsafe-inline'")


class Section(NamedTuple):
    """A part of the page: its anchor, its heading, and its HTML."""

    name: str
    heading: str
    body: str


def text(value: object) -> str:
    """Any text, so that it is shown and never obeyed."""
    return html.escape(str(value))


def paragraph(value: object) -> str:
    """One paragraph of plain text."""
    return f"<p>{text(value)}</p>"


def listed(items: Iterable[object]) -> str:
    """A list with bullets."""
    return "<ul>" + "".join(f"<li>{text(item)}</li>" for item in items) + "</ul>"


def block(value: object, name: str) -> str:
    """Text as it is written, such as commands or a file; it scrolls when it is wide."""
    return f'<pre tabindex="0" role="region" aria-label="{text(name)}">{text(value)}</pre>'


def folded(summary: object, body: str) -> str:
    """HTML behind a line that opens it."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def table(head: Iterable[object], rows: Iterable[Iterable[object]], name: str) -> str:
    """A table as HTML; when it is wider than the page it scrolls on its own."""
    heads = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    whole = f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{text(name)}">{whole}</div>'


def picture(path: Path, words: str) -> str:
    """A PNG inside of the page, with what it shows for those who do not see it."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text(words)}">'
        f"<figcaption>{text(words)}</figcaption></figure>"
    )


def packaged(name: str) -> str:
    """A file of this package, as text."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def page(title: str, intro: str, sections: list[Section]) -> str:
    """The whole page; `intro` is HTML. Its policy forbids the browser every request."""
    links = "".join(f'<li><a href="#{one.name}">{text(one.heading)}</a></li>' for one in sections)
    bodies = "\n".join(f'<section id="{one.name}"><h2>{text(one.heading)}</h2>{one.body}</section>' for one in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>{packaged("page.css")}</style>
</head>
<body>
<header><h1>{text(title)}</h1>{intro}</header>
<nav aria-label="Contents"><ul>{links}</ul></nav>
<main>{bodies}</main>
</body>
</html>
"""
