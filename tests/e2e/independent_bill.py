#!/usr/bin/env python3
"""A second opinion on a bill: reads intervals and a tariff document, does its own arithmetic.

usage: independent_bill.py TARIFF.json INTERVALS.csv FROM TO [--tz ZONE] [--households N] [--json]

INTERVALS: lines "start,value" (RFC 3339 start with its zone, value in the tariff's unit), plain or
.gz; without a zone the start is read as UTC. FROM and TO are local days, TO not billed any more.
Knows the kinds of component the sample tariffs use and refuses others. Shares no code with the
billing engine: Python's zoneinfo, datetime and decimal only.
"""
import argparse
import csv
import datetime as dt
import gzip
import json
import sys
import zoneinfo
from decimal import ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 50
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def number(v):
    """JSON numbers were read as text (parse_float=str): exact."""
    return Decimal(str(v))


def read_intervals(path, tz, first, last):
    """(local start, value) of the intervals that begin inside [first, last)."""
    opener = gzip.open if path.endswith(".gz") else open
    begin = dt.datetime.combine(first, dt.time(), tz)
    end = dt.datetime.combine(last, dt.time(), tz)
    with opener(path, "rt", encoding="ascii") as f:
        for row in csv.DictReader(f):
            at = dt.datetime.fromisoformat(row["start"].replace("Z", "+00:00"))
            if at.tzinfo is None:
                at = at.replace(tzinfo=dt.timezone.utc)
            if begin.timestamp() <= at.timestamp() < end.timestamp():
                yield at.astimezone(tz), number(row["value"])


def minutes(text):
    h, m = text.split(":")
    return int(h) * 60 + int(m)


def in_season(season, day):
    key = day.strftime("%m-%d")
    if season["from"] <= season["to"]:
        return season["from"] <= key <= season["to"]
    return key >= season["from"] or key <= season["to"]


def day_words(day, holidays, named):
    if named and day.isoformat() in holidays:
        return {"holiday", "all"}
    words = {DAYS[day.weekday()], "all"}
    words.add("weekend" if day.weekday() >= 5 else "weekday")
    return words


def price_period(document, schedule, at):
    calendar = document.get("calendar", {})
    s = document["schedules"][schedule]
    named = any("holiday" in r.get("days", []) for r in s.get("rules", []))
    words = day_words(at.date(), calendar.get("holidays", []), named)
    minute = at.hour * 60 + at.minute
    found = []
    for r in s.get("rules", []):
        if "months" in r and at.month not in r["months"]:
            continue
        if "season" in r and not in_season(calendar["seasons"][r["season"]], at.date()):
            continue
        if not words & set(r.get("days", ["all"])):
            continue
        lo, hi = minutes(r.get("from", "00:00")), minutes(r.get("to", "24:00"))
        if (lo <= minute < hi) if lo < hi else (minute >= lo or minute < hi):
            found.append(r["period"])
    if len(found) > 1:
        sys.exit("two rules hold at %s" % at)
    return found[0] if found else s["otherwise"]


