#!/usr/bin/env python3
"""Random tariffs and bills, computed a second time with exact fractions from what docs/tariffs.md
says, and compared with the engine line by line to the smallest unit.

usage: independent.py RATE-LINES COUNT [SEED]
"""
import datetime as dt
import json
import random
import subprocess
import sys
from fractions import Fraction as F
from zoneinfo import ZoneInfo

DAY = dt.timedelta(days=1)
ZONES = ["UTC", "Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Los_Angeles"]


# ---- numbers ----

def whole(x, how):
    """x to a whole number the way @how says."""
    floor = x.numerator // x.denominator
    rest = x - floor
    if how == "floor":
        return floor
    if how == "ceiling":
        return floor + (rest > 0)
    if how == "down":
        return floor + (x < 0 and rest > 0)
    if how == "up":
        return floor + (x > 0 and rest > 0)
    if rest != F(1, 2):
        return floor + (rest > F(1, 2))
    if how == "half_even":
        return floor + floor % 2
    return floor + (x > 0)  # half_up: away from zero


def to_digits(x, digits, how="half_even"):
    return F(whole(x * 10 ** digits, how), 10 ** digits)


def quotient(a, b, c):
    """Quotients are kept to twelve digits."""
    return to_digits(F(a) * F(b) / F(c), 12)


# ---- random documents ----

