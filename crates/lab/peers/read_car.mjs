// Reads a CAR from a file by npm `@ipld/car`, sees that every block has the hash that its CID names, and prints what is
// in it as JSON: {"version": 1, "roots": ["CID"], "blocks": [{"cid": "CID", "bytes": 1}]}.
//
//     node --input-type=module --eval "$(cat read_car.mjs)" -- PATH
//
// Given by --eval, its imports resolve from the working folder: run it where npm installed them.

import { createReadStream } from 'node:fs'
import { CarBlockIterator } from '@ipld/car'
import { sha256 } from 'multiformats/hashes/sha2'

const [path] = process.argv.slice(1)
const car = await CarBlockIterator.fromIterable(createReadStream(path))
const roots = (await car.getRoots()).map(String)
const blocks = []
for await (const { cid, bytes } of car) {
  const { digest } = await sha256.digest(bytes)
  if (cid.multihash.code !== sha256.code || Buffer.compare(digest, cid.multihash.digest) !== 0) {
    throw new Error(`the block ${cid} has another hash`)
  }
  blocks.push({ cid: String(cid), bytes: bytes.length })
}
console.log(JSON.stringify({ version: car.version, roots, blocks }))
