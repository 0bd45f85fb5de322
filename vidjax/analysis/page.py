"""A report as one HTML file that opens offline: text, a table, pictures inside."""

import base64
import html
from collections.abc import Mapping, Sequence

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #333; max-width: 1100px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; }
th, td { padding: .35rem .9rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; } pre { background: #f6f6f6; padding: .8rem;
       overflow-x: auto; font-size: .85rem; } .note { color: #666; }
"""


def render_page(
    *,
    title: str,
    notes: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pictures: Mapping[str, bytes],
    appendix: Mapping[str, str],
) -> str:
    """Renders a report.

    Args:
        title: Title of the page.
        notes: Paragraphs below the title.
        columns: Column titles of the table.
        rows: Cells of the table, one text a column.
        pictures: PNG bytes by heading; they are put inside the page.
        appendix: Preformatted text by heading.

    Returns:
        The HTML; it needs no other file and no network.

    Example:
        >>> page = render_page(title="A & B", notes=["All."], columns=["n"],
        ...                    rows=[["1"]], pictures={}, appendix={})
        >>> "<h1>A &amp; B</h1>" in page
        True
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    parts.append(_table(columns, rows))
    for heading, png in pictures.items():
        data = base64.b64encode(png).decode("ascii")
        name = html.escape(heading)
        parts.append(
            f'<h2>{name}</h2>\n<img alt="{name}" src="data:image/png;base64,{data}">'
        )
    for heading, text in appendix.items():
        parts.append(f"<h2>{html.escape(heading)}</h2>\n<pre>{html.escape(text)}</pre>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = [
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    ]
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(lines) + "\n</table>"
