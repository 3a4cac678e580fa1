// Fetches a file with Helia's Bitswap and prints the result as JSON: {"bytes": 5, "sha256": "HEX", "seconds": 0.1}.
//
//     node --input-type=module --eval "$(cat helia.mjs)" -- ADDRESS CID
//
// ADDRESS ends in /p2p/ID. Helia is assembled from its parts without any routing, so it can ask only the peer that it
// dials. The imports of a script given by --eval resolve from the working folder: run it where npm installed them.

import { createHash } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { createBitswap } from '@helia/bitswap'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryBlockstore } from 'blockstore-core'
import { exporter } from 'ipfs-unixfs-exporter'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'

// libp2p needs this function; Node has it since version 22.
Promise.withResolvers ??= function () {
  const parts = {}
  parts.promise = new this((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

const [address, root] = process.argv.slice(1)
const libp2p = await createLibp2p({
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() }
})
const nowhere = async function * () {}
const bitswap = createBitswap({
  libp2p,
  blockstore: new MemoryBlockstore(),
  logger: libp2p.logger,
  routing: { findProviders: nowhere },
  getHasher: () => sha256
})
await bitswap.start()
await libp2p.dial(multiaddr(address))

const begun = performance.now()
// The exporter has its own class CID, so CIDs are passed between the two as text.
const blocks = {
  get: async function * (cid, options) {
    yield await bitswap.want(CID.parse(cid.toString()), options)
  }
}
const file = await exporter(root, blocks)
const hash = createHash('sha256')
let bytes = 0
for await (const piece of file.content()) {
  hash.update(piece)
  bytes += piece.length
}
const seconds = (performance.now() - begun) / 1000
console.log(JSON.stringify({ bytes, sha256: hash.digest('hex'), seconds }))
await bitswap.stop()
await libp2p.stop()
process.exit(0)
