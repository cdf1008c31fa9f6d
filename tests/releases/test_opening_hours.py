"""Opening hours: the wall clock decides, through clock changes and midnights, and nothing opens outside them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from releases.explain import explain
from releases.opening_hours import next_opening, open_at, opening_text
from schemas.command import Verb
from schemas.decision import Action, State
from schemas.evidence import Verdict
from schemas.opening_hours import Window
from schemas.units import PPM, Days, TimeOfDay
from schemas.zones import zone_names, zone_of
from tests.releases.story import MINUTE_MS, SECOND_MS, Story, plan_of

HOUR_MS, DAY_MS = 60 * MINUTE_MS, 24 * 60 * MINUTE_MS


def window(begin: str, end: str, days: str = "mon-sun", zone: str = "Europe/Berlin") -> Window:
    return Window(TimeOfDay.parse(begin), TimeOfDay.parse(end), Days.parse(days), zone)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def opens_ms(windows: list[Window], now_ms: int) -> int:
    found = next_opening(windows, now_ms)
    assert found is not None
    return found[0]


def closed_minutes(windows: list[Window], start_ms: int, minutes: int) -> str:
    """One character an hour: how the day looks."""
    return "".join("#" if open_at(windows, start_ms + m * MINUTE_MS) else "." for m in range(0, minutes, 60))


def test_office_hours() -> None:
    """mon-fri 09:00-17:00 in Berlin, drawn hour by hour in UTC from a Friday in winter; half-open to the minute."""
    office = [window("09:00", "17:00", "mon-fri")]
    friday = utc("2026-01-02T00:00")
    assert closed_minutes(office, friday, 1440) == "........########........"
    assert closed_minutes(office, friday + DAY_MS, 2880) == "." * 48
    assert closed_minutes(office, friday + 3 * DAY_MS, 1440) == "........########........"
    begin, end = utc("2026-01-02T08:00"), utc("2026-01-02T16:00")
    assert [open_at(office, t) for t in (begin - 1, begin, end - 1, end)] == [False, True, True, False]


def test_in_summer_the_same_hours_come_earlier() -> None:
    """The zone's own time counts: 09:00 in Berlin is 07:00 UTC in July."""
    assert closed_minutes([window("09:00", "17:00")], utc("2026-07-03T00:00"), 1440) == ".......########........."


def test_over_midnight() -> None:
    """22:00-06:00 on Fridays ends on Saturday morning, and there is no Friday morning in it."""
    night = [window("22:00", "06:00", "fri", "UTC")]
    assert closed_minutes(night, utc("2026-01-02T00:00"), 1440) == "......................##"
    assert closed_minutes(night, utc("2026-01-03T00:00"), 1440) == "######.................."


def test_a_whole_day() -> None:
    """00:00-24:00 has no gap at midnight."""
    assert closed_minutes([window("00:00", "24:00", "sat,sun", "UTC")], utc("2026-01-02T22:00"), 3120) == (
        ".." + "#" * 48 + ".."
    )


def test_an_hour_that_is_skipped() -> None:
    """Berlin, 29 March 2026: 02:00 becomes 03:00. What lies inside that hour is not; what begins inside opens after."""
    before = utc("2026-03-29T00:59")  # 01:59 in Berlin
    inside, across = [window("02:15", "02:45")], [window("02:30", "05:00")]
    assert not any(open_at(inside, before + m * MINUTE_MS) for m in range(120))
    assert [open_at(across, before + m * MINUTE_MS) for m in (0, 1)] == [False, True]
    assert opens_ms(across, before - HOUR_MS) == before + MINUTE_MS
    assert opens_ms(inside, before) == utc("2026-03-30T00:15")


def test_an_hour_that_comes_twice() -> None:
    """Berlin, 25 October 2026: 03:00 becomes 02:00. A window in that hour is there twice."""
    twice = [window("02:15", "02:45")]
    start = utc("2026-10-25T00:00")  # 02:00 in Berlin, the first time
    minutes = [m for m in range(120) if open_at(twice, start + m * MINUTE_MS)]
    assert minutes == [*range(15, 45), *range(75, 105)]
    assert opens_ms(twice, start + 50 * MINUTE_MS) == start + 75 * MINUTE_MS


def test_clocks_that_change_at_midnight() -> None:
    """Beirut, 29 March 2026: 00:00 becomes 01:00. A day that begins at 00:00 begins at 01:00."""
    day = [window("00:00", "12:00", "sun", "Asia/Beirut")]
    assert opens_ms(day, utc("2026-03-28T12:00")) == utc("2026-03-28T22:00")


def test_the_opening_in_words() -> None:
    """People read day, date and time in the zone of the window."""
    office = [window("09:00", "17:00", "mon-fri"), window("08:00", "09:00", "sun", "America/New_York")]
    assert opening_text(office[:1], utc("2026-07-03T15:00")) == "Mon 2026-07-06 09:00 Europe/Berlin"
    assert opening_text(office, utc("2026-07-03T15:00")) == "Sun 2026-07-05 08:00 America/New_York"


WINDOWS = st.builds(
    lambda begin, length, days, zone: Window(TimeOfDay(begin), TimeOfDay((begin + length) % 1440), Days(days), zone),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.integers(1, 127),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Kolkata"]),
)


