"""Frames of the services, for the session targets: a mode byte, then each APDU behind its length."""

# What a meter answers, by what was asked (fuzz-replies.c).
REPLIES = [
    (0x02, ["C501C100"]),
    (0x02, ["C501C10C"]),
    (0x02, ["C502C100000001", "C502C100000002", "C503C10000000003"]),
    (0x02, ["C502C100000001", "C502C100000002", "C503C10C00000003"]),
    (0x02, ["C503C11100000001"]),
    (0x02, ["C501C103"]),
    (0x02, ["C502C100000002"]),
    (0x02, ["C502C100000001", "C502C100000001"]),
    (0x02, ["C503C10000000001"]),
    (0x02, ["C502C100000001", "C502C100000002", "C503C10000000002"]),
    (0x02, ["C502C100000001"]),
    (0x02, ["C503C10000000001"]),
    (0x02, ["C504C1010000000001"]),
    (0x03, ["C505C1020003"]),
    (0x03, ["C505C10100"]),
    (0x03, ["C505C10200"]),
    (0x03, ["C501C1FA", "C501C200", "C501C303"]),
    (0x03, ["D80202", "C501C200", "C501C303"]),
    (0x03, ["C501C100", "C501C203"]),
    (0x08, ["C701C10000"]),
    (0x08, ["C701C10001001105"]),
    (0x08, ["C701C100010103"]),
    (0x08, ["C702C10000000001020001", "C702C1010000000203001105"]),
    (0x08, ["C702C10100000001021105"]),
    (0x08, ["C702C10000000001020001", "C702C1010000000303001105"]),
    (0x08, ["C702C101000000010107"]),
    (0x04, ["C704C100000001", "C704C100000002", "C701C10001001105"]),
    (0x04, ["C704C100000001", "C704C100000002", "C702C100000000010100", "C702C101000000020400"]),
    (0x04, ["C704C100000001", "C704C100000002", "C702C10000000001020001", "C702C1010000000203001105"]),
    (0x04, ["C702C101000000010400010011"]),
    (0x04, ["C704C100000003"]),
    (0x08, ["C704C100000001"]),
    (0x05, ["C703C10200010011050400"]),
    (0x05, ["C702C10000000001050200010011", "C702C1010000000203050400"]),
    (0x01, ["C402C10000000001000402001105", "C402C1010000000200020104"]),
    (0x01, ["C403C103001105001106001107"]),
    (0x01, ["D80202", "C401C2001105", "D80202"]),
    (0x01, ["0E050302", "C401C2001105", "C401C30104"]),
    (0x01, ["D80104", "C401C2001105", "C401C30104"]),
    (0x01, ["D80202", "DAC00000020000021105000201000104"]),
    (0x01, ["D80105"]),
    (0x01, ["D8010600000007"]),
    (0x06, ["DAC000000100000311050000030100020C0300"]),
    (0x06, ["DAC00000010C07EA0B17011002050000000001030100010000600100FF020200010000600101FF020300010000600102FF0203110500110603010002000300"]),
    (0x06, ["DAC000000200000000"]),
    (0x06, ["DAC0000001000003110500000201000200"]),
    (0x06, ["DAC000000100000311050000030900020C0300"]),
    (0x06, ["D80202", "C401C2001105", "C501C300", "C701C40000"]),
    (0x06, ["C401C1001105", "C501C203", "C701C30000"]),
    (0x10, ["E0010001000003C401C1", "E08100020001050009027F7E"]),
    (0x10, ["E0410001000003C401C1", "E04100020000020009", "E0810003000003027F7E"]),
    (0x10, ["E0410001000003C401C1", "E0810003000003027F7E", "E04100020001020009", "E0810003000103027F7E"]),
    (0x10, ["E081000100000CC402C1000000000100020902", "E081000100000CC402C1010000000200020203"]),
    (0x10, ["E0810001000000"]),
    (0x10, ["E04100010000050F00000001", "E0810002000003000911", "C401C1001105"]),
    (0x10, ["0F00000001001105", "C401C1001105"]),
    (0x27, ["0C01001105"]),
    (0x27, ["0C010104"]),
    (0x21, ["0C020011050104"]),
    (0x21, ["0C01001105"]),
    (0x27, ["0C02001105001106"]),
    (0x27, ["0C010200000103010009", "0C01020100020403010203"]),
    (0x27, ["0C010200000103010009", "0C01020100030403010203"]),
    (0x27, ["0C010100"]),
    (0x27, ["0E050301"]),
    (0x27, ["1800010200F8011105", "0C01001105"]),
]

