"""Bills of many kinds as the invoice plugin freezes them, and settings of their branches: material for the rules."""
import datetime
import random
from decimal import ROUND_HALF_UP, Decimal


def minor(value, digits):
    return int((Decimal(value) * 10 ** digits).to_integral_value(ROUND_HALF_UP))


def settings(vat=True, profile="en16931", **more):
    s = {"profile": profile, "buyer_reference": "0204-17", "corrects_issued": "2026-10-01",
         "seller": {"name": "Stadtwerke & Söhne <GmbH>", "street": "Am Wasserwerk 1", "city": "Berlin",
                    "postcode": "10115", "country": "DE", "vat_id": "DE123456789" if vat else "",
                    "tax_id": "" if vat else "30/123/45678", "legal_id": "HRB 12345", "endpoint": "4012345000009",
                    "endpoint_scheme": "0088", "phone": "+49 30 1234", "email": "rechnung@example.com"},
         "buyer": {"name": "Ada Lovelace", "street": "Analytical Way 1", "city": "Berlin", "postcode": "10117",
                   "country": "DE", "endpoint": "DE987654321", "endpoint_scheme": "9930"}, "taxes": []}
    s.update(more)
    return s


def content(lines, currency="EUR", digits=2, kind="invoice", credit=0, parts=1, **more):
    first = (datetime.date(2026, 10, 1) - datetime.date(1970, 1, 1)).days
    edges = [first + 31 * i // parts for i in range(parts + 1)]
    total, tax = sum(x["amount"] for x in lines), sum(x["amount"] for x in lines if x["kind"] == "tax")
    c = {"kind": kind, "number": "DE-CN-2026-000003" if kind == "credit_note" else "DE-2026-000123",
         "issued": "2026-11-03", "due": "2026-11-17", "currency": currency, "minor_digits": digits,
         "payee": {"name": "Stadtwerke", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
         "customer": {"name": "Ada Lovelace", "account": "A-100"},
         "premise": {"address": "Analytical Way 1", "city": "Berlin", "postcode": "10117",
                     "service_point": "DE0001234567890123456789012345678", "commodity": "electricity"},
         "contract": {"number": "C-1"}, "period": {"from": "2026-10-01", "until": "2026-10-31"},
         "parts": [{"version": i + 1, "from_day": edges[i], "to_day": edges[i + 1]} for i in range(parts)],
         "meters": [{"serial": "M\u00e9ter-1", "start": "100", "end": "340.5"}],
         "lines": lines, "net": total - tax, "tax": tax, "total": total, "credit": credit,
         "amount_due": max(total - credit, 0),
         "corrects": "DE-2026-000100" if kind == "credit_note" else None,
         "reason": "meter read wrongly" if kind == "credit_note" else None}
    c.update(more)
    return c


def line(code, quantity, unit, price, amount, kind="charge", part=1, component=None, label=None):
    return {"part": part, "code": code, "component": component or code.split("_")[0], "kind": kind,
            "label": label if label is not None else code.replace("_", " "), "quantity": str(quantity), "unit": unit,
            "price": str(price), "amount": amount}


def vat_line(lines, digits, currency, rate, part, components, code="vat", share=Decimal(1)):
    """A tax as the rating writes it: on the rounded lines before it, rounded itself."""
    base = Decimal(sum(x["amount"] for x in lines if x["part"] == part and x["component"] in components)) / 10 ** digits
    base *= share
    return line(code, base, currency, Decimal(rate) / 100, minor(base * Decimal(rate) / 100, digits), "tax", part, code)


def random_bill(r):
    digits, currency = r.choice([(2, "EUR"), (2, "EUR"), (0, "VND"), (0, "JPY")])
    parts, lines, taxes = r.choice([1, 1, 2]), [], []
    for part in range(1, parts + 1):
        for tier in range(r.randint(1, 4)):
            q, p = Decimal(r.randint(0, 900000)) / 1000, Decimal(r.randint(1, 99999)) / 10 ** r.choice([2, 4, 5])
            lines.append(line("energy_t%d" % (tier + 1), q, "kWh", p, minor(q * p, digits), part=part))
        if r.random() < 0.6:
            days = Decimal(r.randint(1, 31))
            lines.append(line("base", days, "day", "9.90", minor(Decimal("9.90") * days / 31, digits), part=part))
        if r.random() < 0.4:
            q = Decimal(r.randint(1, 50000)) / 100
            lines.append(line("feedin", q, "kWh", "-0.0811", minor(-q * Decimal("0.0811"), digits), "credit", part))
        if r.random() < 0.4:  # a levy that VAT is charged on
            lines.append(vat_line(lines, digits, currency, "2.05", part, ["energy"], "levy"))
            taxes.append({"part": part, "component": "levy", "vat": False, "of": ["energy"]})
        covered = ["energy", "levy", "feedin"] + (["base"] if r.random() < 0.7 else [])
        rates = [r.choice(["19", "7", "5.5", "0"])]
        if r.random() < 0.2:
            rates.append("16")
        for i, rate in enumerate(rates):
            share = Decimal(1) if len(rates) == 1 else [Decimal(11) / 31, Decimal(20) / 31][i].quantize(Decimal("0.000001"))
            lines.append(vat_line(lines, digits, currency, rate, part, covered, "vat", share))
        taxes.append({"part": part, "component": "vat", "vat": True, "category": "S", "of": covered})
    if r.random() < 0.3:
        lines.append(line("rounding", 0, "", 0, r.choice([-1, 1]), "rounding", parts))
    total = sum(x["amount"] for x in lines)
    kind = "credit_note" if r.random() < 0.3 else "invoice"
    credit = r.randint(0, max(total, 0)) if kind == "invoice" and r.random() < 0.3 else 0
    return {"content": content(lines, currency, digits, kind, credit, parts),
            "settings": settings(profile=r.choice(["en16931", "peppol"]), taxes=taxes)}


def random_bills(n, seed=16931):
    r = random.Random(seed)
    return [random_bill(r) for _ in range(n)]
