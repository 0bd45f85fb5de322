"""A page on which a video plays above the timeline of its actions."""

import html
import importlib.resources
import json
import urllib.parse
from collections.abc import Sequence
from typing import Any

from vidjax.analysis.plots import COLOURS

_TEMPLATE = "player.html"


def render_player(
    *,
    title: str,
    summary: str,
    source: str,
    note: str,
    duration: float,
    segments: Sequence[tuple[float, float, str, float]],
    frames: Sequence[str],
) -> str:
    """Renders a page that plays a video and seeks in it by its actions.

    Args:
        title: Title of the page.
        summary: A few words beside it.
        source: The video, a path from the page's folder with "/" between its parts.
        note: A paragraph below everything.
        duration: Of the video, in seconds.
        segments: Start and end in seconds, label and score in [0, 1], the best first;
            classes stand below each other in this order.
        frames: Pictures of the video, evenly spread, as addresses ("data:...").

    Returns:
        The HTML; it needs the video, and no other file and no network.

    Example:
        >>> page = render_player(title="<b>", summary="", source="a b.mp4", note="",
        ...                      duration=2.0, segments=[], frames=[])
        >>> "<title>&lt;b&gt;</title>" in page, 'src="a%20b.mp4"' in page
        (True, True)
    """
    rows = [
        {"start": start, "end": end, "label": label, "score": score}
        for start, end, label, score in segments
    ]
    data = {
        "duration": duration,
        "segments": rows,
        "colours": COLOURS,
        "frames": list(frames),
    }
    filled = {
        "title": html.escape(title),
        "summary": html.escape(summary),
        "source": html.escape(urllib.parse.quote(source)),
        "note": html.escape(note),
        "data": _json_inside_html(data),
    }
    files = importlib.resources.files("vidjax.analysis")
    page = (files / _TEMPLATE).read_text(encoding="utf-8")
    # Cut once, so that what is filled in is never looked at again.
    first, *rest = page.split("{{")
    parts = [piece.split("}}", 1) for piece in rest]
    return first + "".join(filled[name] + text for name, text in parts)


def _json_inside_html(value: Any) -> str:
    """JSON without what would end the element that it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
