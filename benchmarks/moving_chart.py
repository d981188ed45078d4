"""Moving chart: contacts lost and requests sent per kind of moving list, as an SVG."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from chart import FAINT, INK, OURS, STYLE
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine as Layout

COLOURS = ("#c9cfd8", "#9aa4b2", OURS)
TITLE = "Pulls of 30,000 contacts in pages of 1,000, while the list moves"
HEIGHT = 0.27
MAX_NAME = 26


def chart(outcomes: Mapping[str, Mapping[str, Any]], seeds: int) -> str:
    """Return the chart: for each list three bars of contacts lost, and of requests sent."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 0.62 * len(outcomes) + 1.2), layout=Layout(w_pad=0.1))
        canvas.suptitle(TITLE, fontsize=11, fontweight="bold", x=0.02, ha="left")
        lost, requests = canvas.subplots(1, 2, sharey=True)
        _draw(lost, outcomes, "lost", "contacts lost (logarithmic)")
        lost.set_xscale("symlog", linthresh=10, linscale=0.5)
        lost.set_xlim(0, 10 * max(each.lost for row in outcomes.values() for each in row.values()))
        _draw(requests, outcomes, "requests", "requests sent")
        requests.set_xlim(right=1.4 * requests.get_xlim()[1])
        for place, row in enumerate(outcomes.values()):
            proof = "proved" if row["complete"].complete == seeds else "not proved"
            requests.annotate(
                proof, (row["complete"].requests, place + HEIGHT), xytext=(26, 0),
                textcoords="offset points", va="center", fontsize=8, color=OURS,
            )  # fmt: skip
        names = [_wrapped(name) for name in outcomes]
        lost.set_yticks(range(len(names)), names)
        lost.set_ylim(len(names) - 0.45, -0.55)
        handles, labels = requests.get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        out = StringIO()
        canvas.savefig(out, format="svg", facecolor="white", metadata={"Date": None})
    return _with_description(out.getvalue(), outcomes)


def _draw(axes: Axes, outcomes: Mapping[str, Mapping[str, Any]], figure: str, label: str) -> None:
    ways = list(next(iter(outcomes.values())))
    for number, (way, colour) in enumerate(zip(ways, COLOURS, strict=True)):
        places = [place + (number - 1) * HEIGHT for place in range(len(outcomes))]
        values = [getattr(row[way], figure) for row in outcomes.values()]
        axes.barh(places, values, color=colour, height=0.88 * HEIGHT, label=way)
        for place, value in zip(places, values, strict=True):
            axes.annotate(
                f"{value:,}", (value, place), xytext=(3, 0), textcoords="offset points",
                va="center", fontsize=8, fontweight="bold" if colour == OURS else "normal",
            )  # fmt: skip
    axes.set_title(label, loc="left", fontsize=10)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["left"].set(visible=True, color=INK, linewidth=0.8)


def _wrapped(name: str) -> str:
    return name if len(name) < MAX_NAME else name.replace(", ", ",\n", 1)


def _with_description(svg: str, outcomes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return *svg* with a title and a description for screen readers."""
    description = " ".join(
        f"{name}: "
        + ", ".join(
            f"{way} loses {each.lost:,} with {each.requests:,} requests"
            for way, each in row.items()
        )
        + "."
        for name, row in outcomes.items()
    )
    start = svg.index("<svg ")
    end = svg.index(">", start)
    elements = f"<title>{escape(TITLE)}</title>\n <desc>{escape(description)}</desc>"
    return f'{svg[:end]} role="img">\n {elements}{svg[end + 1 :]}'