class Bill:
    def __init__(self, document, args):
        self.d = document
        self.tz = zoneinfo.ZoneInfo(args.tz)
        self.first, self.last = (dt.date.fromisoformat(x) for x in (args.first, args.last))
        self.days = (self.last - self.first).days
        self.households = args.households
        self.data = list(read_intervals(args.intervals, self.tz, self.first, self.last))
        digits = {"VND": 0, "JPY": 0, "KRW": 0}.get(document["currency"], 2)
        self.quantum = Decimal(1).scaleb(-document.get("minor_digits", digits))
        self.lines = []

    def money(self, v):
        return v.quantize(self.quantum, ROUND_HALF_UP)

    def add(self, code, component, quantity, price, exact):
        self.lines.append({"code": code, "component": component, "quantity": quantity, "price": price,
                           "amount": self.money(exact)})

    def months(self):
        n = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month
        if self.last.day != self.first.day:
            sys.exit("only whole months can be checked here")
        return n

    def scaled(self, limits, upto):
        v = number(upto)
        known = {"households", "months", "per_days", "round"}
        if set(limits) - known or "round" in limits and limits["round"] != "none":
            sys.exit("limits %s are not known here" % limits)
        if limits.get("households"):
            v *= self.households
        if limits.get("months"):
            v *= self.months()
        if "per_days" in limits:
            v = v * self.days / number(limits["per_days"])
        return v

    def fill(self, limits, tiers, total):
        """Quantity of @total in each tier."""
        below, out = Decimal(0), []
        for t in tiers:
            top = self.scaled(limits, t["upto"]) if "upto" in t else total
            out.append(max(Decimal(0), min(total, top) - below))
            below = max(below, top) if "upto" in t else below
        return out

    def total(self, name):
        derived = self.d.get("quantities", {}).get(name)
        if not derived:
            return sum(v for _, v in self.data)
        v = Decimal(1)
        for key, sign in (("multiply", 1), ("divide", -1)):
            for f in derived.get(key, []):
                x = Decimal(f) if f.replace(".", "", 1).isdigit() else self.total(f)
                v = v * x if sign > 0 else v / x
        if "digits" in derived:
            v = v.quantize(Decimal(1).scaleb(-derived["digits"]), ROUND_HALF_UP)
        return v

    def energy(self, c):
        code = c["code"]
        if "schedule" not in c:
            q = self.total(c.get("quantity", self.d.get("quantity", "")))
            if "quantity_digits" in c:
                q = q.quantize(Decimal(1).scaleb(-c["quantity_digits"]), ROUND_HALF_UP)
            tiers = c.get("tiers") or [{"rate": c["rate"]}]
            for i, part in enumerate(self.fill(c.get("limits", {}), tiers, q)):
                if part or len(tiers) == 1:
                    rate = number(tiers[i]["rate"])
                    self.add(code if len(tiers) == 1 else "%s_t%d" % (code, i + 1), code, part, rate, part * rate)
            return
        by_period = {}
        for at, v in self.data:
            p = price_period(self.d, c["schedule"], at)
            by_period[p] = by_period.get(p, Decimal(0)) + v
        whole = sum(by_period.values())
        for p in self.d["schedules"][c["schedule"]]["periods"]:
            part = by_period.get(p, Decimal(0))
            price = c["prices"][p]
            tiers = price.get("tiers") or [{"rate": price["rate"]}]
            pooled = c.get("fill") == "total"
            for i, q in enumerate(self.fill(c.get("limits", {}), tiers, whole if pooled else part)):
                if pooled and whole:
                    q = q * part / whole
                if q:
                    rate = number(tiers[i]["rate"])
                    suffix = "" if len(tiers) == 1 else "_t%d" % (i + 1)
                    self.add("%s_%s%s" % (code, p, suffix), code, q, rate, q * rate)

    def fixed(self, c):
        count = {"day": self.days, "bill": 1}.get(c.get("per", "bill"))
        if count is None:
            count = self.months() if c["per"] == "month" else sys.exit("per %s is not known here" % c["per"])
        amount = number(c["amount"])
        self.add(c["code"], c["code"], Decimal(count), amount, count * amount)

    def percent(self, c):
        of = c.get("of", "all")
        base = sum(l["amount"] for l in self.lines if of == "all" or l["component"] in of)
        rate = number(c["pct"]) / 100
        self.add(c["code"], c["code"], base, rate, base * rate)

    def minimum(self, c):
        least = number(c["amount"]) * (self.days if c.get("per") == "day" else 1)
        so_far = sum(l["amount"] for l in self.lines)
        if so_far < least:
            self.add(c["code"], c["code"], Decimal(1), least - so_far, least - so_far)

    def run(self):
        kinds = {"energy": self.energy, "fixed": self.fixed, "percent": self.percent, "minimum_bill": self.minimum}
        if self.d.get("rounding", {}).get("of", "lines") != "lines":
            sys.exit("only bills rounded line by line can be checked here")
        for c in self.d["components"]:
            if c["type"] not in kinds:
                sys.exit("component type %s is not known here" % c["type"])
            kinds[c["type"]](c)
        return self.lines


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("tariff")
    p.add_argument("intervals")
    p.add_argument("first", metavar="FROM")
    p.add_argument("last", metavar="TO")
    p.add_argument("--tz", default="UTC")
    p.add_argument("--households", type=int, default=1)
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    with open(args.tariff, encoding="utf-8") as f:
        document = json.load(f, parse_float=str)
    bill = Bill(document, args)
    lines = bill.run()
    total = sum(l["amount"] for l in lines)
    if args.json:
        print(json.dumps({"lines": {l["code"]: str(l["amount"]) for l in lines}, "total": str(total),
                          "intervals": len(bill.data)}))
        return
    for l in lines:
        print("%-28s %24s × %-10s = %14s" % (l["code"], l["quantity"].normalize(), l["price"], l["amount"]))
    print("%-28s %s" % ("total (%d intervals)" % len(bill.data), total))


if __name__ == "__main__":
    main()
