"""Bar and line charts as SVG, readable on light and on dark pages, without any library. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LABELS, _VALUES = 760, 250, 90
_ROW, _BAR, _TOP, _BOTTOM = 30, 18, 62, 34
_PLOT_HEIGHT, _LEFT, _RIGHT, _LEGEND = 300, 70, 24, 20
_COLOURS = ("#0969da", "#cf222e", "#1a7f37", "#9a6700", "#8250df", "#57606a")
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff }
  .title { font-size: 16px; font-weight: 600 }
  .note { font-size: 11px; fill: #59636e }
  .bar { fill: #8c959f }
  .ours { fill: #0969da }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 }
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .bar { fill: #656c76 }
    .ours { fill: #4493f8 }
    .spread { stroke: #e6edf3 }
    .grid { stroke: #3d444d }
  }
"""


@dataclass(frozen=True)
class Line:
    """One line: its label, and the value at each place of the axis below; None leaves a gap."""

    label: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Bar:
    """One bar: its label, its median, and the lowest and highest sample."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False


def bar_chart(title: str, subtitle: str, note: str, bars: Sequence[Bar]) -> str:
    """Draw horizontal bars from zero, the spread as a line across the end of each."""
    if not bars:
        raise ValueError("no bars to draw")
    height = _TOP + _ROW * len(bars) + _BOTTOM
    scale = (_WIDTH - _LABELS - _VALUES) / max(bar.high for bar in bars)
    rows = "\n".join(_row(bar, _TOP + _ROW * at, scale) for at, bar in enumerate(bars))
    spoken = escape("; ".join(f"{bar.label}: {bar.value:,.0f}" for bar in bars))
    return _picture(title, subtitle, note, height, spoken, rows)


def _row(bar: Bar, top: float, scale: float) -> str:
    middle = top + _BAR / 2
    end = _LABELS + bar.value * scale
    low, high = _LABELS + bar.low * scale, _LABELS + bar.high * scale
    kind = "ours" if bar.ours else "bar"
    return (
        f'<text x="{_LABELS - 10}" y="{middle + 5:.1f}" text-anchor="end">'
        f"{escape(bar.label)}</text>"
        f'<rect class="{kind}" x="{_LABELS}" y="{top:.1f}" '
        f'width="{max(1.0, end - _LABELS):.1f}" height="{_BAR}" rx="2"/>'
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" '
        f'y2="{middle:.1f}"/>'
        f'<text x="{high + 10:.1f}" y="{middle + 5:.1f}">{bar.value:,.0f}</text>'
    )


def line_chart(
    title: str, subtitle: str, note: str, places: Sequence[str], lines: Sequence[Line]
) -> str:
    """Draw lines from zero over evenly spaced places, with a legend above and marks at each."""
    values = [value for line in lines for value in line.values if value is not None]
    if not values:
        raise ValueError("no lines to draw")
    top = _TOP + _LEGEND * -(-len(lines) // 3)
    bottom = top + _PLOT_HEIGHT
    highest = _round_up(max(values))
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(places) - 1)

    def at(place: int, value: float) -> tuple[float, float]:
        return _LEFT + place * step, bottom - value / highest * _PLOT_HEIGHT

    parts = []
    for tick in range(5):
        value = highest * tick / 4
        y = bottom - _PLOT_HEIGHT * tick / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="note" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{value:,.{0 if highest >= 8 else 2}f}"
            "</text>"
        )
    every = -(-len(places) // 12)
    for place, label in enumerate(places):
        if place % every == 0:
            parts.append(
                f'<text class="note" x="{_LEFT + place * step:.1f}" y="{bottom + 18}" '
                f'text-anchor="middle">{escape(label)}</text>'
            )
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        dashes = f' stroke-dasharray="{3 + number // len(_COLOURS) * 3} 3"'
        drawn = f'stroke="{colour}" stroke-width="2"{dashes if number >= len(_COLOURS) else ""}'
        points = [at(place, value) for place, value in enumerate(line.values) if value is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" {drawn}/>')
        if len(points) <= 12:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points
            ]
        x, y = 16 + number % 3 * 245, _TOP + number // 3 * _LEGEND
        parts.append(
            f'<line x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" {drawn}/>'
            f'<text class="note" x="{x + 28}" y="{y}">{escape(line.label)}</text>'
        )
    height = bottom + 54
    spoken = escape("; ".join(f"{line.label}: {list(line.values)}" for line in lines))
    return _picture(title, subtitle, note, height, spoken, "\n".join(parts))


def _picture(title: str, subtitle: str, note: str, height: float, spoken: str, inside: str) -> str:
    """Put a chart into its frame, with its texts; ``spoken`` is for screen readers."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="desc">{spoken}</desc>\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="6"/>\n'
        f'<text class="title" x="16" y="26">{escape(title)}</text>\n'
        f'<text class="note" x="16" y="45">{escape(subtitle)}</text>\n'
        f"{inside}\n"
        f'<text class="note" x="16" y="{height - 12}">{escape(note)}</text>\n</svg>\n'
    )


def _round_up(value: float) -> float:
    """The next number above that divides well by four."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(
        each * power for each in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8, 10) if each * power >= value
    )
