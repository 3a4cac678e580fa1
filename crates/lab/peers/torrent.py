"""A libtorrent session, controlled by commands on its standard input.

torrent.py seed|fetch --listen ADDRESS:PORT --folder FOLDER [--tcp] [--super]
Commands when seeding: `make FILE TORRENT` writes a torrent file and begins to seed; `sent` answers the bytes of payload
sent so far. Command when fetching: `get TORRENT PEER...` exchanges pieces with these peers and answers with the seconds
that it took when all pieces are there. Each answer is one line that begins with OK.
"""
import argparse
import os
import sys
import time

import libtorrent as lt

options = argparse.ArgumentParser()
options.add_argument("role")
options.add_argument("--listen", required=True)
options.add_argument("--folder", required=True)
options.add_argument("--tcp", action="store_true")
options.add_argument("--super", action="store_true")
options = options.parse_args()
os.makedirs(options.folder, exist_ok=True)

session = lt.session({
    "listen_interfaces": options.listen,
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": not options.tcp, "enable_incoming_utp": not options.tcp,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": 0,
})


def say(line):
    print(line, flush=True)


def make(file, torrent):
    storage = lt.file_storage()
    lt.add_files(storage, file)
    maker = lt.create_torrent(storage)
    lt.set_piece_hashes(maker, os.path.dirname(file))
    with open(torrent, "wb") as out:
        out.write(lt.bencode(maker.generate()))
    handle = session.add_torrent({"ti": lt.torrent_info(torrent), "save_path": os.path.dirname(file)})
    if options.super:
        handle.set_flags(lt.torrent_flags.super_seeding)
    while not handle.status().is_seeding:
        time.sleep(0.05)
    return handle


def get(torrent, peers):
    handle = session.add_torrent({"ti": lt.torrent_info(torrent), "save_path": options.folder})
    begun = time.monotonic()
    for peer in peers:
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host, int(port)))
    while not handle.status().is_seeding:
        time.sleep(0.01)
    return time.monotonic() - begun


say("READY")
for line in sys.stdin:
    words = line.split()
    if words[0] == "make":
        handle = make(words[1], words[2])
        say("OK")
    elif words[0] == "get":
        say("OK %.3f" % get(words[1], words[2:]))
    elif words[0] == "sent":
        say("OK %d" % handle.status().total_payload_upload)
