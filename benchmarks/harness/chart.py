"""A bar chart as SVG, readable on light and on dark pages, without any library. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LABELS, _VALUES = 760, 250, 90
_ROW, _BAR, _TOP, _BOTTOM = 30, 18, 62, 34
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff }
  .title { font-size: 16px; font-weight: 600 }
  .note { font-size: 11px; fill: #59636e }
  .bar { fill: #8c959f }
  .ours { fill: #0969da }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 }
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .bar { fill: #656c76 }
    .ours { fill: #4493f8 }
    .spread { stroke: #e6edf3 }
  }
"""


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
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="desc">{spoken}</desc>\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="6"/>\n'
        f'<text class="title" x="16" y="26">{escape(title)}</text>\n'
        f'<text class="note" x="16" y="46">{escape(subtitle)}</text>\n'
        f"{rows}\n"
        f'<text class="note" x="16" y="{height - 12}">{escape(note)}</text>\n</svg>\n'
    )


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
