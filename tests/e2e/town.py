"""The simulated town: who lives behind the simulator's meters. Deterministic; made-up people."""

SURNAMES = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô",
            "Dương", "Lý"]
MIDDLE = ["Văn", "Thị", "Minh", "Thanh", "Ngọc", "Quốc", "Hữu", "Kim"]
GIVEN = ["An", "Bình", "Châu", "Dũng", "Hà", "Hải", "Hạnh", "Hoa", "Hùng", "Lan", "Linh", "Long", "Mai", "Nam", "Phúc",
         "Quân", "Sơn", "Thảo", "Trang", "Tuấn"]
STREETS = ["Trần Phú", "Lê Lợi", "Nguyễn Huệ", "Hai Bà Trưng", "Lý Thường Kiệt", "Phan Đình Phùng", "Điện Biên Phủ",
           "Quang Trung"]

BRANCHES = [
    {"branch_id": 1, "code": "HN", "name": "Hà Nội", "tz": "Asia/Ho_Chi_Minh", "currency": "VND", "minor_digits": 0,
     "language": "vi"},
    {"branch_id": 2, "code": "CHI", "name": "Chicago", "tz": "America/Chicago", "currency": "USD", "minor_digits": 2,
     "language": "en"},
    {"branch_id": 3, "code": "LDN", "name": "London", "tz": "Europe/London", "currency": "GBP", "minor_digits": 2,
     "language": "en"},
]
CITY = {"HN": ("Hà Nội", "100000", "8490"), "CHI": ("Chicago", "60601", "1312"), "LDN": ("London", "N1 9GU", "4420")}


def branch_of(i, meter):
    """Heat in London, water and every third electricity meter in Chicago, the rest in Hà Nội."""
    if meter["commodity"] == "heat":
        return "LDN"
    if meter["commodity"] == "water" or i % 3 == 2:
        return "CHI"
    return "HN"


def tariff_of(meter):
    if meter["commodity"] == "heat":
        return "HEAT-NET"
    if meter["commodity"] == "water":
        return "WATER-RES"
    return "EVN-RES" if meter["branch"] == "HN" else "TOU-RES"


def person(i):
    return "%s %s %s" % (SURNAMES[i % len(SURNAMES)], MIDDLE[i // 3 % len(MIDDLE)], GIVEN[i * 7 % len(GIVEN)])


def customers(fleet, since):
    """The document customer.import takes, for every meter of the fleet; contracts begin on `since`."""
    doc = {"parties": [], "accounts": [], "premises": [], "service_points": [], "installations": [], "contracts": []}
    for i, m in enumerate(fleet["meters"]):
        code, n = m["branch"], "%05d" % (i + 1)
        city, postcode, prefix = CITY[code]
        doc["parties"].append({"code": "P" + n, "branch": code, "kind": "person", "name": person(i),
                               "phone": "%s%07d" % (prefix, 7654321 * (i + 1) % 10000000),
                               "email": "customer%d@town.example" % (i + 1), "language": "vi" if code == "HN" else "en"})
        doc["accounts"].append({"number": "A" + n, "branch": code, "party": "P" + n})
        doc["premises"].append({"code": "R" + n, "branch": code, "address": "%d %s" % (i % 180 + 1, STREETS[i % len(STREETS)]),
                                "city": city, "postcode": postcode})
        doc["service_points"].append({"code": "SP" + n, "branch": code, "premise": "R" + n, "commodity": m["commodity"]})
        doc["installations"].append({"branch": code, "service_point": "SP" + n, "meter": m["serial"], "from": since + "T00:00:00Z",
                                     "multiplier": "1"})
        doc["contracts"].append({"number": "C" + n, "branch": code, "account": "A" + n, "service_point": "SP" + n,
                                 "tariff": tariff_of(m), "from": since, "cycle": "monthly"})
    return doc


# Made-up payees; the banks' identifiers have the right form, the accounts do not exist.
PAYEES = {
    "HN": {"name": "Công ty Điện lực Hà Nội Mẫu", "address": "1 Đinh Tiên Hoàng, Hà Nội", "phone": "19006769",
           "email": "cskh@dienluc.example", "bank_name": "VietinBank", "bank_bin": "970415", "bank_account": "113366668888"},
    "CHI": {"name": "Lakeside Power and Water", "address": "1 Wacker Drive, Chicago", "email": "care@lakeside.example"},
    "LDN": {"name": "Regent Heat Networks", "address": "1 Granary Square, London", "email": "care@regent.example",
            "bank_name": "Model Bank", "iban": "GB33BUKB20201555555555", "bic": "BUKBGB22"},
}