# What a client asks (fuzz-requests.c).
REQUESTS = [
    (0x00, ["C001C100080000010000FF0200"]),
    (0x00, ["C001C100070100630100FF0200", "C002C100000001", "C002C100000002", "C002C100000007"]),
    (0x08, ["C001C100070100630100FF0200"]),
    (0x02, ["C001C100070100630100FF0200", "E0830001000100", "E0830002000400", "E0830003000200"]),
    (0x00, ["C001C100070100630100FF020102020406000000050600000009120001120000"]),
    (0x00, ["C003C10200080000010000FF020000030100010800FF0200"]),
    (0x00, ["C101C100030100010800FF02000500000009"]),
    (0x00, ["C102C100030100010800FF0200000000000103050000", "C103C10100000002020009"]),
    (0x00, ["C102C100030100010800FF0200000000000103050000", "C103C10100000003020009"]),
    (0x00, ["C104C10200030100010800FF020000030100010800FF02000205000000010500000002"]),
    (0x00, ["C105C10200030100010800FF020000030100010800FF02000000000001040205000000", "C103C1010000000206010500000002"]),
    (0x00, ["C301C10046000060030AFF02010F00"]),
    (0x00, ["C303C1020046000060030AFF010046000060030AFF0202000F00"]),
    (0x00, ["C304C10046000060030AFF020000000001010F", "C306C101000000020100"]),
    (0x00, ["C305C1010046000060030AFF0200000000010101", "C306C10100000002020F00"]),
    (0x00, ["C302C100000001"]),
    (0x00, ["D9C000000100030100080000010000FF020200030100010800FF02030046000060030AFF02030005000000070F00"]),
    (0x00, ["D9E000000100020200080000010000FF020100080000010000FF0202110100"]),
    (0x00, ["D9C000000100010400070100630100FF02020204060000000506000000091200011200000100"]),
    (0x01, ["0501022BC8"]),
    (0x01, ["0502022BC8020508"]),
    (0x01, ["0501026008", "0501050001", "0501050002", "0501050009"]),
    (0x01, ["050104600802020406000000050600000009120001120000"]),
    (0x01, ["050102FA08"]),
    (0x02, ["E0C30001000007C001C100080000", "E0830002000006010000FF0200", "E0830003000100"]),
    (0x10, ["C001C100080000010000FF0200"]),
    (0x00, ["E0830001000012D9C000000100010100080000010000FF020100"]),
    (0x00, ["6200"]),
]

# Modes every conversation is also run in: without scratch, with general blocks, as results.
OTHER_MODES = (0x00, 0x10, 0x40, 0x80, 0x90)


def conversation(mode, frames):
    out = bytes([mode])
    for frame in frames:
        data = bytes.fromhex(frame)
        out += bytes([len(data)]) + data
    return out


def replies():
    for mode, frames in REPLIES:
        for other in OTHER_MODES:
            yield conversation(mode ^ other, frames)


def requests():
    for mode, frames in REQUESTS:
        for other in (0x00, 0x02, 0x04, 0x08):
            yield conversation(mode | other, frames)


def services():
    """All the APDUs alone, and blocks as the conversations have them."""
    for _, frames in REPLIES + REQUESTS:
        for frame in frames:
            yield bytes.fromhex(frame)
        yield conversation(0, frames)[1:]
    # The association's object list, by short names.
    yield bytes.fromhex("0102020410FA0012000C1101090600002800 00FF".replace(" ", "")
                        + "0204102BC01200081100090600000100 00FF".replace(" ", ""))


