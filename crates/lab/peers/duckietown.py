"""A client and a robot of Duckietown, written after the description of their formats, with python-zeroconf.

duckietown.py ADDRESS
Commands, each answered with one line that begins with OK:
`list` answers the facts that a strict client reads, as JSON: {"robots": {HOST: {FACT: VALUE}}, "errors": [TEXT]}.
`publish FACT HOST HEX` publishes a fact whose TXT record has these bytes. `withdraw` withdraws all published facts.
`ping ADDRESS` pings a robot on UDP port 11411, and answers its answer as JSON, or `null` after two seconds.
`raw ADDRESS TEXT` sends the text to port 11411, with PORT replaced by the own port, and answers the size of the answer.
"""
import dataclasses
import json
import socket
import sys
import threading

from zeroconf import ServiceBrowser, ServiceInfo, Zeroconf

TYPE = "_duckietown._tcp.local."
address = sys.argv[1]
lock = threading.Lock()
robots, errors, published = {}, [], []


@dataclasses.dataclass
class Pong:
    """The keys of an answer; any other set of keys is an error."""

    version: str
    name: str
    type: str
    configuration: str
    hardware: str


class Listener:
    def parts(self, name):
        parts = name[: -len("." + TYPE)].split("::")
        return parts[1:] if len(parts) == 3 and parts[0] == "DT" else None

    def add_service(self, zeroconf, kind, name):
        parts = self.parts(name)
        info = zeroconf.get_service_info(kind, name) if parts else None
        if info is None:
            return
        properties = list(info.properties.keys())
        text = properties[0].decode("utf-8") if properties else ""
        with lock:
            try:
                value = json.loads(text) if text else {}
                if not isinstance(value, dict):
                    raise ValueError("no object")
                robots.setdefault(parts[1], {})[parts[0]] = value
            except ValueError as error:
                errors.append(f"{name}: {text!r}: {error}")

    def remove_service(self, zeroconf, kind, name):
        parts = self.parts(name)
        with lock:
            if parts:
                del robots[parts[1]][parts[0]]

    def update_service(self, zeroconf, kind, name):
        pass


def publish(fact, host, text):
    info = ServiceInfo(
        TYPE, f"DT::{fact}::{host}.{TYPE}", addresses=[socket.inet_aton(address)], port=0,
        properties=bytes.fromhex(text), server=f"{host}.local.",
    )
    zeroconf.register_service(info)
    published.append(info)


def ask(to, text_of, seconds):
    """Sends a text, made from the own port, to a robot. Returns the answer and its sender."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        own.bind((address, 0))
        own.settimeout(seconds)
        # The answer goes to the port in the ping, not to the one from which the ping comes.
        sender.bind((address, 0))
        sender.sendto(text_of(own.getsockname()[1]).encode(), (to, 11411))
        try:
            return own.recv(4096)
        except socket.timeout:
            return None


def ping(to):
    answer = ask(to, lambda port: json.dumps({"version": "1", "port": port}), 2)
    return answer and dataclasses.asdict(Pong(**json.loads(answer)))


def say(line):
    print(line, flush=True)


zeroconf = Zeroconf(interfaces=[address])
browser = ServiceBrowser(zeroconf, TYPE, Listener())
say("READY")
for line in sys.stdin:
    command, *words = line.split()
    try:
        if command == "list":
            with lock:
                say("OK " + json.dumps({"robots": robots, "errors": errors}))
        elif command == "publish":
            publish(*words)
            say("OK")
        elif command == "withdraw":
            for info in published:
                zeroconf.unregister_service(info)
            published.clear()
            say("OK")
        elif command == "ping":
            say("OK " + json.dumps(ping(*words)))
        elif command == "raw":
            answer = ask(words[0], lambda port: " ".join(words[1:]).replace("PORT", str(port)), 1)
            say(f"OK {len(answer or b'')}")
        else:
            say("ERROR unknown command")
    except Exception as error:
        say(f"ERROR {error!r}".replace("\n", " "))
