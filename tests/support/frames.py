"""Frames that begin as Socket.IO packets do, and ask for nothing that makes sense."""

_GOOD = '["call:cancel",{"callId":"CALL_1"}]'
SENSELESS: list[bytes] = [
    *(
        b"0",
        b"0{}",
        b"1x",
        b"11",
        b"3",
        b"3probe",
        b"4",
        b"6",
        b"7",
        b"8x",
        b"9",
        b"00",
        b"44",
    ),
    *(b"41{}", b"417", b"41/admin,", b"43[]", b"430[{}]", b'44{"message":"no"}', b'44"no"'),
    *(b"42", b"42{}", b"42[]", b"42[7]", b"42[null]", b'42[["call:cancel",{}]]', b"42null"),
    *(b'42"call:cancel"', b"42[", b'42["call:cancel"', b'42["call:cancel",{]', b"42]", b"427"),
    *(b'42["call:cancel",{"callId":CALL_1}]', b"42['call:cancel',{}]", b'42["call:cancel",NaN]'),
    *(b'42["call:cancel",Infinity]', b'42["call:cancel",{},]', f"42{_GOOD}x".encode()),
    f"42{_GOOD}{_GOOD}".encode(),
    b"42" + b"[" * 100_000,
    b'42["call:cancel",' + b"[" * 100_000,
    b'42["call:cancel",' + b'{"a":' * 100_000,
    # binary events and acks, with and without what should tell of attachments
    *(b"45", b"45[]", b'451-["call:cancel",{"_placeholder":true,"num":0}]', b"461-1[{}]"),
    *(f"45{_GOOD}".encode(), f"46{_GOOD}".encode(), f"47{_GOOD}".encode(), f"49{_GOOD}".encode()),
    *(b"b4", b"b0", b"b2", b"b40", f"b42{_GOOD}".encode(), b"b4AQIDBA=="),
    # broken UTF-8
    *(b"2\xff", b"4\xff", b"42\xff", b'42["call:cancel",{"callId":"\xff"}]', b'40{"token":"\xc3"}'),
    *(b'42["\xed\xa0\x80"]', b"40/\xf0\x9f", b"2\xc0\x80", b"4\x80\x81"),
    # ack ids that are too long, of digits that are not ASCII, or no natural numbers
    *(f"42{'9' * digits}{_GOOD}".encode() for digits in (39, 100, 101, 5_000, 100_000)),
    *(f"42{digit}{_GOOD}".encode() for digit in ("\u0663", "\xb2", "\uff11", "-1", "+1", "1.5")),
    *(f"421{space}{_GOOD}{_GOOD}".encode() for space in ("\xa0", " ", "\n")),
    # control characters
    *(b'42["call:cancel",{"callId":"\x00"}]', b'42["call:cancel",{"callId":"a\nb"}]'),
    *(f"42\0{_GOOD}".encode(), f"42{_GOOD}\0".encode(), b"4\x002", b"42\x1b"),
    # namespaces that are empty or not ours
    *(f"42,{_GOOD}".encode(), b"42/", b"42/,", b"42//,"),
    *(f"42{space},{_GOOD}".encode() for space in ("/admin", "//", "/ ", "/\0", "admin", "/é")),
    f"42/{_GOOD}".encode(),
]

# Who sends one of these waits for an answer, though nobody can read what it has to say.
UNREADABLE_CONNECTS: list[bytes] = [
    b"40" + b'{"token":' * 100_000,
    *(b"40,", b"40,{}", b"40?token=T", b'40{"\x01":1}'),
    *(b"40[]", b'40"x"', b"40true", b"40 x", b"40{", b"40{}}", b'40["token"]', b"40/admin,[]"),
]
