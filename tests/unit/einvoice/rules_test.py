#!/usr/bin/env python3
"""The essential rules of EN 16931 on what `ubl_of` makes of a thousand bills, computed here from the XML alone.

usage: rules_test.py UBL_OF [--keep DIR]    --keep writes the documents there, for outside validators"""
import json
import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ET
from decimal import ROUND_HALF_UP, Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import samples  # noqa: E402

CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
CAC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"
UBL_OF, KEEP = sys.argv[1], sys.argv[3] if len(sys.argv) > 3 and sys.argv[2] == "--keep" else None
del sys.argv[1:]


def make(bills):
    p = subprocess.run([UBL_OF], input="".join(json.dumps(b) + "\n" for b in bills).encode(), stdout=subprocess.PIPE,
                       check=True)
    return [json.loads(x) for x in p.stdout.decode().splitlines()]


def path(*names):
    return "/".join((CBC if n[0] == "." else CAC) + n.lstrip(".") for n in names)


class Document:
    def __init__(self, xml):
        self.root = ET.fromstring(xml)
        self.kind = self.root.tag.split("}")[1]
        self.lines = self.root.findall(path(self.kind + "Line"))

    def text(self, *names):
        return self.root.findtext(path(*names))

    def amount(self, *names):
        return Decimal(self.text(*names) or 0)


def value(element, *names):
    return Decimal(element.findtext(path(*names)))


