#!/usr/bin/env python3
"""Writes the seeds: one small valid input of each kind, from which the fuzzer finds the others.

The same bytes every time. Crash inputs that were found stand beside them as `found-*`, and stay.
"""

import gzip
import io
import json
import lzma
import struct
import tarfile
import zlib
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"


def seed(target, name, contents):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(contents)


def put(into, at, contents):
    into[at : at + len(contents)] = contents


def elf(code, extra=b"", section=False):
    """A kernel of one segment at 16 MiB; with `section`, a module with a `.modinfo` as well."""
    file = bytearray(64 + 56)
    put(file, 0, b"\x7fELF\x02\x01\x01")
    put(file, 16, struct.pack("<HHIQQ", 2, 62, 1, 0x1000000, 64))
    put(file, 52, struct.pack("<HHHHHH", 64, 56, 1, 64, 0, 0))
    put(file, 64, struct.pack("<IIQQQQQ", 1, 7, 120, 0xFFFFFFFF81000000, 0x1000000, len(code), len(code) + 64))
    file += code
    if section:
        names, info = b"\0.modinfo\0", extra
        table = len(file) + len(names) + len(info)
        headers = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, len(file), len(names), 0, 0, 1, 0)
        headers += struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, len(file) + len(names), len(info), 0, 0, 1, 0)
        put(file, 40, struct.pack("<Q", table))
        put(file, 60, struct.pack("<HH", 2, 0))
        file += names + info + headers
    return bytes(file)


def bzimage(payload):
    file = bytearray(1024)
    put(file, 0x1F1, b"\1")
    put(file, 0x1FE, b"\x55\xaaxxHdrS\x0f\x02")
    put(file, 0x20E, struct.pack("<H", 0x180))
    put(file, 0x236, b"\1")
    put(file, 0x248, struct.pack("<II", 0, len(payload)))
    put(file, 0x380, b"6.1.0-56-cloud-amd64 (builder) #1\0")
    return bytes(file) + payload


def packed(data):
    """The formats of Linux kernels, with the size behind the last three, as Linux has it."""
    size = struct.pack("<I", len(data))
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 0}]
    block = struct.pack("<I", (len(data) << 3) | 1)[:3]  # last, raw
    literals = len(data) - 15
    lz4 = b"\xf0" + b"\xff" * (literals // 255) + bytes([literals % 255]) + data
    return {
        "gzip": gzip.compress(data, mtime=0),
        "xz": lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters) + size,
        "zstd": b"\x28\xb5\x2f\xfd\xa0" + size + block + data + size,
        "lz4": struct.pack("<II", 0x184C2102, len(lz4)) + lz4 + size,
        "plain": data,
    }


