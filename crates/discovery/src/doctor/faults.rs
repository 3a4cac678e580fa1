//! The faults that only `doctor` finds. A code never changes after its release; texts may change.

telemetry::faults! {
    DISK_FULL = "disk.full":
        "the disk of {folder} has {free} left, so this robot keeps no more files: {reason}";
        "delete files on this disk, or discard logs that are safe elsewhere";

    DISK_NEARLY_FULL = "disk.nearly-full":
        "the disk of {folder} has only {free} left; below {reserve} this robot keeps no more files";
        "delete files on this disk, or discard logs that are safe elsewhere";

    DISK_SLOW = "disk.slow":
        "writing 4 KiB to {folder} took {milliseconds} ms: the disk is worn out or very busy";
        "stop programs that write much; replace the SD card if it stays slow";

    DISK_UNWRITABLE = "disk.unwritable":
        "the data folder {folder} cannot be written: {error}";
        "check the disk, and that this folder belongs to the user of dt-swarm";

    DNS_INVENTS = "dns.invents":
        "the name server {servers} invents addresses: it knows {address} for a name that cannot exist, as where a captive \
         portal intercepts names";
        "sign in to the network with a browser, or use another name server";

    DNS_PARTLY_SILENT = "dns.partly-silent":
        "the name server {silent} does not answer; {answering} does, so looking up a name may take seconds";
        "take the silent name server out of the network settings";

    DNS_SILENT = "dns.silent":
        "no name server answers ({silent}), so names of hosts on the internet cannot be looked up";
        "check the name server, and the network settings of this host; robots nearby are found without it";

    FOLDER_DATA_OPEN = "folder.data-open":
        "other users of this host can read or change {path}, which belongs to the identity and the records of this robot";
        "run `chmod go-rwx {path}`, or start dt-swarm again";

    FOLDER_SHARED_UNREADABLE = "folder.shared-unreadable":
        "the shared folder {folder} cannot be read, so no log of this robot is shared: {error}";
        "create it, and check that the user of dt-swarm may read it";

    INTERFACE_SAME_NETWORK = "interface.same-network":
        "{first} and {second} both lead to the network {network}: answers may leave by the wrong one";
        "disconnect one of them, or give them different networks";

    MDNS_SEVERAL_RESPONDERS = "mdns.several-responders":
        "{programs} all answer multicast DNS (UDP port 5353) on this host: names that end in .local may be answered \
         wrongly or not at all";
        "keep one of them, usually avahi-daemon, and stop the others";

    MEMORY_LOW = "memory.low":
        "only {available} of {total} memory are available";
        "stop programs that use much memory";

    NAME_CLASH = "name.clash":
        "{number} robots are called {name} ({peers}): a person cannot tell which one is meant";
        "rename all but one; until then write the name with the end of the peer ID, as shown here";

    NETWORK_CAPTIVE_PORTAL = "network.captive-portal":
        "a captive portal intercepts connections: {signs}";
        "sign in to the network with a browser on this host, or use a network without such a portal";

    NETWORK_CASTS_FILTERED = "network.casts-filtered":
        "{names} can be reached by TCP on a network of this host, but no broadcast or multicast of theirs is heard: \
         something filters UDP, here or in the network";
        "allow UDP broadcasts there, or name these robots under `peers` in the configuration file";

    NETWORK_ISOLATED = "network.isolated":
        "{names} stated to be on a network of this host while nothing was heard from there, and cannot be reached: the \
         network seems to keep its hosts apart (client isolation)";
        "turn off client isolation at the access point, use another network, or connect all robots with a common server";

    NETWORK_NOT_HEARD = "network.not-heard":
        "no answer comes from {number} heard on {channel}: the network does not carry what this host sends";
        "check the firewall of this host and the access point: UDP must be let out and in";

    NETWORK_SILENT_PEERS = "network.silent-peers":
        "{names} stated to be on a network of this host within the last minutes, but nothing is heard from there, and no \
         connection succeeds: they were switched off, or the network keeps its hosts apart (client isolation)";
        "run doctor again in five minutes: a robot that was switched off is no longer present then";

    PEER_ABSENT = "peer.absent":
        "{name} is not present: it was stopped, or stated nothing in the last ten minutes";
        "check that it is switched on and connected, and that dt-swarm runs there";

    PEER_IPFS_UNPROVEN = "peer.ipfs-unproven":
        "a host accepts connections at {addresses}, as {name} stated, but no IPFS connection with {name} succeeds: {reason}";
        "check that {name} is switched on; another host may have its address now";

    PEER_IPFS_UNREACHABLE = "peer.ipfs-unreachable":
        "{name} does not accept IPFS connections at {addresses}, so its files cannot be fetched from here";
        "check that no firewall blocks its IPFS port (6002)";

    PEER_LINE_UNPROVEN = "peer.line-unproven":
        "a host accepts TCP connections at {addresses}, as {name} stated, but does not prove that it is {name}";
        "check that {name} is switched on, and its version of dt-swarm; another host may have its address now";

    PEER_LINE_UNREACHABLE = "peer.line-unreachable":
        "{name} does not accept TCP connections at {addresses}";
        "check that no firewall blocks its TCP port (8000)";

    PEER_NO_PONG = "peer.no-pong":
        "{name} is heard on {channel}, but does not answer a ping: it does not hear this host";
        "check the firewalls of both, and the access point";

    PEER_NOT_HEARD = "peer.not-heard":
        "{name} is not heard on any channel of this host; its records come through others";
        "connect both to one network, or to a common server";

    PEER_SILENT = "peer.silent":
        "{name} was last heard {seconds} s ago on {channel}, and nothing answers there now: it was switched off, or lost its \
         network";
        "check that it is switched on and connected, and that dt-swarm runs there";

    SWARM_OTHER_KEY = "swarm.other-key":
        "{host} sends lines that this robot cannot read: it belongs to a swarm with another key, or only one of the two \
         has a key";
        "nothing is to be done if it belongs to another group; else give both robots the same swarm file";

    SWARM_OTHER_RECORDS = "swarm.other-records":
        "{host} sends records that were signed in another swarm";
        "nothing is to be done if it belongs to another group; else give both robots the same swarm file";
}
