// Prints the CID of a file with Kubo's parameters, computed by the JavaScript importer (npm `ipfs-unixfs-importer`).
//
//     node --input-type=module --eval "$(cat unixfs_cids.mjs)" -- PATH VERSION [NAME]
//
// VERSION 0: UnixFS leaves, like `ipfs add`. VERSION 1: raw leaves, like `ipfs add --cid-version=1`.
// With NAME the file is wrapped in a directory under that name, and the directory's CID is printed.
// The imports of a script given by --eval resolve from the working folder: run it where npm installed the importer.

import { createReadStream } from 'node:fs'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

// Kubo's defaults: chunks of 256 KiB, 174 links per node.
const CHUNK_BYTES = 262144
const LINKS_PER_NODE = 174

// Only the CIDs are needed, so no block is stored; a large file must not need its size in memory.
const forgetfulBlockstore = { put: async (cid) => cid }

const [path, version, name] = process.argv.slice(1)
const entry = { content: createReadStream(path, { highWaterMark: CHUNK_BYTES }), path: name }
const options = {
  cidVersion: Number(version),
  rawLeaves: version === '1',
  chunker: fixedSize({ chunkSize: CHUNK_BYTES }),
  layout: balanced({ maxChildrenPerNode: LINKS_PER_NODE }),
  wrapWithDirectory: name !== undefined
}

let last
for await (const result of importer([entry], forgetfulBlockstore, options)) {
  last = result
}
console.log(last.cid.toString())