class Rules(unittest.TestCase):
    bills = samples.random_bills(1000)
    answers = make(bills)

    def documents(self):
        self.assertEqual(len(self.answers), len(self.bills))
        for bill, answer in zip(self.bills, self.answers):
            self.assertIn("xml", answer, answer.get("why"))
            yield bill["content"], bill["settings"], Document(answer["xml"].encode())

    def test_mandatory_terms(self):
        for content, settings, d in self.documents():
            self.assertEqual(d.kind, "CreditNote" if content["kind"] == "credit_note" else "Invoice")
            self.assertTrue(d.text(".CustomizationID").startswith("urn:cen.eu:en16931:2017"))
            self.assertEqual("peppol" in d.text(".CustomizationID"), settings["profile"] == "peppol")
            self.assertEqual(d.text(".ID"), content["number"])
            self.assertEqual(d.text(".IssueDate"), content["issued"])
            self.assertEqual(d.text("." + d.kind + "TypeCode"), "381" if d.kind == "CreditNote" else "380")
            self.assertEqual(d.text(".DocumentCurrencyCode"), content["currency"])
            for role in ("AccountingSupplierParty", "AccountingCustomerParty"):
                self.assertTrue(d.text(role, "Party", "PartyLegalEntity", ".RegistrationName"))
                self.assertEqual(d.text(role, "Party", "PostalAddress", "Country", ".IdentificationCode"), "DE")
            self.assertGreaterEqual(len(d.lines), 1)
            for n, x in enumerate(d.lines):
                self.assertEqual(x.findtext(path(".ID")), str(n + 1))
                self.assertTrue(x.findtext(path("Item", ".Name")))
                self.assertTrue(x.findtext(path("Item", "ClassifiedTaxCategory", ".ID")))
                quantity = x.find(path(".CreditedQuantity" if d.kind == "CreditNote" else ".InvoicedQuantity"))
                self.assertRegex(quantity.get("unitCode"), r"^[A-Z0-9]{2,3}$")
                self.assertGreaterEqual(value(x, "Price", ".PriceAmount"), 0)  # BR-27
            if d.kind == "CreditNote":
                self.assertEqual(d.text("BillingReference", "InvoiceDocumentReference", ".ID"), content["corrects"])

    def test_sums(self):
        for content, _, d in self.documents():
            digits = content["minor_digits"]
            m = lambda name: d.amount("LegalMonetaryTotal", "." + name)  # noqa: E731
            net = sum(value(x, ".LineExtensionAmount") for x in d.lines)
            self.assertEqual(m("LineExtensionAmount"), net)  # BR-CO-10
            self.assertEqual(m("TaxExclusiveAmount"), net)  # BR-CO-13
            parts = d.root.findall(path("TaxTotal", "TaxSubtotal"))
            tax = sum(value(x, ".TaxAmount") for x in parts)
            self.assertEqual(d.amount("TaxTotal", ".TaxAmount"), tax)  # BR-CO-14
            self.assertEqual(m("TaxInclusiveAmount"), net + tax)  # BR-CO-15
            self.assertEqual(m("PayableAmount"),
                             net + tax - m("PrepaidAmount") + m("PayableRoundingAmount"))  # BR-CO-16
            # What is to be paid is what the bill says, to the cent.
            self.assertEqual(m("PayableAmount"), Decimal(content["total"] - content["credit"]).scaleb(-digits))
            for x in parts:  # BR-CO-17
                exact = value(x, ".TaxableAmount") * Decimal(x.findtext(path("TaxCategory", ".Percent")) or 0) / 100
                self.assertEqual(value(x, ".TaxAmount"), exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))

    def test_breakdown_is_of_the_lines(self):
        for _, _, d in self.documents():
            lines = {}
            for x in d.lines:
                c = x.find(path("Item", "ClassifiedTaxCategory"))
                key = (c.findtext(path(".ID")), c.findtext(path(".Percent")))
                lines[key] = lines.get(key, 0) + value(x, ".LineExtensionAmount")
            parts = {(x.findtext(path("TaxCategory", ".ID")), x.findtext(path("TaxCategory", ".Percent"))):
                     value(x, ".TaxableAmount") for x in d.root.findall(path("TaxTotal", "TaxSubtotal"))}
            self.assertEqual(lines, parts)  # BR-S-08, BR-Z-08, BR-E-08

    def test_price_makes_the_line(self):
        for content, settings, d in self.documents():
            cents = Decimal("0.005") if content["minor_digits"] else Decimal("0.5")
            for x in d.lines:
                q = value(x, ".CreditedQuantity" if d.kind == "CreditNote" else ".InvoicedQuantity")
                exact = q * value(x, "Price", ".PriceAmount") / value(x, "Price", ".BaseQuantity")
                self.assertLessEqual(abs(exact - value(x, ".LineExtensionAmount")),
                                     Decimal("0.02") if settings["profile"] == "peppol" else max(cents, Decimal("0.01")))

    def test_lines_lie_in_the_period(self):
        for _, _, d in self.documents():
            for x in d.lines:
                begin, end = (x.findtext(path("InvoicePeriod", n)) for n in (".StartDate", ".EndDate"))
                self.assertTrue(d.text("InvoicePeriod", ".StartDate") <= begin <= end <= d.text("InvoicePeriod", ".EndDate"))

    def test_nothing_is_empty(self):
        for _, _, d in self.documents():
            for x in d.root.iter():
                self.assertTrue(len(x) or (x.text or "").strip(), x.tag)

    def test_vat_is_the_bills(self):
        """A bill of one rate: the VAT of the document is the one printed, but for cents."""
        seen = 0
        for content, _, d in self.documents():
            taxes = [x for x in content["lines"] if x["kind"] == "tax" and x["component"] == "vat"]
            if len(taxes) == 1:
                printed = Decimal(taxes[0]["amount"]).scaleb(-content["minor_digits"])
                self.assertEqual(d.amount("TaxTotal", ".TaxAmount"), printed)
                seen += 1
        self.assertGreater(seen, 100)


