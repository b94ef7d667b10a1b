"""Ceph's RADOS Gateway from Debian: one monitor, one manager, one OSD on a file, one gateway; no systemd, no disk.

The steps are those of Ceph's documentation, "Manual Deployment", for one machine.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack, contextmanager, suppress

from console.demo.certificates import NAME, certify
from console.demo.servers import HOST, free_port
from tests.servers.real import Key, Server, child, program, run

PACKAGE = "Debian's ceph-mon, ceph-osd, ceph-mgr, ceph-common and radosgw"
CONF = """[global]
fsid = {fsid}
mon host = v2:{host}:{mon}/0
mon initial members = a
public addr = {host}
cluster addr = {host}
public network = 127.0.0.0/8
ms bind ipv4 = true
ms bind port min = {first}
ms bind port max = {last}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
log file = {folder}/log/$name.log
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
run dir = {folder}/run
crash dir = {folder}/log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail warn = 2
mon data avail crit = 1
mon max pg per osd = 1000
osd objectstore = bluestore
osd memory target = 939524096
bluestore block size = 8589934592
bluestore fsck on mount = false
mgr initial modules =
[mon.a]
mon data = {folder}/mon
[mgr.x]
mgr data = {folder}/mgr
keyring = {folder}/mgr/keyring
[osd.0]
osd data = {folder}/osd
keyring = {folder}/osd/keyring
[client.rgw.a]
keyring = {folder}/keyring
log file = {folder}/log/rgw.log
rgw frontends = beast endpoint={host}:{plain} ssl_endpoint={host}:{port} ssl_certificate={certificate} ssl_private_key={key}
"""  # noqa: E501, one line of Ceph's
KEYS = {
    "keyring": [
        ("mon.", {"mon": "allow *"}),
        ("client.admin", {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}),
        ("client.rgw.a", {"mon": "allow rwx", "osd": "allow rwx", "mgr": "allow rw"}),
    ],
    "mgr/keyring": [("mgr.x", {"mon": "allow profile mgr", "osd": "allow *"})],
    "osd/keyring": [("osd.0", {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"})],
}


@contextmanager
def opened(folder):
    """Run all of it until the end of the block, with a user for the console, who has a second key for the nodes."""
    programs = {name: program(name, PACKAGE) for name in ("ceph", "ceph-mon", "ceph-mgr", "ceph-osd", "radosgw")}
    for name in ("mon", "mgr", "osd", "log", "run"):
        (folder / name).mkdir(parents=True)
    ca_file, certificate, key = certify(folder)
    ports = {name: free_port() for name in ("mon", "plain", "port", "first")}
    conf, fsid = folder / "ceph.conf", uuid.uuid4()
    text = CONF.format(
        fsid=fsid, folder=folder, host=HOST, certificate=certificate, key=key, **ports, last=ports["first"] + 60
    )
    conf.write_text(text)
    _prepare(folder, conf, fsid, ports["mon"])
    foreground = ("-c", conf, "-f")
    with ExitStack() as running:
        mon = [programs["ceph-mon"], *foreground, "-i", "a"]
        running.enter_context(child("Ceph's monitor", mon, folder / "mon.out", ports["mon"]))
        with suppress(RuntimeError):  # it may be on already
            run(programs["ceph"], "-c", conf, "mon", "enable-msgr2")
        osd = str(uuid.uuid4())
        run(programs["ceph"], "-c", conf, "osd", "new", osd, "0")
        run(programs["ceph-osd"], "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        mgr = [programs["ceph-mgr"], *foreground, "-i", "x"]
        running.enter_context(child("Ceph's manager", mgr, folder / "mgr.out", ports["mon"]))
        one = [programs["ceph-osd"], *foreground, "-i", "0"]
        running.enter_context(child("Ceph's OSD", one, folder / "osd.out", ports["mon"]))
        gateway = [programs["radosgw"], *foreground, "-n", "client.rgw.a"]
        running.enter_context(child("Ceph's gateway", gateway, folder / "rgw.out", ports["port"], seconds=180))
        yield Server(f"https://{NAME}:{ports['port']}", ca_file, *_users(conf))


def _prepare(folder, conf, fsid, port):
    tool, everything = program("ceph-authtool", PACKAGE), folder / "all"
    for file, names in KEYS.items():
        for name, caps in names:
            given = [part for what, cap in caps.items() for part in ("--cap", what, cap)]
            path = folder / file
            run(tool, *([] if path.exists() else ["--create-keyring"]), path, "--gen-key", "-n", name, *given)
    everything.write_bytes(b"".join((folder / file).read_bytes() for file in KEYS))
    address = f"[v2:{HOST}:{port}]"
    monmap = program("monmaptool", PACKAGE)
    run(monmap, "--create", "--fsid", fsid, "--addv", "a", address, folder / "monmap")
    mon = program("ceph-mon", PACKAGE)
    run(mon, "-c", conf, "--mkfs", "-i", "a", "--monmap", folder / "monmap", "--keyring", everything)


def _users(conf):
    """Return the console's key, and that of a subuser for the nodes: what it writes is the console's user's, too."""
    keys = Key("CONSOLEKEY0000000001", "console-secret-0001"), Key("NODEKEY0000000000001", "node-secret-00000001")
    admin = (program("radosgw-admin", PACKAGE), "-c", conf)
    for command, key in zip(("user create --display-name=Console", "key create"), keys, strict=True):
        run(*admin, *command.split(), "--uid=console", f"--access-key={key.id}", f"--secret-key={key.secret}",
            "--key-type=s3")  # fmt: skip
    return keys