@given(
    windows=st.lists(WINDOWS, min_size=1, max_size=3),
    minute=st.integers(utc("2026-01-01T00:00") // MINUTE_MS, utc("2026-12-31T00:00") // MINUTE_MS),
)
def test_the_next_opening_is_the_first_one(windows: list[Window], minute: int) -> None:
    """From a closed moment: it is open then, closed a minute before, and at every quarter of an hour until then."""
    now_ms = minute * MINUTE_MS
    if open_at(windows, now_ms):
        return
    found = opens_ms(windows, now_ms)
    assert open_at(windows, found)
    assert not open_at(windows, found - MINUTE_MS)
    assert not any(open_at(windows, t) for t in range(now_ms, found, 15 * MINUTE_MS))


def test_zones_do_not_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A machine without zone files, or with others, reads the same rules."""
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    zone_of.cache_clear()
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert noon.astimezone(zone_of("Europe/Berlin")).hour == 14
    assert len(zone_names()) > 400


OFFICE = '{days: mon-fri, from: "09:00", to: "17:00", zone: Europe/Berlin}'
PLAN = f"""
service: chat
baseline: v1
canaries: [v2]
ramp:
  kind: stages
  steps: [{{weight: 1%, hold: 2m}}, {{weight: 5%, hold: 5m}}]
  windows: [{OFFICE}]
metrics: [{{name: error_rate, margin: 0.5%}}]
limits: {{max_duration: 7d}}
"""


def friday_at(text: str) -> Story:
    """A release started on Friday, 21 November 2025, at a UTC time."""
    story = Story(plan_of(PLAN), begin=False)
    story.now_ms = utc(f"2025-11-21T{text}")
    story.command(Verb.START, plan=story.plan)
    return story


def test_a_holiday_begins_no_window() -> None:
    """By the calendar of the window's zone; what began on the day before goes on over midnight."""
    office, christmas = [window("09:00", "17:00", "mon-fri")], [date(2026, 12, 24), date(2026, 12, 25)]
    before = utc("2026-12-23T17:00")
    assert opening_text(office, before) == "Thu 2026-12-24 09:00 Europe/Berlin"
    assert opening_text(office, before, christmas) == "Mon 2026-12-28 09:00 Europe/Berlin"
    noon = utc("2026-12-24T12:00")
    assert [open_at(office, noon, days) for days in ((), christmas)] == [True, False]
    night = [window("22:00", "06:00", "mon-sun", "Pacific/Auckland")]
    late, early = utc("2026-12-23T15:00"), utc("2026-12-24T15:00")  # 04:00 on the 24th and on the 25th in Auckland
    assert [open_at(night, at_ms, christmas[:1]) for at_ms in (late, early)] == [True, False]


@given(
    st.lists(st.dates(date(2026, 1, 1), date(2026, 3, 1)), max_size=40, unique=True),
    st.integers(utc("2026-01-01T00:00"), utc("2026-02-01T00:00")),
)
def test_it_opens_on_the_first_day_that_is_no_holiday(holidays: list[date], now_ms: int) -> None:
    """However many there are in a row."""
    found = next_opening([window("09:00", "17:00", zone="UTC")], now_ms, holidays)
    assert found is not None
    opens = datetime.fromtimestamp(found[0] / 1000, UTC)
    assert (opens.hour, opens.minute, opens.date() in holidays) == (9, 0, False)
    day = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    between = [day + timedelta(days=ahead) for ahead in range(1, (opens.date() - day).days)]
    assert set(between) <= set(holidays)


def test_a_ramp_waits_over_its_holidays() -> None:
    """The plan's list reaches the state machine, and `plan check` says it."""
    plan = plan_of(PLAN.replace("  windows:", "  holidays: [2025-11-24]\n  windows:"))
    story = Story(plan, begin=False)
    story.now_ms = utc("2025-11-21T15:59")
    story.command(Verb.START, plan=plan)
    story.keep(Verdict.PASS, 10 * MINUTE_MS)
    assert "waits for the window that opens at Tue 2025-11-25 09:00 Europe/Berlin" in story.last.reason
    assert any("not on 2025-11-24" in line for line in explain(plan))


def test_outside_the_window_nothing_advances() -> None:
    """A PASS at 17:00 waits until Monday, says so once, and then goes on by itself."""
    story = friday_at("15:59").keep(Verdict.PASS, 10 * MINUTE_MS)
    assert story.last.state is State.HOLDING
    assert story.last.reason == (
        "Holding v2 at 1 %: waits for the window that opens at Mon 2025-11-24 09:00 Europe/Berlin; "
        "error_rate says PASS."
    )
    assert [d.action for d in story.decisions] == [Action.START, Action.HOLD]
    story.now_ms = utc("2025-11-24T07:59")
    story.judge()
    assert story.last.action is Action.HOLD
    story.keep(Verdict.PASS, MINUTE_MS + 2 * SECOND_MS)
    assert [d.action for d in story.decisions[-2:]] == [Action.RESUME, Action.ADVANCE]


def test_promotion_waits_too() -> None:
    """The last step is not special."""
    story = friday_at("15:55").keep(Verdict.PASS, 20 * MINUTE_MS)
    assert story.release.opened == 2
    assert story.last.state is State.HOLDING
    assert story.last.reason.startswith("Holding v2 at 5 %: waits for the window")


def test_a_rollback_does_not_wait() -> None:
    """Outside the window harm, silence and operators do what they always do."""
    story = friday_at("17:00").keep(Verdict.PASS, 5 * MINUTE_MS)
    story.judge(Verdict.FAIL)
    assert story.last.action is Action.ROLLBACK
    story = friday_at("17:00").keep(Verdict.PASS, 5 * MINUTE_MS)
    story.command(Verb.PROMOTE)
    assert story.release.weights_ppm == {"v2": PPM}
    story = friday_at("17:00").keep(Verdict.PASS, 20 * MINUTE_MS, canary_requests={"v2": 0})
    assert story.last.action is Action.ROLLBACK
