"""The report as one HTML file that needs no other. Pure: documents and texts in, a text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from framework.demo.tables import Table, tables

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd }
th { text-align: left } td.number { text-align: right; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto } caption { text-align: left; font-weight: 600; padding: .4rem 0 }
"""


def page(document: Mapping[str, Any], chart: str) -> str:
    """``chart`` is an SVG document."""
    drawing = chart[chart.index("<svg") :]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Spark with and without Alluxio</title>',
        f"<style>{STYLE}</style></head><body>",
        "<h1>Spark with and without Alluxio</h1>",
        f"<p>Measured {escape(document['began'])}, in {document['seconds'] / 60:.1f} minutes.</p>",
        f"<figure>{drawing}</figure>",
        *(part for table in tables(document) for part in _table(table)),
        "<h2>Where it does not help</h2>",
        *(f"<p>{escape(sentence)}</p>" for sentence in document["no_help"]),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> Iterable[str]:
    yield f"<table><caption>{escape(table.title)}</caption>"
    yield f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in table.heads)}</tr>"
    for row in table.rows:
        cells = "".join(
            f"<td{' class=number' if number else ''}>{escape(cell)}</td>" for number, cell in enumerate(row)
        )
        yield f"<tr>{cells}</tr>"
    yield "</table>"
