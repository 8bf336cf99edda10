"""Time spans as text."""

from __future__ import annotations


def duration(nanoseconds: int) -> str:
    """Write a time span as an ISO 8601 duration, in days, hours, minutes and seconds."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    text = f"{hours}H" if hours else ""
    text += f"{minutes}M" if minutes else ""
    text += f"{seconds}{decimals}S" if seconds or fraction else ""
    date = f"{days}D" if days else ""
    if not text and not date:
        return "PT0S"
    return f"{sign}P{date}" + (f"T{text}" if text else "")
