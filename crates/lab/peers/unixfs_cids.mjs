// Prints the CID that Kubo's parameters give a file, by the JavaScript importer (npm `ipfs-unixfs-importer`).
//
//     node --input-type=module --eval "$(cat unixfs_cids.mjs)" -- PATH VERSION [NAME]
//
// VERSION 0: UnixFS leaves, as `ipfs add`. VERSION 1: raw leaves, as `ipfs add --cid-version=1`.
// With NAME the file is wrapped in a directory under that name, and the directory's CID is printed.
// Given by --eval, its imports resolve from the working folder: run it where npm installed the importer.

import { createReadStream } from 'node:fs'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

// Kubo's defaults: 256 KiB chunks, 174 links to a node.
const CHUNK_BYTES = 262144
const LINKS_PER_NODE = 174

// Only the CIDs are wanted, and a large file must not need its size in memory.
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
