"""Chart: the speed of whole pulls relative to the expert's client, as an SVG."""

from __future__ import annotations

from io import StringIO
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine as Layout
from record import Record
from scenarios import CLIENTS, PULLS, Scenario

OURS, PEERS, INK, FAINT = "#1a7f64", "#9aa4b2", "#1f2933", "#d5dae1"
SHOWN = PULLS[:3]
NOT_SHOWN = ("bytes_only", "official_sdk")  # the one does not decode, the other gets no contacts
STYLE: Any = {
    "svg.fonttype": "none",  # keep text as text elements
    "svg.hashsalt": "aioburki",  # the same figures give the same ids in the file
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
TITLE = "Speed of whole pulls of 200,000 contacts, relative to an expert's client"


def chart(record: Record) -> str:
    """Return the chart; a bar is a ratio of medians, its line the range over the rounds."""
    panels = [(scenario, _bars(record, scenario)) for scenario in SHOWN]
    panels = [(scenario, bars) for scenario, bars in panels if bars]
    with mpl.rc_context(STYLE):
        heights = [len(bars) for _, bars in panels]
        canvas = Canvas(
            figsize=(8.2, 0.31 * sum(heights) + 0.4 * len(heights) + 1),
            layout=Layout(h_pad=0.08, w_pad=0.1),
        )
        canvas.suptitle(TITLE, fontsize=11, fontweight="bold", x=0.02, ha="left")
        fastest = max(high for _, bars in panels for *_, high in bars)
        grid = canvas.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)
        for axes, (scenario, bars) in zip(grid.flat, panels, strict=True):
            _draw(axes, scenario.title, bars, fastest * 1.16)
        grid.flat[-1].set_xlabel(
            "speed relative to the expert's client (higher is better; lines: range over rounds)"
        )
        out = StringIO()
        canvas.savefig(out, format="svg", facecolor="white", metadata={"Date": None})
    return _with_description(out.getvalue(), panels)


Bar = tuple[str, float, float, float]


def _bars(record: Record, scenario: Scenario) -> list[Bar]:
    """Return name, ratio, minimum and maximum of each client, the fastest first."""
    bars: list[Bar] = []
    for name in scenario.clients:
        speed = record.ratio((scenario.name, "expert"), (scenario.name, name), "wall")
        if speed is not None and name not in NOT_SHOWN:
            bars.append((name, speed.value, speed.low, speed.high))
    return sorted(bars, key=lambda bar: -bar[1])


def _draw(axes: Axes, title: str, bars: list[Bar], x_max: float) -> None:
    places = range(len(bars))
    speeds = [bar[1] for bar in bars]
    colours = [OURS if bar[0].startswith("aioburki") else PEERS for bar in bars]
    axes.barh(places, speeds, color=colours, height=0.68)
    for place, (name, speed, low, high) in zip(places, bars, strict=True):
        if name != "expert":
            axes.plot((low, high), (place, place), color=INK, linewidth=1.2)
        axes.annotate(
            f"{speed:.2f}", (max(speed, high), place), xytext=(5, 0), textcoords="offset points",
            va="center", bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
            fontweight="bold" if name.startswith("aioburki") else "normal",
        )  # fmt: skip
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.set_yticks(places, [CLIENTS[bar[0]].short for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)  # first bar on top, same bar height in all panels
    axes.set_xlim(0, x_max)
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _with_description(svg: str, panels: list[tuple[Scenario, list[Bar]]]) -> str:
    """Return *svg* with a title and a description for screen readers."""
    description = " ".join(
        f"{scenario.title}: "
        + ", ".join(f"{CLIENTS[name].short} {speed:.2f}" for name, speed, *_ in bars)
        + "."
        for scenario, bars in panels
    )
    start = svg.index("<svg ")
    end = svg.index(">", start)
    elements = f"<title>{escape(TITLE)}</title>\n <desc>{escape(description)}</desc>"
    return f'{svg[:end]} role="img">\n {elements}{svg[end + 1 :]}'
