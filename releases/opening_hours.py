"""Whether a moment lies within a plan's opening hours, and when they begin next. Time is given, never asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from schemas.opening_hours import Window
from schemas.units import DAY_NAMES
from schemas.zones import zone_of

_MINUTE_MS = 60_000
_QUARTER_MS, _WEEK_MS = 15 * _MINUTE_MS, 7 * 24 * 60 * _MINUTE_MS
_A_MONDAY_MS = 1_767_571_200_000
_DAYS_AHEAD = 15
"""A day of the week comes within seven days, unless the clocks skip its hours: then a week later."""

_SKIPPED_MINUTES_MAX = 180
"""More than clocks are ever put forward."""


def open_at(windows: Sequence[Window], now_ms: int, holidays: Sequence[date] = ()) -> bool:
    """Whether traffic may be opened now: the wall clock of a window's zone stands within it.

    The wall clock decides, whatever is done to it: an hour that is skipped is in no window, one that comes twice is
    twice. The part of a window after midnight belongs to the day on which it began.

    Parameters
    ----------
    windows : of a plan; without any, it is always open.
    now_ms : Unix ms.
    holidays : days of the windows' own zones on which none begins.

    >>> from schemas.units import Days, TimeOfDay
    >>> night = Window(TimeOfDay.parse("22:00"), TimeOfDay.parse("06:00"), Days.parse("fri"), "Europe/Berlin")
    >>> [open_at([night], int(datetime(2026, 1, day, hour, tzinfo=UTC).timestamp()) * 1000)
    ...  for day, hour in ((2, 20), (2, 21), (3, 4), (3, 5), (3, 21))]
    [False, True, True, False, False]
    """
    return not windows or any(_within(window, now_ms, holidays) for window in windows)


def next_opening(windows: Sequence[Window], now_ms: int, holidays: Sequence[date] = ()) -> tuple[int, str] | None:
    """When the next window begins after now, Unix ms, and in which zone.

    None when no window begins within fifteen days and seven for each holiday, which only a clock change on each of its
    days could do.
    """
    begins = ((_begins_ms(window, now_ms, holidays), window.zone) for window in windows)
    return min(((at_ms, zone) for at_ms, zone in begins if at_ms is not None), default=None)


def opening_text(windows: Sequence[Window], now_ms: int, holidays: Sequence[date] = ()) -> str:
    """When it opens next, for people: in the zone of the window that opens first.

    >>> from schemas.units import Days, TimeOfDay
    >>> day = Window(TimeOfDay.parse("09:00"), TimeOfDay.parse("17:00"), Days.parse("mon-fri"), "Europe/Berlin")
    >>> opening_text([day], int(datetime(2026, 1, 2, 18, tzinfo=UTC).timestamp()) * 1000)
    'Mon 2026-01-05 09:00 Europe/Berlin'
    """
    found = next_opening(windows, now_ms, holidays)
    if found is None:
        return "an unknown time"
    local = _local(*found)
    return f"{DAY_NAMES[local.weekday()].title()} {local:%Y-%m-%d %H:%M} {found[1]}"


def closed_ms_max(windows: Sequence[Window]) -> int:
    """The longest stretch of an ordinary week in which nothing opens, to a quarter of an hour."""
    longest = closed = 0
    for quarter in range(2 * _WEEK_MS // _QUARTER_MS):
        closed = 0 if open_at(windows, _A_MONDAY_MS + quarter * _QUARTER_MS) else closed + _QUARTER_MS
        longest = max(longest, closed)
    return longest


def hours_text(windows: Sequence[Window], holidays: Sequence[date] = ()) -> str:
    """The windows in a row, for people.

    >>> from schemas.units import Days, TimeOfDay
    >>> hours_text([Window(TimeOfDay(540), TimeOfDay(1020), Days.parse("mon-fri"), "Europe/Berlin")])
    'mon-fri 09:00-17:00 Europe/Berlin'
    """
    hours = ", ".join(f"{w.days.text()} {w.from_.text()}-{w.to.text()} {w.zone}" for w in windows)
    return f"{hours}; not on {', '.join(map(str, sorted(holidays)))}" if holidays else hours


def _local(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone_of(zone))


def _within(window: Window, now_ms: int, holidays: Sequence[date]) -> bool:
    local = _local(now_ms, window.zone)
    minute, today = local.hour * 60 + local.minute, local.date()
    if window.from_ < window.to:
        return _has(window, today, holidays) and window.from_ <= minute < window.to
    evening = _has(window, today, holidays) and minute >= window.from_
    return evening or (_has(window, today - timedelta(days=1), holidays) and minute < window.to)


def _has(window: Window, day: date, holidays: Sequence[date]) -> bool:
    """Whether the window begins on a day."""
    return window.days.has(day.weekday()) and day not in holidays


def _begins_ms(window: Window, now_ms: int, holidays: Sequence[date]) -> int | None:
    today = _local(now_ms, window.zone).replace(hour=0, minute=0, second=0, fold=0, tzinfo=None)
    zone = zone_of(window.zone)
    for ahead in range(_DAYS_AHEAD + 7 * len(holidays)):
        begin = today + timedelta(days=ahead, minutes=int(window.from_))
        for fold in (0, 1):
            at_ms = int(begin.replace(tzinfo=zone, fold=fold).timestamp()) * 1000
            if at_ms > now_ms and _within(window, at_ms, holidays):
                return _first_minute(window, at_ms, now_ms, holidays)
    return None


def _first_minute(window: Window, at_ms: int, now_ms: int, holidays: Sequence[date]) -> int:
    """Back to the first minute within the window: one that begins in a skipped hour opens when the clock has jumped."""
    for _ in range(_SKIPPED_MINUTES_MAX):
        before_ms = at_ms - _MINUTE_MS
        if before_ms <= now_ms or not _within(window, before_ms, holidays):
            return at_ms
        at_ms = before_ms
    return at_ms