class Cases(unittest.TestCase):
    energy = samples.line("energy", "240", "kWh", "0.25", 6000)

    def why(self, lines=None, settings=None, **more):
        answer = make([{"content": samples.content(lines or [self.energy], **more),
                        "settings": settings or samples.settings()}])[0]
        self.assertNotIn("xml", answer)
        return answer["why"]

    def xml(self, lines, settings, **more):
        answer = make([{"content": samples.content(lines, **more), "settings": settings}])[0]
        self.assertIn("xml", answer, answer.get("why"))
        return answer["xml"]

    def test_what_is_missing_is_named(self):
        s = samples.settings()
        self.assertIn("seller has no name", self.why(settings=dict(s, seller=dict(s["seller"], name=""))))
        self.assertIn("buyer's country", self.why(settings=dict(s, buyer=dict(s["buyer"], country="Germany"))))
        self.assertIn("'123456789' needs its country's prefix",
                      self.why(settings=dict(s, seller=dict(s["seller"], vat_id="123456789"))))
        self.assertIn("BR-CO-26", self.why(settings=dict(s, seller=dict(s["seller"], vat_id="", legal_id=""))))
        self.assertIn("R010", self.why(settings=dict(s, profile="peppol", buyer=dict(s["buyer"], endpoint=""))))
        self.assertIn("four digits", self.why(settings=dict(s, profile="peppol", seller=dict(
            s["seller"], endpoint_scheme="EM"))))
        self.assertIn("R040", self.why(settings=dict(s, profile="peppol", seller=dict(
            s["seller"], endpoint="4012345000008"))))
        self.assertIn("R003", self.why(settings=dict(s, profile="peppol", buyer_reference="")))
        self.assertIn("BR-CO-25", self.why(due=""))
        self.assertIn("two decimals; KWD has 3", self.why(currency="KWD", digits=3))
        self.assertIn("BR-16", self.why([samples.line("rounding", 0, "", 0, 1, "rounding")]))
        self.assertIn("BR-02", self.why(number=""))

    def test_sums_too_far_apart(self):
        self.assertIn("too far apart", self.why(total=7000))

    def test_two_taxes_on_one_line(self):
        taxes = [{"part": 1, "component": c, "vat": True, "of": ["energy"]} for c in ("vat", "gst")]
        lines = [self.energy, samples.line("vat", 60, "EUR", "0.19", 1140, "tax"),
                 samples.line("gst", 60, "EUR", "0.05", 300, "tax")]
        self.assertIn("Two value added taxes", self.why(lines, samples.settings(taxes=taxes)))

    def test_rate_changed_inside_the_period(self):
        taxes = [{"part": 1, "component": "vat", "vat": True, "of": ["energy"]}]
        lines = [self.energy, samples.line("vat", 20, "EUR", "0.19", 380, "tax"),
                 samples.line("vat", 40, "EUR", "0.16", 640, "tax")]
        d = Document(self.xml(lines, samples.settings(taxes=taxes)).encode())
        self.assertEqual([(value(x, ".LineExtensionAmount"), value(x, "Item", "ClassifiedTaxCategory", ".Percent"))
                          for x in d.lines], [(20, 19), (40, 16)])
        self.assertEqual(d.amount("TaxTotal", ".TaxAmount"), Decimal("10.20"))

    def test_without_vat(self):
        d = Document(self.xml([self.energy], samples.settings(vat=False)).encode())
        self.assertEqual(d.text("TaxTotal", "TaxSubtotal", "TaxCategory", ".ID"), "O")
        self.assertIsNone(d.text("TaxTotal", "TaxSubtotal", "TaxCategory", ".Percent"))
        self.assertIsNone(d.text("AccountingSupplierParty", "Party", "PartyTaxScheme", ".CompanyID"))
        d = Document(self.xml([self.energy], samples.settings(untaxed={"category": "AE", "reason": "Reverse charge"})).encode())
        self.assertEqual(d.text("TaxTotal", "TaxSubtotal", "TaxCategory", ".ID"), "AE")
        self.assertEqual(d.text("TaxTotal", "TaxSubtotal", "TaxCategory", ".TaxExemptionReason"), "Reverse charge")

    def test_text_of_any_kind(self):
        label = "<b>&amp;\u0007 \"Điện\" ]]> 🔌"
        d = Document(self.xml([dict(self.energy, label=label)], samples.settings()).encode())
        self.assertEqual(d.lines[0].findtext(path("Item", ".Name")), label.replace("\u0007", " "))

    def test_same_input_same_bytes(self):
        a, b = (self.xml([self.energy], samples.settings()) for _ in range(2))
        self.assertEqual(a, b)
        self.assertTrue(re.match(r'<\?xml version="1.0" encoding="UTF-8"\?>', a))


def keep(directory):
    bills = samples.random_bills(300)
    energy = Cases.energy
    bills += [{"content": samples.content([energy]), "settings": samples.settings(vat=False)},
              {"content": samples.content([energy]), "settings": samples.settings()},
              {"content": samples.content([dict(energy, amount=-6000, quantity="-240")]), "settings": samples.settings()},
              {"content": samples.content([energy]), "settings": samples.settings(
                  untaxed={"category": "AE", "reason": "Reverse charge"},
                  buyer=dict(samples.settings()["buyer"], vat_id="DE987654321"))}]
    for i, answer in enumerate(make(bills)):
        with open(os.path.join(directory, "%03d-%s.xml" % (i, Document(answer["xml"].encode()).kind)), "wb") as f:
            f.write(answer["xml"].encode())


if __name__ == "__main__":
    if KEEP:
        keep(KEEP)
    else:
        unittest.main()
