"""The other side of tests/python_tuf.rs: reads and writes repositories with python-tuf.

    python_tuf.py read FOLDER ROOT WORK TARGET...   prints a JSON object a target, or null
    python_tuf.py write FOLDER                      writes a repository with Ed25519 keys
    python_tuf.py canonical                         prints the canonical form of the JSON on standard input, in hexadecimal
"""

import json
import os
import sys
from datetime import datetime, timedelta, timezone

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

BASE = "file:///"


class FolderFetcher(FetcherInterface):
    """Fetches files of a folder."""

    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = os.path.join(self.folder, url.removeprefix(BASE))
        if not os.path.exists(path):
            raise DownloadHTTPError("missing", 404)
        with open(path, "rb") as file:
            yield file.read()


def read(folder, root, work, *paths):
    with open(root, "rb") as file:
        bootstrap = file.read()
    updater = Updater(
        work, BASE + "metadata/", fetcher=FolderFetcher(folder), target_dir=work, target_base_url=BASE + "targets/", bootstrap=bootstrap
    )
    updater.refresh()
    for path in paths:
        target = updater.get_targetinfo(path)
        print(json.dumps(target and target.to_dict()))


def signer(number):
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))


def write(folder):
    """Roots with keys 1 and 2, then 2 and 3, both of which must sign; 4 for targets, 5 snapshot, 6 timestamp, 7 and 8 delegated."""
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
    signers = {number: signer(number) for number in range(1, 9)}
    metadata = os.path.join(folder, "metadata")
    os.makedirs(metadata)

    def save(name, content, *numbers):
        file = Metadata(content)
        for number in numbers:
            file.sign(signers[number], append=True)
        file.to_file(os.path.join(metadata, name))

    root = Root(expires=expires)
    for role, numbers in {"root": [1, 2], "targets": [4], "snapshot": [5], "timestamp": [6]}.items():
        for number in numbers:
            root.add_key(signers[number].public_key, role)
    root.roles["root"].threshold = 2
    root.unrecognized_fields["x-note"] = "ü\n\"\\"
    save("1.root.json", root, 1, 2)
    root.version = 2
    root.revoke_key(signers[1].public_key.keyid, "root")
    root.add_key(signers[3].public_key, "root")
    save("2.root.json", root, 1, 2, 3)

    targets = Targets(expires=expires)
    targets.targets["app"] = TargetFile.from_data("app", b"version 1", ["sha256", "sha512"])
    targets.targets["app"].unrecognized_fields["custom"] = {"note": "first"}
    bins = DelegatedRole("bin a/b", [], 1, False, path_hash_prefixes=[f"{digit:x}" for digit in range(16)])
    lab = DelegatedRole("lab", [], 1, True, paths=["lab/*", "*.deb"])
    targets.delegations = Delegations({}, {"lab": lab, "bin a/b": bins})
    targets.add_key(signers[7].public_key, "lab")
    targets.add_key(signers[8].public_key, "bin a/b")
    save("1.targets.json", targets, 4)
    delegated = Targets(expires=expires)
    delegated.targets["lab/a"] = TargetFile.from_data("lab/a", b"lab", ["sha512"])
    save("1.lab.json", delegated, 7)
    delegated = Targets(expires=expires)
    delegated.targets["else/where"] = TargetFile.from_data("else/where", b"bin", ["sha256"])
    save("1.bin%20a%2Fb.json", delegated, 8)

    names = ["targets.json", "lab.json", "bin a/b.json"]
    save("1.snapshot.json", Snapshot(expires=expires, meta={name: MetaFile(1) for name in names}), 5)
    save("timestamp.json", Timestamp(expires=expires), 6)


def canonical():
    print(encode_canonical(json.load(sys.stdin)).encode().hex())


if __name__ == "__main__":
    {"read": read, "write": write, "canonical": canonical}[sys.argv[1]](*sys.argv[2:])