class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def dec(self, low, high, digits):
        return "%.*f" % (digits, self.r.uniform(low, high))

    def chance(self, p):
        return self.r.random() < p

    def tiers(self, key="rate", flat=True, ends=False):
        upto, out = 0, []
        for _ in range(self.r.choice([0, 1, 2, 3])):
            upto += self.r.choice([1, 10, 50, 100, 33])
            out.append({"upto": upto, key: self.dec(0, 5, 4)})
        out.append({key: self.dec(0, 5, 4)})
        if flat and self.chance(.3):
            for t in out:
                t["flat"] = self.dec(0, 9, 2)
        return out

    def limits(self):
        o = {}
        if self.chance(.5):
            o["per_days"] = self.r.choice([1, 30, 31, "365/12", "full_period"])
            if self.chance(.4) and o["per_days"] != 1:
                o["below_days"] = self.r.randint(20, 30)
                o["above_days"] = self.r.randint(30, 40)
        if self.chance(.3):
            o["months"] = True
        if self.chance(.3):
            o["households"] = True
        if self.chance(.2):
            o["contract_kw"] = True
        if self.chance(.5):
            o["round"] = self.r.choice(["limits", "blocks", "limits_down", "blocks_up"])
        return o

    def energy(self, code):
        o = {"type": "energy", "code": code}
        if self.chance(.3):
            o["rate"] = self.dec(0, 3, 5)
        else:
            o["tiers"] = self.tiers()
            if self.chance(.3):
                o["mode"] = "volume"
            if self.chance(.5):
                o["limits"] = self.limits()
        if self.chance(.15):
            o["block_size"] = self.r.choice([5, 10])
        if self.chance(.15):
            o["minimum_quantity"] = self.r.choice([10, 30])
        if "rate" in o and self.chance(.3):
            o["versions"] = [{"from": self.inside(), "rate": self.dec(0, 3, 5)}]
        return o

    def inside(self):
        """A day inside the bill, or the first one."""
        return str(self.start + DAY * self.r.randint(0, self.days - 1))

    def tou(self, code):
        prices = {}
        pooled = self.chance(.4)
        tiers = self.tiers(flat=False)
        for p in self.periods:
            if pooled:
                prices[p] = {"tiers": [dict(t, rate=self.dec(0, 5, 4)) for t in tiers]}
            else:
                prices[p] = {"rate": self.dec(0, 3, 5)} if self.chance(.6) else \
                    {"tiers": self.tiers(flat=False)}
        return {"type": "energy", "code": code, "schedule": "tou", "prices": prices,
                "fill": self.r.choice(["total", "time"]) if pooled else "period"}

    def demand(self, code):
        o = {"type": "demand", "code": code}
        if self.chance(.4):
            o["schedule"] = "tou"
            o["prices"] = {p: {"rate": self.dec(0, 9, 3)} for p in self.periods}
        elif self.chance(.5):
            o["tiers"] = self.tiers(flat=False)
        else:
            o["rate"] = self.dec(0, 9, 3)
        if self.chance(.3):
            o["proration"] = "days"
            o["proration_days"] = self.r.choice([30, "365/12"])
        return o

    def component(self, code, before):
        kinds = ["fixed", "energy", "percent", "minimum", "package", "increment", "band", "slab",
                 "tiered_percentage"]
        if self.series:
            kinds += ["tou", "tou", "demand", "demand"]
        kind = self.r.choice(kinds)
        if kind == "fixed":
            o = {"type": "fixed", "code": code, "amount": self.dec(0, 50, 4),
                 "per": self.r.choice(["bill", "month", "day", "kw", "kw_month", "household"])}
            if self.chance(.4):
                o["proration"] = self.r.choice(["full_period", "days"])
                if o["proration"] == "days":
                    o["proration_days"] = self.r.choice([30, "365/12"])
            elif self.chance(.3):
                o["versions"] = [{"from": self.inside(), "amount": self.dec(0, 50, 2)}]
        elif kind == "energy":
            o = self.energy(code)
        elif kind == "tou":
            o = self.tou(code)
        elif kind == "demand":
            o = self.demand(code)
        elif kind == "percent":
            o = {"type": "percent", "code": code, "pct": self.dec(-20, 30, 2), "tax": True}
            if before and self.chance(.6):
                o["of"] = self.r.sample(before, self.r.randint(1, len(before)))
            if self.chance(.2):
                o["per_line"] = True
            if not o.get("per_line") and self.chance(.2):
                o["versions"] = [{"from": self.inside(), "pct": self.dec(0, 30, 1)}]
            if self.chance(.2):
                o["when"] = {"quantity": "energy.import",
                             self.r.choice(["above", "upto"]): self.r.randint(0, 300)}
        elif kind == "minimum":
            o = {"type": "minimum_bill", "code": code, "amount": self.dec(0, 300, 2),
                 "per": self.r.choice(["bill", "bill", "month", "kw"])}
            if before and self.chance(.5):
                o["of"] = self.r.sample(before, self.r.randint(1, len(before)))
        elif kind == "package":
            o = {"type": "package", "code": code, "package_size": self.r.choice([1, 10, 25]),
                 "amount": self.dec(0, 9, 2), "free_units": self.r.choice([0, 5, 100])}
        elif kind == "increment":
            o = {"type": "increment", "code": code, "first": self.r.choice([1, 30]),
                 "then": self.r.choice([1, 6, 7]), "rate": self.dec(0, 2, 4),
                 "per_units": self.r.choice([1, 60])}
        elif kind == "band":
            o = {"type": "band_fixed", "code": code, "tiers": self.tiers("amount", flat=False)}
        elif kind == "tiered_percentage":
            o = {"type": "tiered_percentage", "code": code, "tiers": self.tiers("pct")}
        else:
            limit = self.r.choice([50, 100, 200])
            o = {"type": "slab_switch", "code": code, "cases": [
                {"upto": limit, "components": [
                    {"type": "energy", "code": code + "a", "rate": self.dec(0, 3, 4)}]},
                {"components": [
                    {"type": "energy", "code": code + "b", "tiers": self.tiers()},
                    {"type": "fixed", "code": code + "c", "amount": self.dec(0, 9, 2)}]}]}
        return o

    def make(self):
        r = self.r
        self.start = dt.date(2026, r.randint(1, 12), r.randint(1, 28))
        self.days = r.choice([7, 15, 28, 30, 31, 45, 61]) if self.chance(.5) else r.randint(1, 70)
        self.series = self.chance(.35)
        if self.series:
            self.days = min(self.days, r.randint(1, 9))
        end = self.start + DAY * self.days
        zone = r.choice(ZONES)
        self.periods = r.choice([["peak", "off"], ["peak", "mid", "off"]])
        doc = {"schema": "headrace-tariff-v1", "code": "R", "commodity": "electricity",
               "currency": r.choice(["USD", "VND", "KWD"]),
               "rounding": {"mode": r.choice(["half_up", "half_even", "down", "up", "floor",
                                              "ceiling"]), "of": r.choice(["lines", "total"])}}
        if self.chance(.1):
            doc["rounding"]["step"] = {"USD": "0.05", "VND": "500", "KWD": "0.010"}[doc["currency"]]
        inp = {"from": str(self.start), "to": str(end), "tz": zone,
               "contract_kw": self.dec(0, 20, 1)}
        if self.chance(.5):
            inp["full_days"] = r.choice([30, 31, 61])
        if self.chance(.5):
            inp["months"] = r.randint(1, 2)
        if self.chance(.3):
            inp["households"] = r.randint(1, 4)
        if self.series:
            a, b = sorted(r.sample(range(1, 24), 2))
            rules = [{"days": ["weekday"], "from": "%02d:00" % a, "to": "%02d:00" % b,
                      "period": "peak"}]
            if len(self.periods) > 2:
                rules.append({"days": ["weekend"], "from": "%02d:00" % b, "to": "%02d:00" % a,
                              "period": "mid"})
            doc["schedules"] = {"tou": {"periods": self.periods, "rules": rules,
                                        "otherwise": "off"}}
            doc["demand"] = {"minimum": r.choice([0, 5])}
            if self.chance(.3):
                doc["demand"]["contract_percent"] = r.choice([50, 80])
            if self.chance(.4):
                doc["demand"]["ratchet"] = {"percent": r.choice([60, 80, 100]),
                                            "lookback_months": r.choice([3, 11])}
                inp["peaks"] = [{"year": 2025, "month": m, "kw": self.dec(0, 12, 2)}
                                for m in range(1, 13)]
            inp["series"] = self.cut(self.hours(zone, end))
        else:
            inp["quantities"] = {"energy.import": {"value": self.dec(0, 400, 3) if self.chance(.7)
                                                   else str(r.choice([0, 50, 100, 101, 200])),
                                                   "unit": "kWh"}}
        doc["components"] = []
        for k in range(r.randint(1, 6)):
            doc["components"].append(self.component("c%d" % k, ["c%d" % i for i in range(k)]))
        return doc, inp

    def make_splittable(self):
        """A tariff whose bill over a period is that of its parts: no tiers, peaks or minimums."""
        r = self.r
        self.start = dt.date(2026, r.randint(1, 12), r.randint(1, 28))
        self.days, self.series = r.randint(2, 12), True
        self.periods = ["peak", "off"]
        zone = r.choice(ZONES)
        end = self.start + DAY * self.days
        doc = {"schema": "headrace-tariff-v1", "code": "R", "commodity": "electricity",
               "currency": "USD", "rounding": {"of": "total"},
               "schedules": {"tou": {"periods": self.periods, "otherwise": "off", "rules": [
                   {"days": ["weekday"], "from": "07:00", "to": "19:00", "period": "peak"}]}},
               "components": [
                   {"type": "fixed", "code": "f", "per": "day", "amount": self.dec(0, 5, 4)},
                   {"type": "energy", "code": "e", "rate": self.dec(0, 3, 5)},
                   {"type": "energy", "code": "t", "schedule": "tou",
                    "prices": {p: {"rate": self.dec(0, 3, 5)} for p in self.periods}},
                   {"type": "percent", "code": "v", "pct": self.dec(0, 25, 1), "of": ["f", "t"]}]}
        if self.chance(.5):
            doc["components"][1]["versions"] = [{"from": self.inside(), "rate": self.dec(0, 3, 5)}]
        inp = {"from": str(self.start), "to": str(end), "tz": zone, "contract_kw": 0,
               "series": self.cut(self.hours(zone, end))}
        return doc, inp, str(self.start + DAY * r.randint(1, self.days - 1))

    def hours(self, zone, end):
        tz = ZoneInfo(zone)
        first = dt.datetime.combine(self.start, dt.time(), tz).astimezone(dt.timezone.utc)
        last = dt.datetime.combine(end, dt.time(), tz).astimezone(dt.timezone.utc)
        n = int((last - first).total_seconds()) // 3600
        return {"name": "energy.import", "unit": "kWh", "scale": 3, "period_s": 3600,
                "at": first.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "values": [self.r.randint(0, 12000) for _ in range(n)]}

    def cut(self, s):
        """The same values as one series or two."""
        n = len(s["values"])
        if n < 2 or self.chance(.5):
            return [s]
        k = self.r.randint(1, n - 1)
        at = dt.datetime.fromisoformat(s["at"].replace("Z", "+00:00")) + dt.timedelta(hours=k)
        a, b = dict(s, values=s["values"][:k]), dict(s, values=s["values"][k:])
        b["at"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.r.sample([a, b], 2)


# ---- the second computation ----

class Bill:
    def __init__(self, doc, inp):
        self.doc, self.inp = doc, inp
        self.start = dt.date.fromisoformat(inp["from"])
        self.end = dt.date.fromisoformat(inp["to"])
        self.days = (self.end - self.start).days
        self.full = inp.get("full_days", self.days)
        self.months = inp.get("months") or self.derived_months()
        self.households = inp.get("households", 1)
        self.kw = F(inp["contract_kw"])
        self.digits = {"USD": 2, "VND": 0, "KWD": 3}[doc["currency"]]
        self.how = doc["rounding"]["mode"]
        self.by_line = doc["rounding"]["of"] == "lines"
        self.lines = []  # (component, code, exact, amount)
        self.samples = self.read_series()
        if "demand" in doc:
            self.billing_kw = self.compute_demand()

    def derived_months(self):
        n = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month
        off = self.end.day - self.start.day
        return max(n + (off > 15) - (off < -15), 1)

    def read_series(self):
        """(local day, period, kWh) of every hour."""
        out = []
        for s in sorted(self.inp.get("series", []), key=lambda x: x["at"]):
            at = dt.datetime.fromisoformat(s["at"].replace("Z", "+00:00"))
            for i, v in enumerate(s["values"]):
                local = (at + dt.timedelta(hours=i)).astimezone(ZoneInfo(self.inp["tz"]))
                out.append((local.date(), self.period_at(local), F(v, 1000)))
        return out

    def period_at(self, local):
        t = self.doc["schedules"]["tou"]
        for rule in t["rules"]:
            if (rule["days"][0] == "weekend") != (local.weekday() >= 5):
                continue
            a, b = int(rule["from"][:2]), int(rule["to"][:2])
            if (a <= local.hour < b) if a < b else (local.hour >= a or local.hour < b):
                return rule["period"]
        return t["otherwise"]

    def quantity(self, a=None, b=None, period=None):
        a, b = a or self.start, b or self.end
        if self.samples:
            return sum((v for d, p, v in self.samples
                        if a <= d < b and (period is None or p == period)), F(0))
        whole_bill = F(self.inp["quantities"]["energy.import"]["value"])
        n = (b - a).days
        return whole_bill if n == self.days else quotient(whole_bill, n, self.days)

    def compute_demand(self):
        d, month = self.doc["demand"], (self.end - DAY).month
        year = (self.end - DAY).year
        peak = max(v for _, _, v in self.samples)
        best = peak
        if "ratchet" in d:
            r = d["ratchet"]
            best = quotient(peak, r["percent"], 100)
            for p in self.inp["peaks"]:
                ago = (year - p["year"]) * 12 + month - p["month"]
                if 0 < ago <= r["lookback_months"]:
                    best = max(best, quotient(F(p["kw"]), r["percent"], 100))
            best = max(best, peak)  # the month's own peak counts in full
        best = max(best, F(d.get("minimum", 0)))
        if "contract_percent" in d:
            best = max(best, quotient(self.kw, d["contract_percent"], 100))
        return best

    # -- limits

    def per_days(self, x, n, days):
        if days == "full_period":
            return quotient(x, n, self.full)
        if isinstance(days, str):
            a, b = days.split("/")
            return quotient(x, n * int(b), int(a))
        return quotient(x, n, days)

    def scaled(self, c, x, n):
        o = c.get("limits", {})
        on = "per_days" in o and (not (o.get("below_days") or o.get("above_days")) or
                                  self.days < o["below_days"] or self.days > o["above_days"])
        if on:
            x = self.per_days(x, n, o["per_days"])
        elif n != self.days:
            x = quotient(x, n, self.days)
        x = x * (self.months if o.get("months") else 1)
        x = x * (self.households if o.get("households") else 1)
        return x * (self.kw if o.get("contract_kw") else 1)

    def limits(self, c, tiers, n):
        """Upper ends; None for the last one without."""
        how = c.get("limits", {}).get("round", "none")
        mode = "floor" if how.endswith("_down") else "ceiling" if how.endswith("_up") else "half_up"
        out, below, before = [], F(0), F(0)
        for t in tiers:
            if "upto" not in t:
                out.append(None)
                continue
            x = F(t["upto"])
            if how.startswith("blocks"):
                end = before + whole(self.scaled(c, x - below, n), mode)
                below = x
            else:
                end = self.scaled(c, x, n)
                end = F(whole(end, mode)) if how.startswith("limits") else end
            before = max(end, before)
            out.append(before)
        return out

    def fill(self, c, tiers, q, n):
        """(quantity, touched) of each tier."""
        out, low = [], F(0)
        for k, end in enumerate(self.limits(c, tiers, n)):
            top = q if end is None else min(q, end)
            out.append((max(top - low, F(0)), k == 0 or q > low))
            low = low if end is None else end
        return out

    def pick(self, c, tiers, q, n):
        for t, end in zip(tiers, self.limits(c, tiers, n)):
            if end is None or q <= end:
                return t
        return None

    # -- lines

    def add(self, component, code, exact):
        self.lines.append((component, code, exact,
                           whole(exact * 10 ** self.digits, self.how)))

    def value(self, line):
        return F(line[3], 10 ** self.digits) if self.by_line else line[2]

    def base(self, c, lines):
        of = c.get("of")
        return [x for x in lines if x[0] != c["code"] and (of is None or x[0] in of or x[1] in of)]

    def prorated(self, c, x, n):
        if c.get("proration") == "full_period":
            return quotient(x, n, self.full)
        if c.get("proration") == "days":
            return self.per_days(x, n, c["proration_days"])
        return x if n == self.days else quotient(x, n, self.days)

    def tier_lines(self, c, tiers, q, n, middle="", part=None):
        for k, (x, touched) in enumerate(self.fill(c, tiers, q, n)):
            t = tiers[k]
            if x == 0 and len(tiers) > 1 and not ("flat" in t and touched):
                continue
            if part is not None and part != q:
                x = quotient(x, part, q)
            exact = x * F(t["rate"]) + F(t.get("flat", 0))
            self.add(c["code"], c["code"] + middle + ("_t%d" % (k + 1) if len(tiers) > 1 else ""),
                     exact)

    def do_energy(self, c, a, b):
        n = (b - a).days
        tiers = c.get("tiers", [{"rate": c.get("rate")}])
        if "schedule" in c:
            return self.do_tou(c, a, b)
        q = self.quantity(a, b)
        if "block_size" in c:
            q = F(whole(q / c["block_size"], "ceiling"))
        if "minimum_quantity" in c:
            least = self.scaled(c, F(c["minimum_quantity"]), n)
            how = c.get("limits", {}).get("round", "")
            if how.startswith("limits"):
                least = F(whole(least, "floor" if how.endswith("_down") else "half_up"))
            q = max(q, least)
        if c.get("mode") == "volume":
            t = self.pick(c, tiers, q, n)
            self.add(c["code"], c["code"], q * F(t["rate"]) + F(t.get("flat", 0)))
        else:
            self.tier_lines(c, tiers, q, n)

    def do_tou(self, c, a, b):
        names = self.doc["schedules"]["tou"]["periods"]
        used = {p: self.quantity(a, b, p) for p in names}
        total = sum(used.values())
        if c["fill"] == "time":
            return self.do_timed(c, a, b, names)
        for p in names:
            if used[p] == 0:
                continue
            price = c["prices"][p]
            tiers = price.get("tiers", [{"rate": price.get("rate")}])
            if c["fill"] == "total":
                self.tier_lines(c, tiers, total, (b - a).days, "_" + p, used[p])
            else:
                self.tier_lines(c, tiers, used[p], (b - a).days, "_" + p)

    def do_timed(self, c, a, b, names):
        """Unit by unit in the order of use: the tier by what was used before, the price by the hour."""
        tiers = {p: c["prices"][p]["tiers"] for p in names}
        ends = self.limits(c, tiers[names[0]], (b - a).days)
        used, before, k = {}, F(0), 0
        for day, p, v in self.samples:
            if not a <= day < b:
                continue
            while v > 0:
                room = v if ends[k] is None else min(v, ends[k] - before)
                used[p, k] = used.get((p, k), F(0)) + room
                before, v = before + room, v - room
                if v > 0:
                    k += 1
        for p in names:
            for i, t in enumerate(tiers[p]):
                if used.get((p, i)):
                    self.add(c["code"], c["code"] + "_" + p +
                             ("_t%d" % (i + 1) if len(tiers[p]) > 1 else ""),
                             used[p, i] * F(t["rate"]))

    def do_demand(self, c, a, b):
        n = (b - a).days

        def lines(tiers, kw, middle=""):
            for k, (x, _) in enumerate(self.fill(c, tiers, kw, self.days)):
                if x == 0 and len(tiers) > 1:
                    continue
                price = F(tiers[k]["rate"])
                if "proration" in c:
                    price = self.per_days(price, n, c["proration_days"])
                self.add(c["code"], c["code"] + middle +
                         ("_t%d" % (k + 1) if len(tiers) > 1 else ""), x * price)
        if "schedule" not in c:
            return lines(c.get("tiers", [{"rate": c.get("rate")}]), self.billing_kw)
        for p in self.doc["schedules"]["tou"]["periods"]:
            peak = max((v for _, q, v in self.samples if q == p), default=F(0))
            if peak:
                lines([{"rate": c["prices"][p]["rate"]}], peak, "_" + p)

    def do_fixed(self, c, a, b):
        n, per = (b - a).days, c.get("per", "bill")
        count = {"bill": 1, "month": self.months if "proration" not in c else 1, "day": n,
                 "kw": self.kw, "kw_month": self.kw, "household": self.households}[per]
        x = count * F(c["amount"]) * (self.months if per == "kw_month" else 1)
        self.add(c["code"], c["code"], x if per == "day" else self.prorated(c, x, n))

    def do_percent(self, c, a, b):
        n = (b - a).days
        factor = quotient(F(c["pct"]), 1, 100)

        def line(code, base):
            base = base if n == self.days else quotient(base, n, self.days)
            self.add(c["code"], code, base * factor)
        before = self.base(c, list(self.lines))
        if c.get("per_line"):
            for x in before:
                line(c["code"] + x[1][len(x[0]):], self.value(x))
        else:
            line(c["code"], sum((self.value(x) for x in before), F(0)))

    def do_minimum_bill(self, c, a, b):
        least = F(c["amount"]) * {"bill": 1, "month": self.months, "kw": self.kw}[c["per"]]
        have = sum((self.value(x) for x in self.base(c, self.lines)), F(0))
        if have < least:
            self.add(c["code"], c["code"], least - have)

    def do_package(self, c, a, b):
        over = max(self.quantity(a, b) - c["free_units"], F(0))
        self.add(c["code"], c["code"], whole(over / c["package_size"], "ceiling") * F(c["amount"]))

    def do_increment(self, c, a, b):
        q = self.quantity(a, b)
        if 0 < q <= c["first"]:
            q = F(c["first"])
        elif q > 0:
            q = c["first"] + c["then"] * F(whole((q - c["first"]) / c["then"], "ceiling"))
        self.add(c["code"], c["code"], quotient(q, F(c["rate"]), c["per_units"]))

    def do_band_fixed(self, c, a, b):
        t = self.pick(c, c["tiers"], self.quantity(a, b), (b - a).days)
        self.add(c["code"], c["code"], F(t["amount"]))

    def do_tiered_percentage(self, c, a, b):
        filled = self.fill(c, c["tiers"], self.quantity(a, b), (b - a).days)
        for k, (x, touched) in enumerate(filled):
            if touched:
                t = c["tiers"][k]
                self.add(c["code"], c["code"] + "_t%d" % (k + 1),
                         x * quotient(F(t["pct"]), 1, 100) + F(t.get("flat", 0)))

    def do_slab_switch(self, c, a, b):
        case = self.pick(c, c["cases"], self.quantity(a, b), (b - a).days)
        for part in case["components"]:
            getattr(self, "do_" + part["type"])(part, a, b)

    def counts(self, c):
        w = c.get("when")
        q = self.quantity()
        return not w or not ("above" in w and q <= w["above"] or "upto" in w and q > w["upto"])

    def run(self):
        for c in self.doc["components"]:
            versions = [(dt.date.min, c)] + [
                (dt.date.fromisoformat(v["from"]), dict(c, **v)) for v in c.get("versions", [])]
            for i, (day, v) in enumerate(versions):
                a = max(day, self.start)
                b = min(versions[i + 1][0], self.end) if i + 1 < len(versions) else self.end
                if a < b and self.counts(v):
                    getattr(self, "do_" + c["type"])(v, a, b)
        total = sum(x[3] for x in self.lines)
        exact = F(total, 10 ** self.digits) if self.by_line else \
            sum((x[2] for x in self.lines), F(0))
        step = self.doc["rounding"].get("step")
        if step:
            exact = whole(exact / F(step), self.how) * F(step)
        return [(x[1], x[3]) for x in self.lines], whole(exact * 10 ** self.digits, self.how)


# ---- comparison ----

class Engine:
    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, doc, inp):
        self.p.stdin.write(json.dumps({"tariff": doc, "input": inp}).encode() + b"\n")
        self.p.stdin.flush()
        return self.p.stdout.readline()

    def close(self):
        self.p.stdin.close()
        return self.p.wait()


