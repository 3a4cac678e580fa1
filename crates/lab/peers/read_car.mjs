// Reads a CAR file with the npm package `@ipld/car` and checks that every block has the hash in its CID. Prints the
// contents as JSON: {"version": 1, "roots": ["CID"], "blocks": [{"cid": "CID", "bytes": 1}]}.
//
//     node --input-type=module --eval "$(cat read_car.mjs)" -- PATH
//
// The imports of a script given by --eval resolve from the working folder: run it where npm installed them.

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
    throw new Error(`the hash of the block ${cid} is not the one in its CID`)
  }
  blocks.push({ cid: String(cid), bytes: bytes.length })
}
console.log(JSON.stringify({ version: car.version, roots, blocks }))