def tar(entries, form=tarfile.GNU_FORMAT, **options):
    """An archive of (type, name, link or contents)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, **options) as archive:
        for kind, name, more in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(more)
                archive.addfile(info, io.BytesIO(more))
            else:
                info.linkname = more
                archive.addfile(info)
    # Without the padding to a record: two empty blocks are the end.
    return file.getvalue().rstrip(b"\0") + bytes(1536 - len(file.getvalue().rstrip(b"\0")) % 512)


FILE, DIRECTORY, LINK, SYMLINK, FIFO, DEVICE = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
)


def archives():
    yield "kinds", tar(
        [
            (DIRECTORY, "./etc", ""),
            (FILE, "./etc/hosts", b"localhost"),
            (LINK, "./hosts", "./etc/hosts"),
            (SYMLINK, "link", "/etc"),
            (FILE, "link/new", b"x"),
            (FIFO, "fifo", ""),
            (DEVICE, "null", ""),
        ]
    )
    yield "long-gnu", tar([(FILE, "d/" * 60 + "f", b"x"), (SYMLINK, "l", "t/" * 60)])
    yield "long-pax", tar([(FILE, "d/" * 160 + "\u00e9", b"x")], tarfile.PAX_FORMAT)
    yield "circle", tar([(SYMLINK, "a", "b"), (SYMLINK, "b", "a"), (FILE, "a/x", b"")])
    lower = tar([(FILE, "gone", b""), (FILE, "d/old", b""), (FILE, "d/deep/old", b"")])[:-1024]
    yield "whiteouts", lower + tar([(FILE, ".wh.gone", b""), (FILE, "d/new", b""), (FILE, "d/.wh..wh..opq", b"")])


CONFIGURATION = (
    b'{"architecture":"amd64","os":"linux","config":{"User":"u","Env":["PATH=/bin","A=b=c"],'
    b'"WorkingDir":"/data","Entrypoint":["/entry"],"Cmd":["serve"]}}'
)


def layouts():
    lower, upper = (tar([(FILE, name, b"x")]) for name in ("d/old", "d/.wh.old"))
    for name, pack in [("plain", lambda data: data), ("gzip", lambda data: gzip.compress(data, mtime=0))]:
        one = pack(lower)
        yield name, struct.pack("<HH", len(CONFIGURATION), len(one)) + CONFIGURATION + one + pack(upper)
    digest = b'"digest":"sha256:' + b"0" * 64 + b'","size":1'
    platform = b'"platform":{"architecture":"amd64","os":"linux"}'
    yield "index", b'{"schemaVersion":2,"manifests":[{"mediaType":"x",' + digest + b"," + platform + b"}]}"
    yield "manifest", b'{"config":{' + digest + b'},"layers":[{' + digest + b"}]}"
    yield "configuration", CONFIGURATION


def frame(body):
    return struct.pack("<I", len(body)) + body


def text(contents):
    return bytes([len(contents)]) + contents


def frames():
    hello = b"\0\1" + text(b"0" * 36) + text(b"6.1.0") + b"\2\x80\x80\x10"
    heartbeat = b"\2" + bytes(5 + 3 * 8) + b"\1" + bytes(6)
    output = b"\6\1\0" + text(b"out")
    yield "to-host", b"\3" + b"".join(map(frame, [hello, b"\1\5", heartbeat, b"\3\7", output, b"\7\1\0\0"]))
    execute = b"\2\1\1" + text(b"/bin/sh") + b"\1" + text(b"A") + text(b"b") + b"\0\0\1\x18\x50"
    stop = b"\x09\0\x88\x27"
    configure = b"\0\1" + text(b"db") + b"\1" + text(b"w") + b"\1" + text(b"/bin/w") + b"\0\0\0\1\5"
    yield "to-guest", b"\0" + b"".join(map(frame, [configure, b"\1\7", execute, b"\3\1" + text(b"in"), stop]))
    yield "too-long", b"\0" + struct.pack("<I", 0xFFFFFFFF)


def rings():
    ping = frame(b"\1\7")
    yield "messages", b"\x07\x0a\x09\x06\x07\x40\x09\x09\x0c"
    yield "attach", b"\x07\x02\x0d\x0e\x09\x08\x06" + ping + b"\x09\x0b\x0f"
    yield "hostile", b"\x05\x06" + ping + b"\x02\x08\x00\x09\x00" + b"\xff" * 8 + b"\x09\x0c\x01" + bytes(8) + b"\x07\x02"


def kernel_log(count, has_last_finalized, repeated):
    """A ring of 16 descriptors and 256 bytes of text, with `count` records written to it."""
    ring, descriptors, infos, texts = 0, 96, 480, 1888
    memory = bytearray(2144)
    virtual = 0xFFFFFFFF80000000 + (16 << 20)
    text_at = 48 if has_last_finalized else 40
    put(memory, ring, struct.pack("<QQQQQ", 4, virtual + descriptors, virtual + infos, 99 + count, 100))
    put(memory, ring + text_at, struct.pack("<QQ", 8, virtual + texts))
    for sequence in range(count):
        line = b"line %d" % sequence
        put(memory, descriptors + (100 + sequence) % 16 * 24, struct.pack("<QQQ", 2 << 62 | 100 + sequence, sequence * 16, sequence * 16 + 16))
        put(memory, infos + (100 + sequence) % 16 * 88, struct.pack("<QQHBB", sequence, sequence * 1000, len(line), 0, 6 << 5))
        put(memory, texts + sequence * 16, struct.pack("<Q", 100 + sequence) + line)
    flags = has_last_finalized | repeated << 1
    return struct.pack("<BBHH", flags, 0, ring, 0) + bytes(memory)


def ar(members):
    file = b"!<arch>\n"
    for name, contents in members:
        file += b"%-16s0           0     0     100644  %-10d`\n" % (name, len(contents))
        file += contents + b"\n" * (len(contents) % 2)
    return file


def packages():
    files = tar([(FILE, "./boot/vmlinuz", b"x")])
    yield "deb", ar([(b"debian-binary", b"2.0\n"), (b"control.tar", b"odd"), (b"data.tar", files)])
    for name, contents in packed(files).items():
        yield f"deb-{name}", ar([(b"data.tar." + name.encode(), contents)])
    yield "control", (
        b"Package: linux-image-cloud\nVersion: 6.1.1-1\nDepends: a (= 1.2-3) | b, c:any (>= 4~)\n"
        b"Description: x\n more\n\n# none\nPackage: y\n"
    )
    yield "versions", b"1.0~rc1-1\n1:1.10-1~bpo12+1\n1.0+x-1\n"


def journals():
    def step(path, new, **more):
        origin = {"profile": "p", "file": "p.ks", "line": 3}
        return {"setting": path.rsplit("/", 1)[1], "target": {"file": path}, "new": new, "origin": origin, **more}

    ratio = {"setting": "dirty_ratio", "target": {"file": "/proc/sys/vm/dirty_ratio"}}
    twin = {"how": {"twin": {"twin": ratio, "unset": "0", "nudge": "1"}}}
    steps = [
        step("/proc/sys/vm/swappiness", "10", old="60"),
        step("/proc/sys/vm/dirty_bytes", "1048576", undo=twin),
        step("/sys/kernel/mm/transparent_hugepage/enabled", "never", compare="bracketed", undo={"also": [ratio]}),
        step("/proc/sys/vm/drop_caches", "1", compare="write_only", undo={"how": "nothing"}, **{"class": "action"}),
    ]
    plan = {"version": 1, "profile": "p", "steps": steps}
    reads = [{"value": "60"}, {"value": "0"}, {"value": "always [madvise] never"}, "write_only", {"value": "20"}]
    targets = [one["target"] for one in steps] + [ratio["target"]]
    compares = [one.get("compare", "same") for one in steps] + ["same"]
    held = [
        {"setting": "s", "target": target, "compare": compare, "before": before}
        for target, compare, before in zip(targets, compares, reads)
    ]
    begin = {"boot": "b", "when": 1, "plan": plan, "held": held}
    committed = {"written": [0, 1], "after": reads}
    bodies = [json.dumps(body, separators=(",", ":")).encode() for body in [begin, committed, {"keep": [0]}]]
    whole, loose = b"", b""
    for kind, body in enumerate(bodies, 1):
        sized = struct.pack("<I", len(body))
        sum = zlib.crc32(bytes([kind]) + sized + body)
        whole += b"PTJ\1" + bytes([kind, 0, 0, 0]) + sized + struct.pack("<I", sum) + body
        loose += struct.pack("<BH", kind - 1, len(body)) + body
    yield "whole", b"\0" + whole
    yield "torn", b"\0" + whole[:-5]
    yield "records", b"\1" + loose
    yield "plan", b"\2" + json.dumps(plan, separators=(",", ":")).encode()


CLUSTER = b"""// One machine, two kernels.
Cluster(
    host: (cpus: "0-1", memory: "1GiB"),
    trust: Mutual,
    backend: Bare,
    images: {
        "general": (kernel: Host, rootfs: Minimal),
        "rt": (kernel: Debian("linux-image-rt-amd64"), rootfs: Oci("oci/app"), profile: "none.ks"),
    },
    partitions: {
        "db": (image: "general", cpus: Count(2), memory: "512MiB", numa: Local, profile: "oltp.ks",
               restart: OnFailure(max: 5, within: "10min"), cmdline: "quiet"),
        "trading": (image: "rt", cpus: Set("2-3,6"), memory: "1GiB", numa: Nodes([0])),
        "old": (image: "stored", cpus: Set("3"), workloads: [(name: "w", argv: ["/bin/w"])]),
    },
)
"""


def importers():
    """The first byte says what the source is and how it is imported; form feeds separate files."""
    sysctl = b"""# c