def shuffled(inp, r):
    """The same input, its parts in another order."""
    out = dict(r.sample(list(inp.items()), len(inp)))
    for key in ("series", "peaks"):
        if key in out:
            out[key] = r.sample(out[key], len(out[key]))
    return out


def check(engine, seed):
    m = Maker(seed)
    doc, inp = m.make()
    answer = engine.ask(doc, inp)
    got = json.loads(answer)
    if "error" in got:
        return "not rated: %s" % got["text"]
    want, total = Bill(doc, inp).run()
    lines = [(x["code"], x["amount"]) for x in got["lines"] if x["kind"] != "rounding"]
    if lines != want:
        return "lines %s\n  instead of %s" % (lines, want)
    if got["total"] != total:
        return "total %s instead of %s" % (got["total"], total)
    if sum(x["amount"] for x in got["lines"]) != total:
        return "the lines do not add up to the total"
    if engine.ask(doc, shuffled(inp, m.r)) != answer:
        return "another order of the input gives other bytes"
    return None


def check_split(engine, seed):
    """Cut anywhere, the parts come to the whole."""
    doc, inp, day = Maker(seed).make_splittable()
    parts = [json.loads(engine.ask(doc, x)) for x in
             (inp, dict(inp, to=day), dict(inp, **{"from": day}))]
    if any("error" in x for x in parts):
        return "not rated: %s" % parts
    whole_bill, first, second = (F(x["exact_total"]) for x in parts)
    if whole_bill != first + second:
        return "%s, cut at %s: %s and %s" % (whole_bill, day, first, second)
    return None


def main():
    program, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    engine, wrong = Engine(program), 0
    for s in range(seed, seed + count):
        text = check(engine, s) or (check_split(engine, s) if s % 4 == 0 else None)
        if text:
            wrong += 1
            doc, inp = Maker(s).make()
            print("seed %d: %s\n  %s\n  %s" % (s, text, json.dumps(doc), json.dumps(inp)[:600]))
            if wrong >= 5:
                break
    print("%d bills, %d wrong" % (count, wrong))
    return 1 if engine.close() or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
