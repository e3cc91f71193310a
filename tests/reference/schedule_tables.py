#!/usr/bin/env python3
"""Makes the tables that the tests of src/domain/schedule compare with.

    python3 tests/reference/schedule_tables.py zones > src/domain/schedule/tests/zones.txt
    python3 tests/reference/schedule_tables.py cron > src/domain/schedule/tests/croniter.txt   # wants croniter 6

What clocks show comes from zoneinfo, in the one direction that is never ambiguous: every minute of UTC is turned
into local time. Our rule is applied to that by looking, not by computing: a fixed time fires at the first minute at
which the clock shows it, or else at the first at which it shows something later; a rule that follows the clock
fires at every minute at which the clock matches.
"""
import datetime as dt
import random
import sys
import zoneinfo

UTC = dt.timezone.utc
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
# zone, year: every change of the offset in that year is looked at.
PLACES = [
    ("America/New_York", 2025), ("Europe/Zurich", 2026), ("Australia/Lord_Howe", 2025), ("America/St_Johns", 2010),
    ("Pacific/Apia", 2011), ("Africa/Casablanca", 2024), ("America/Sao_Paulo", 2018), ("America/Sao_Paulo", 2017),
    ("Asia/Kathmandu", 1986), ("UTC", 2025), ("America/Nuuk", 2025), ("Antarctica/Troll", 2025),
    ("Asia/Tehran", 2021), ("Europe/Dublin", 2025),
]
FIXED = ["0 0", "30 2", "45 1", "0 3", "30 23", "0 9", "0 0,2,14", "*/30 2", "0,30 1", "59 23", "*/20 0-3"]
CLOCK = ["30 *", "*/20 *", "0 */2", "15,45 */3"]
STEPS = [(1, "02:15"), (1, "00:00"), (2, "02:30"), (3, "00:30"), (1, "01:45")]


def values(field, size):
    found = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        low, _, high = ("0", "-", str(size - 1)) if span == "*" else span.partition("-")
        found |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return found


def shown(zone, begin, end):
    """(minute of UTC, what the clock shows) for every minute."""
    while begin < end:
        yield begin, begin.astimezone(zone).replace(tzinfo=None)
        begin += MINUTE


def fixed(minutes, matches):
    """{moment: time} of the nominal times for which matches() holds."""
    first, dates = {}, set()
    for moment, civil in minutes:
        first.setdefault(civil, moment)
        dates.add(civil.date())
    civil, last = min(first), max(first)
    ordered = sorted(first.items())
    found, at = {}, 0
    while civil < last:
        if matches(civil):
            while ordered[at][0] < civil:
                at += 1
            taken, moment = ordered[at]
            after = dt.datetime.combine(taken.date(), dt.time())
            lost = civil.date() not in dates and any(matches(after + n * MINUTE) for n in range(1440))
            if not lost:
                found.setdefault(moment, civil)
        civil += MINUTE
    return found


def iso(moment, zone):
    return moment.astimezone(zone).isoformat(timespec="minutes")


def changes(name, year):
    zone = zoneinfo.ZoneInfo(name)
    moment = dt.datetime(year, 1, 1, tzinfo=UTC)
    offset = moment.astimezone(zone).utcoffset()
    found = []
    while moment.year == year:
        now = moment.astimezone(zone).utcoffset()
        if now != offset:
            found.append(moment)
        offset, moment = now, moment + 15 * MINUTE if moment.minute % 15 == 0 else moment + MINUTE
    # St. John's changed its clocks at one minute past midnight.
    return [c - 15 * MINUTE + n * MINUTE for c in found for n in range(16)
            if (c - 15 * MINUTE + n * MINUTE).astimezone(zone).utcoffset()
            != (c - 16 * MINUTE + n * MINUTE).astimezone(zone).utcoffset()] or [dt.datetime(year, 6, 1, tzinfo=UTC)]


def zones():
    print("# made by tests/reference/schedule_tables.py: rule | start | zone | after | occurrences")
    for name, year in PLACES:
        zone = zoneinfo.ZoneInfo(name)
        for change in changes(name, year):
            minutes = list(shown(zone, change - 4 * DAY, change + 5 * DAY))

            def line(rule, start, after, found, count):
                after += dt.timedelta(seconds=random.choice([0, 0, 1, 30, 59]))
                due = [iso(moment, zone) for moment in sorted(found) if moment > after][:count]
                print(f"{rule} | {start} | {name} | {after:%Y-%m-%dT%H:%M:%SZ} | {' '.join(due)}")

            for rule in FIXED:
                m, h = (values(field, size) for field, size in zip(rule.split(), (60, 24)))
                found = fixed(minutes, lambda civil: civil.minute in m and civil.hour in h)
                for hours in (-26, 0):
                    line(f"{rule} * * *", "", change + dt.timedelta(hours=hours), found, 3)
                line(f"{rule} * * *", "", change + 31 * MINUTE, found, 3)
            for rule in CLOCK:
                m, h = (values(field, size) for field, size in zip(rule.split(), (60, 24)))
                found = [moment for moment, civil in minutes if civil.minute in m and civil.hour in h]
                line(f"{rule} * * *", "", change - dt.timedelta(hours=2), found, 8)
                line(f"{rule} * * *", "", change + 10 * MINUTE, found, 6)
            for days, time in STEPS:
                begin = minutes[0][1].date() + DAY
                clock = dt.time.fromisoformat(time)
                found = fixed(minutes, lambda civil: civil.time() == clock and civil.date() >= begin
                              and (civil.date() - begin).days % days == 0)
                line(f"{days} days", f"{begin} {time}", change - 26 * 60 * MINUTE, found, 4 if days == 1 else 2)
            # An exact period: time that passes, on the same axis.
            begin = change - 2 * DAY
            for hours in (1, 24):
                found = [begin + n * dt.timedelta(hours=hours) for n in range(200)]
                line(f"{hours} h", begin.strftime("%Y-%m-%dT%H:%M:%SZ"), change - 4 * 60 * MINUTE, found, 5)


def cron():
    import croniter
    from importlib.metadata import version
    print(f"# made by tests/reference/schedule_tables.py with croniter {version('croniter')}: rule | after | UTC")
    minutes = ["0", "30", "*/15", "5,35", "10-20", "0-59/20", "59"]
    hours = ["0", "*", "9", "22,23", "*/6", "8-18/2", "23"]
    days = ["*", "*", "*", "1", "13", "31", "1,15", "28-31", "29"]
    months = ["*", "*", "*", "2", "jan", "MAR,sep", "4-6", "12", "2-12/5"]
    weekdays = ["*", "*", "1", "fri", "MON-FRI", "5-7", "0", "7", "2,4"]
    for _ in range(210):
        fields = [random.choice(field) for field in (minutes, hours, days, months, weekdays)]
        rule, days_field, week = " ".join(fields), fields[2], fields[4]
        after = dt.datetime(random.randint(1999, 2060), random.randint(1, 12), random.randint(1, 28),
                            random.randint(0, 23), random.randint(0, 59), random.choice([0, 0, 59]))
        try:
            found = croniter.croniter(rule, after, max_years_between_matches=40)
            due = [found.get_next(dt.datetime).isoformat(timespec="minutes") for _ in range(5)]
        except croniter.CroniterBadDateError:
            # It gives up on a day that no month has, also where a day of the week is enough.
            if days_field != "*" and week != "*":
                continue
            due = ["never"]
        print(f"{rule} | {after.isoformat()} | {' '.join(due)}")


random.seed(7)
{"zones": zones, "cron": cron}[sys.argv[1]]()
