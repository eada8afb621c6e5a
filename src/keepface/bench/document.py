"""A report as a list of blocks, written as Markdown or as one HTML file that needs no other."""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 100rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
table { font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody tr:hover td { background: #f4f4f4; }
img { max-width: 100%; height: auto; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Some points; written only if there are any."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table, its first column at the left and the others at the right; `**x**` in a cell is bold."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Image:
    """A picture file beside the report."""

    path: Path
    text: str


Block = Heading | Text | Bullets | Table | Image


def to_markdown(blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown; pictures are links to the files beside it."""
    parts = [_markdown(block) for block in blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(blocks: Sequence[Block]) -> str:
    """Write blocks as one HTML page with the pictures in it, without a script."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "keepface")
    body = "\n".join(_html(block) for block in blocks)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Bullets():
            return "\n".join(f"* {item}" for item in block.items)
        case Table():
            rule = ("---", *["---:"] * (len(block.head) - 1))
            return "\n".join(_line(cells) for cells in (block.head, rule, *block.rows))
        case Image():
            return f"![{block.text}]({block.path.name})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
        case Text():
            return f"<p>{_inline(block.text)}</p>"
        case Bullets():
            items = "".join(f"<li>{_inline(item)}</li>" for item in block.items)
            return f"<ul>{items}</ul>" if items else ""
        case Table():
            head = "".join(f"<th>{_inline(cell)}</th>" for cell in block.head)
            rows = ["".join(f"<td>{_inline(cell)}</td>" for cell in cells) for cells in block.rows]
            body = "".join(f"<tr>{cells}</tr>\n" for cells in rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
        case Image():
            data = base64.b64encode(block.path.read_bytes()).decode()
            return f'<p><img alt="{html.escape(block.text, quote=True)}" src="data:image/png;base64,{data}"></p>'


def _inline(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(text))
