//! The table of faults: problems of the daemon and its channels, and their remedies.
//!
//! The name of the channel is always shown before the text, so a text calls the other side "the peer" or "the server".
//! A code never changes after its release; texts may change.

crate::faults! {
    CLOCK_DIFFERS = "clock.differs":
        "the clock of this host is {difference} {side} the clocks of its neighbours: records become valid too late on hosts \
         whose clock is behind, and expire too early on hosts whose clock is ahead, so files are shared late or not at all";
        "correct the wrong clock, on this host or on the neighbours; `timedatectl` shows it, and a network with a time \
         server sets it";

    CLOCK_UNKNOWN = "clock.unknown":
        "the clock of this host shows a time that has long passed, and no neighbour has a better one; this node uses {time}, \
         and its records are not valid elsewhere";
        "set the clock, for example with `timedatectl set-time`, or connect to a network with a time server";

    CLOCK_UNSET = "clock.unset":
        "the clock of this host is far behind; this node uses the clocks of its neighbours ({time}), and accepts no new \
         roles";
        "set the clock, for example with `timedatectl set-time`, or connect to a network with a time server";

    IDENTITY_COPIED = "identity.copied":
        "{host} uses the same identity as this host, as happens when an SD card or a data folder is copied: peers take both \
         hosts for one robot, and do not fetch the files of one of them";
        "run `dt-swarm-cli localhost identity renew` on one of the two hosts: it gets an identity of its own, and keeps its files \
         and records";

    IDENTITY_MACHINE_CHANGED = "identity.machine-changed":
        "this host is another machine than the one on which this identity was used before, since its {property} differs: the SD \
         card or the data folder was moved or copied";
        "if another robot still uses this identity, run `dt-swarm-cli localhost identity renew` here; if no robot does, run \
         `dt-swarm-cli localhost identity keep`";

    IPFS_PEER_ADDRESS_INVALID = "ipfs.peer-address-invalid":
        "this address of an IPFS peer cannot be used: {error}";
        "correct it in the configuration file or in the swarm file";

    IPFS_PEER_UNREACHABLE = "ipfs.peer-unreachable":
        "the IPFS peer cannot be reached: {error}";
        "check that it runs and that no firewall blocks its port";

    IPFS_PORT_UNAVAILABLE = "ipfs.port-unavailable":
        "IPFS connections cannot be accepted at {address}: {error}";
        "stop the program that holds the port (another dt-swarm?), or set `ipfs_port` in the configuration file; then start \
         dt-swarm again";

    IRC_CERTIFICATES_MISSING = "irc.certificates-missing":
        "this system has no trusted certificates";
        "install the package ca-certificates";

    IRC_CERTIFICATES_UNREADABLE = "irc.certificates-unreadable":
        "the file {file} with the trusted certificates cannot be used: {error}";
        "put certificates in PEM format there";

    IRC_CHANNEL_BANNED = "irc.channel-banned":
        "the channel cannot be joined: {reason}";
        "ask an operator of the channel to lift the ban";

    IRC_CHANNEL_FULL = "irc.channel-full":
        "the channel cannot be joined: {reason}";
        "ask an operator of the channel to raise its limit";

    IRC_CHANNEL_INVITE_ONLY = "irc.channel-invite-only":
        "the channel cannot be joined: {reason}";
        "ask an operator of the channel to open it (mode -i)";

    IRC_CHANNEL_MODERATED = "irc.channel-moderated":
        "this node may not speak in the channel: {reason}";
        "ask an operator of the channel to give this node voice, or to set mode -m";

    IRC_CHANNEL_NEEDS_KEY = "irc.channel-needs-key":
        "the channel cannot be joined, because it requires a key, which dt-swarm does not have: {reason}";
        "ask an operator of the channel to remove the key (mode -k)";

    IRC_CHANNEL_NO_ANSWER = "irc.channel-no-answer":
        "the channel cannot be joined: the server does not answer";
        "wait, or ask the operator of the server";

    IRC_CHANNEL_REFUSED = "irc.channel-refused":
        "the channel cannot be joined: {reason}";
        "configure another channel";

    IRC_CHANNEL_UNAVAILABLE = "irc.channel-unavailable":
        "the channel cannot be joined: {reason}";
        "wait until the server makes it available again";

    IRC_CLOSED = "irc.closed":
        "the server closed the connection";
        "ask its operator if this happens again";

    IRC_CLOSED_EARLY = "irc.closed-early":
        "the server closed the connection before it let this node in";
        "check whether this is its port for TLS, and whether this node is banned";

    IRC_CONNECTION_BROKEN = "irc.connection-broken":
        "the connection broke: {error}";
        "check the network between this host and the server";

    IRC_ENDED = "irc.ended":
        "the server ended the connection: {reason}";
        "ask its operator if this happens again";

    IRC_KICKED = "irc.kicked":
        "{by} kicked this node out of the channel: {reason}";
        "ask an operator of the channel if this happens again";

    IRC_KILLED = "irc.killed":
        "{by} (an operator, or another server) ended the connection: {reason}";
        "ask the operator of the server if this happens again";

    IRC_NAME_UNRESOLVED = "irc.name-unresolved":
        "the name {server} cannot be resolved: {error}";
        "check that it is right and that this network has a name server";

    IRC_NICKS_TAKEN = "irc.nicks-taken":
        "all nicks that were tried are taken; the last one was {nick}";
        "wait: other nicks are tried next";

    IRC_NO_ANSWER = "irc.no-answer":
        "no answer from {address} within {seconds} s";
        "check that the server runs and that no firewall blocks its port";

    IRC_NOT_IRC = "irc.not-irc":
        "the server does not speak IRC: it sent a line without an end";
        "check that this is the port of an IRC server";

    IRC_NOT_LET_IN = "irc.not-let-in":
        "the server does not let this node in: {reason}";
        "ask its operator";

    IRC_OTHER_NAME = "irc.other-name":
        "the server has a certificate for another name: the network may have a captive portal";
        "sign in to the network with a browser, or correct the name of the server in the configuration";

    IRC_PING_UNANSWERED = "irc.ping-unanswered":
        "the server fell silent and does not answer a PING";
        "check the network between this host and the server";

    IRC_REFUSED = "irc.refused":
        "{address} refuses connections: no IRC server runs there, or it has another port";
        "start the server, or correct its port in the configuration";

    IRC_REMOVED = "irc.removed":
        "the server removed this node from the channel";
        "ask its operator if this happens again";

    IRC_SERVER_NAME_INVALID = "irc.server-name-invalid":
        "\"{server}\" is not a name that can have a certificate";
        "configure the DNS name of the server, or its IP address";

    IRC_SILENT = "irc.silent":
        "the server accepted the connection but sends nothing";
        "check that this is the port of an IRC server, and whether it is the one for TLS";

    IRC_TLS_FAILED = "irc.tls-failed":
        "TLS failed: {error}";
        "check that this is the server's port for TLS, and that an authority that this system trusts signed its certificate";

    IRC_UNREACHABLE = "irc.unreachable":
        "{address} cannot be reached: {error}";
        "check the network between this host and the server";

    IRC_WEB_SERVER = "irc.web-server":
        "a web server answers in place of the IRC server: the network may have a captive portal";
        "sign in to the network with a browser, or correct the address of the server in the configuration";

    TCP_CONNECTION_BROKEN = "tcp.connection-broken":
        "the connection with the peer broke: {error}";
        "check the network between this host and the peer";

    TCP_HANDSHAKE_ECHOED = "tcp.handshake-echoed":
        "the peer repeats the lines of this node";
        "check which program listens at this address: it is not dt-swarm";

    TCP_HANDSHAKE_VERSION = "tcp.handshake-version":
        "the peer uses version {version} of sealed links, which this program does not know";
        "update dt-swarm here";

    TCP_HUNG_UP = "tcp.hung-up":
        "the peer closed the connection: it belongs to another swarm (it has no key), or has too many links";
        "compare its swarm file with the one here";

    TCP_KEY_DIFFERS = "tcp.key-differs":
        "the peer belongs to another swarm (its key differs)";
        "give both the same swarm file, or take this peer out of the configuration";

    TCP_KEY_MISSING = "tcp.key-missing":
        "the peer belongs to another swarm (it has no key), or is not dt-swarm";
        "give the peer the swarm file that this node has, or take it out of the configuration";

    TCP_KEY_UNEXPECTED = "tcp.key-unexpected":
        "the peer belongs to another swarm (it has a key)";
        "give this node the swarm file of that swarm, or take this peer out of the configuration";

    TCP_NAME_UNRESOLVED = "tcp.name-unresolved":
        "the name of the peer cannot be resolved: {error}";
        "check that the name is spelled correctly and that DNS works here";

    TCP_NAME_WITHOUT_ADDRESS = "tcp.name-without-address":
        "the name of the peer has no address";
        "correct the name, or its entry in DNS";

    TCP_NO_ANSWER = "tcp.no-answer":
        "no answer within {seconds} s";
        "check that the peer runs and that no firewall blocks its port";

    TCP_NO_HANDSHAKE = "tcp.no-handshake":
        "the peer accepted the connection, but sent nothing within {seconds} s: it has no swarm key, or is not dt-swarm";
        "give the peer the swarm file that this node has, or take it out of the configuration";

    TCP_PORT_TAKEN = "tcp.port-taken":
        "TCP port {port} is taken by another program (another dt-swarm?)";
        "stop that program or set `tcp_port` in the configuration file";

    TCP_PORT_UNAVAILABLE = "tcp.port-unavailable":
        "TCP port {port} cannot be opened: {error}";
        "set `tcp_port` in the configuration file to a port that this user may open";

    TCP_REFUSED = "tcp.refused":
        "the connection was refused: no program listens at this port";
        "start dt-swarm on that host, or correct the port in the configuration";

    TCP_UNREACHABLE = "tcp.unreachable":
        "the peer cannot be reached: {error}";
        "check the network between this host and the peer";

    TCP_WEB_SERVER = "tcp.web-server":
        "a web server answers in place of the peer: the network may have a captive portal";
        "sign in to the network with a browser, or correct the address of the peer";

    UDP_BROADCASTS_FAIL = "udp.broadcasts-fail":
        "{interface}: broadcasts cannot be sent: {error}";
        "check the interface; multicast is used instead";

    UDP_BROADCASTS_FILTERED = "udp.broadcasts-filtered":
        "{interface}: peers are heard by multicast, but not by broadcast: something filters UDP broadcasts to port {port}, \
         here or in the network";
        "allow them there; multicast is used instead";

    UDP_BROADCASTS_FORBIDDEN = "udp.broadcasts-forbidden":
        "{interface}: a firewall on this host forbids broadcasts: {error}";
        "allow outgoing UDP; multicast is used instead";

    UDP_INTERFACE_DOWN = "udp.interface-down":
        "{target}: nothing can be sent, because the interface is down: {error}";
        "check that it is connected";

    UDP_MULTICASTS_FILTERED = "udp.multicasts-filtered":
        "{interface}: peers are heard by broadcast, but not by multicast: something filters multicast, here or in the \
         network, so robots without dt-swarm and names that end in .local are not found";
        "allow multicast there; dt-swarm itself uses broadcast instead";

    UDP_NETMASK_WRONG = "udp.netmask-wrong":
        "{interface}: heard {host}, which is outside this network";
        "correct the netmask of this host or of that host";

    UDP_NO_INTERFACE = "udp.no-interface":
        "no network interface is up with an address, so no peer nearby is heard";
        "connect a cable or Wi-Fi, or name interfaces under `interfaces` in the configuration file";

    UDP_NO_INTERFACE_CHOSEN = "udp.no-interface-chosen":
        "no network interface among {patterns} is up with an address, so no peer nearby is heard";
        "connect a cable or Wi-Fi, or name other interfaces under `interfaces` in the configuration file";

    UDP_NO_ROUTE = "udp.no-route":
        "{target}: nothing can be sent, because there is no route: {error}";
        "check that this host is connected";

    UDP_ONLY_UNICAST = "udp.only-unicast":
        "{interface}: {host} is heard by unicast, but no peer by broadcast or multicast: something \
         filters UDP port {port}, here or in the network";
        "allow it there, or configure the hosts as peers";

    UDP_PEER_NAME_UNRESOLVED = "udp.peer-name-unresolved":
        "the peer {host} cannot be looked up: {error}";
        "check that the name is right and that DNS works here; an IP address needs no DNS";

    UDP_PORT_TAKEN = "udp.port-taken":
        "UDP port {port} is taken by another program (another dt-swarm?)";
        "stop that program or set `udp_port` in the configuration file";

    UDP_PORT_UNAVAILABLE = "udp.port-unavailable":
        "UDP port {port} cannot be opened: {error}";
        "set `udp_port` in the configuration file to a port that this user may open";

    UDP_SENDING_FAILS = "udp.sending-fails":
        "{target}: nothing can be sent: {error}";
        "wait: sending is tried again";

    UDP_SENDING_FORBIDDEN = "udp.sending-forbidden":
        "{target}: nothing can be sent, because a firewall on this host forbids it: {error}";
        "allow outgoing UDP";

    UDP_SENDING_STUCK = "udp.sending-stuck":
        "{target}: nothing can be sent, because the interface accepts nothing: {error}";
        "check that it is connected";
}