def data():
    """One value of every type; compact arrays; a profile's rows, selections, date-times."""
    for value in (
            "00", "0301", "040A AAC0", "05FFFFFFFE", "06FFFFFFFE", "0903414243", "0A03414243", "0C03C3A441", "0D12",
            "0FFE", "10FFFE", "11FE", "12FFFE", "14FFFFFFFFFFFFFFFE", "15FFFFFFFFFFFFFFFE", "1601", "173F800000",
            "183FF0000000000000", "1907EA0B17010B1600000000 80", "1A07EA0B1701", "1B0B160000", "1C80", "1D8000",
            "1E80000000", "1F80", "208000", "2180000000", "FF", "0982000A00010203040506070809", "0A81024142",
            "13010002110401020304", "1306 08 0000000100000002",
            "13020309110906 0F 01030102030405060708090A0B0C", "1300", "13FF00", "13130000", "01020202110103010202110203 00",
            "0102020202020202020202020202020202020202020202020202020202020202 00"):
        yield bytes.fromhex(value.replace(" ", ""))
    when = "090C07EA0B17%02X0B%02X0000FFC480%02X"
    yield bytes.fromhex("0103" + "0203" + when % (1, 0, 0) + "11000600000001" + "0203" + when % (1, 15, 0)
                        + "00" + "0600000002" + "0203" + "00" + "00" + "00")
    yield bytes.fromhex("0104" + "".join("0203" + when % (1, m, s) + "1100" + v for m, s, v in (
        (0, 0, "120001"), (15, 0, "1601"), (30, 128, "05FFFFFFFF"), (255, 0, "0A0141"))))
    yield bytes.fromhex("0101" + "0203" + "1907EA0B17010B000000FFC400" + "0202110111020F01" + "00")
    yield bytes.fromhex("0101020412000809060000010000FF0F02120000")
    yield bytes.fromhex("0102" + "020612000809060000010000FF0F021200001200000100"
                        + "02041200030906010001 1D00FF0F02120000".replace(" ", ""))
    for time in ("07EA0B17010B160000FFC480", "FFFFFFFFFFFFFFFFFF800000", "07EA0B17FFFFFFFFFF800000",
                 "07EA0D17010B160000FFC480", "07EA0200010B160000003C00"):
        yield bytes.fromhex(time)
    yield b"\0" + bytes.fromhex("020402041200080906000001 0000FF0F02120000".replace(" ", "")
                                + "090C07EA0B17010B000000FFC480" * 2 + "0100")
    yield b"\1" + bytes.fromhex("0204060000000106000000601200011200 00".replace(" ", ""))
    yield b"\1" + bytes.fromhex("02040900060000006012000112 0000".replace(" ", ""))


def crc(p):
    value = 0xFFFF
    for byte in p:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return (value ^ 0xFFFF).to_bytes(2, "little")


def frame(dst, src, control, info=b"", segmented=False):
    length = 2 + len(dst) + len(src) + 1 + 2 + (len(info) + 2 if info else 0)
    head = bytes([0xA0 | segmented << 3 | length >> 8, length & 0xFF]) + dst + src + bytes([control])
    body = head + (crc(head) + info if info else b"")
    return b"\x7E" + body + crc(body) + b"\x7E"


def links():
    """HDLC frames of every kind, to either end, each in the modes of fuzz-wrapper.c."""
    client, server, apdu = b"\x21", b"\x03", bytes.fromhex("C001C100080000010000FF0200")
    for to_server in (True, False):
        dst, src = (server, client) if to_server else (client, server)
        llc = b"\xE6\xE6\x00" if to_server else b"\xE6\xE7\x00"
        link = frame(dst, src, 0x93 if to_server else 0x73, bytes.fromhex("818014050200800602008007040000000108040000 0001"))
        said = (frame(dst, src, 0x10, llc + apdu), frame(dst, src, 0x00, llc + apdu, True) + frame(dst, src, 0x12, apdu),
                frame(dst, src, 0x12, llc + apdu), frame(dst, src, 0x10, b"\x01\x02\x03\x04"))
        for first in said:
            for control in (0x31, 0x35, 0x39, 0x11, 0x91, 0x53, 0x1F, 0x97, 0xFF, 0x32, 0x10):
                for mode in ((3, 7, 0x37) if to_server else (0x0D, 0x4D, 0x3D)):
                    yield bytes([mode | 4]) + link + first + frame(dst, src, control)
        for mode in (7, 0x0D):
            ui = frame(dst, src, 0x03, llc + apdu, True) + frame(dst, src, 0x13, apdu)
            yield bytes([mode]) + ui + link + ui + frame(dst, src, 0x13, b"\xE0\x81\0\1\0\0\0")
            yield bytes([mode]) + link + frame(dst, src, 0x03, llc + apdu, True) + said[0] + frame(b"\x05", src, 0x10)
            yield bytes([mode]) + frame(dst, src, 0x93 if to_server else 0x73, b"\x81\x80\x01") + said[0]
