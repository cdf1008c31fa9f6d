"""Opening hours: the times of the week at which a ramp may open more traffic, as a plan writes them."""

from __future__ import annotations

from datetime import date

import msgspec

from schemas.file_errors import RuleError
from schemas.units import Days, TimeOfDay
from schemas.zones import zone_of

WINDOWS_MAX = 20
HOLIDAYS_MAX = 366


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """From a time of day to another, in one zone, on some days. One that ends before it begins goes over midnight."""

    from_: TimeOfDay
    to: TimeOfDay
    days: Days = msgspec.field(default_factory=lambda: Days(0b1111111))
    zone: str = "UTC"


def check_windows(path: str, windows: tuple[Window, ...]) -> None:
    """Check what types cannot say; raises :class:`RuleError` with a path from the plan's root."""
    if len(windows) > WINDOWS_MAX:
        raise RuleError(path, f"found {len(windows)} windows; allowed are {WINDOWS_MAX}")
    for index, window in enumerate(windows):
        here = f"{path}[{index}]"
        if window.from_ == window.to:
            what = f"found {window.to.text()!r}, which is where the window begins; write 00:00 to 24:00 for a whole day"
            raise RuleError(f"{here}.to", what)
        if window.from_ == TimeOfDay(24 * 60):
            raise RuleError(f"{here}.from", "found '24:00'; a window begins at '00:00' at the earliest")
        try:
            zone_of(window.zone)
        except ValueError as error:
            raise RuleError(f"{here}.zone", str(error)) from error


def check_holidays(path: str, holidays: tuple[date, ...], windows: tuple[Window, ...]) -> None:
    """Check what types cannot say; raises :class:`RuleError` with a path from the plan's root."""
    if len(holidays) > HOLIDAYS_MAX:
        raise RuleError(path, f"found {len(holidays)} days; allowed are {HOLIDAYS_MAX}")
    if len(set(holidays)) != len(holidays):
        twice = next(day for day in holidays if holidays.count(day) > 1)
        raise RuleError(path, f"found {twice} twice")
    if holidays and not windows:
        raise RuleError(path, "found days and no windows; on a holiday no window begins, so name windows")