vm.swappiness = 010
-vm/dirty_bytes=536870912
vm.dirty_ratio=0
net.ipv4.tcp_rmem = 4096 87380 16777216
net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.rp_filter
net.ipv4.conf.enp3s0/200.forwarding = 1
kernel.core_pattern=|/x %p "$a"
vm.something = 1"""
    yield "sysctl", b"\x00" + sysctl
    yield "sysctl-refused", b"\x06" + sysctl + b"\nkernel.dmesg_restrict=0\nvm.max_map_count=0"
    files = [
        b"""[main]
summary=S
include=b;-d
[variables]
include=/t/variables.conf
a=${f:cpulist_invert:${cores}},3
c=${f:regex_search_ternary:x${a}:\\b[xy]:1:2}
[sysctl]
vm.swappiness=>10 # c
vm.dirty_bytes="4096
  1"
[sysfs]
/sys/block/sd*/queue/scheduler=deadline
/sys/devices/virtual/workqueue/cpumask=${a}
[bootloader]
cmdline=+isolcpus=managed_irq,${cores} nosmt
cmdline_b=-nosmt
""",
        b"""[main]
include=c
[disk]
readahead=>8192 s
elevator=none
[cpu]
force_latency=cstate.id:1|3
governor=a|b
[net]
channels=combined ${f:check_net_queue_count:x}
""",
        b"[disk-x]\ntype=disk\ndevices=sd*\nelevator=bfq\n[x]\nreplace=1\ndrop=a,b\nenabled=0\na=1\n",
        b"cores=${f:calc_isolated_cores:1}\nb\n",
    ]
    yield "tuned", b"\x03" + b"\x0c".join(files)
    yield "laughs", b"\x01[variables]\na=${a}ha\n" + b"a=${a}${a}${a}${a}\n" * 4 + b"[sysctl]\nvm.swappiness=${a}\n"


def requests():
    """A driver that sets its device up and asks for something: for each kind of device, with a queue's number,
    descriptors of (address / 4, length, device-writable), and what the first of them begins with."""

    def request(queue, pieces, header):
        out = bytes([9, queue, 0, len(pieces) - 1])
        for number, (address, length, writable) in enumerate(pieces):
            out += struct.pack("<HBB", address, length, 2 * writable)
            if number == 0 and length < 64:
                out += header.ljust(length, b"\0")
        return out

    ready = bytes([6, 0])
    yield "entropy", bytes([0]) + ready + request(0, [(0x100, 32, 1)], b"") + bytes([3, 0])
    for name, kind, pieces in [
        ("read", 0, [(0x100, 16, 0), (0x200, 200, 1), (0x300, 1, 1)]),
        ("write", 1, [(0x100, 16, 0), (0x200, 200, 0), (0x300, 1, 1)]),
        ("flush", 4, [(0x100, 16, 0), (0x300, 1, 1)]),
        ("name", 8, [(0x100, 16, 0), (0x200, 20, 1), (0x300, 1, 1)]),
        ("discard", 11, [(0x100, 16, 0), (0x200, 16, 0), (0x300, 1, 1)]),
    ]:
        header = struct.pack("<IIQ", kind, 0, 1)
        for device in (1, 2):
            yield f"{name}-{device}", bytes([device]) + ready + request(0, pieces, header) + bytes([8, 0])


def main():
    kernel = elf(b"Linux version 6.12.1 (x)")
    seed("elf", "kernel", kernel)
    seed("elf", "module", elf(b"code", b"depends=a,b\0softdep=pre: c post: d\0vermagic=6.1 SMP\0", section=True))
    ring = [4, 0xFFFFFFFF82000000, 0xFFFFFFFF82100000, (1 << 32) - 17, (1 << 32) - 17]
    ring += [8, 0xFFFFFFFF82200000, (1 << 64) - 256, (1 << 64) - 256, 0, 0]
    seed("elf", "log-ring", elf(struct.pack("<12Q", *ring, 0xFFFFFFFF81000000)))
    for name, payload in packed(kernel).items():
        seed("bzimage", name, bzimage(payload))
    seed("bzimage", "elf", kernel)
    seed("kernel_log", "full", kernel_log(16, 0, 0))
    seed("kernel_log", "newer", kernel_log(5, 1, 0))
    seed("kernel_log", "repeated", kernel_log(16, 0, 1))
    generators = {
        "archive": archives,
        "oci": layouts,
        "frames": frames,
        "rings": rings,
        "packages": packages,
        "journal": journals,
        "virtio": requests,
    }
    for target, inputs in generators.items():
        for name, contents in inputs():
            seed(target, name, contents)
    seed("cluster", "whole", CLUSTER)
    seed("cluster", "forms", b'Cluster(partitions: {"a": (image: r#"stored"#, cpus: Count(1), cmdline: "\\u{41}\\n")}) /* end */')
    tour = Path(__file__).parents[2] / "profiles/src/syntax/tests/tour.ks"
    seed("kernelscript_syntax", "tour", tour.read_bytes())
    seed("kernelscript_syntax", "untidy", b"\xef\xbb\xbfprofile a{x=[1,\n2 // c\n,];y=..5 if b;}\r\n/// d\npolicy{when a<1 until>2->b}")
    seed("kernelscript_syntax", "wrong", b"profil a { x = 5MB 3; y = (1 + [2; \"a\\n }\n# c\nguard { a && !b }")
    for name, contents in importers():
        seed("importers", name, contents)
    for name, contents in {"size": "512MiB", "set": "2-3,6,8-10", "time": "10min", "plain": " 4096 "}.items():
        seed("units", name, contents.encode())


if __name__ == "__main__":
    main()
