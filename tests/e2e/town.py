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
]


def person(i):
    return "%s %s %s" % (SURNAMES[i % len(SURNAMES)], MIDDLE[i // 3 % len(MIDDLE)], GIVEN[i * 7 % len(GIVEN)])


def customers(fleet, branch_of, tariff_of, since):
    """The document customer.import takes, for every meter of the fleet.

    branch_of(meter) -> branch code, tariff_of(meter) -> tariff code; contracts begin on `since`."""
    doc = {"parties": [], "accounts": [], "premises": [], "service_points": [], "installations": [], "contracts": []}
    for i, m in enumerate(fleet["meters"]):
        code = branch_of(m)
        vn = code == "HN"
        n = "%05d" % (i + 1)
        doc["parties"].append({"code": "P" + n, "branch": code, "kind": "person", "name": person(i),
                               "phone": "8490%07d" % (1000003 * (i + 1) % 10000000) if vn
                               else "1312%07d" % (1000003 * (i + 1) % 10000000),
                               "email": "customer%d@town.example" % (i + 1), "language": "vi" if vn else "en"})
        doc["accounts"].append({"number": "A" + n, "branch": code, "party": "P" + n})
        doc["premises"].append({"code": "R" + n, "branch": code, "address": "%d %s" % (i % 180 + 1, STREETS[i % len(STREETS)]),
                                "city": "Hà Nội" if vn else "Chicago", "postcode": "100000" if vn else "60601"})
        doc["service_points"].append({"code": "SP" + n, "branch": code, "premise": "R" + n, "commodity": m["commodity"]})
        doc["installations"].append({"service_point": "SP" + n, "meter": m["serial"], "from": since + "T00:00:00Z",
                                     "multiplier": "1"})
        doc["contracts"].append({"number": "C" + n, "branch": code, "account": "A" + n, "service_point": "SP" + n,
                                 "tariff": tariff_of(m), "from": since, "cycle": "monthly"})
    return doc
