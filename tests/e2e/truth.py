"""Compares what simulated meters know they sent with what stands in the database.

Shares no code with the daemon: the simulator's truth file on one side, SQL on the other."""
import calendar
import time


def epoch(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def expected(lines):
    """(protocol, identity, channel) -> {start: value}; the last word on an instant counts."""
    all_values = {}
    for line in lines:
        at, period = epoch(line["start"]), line.get("period_s") or 0
        key = (line["protocol"], line["identity"], line["channel"])
        series = all_values.setdefault(key, {})
        for i, v in enumerate(line["values"]):
            series[at + i * period] = v
    return all_values


READINGS = """
select m.identity, c.code, extract(epoch from r.at)::bigint, r.value
from (values %s) as wanted (identity, channel)
join mdm.meter m using (identity) join mdm.channel c on c.code = wanted.channel
cross join lateral mdm.readings(m.meter_id, c.channel, '%s', timestamptz '%s' + interval '1 second') r
"""


def stored(daemon, since, until, pairs):
    """(identity, channel) -> list of (start, value) as the store answers, doubles kept."""
    rows = {}
    wanted = ", ".join("('%s', '%s')" % p for p in sorted(pairs))
    for identity, channel, at, value in daemon.psql(READINGS % (wanted, since, until)):
        rows.setdefault((identity, channel), []).append((int(at), int(value)))
    return rows


def compare(daemon, lines, since, until):
    """Per protocol: meters, values expected, stored, lost, doubled, wrong; and the first differences."""
    want = expected(lines)
    have = stored(daemon, since, until, {(k[1], k[2]) for k in want})
    result, notes = {}, []
    meters = {}
    for (protocol, identity, channel), series in sorted(want.items()):
        r = result.setdefault(protocol, {"meters": 0, "expected": 0, "stored": 0, "lost": 0, "doubled": 0, "wrong": 0})
        meters.setdefault(protocol, set()).add(identity)
        got = have.get((identity, channel), [])
        values = dict(got)
        r["expected"] += len(series)
        r["doubled"] += len(got) - len(values)
        for at, v in series.items():
            if at not in values:
                r["lost"] += 1
                if len(notes) < 5:
                    notes.append("lost: %s %s %s at %d" % (protocol, identity, channel, at))
            elif values[at] != v:
                r["wrong"] += 1
                if len(notes) < 5:
                    notes.append("wrong: %s %s %s at %d is %d, not %d" % (protocol, identity, channel, at, values[at], v))
            else:
                r["stored"] += 1
    for protocol, ids in meters.items():
        result[protocol]["meters"] = len(ids)
    return result, notes
