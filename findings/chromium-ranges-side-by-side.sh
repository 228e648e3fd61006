#!/usr/bin/env bash
# Chromium 156.0.8078.108 (Debian), driven by playwright-core 1.65.1, seen on Linux x64: fetch() of different ranges of one
# URL side by side makes more requests than ranges, unless the fetches say `cache: "no-store"`.
#
# A page asks for four ranges of 1 MiB of one file, which do not overlap, at once. The server answers each with 206, a
# strong ETag and Content-Range. With the default cache mode the ranges are parts of one entry of the browser's HTTP cache:
# some requests wait for others, and one whose answer has begun to arrive is cut and sent again when the next one comes. The
# four answers are right, but the server sees five or more requests, and its first bytes are sent for nothing. With
# "no-store" it sees four.
#
# Whoever downloads a large file in parallel ranges and keeps the parts elsewhere (Cache API, OPFS) should say "no-store".
#
# Needs: node, npm, network, Chromium (CHROMIUM, default /usr/bin/chromium). Exit status 0: as described here. Not 0: the
# behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" playwright-core@1.65.1

cat >seen.mjs <<'JS'
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [MIB, CHUNK, TOTAL] = [2 ** 20, 2 ** 16, 2 ** 26];
let requests = 0;
const server = createServer(async (request, response) => {
  if (request.url !== "/file") return response.writeHead(200, { "content-type": "text/html" }).end("<title>ranges</title>");
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range);
  requests++;
  response.writeHead(206, {
    etag: '"1"',
    "content-type": "application/octet-stream",
    "content-range": `bytes ${first}-${last}/${TOTAL}`,
    "content-length": MIB,
  });
  for (let at = 0; at < MIB && !response.destroyed; at += CHUNK) {
    response.write(Buffer.alloc(CHUNK, Number(first) / MIB));
    await new Promise((done) => setTimeout(done, 20));
  }
  response.end();
});
await new Promise((done) => server.listen(0, "localhost", done));
const site = `http://localhost:${server.address().port}/`;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--headless=new", "--no-sandbox"] });
console.error(`Chromium ${browser.version()}`);
for (const cache of ["default", "no-store"]) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(site);
  requests = 0;
  const right = await page.evaluate(
    async ([cache, MIB]) => {
      const read = async (i) => {
        const range = `bytes=${i * MIB}-${(i + 1) * MIB - 1}`;
        const bytes = new Uint8Array(await (await fetch("/file", { cache, headers: { range } })).arrayBuffer());
        return bytes.length === MIB && bytes.every((byte) => byte === i);
      };
      return (await Promise.all([0, 1, 2, 3].map(read))).every(Boolean);
    },
    [cache, MIB],
  );
  console.error(`${cache}: ${requests} requests`);
  console.log(`${cache}: ${requests === 4 ? "4 requests" : requests > 4 ? "more than 4 requests" : "fewer"}, ${right ? "right" : "wrong"} bytes`);
}
await browser.close();
server.closeAllConnections();
server.close();
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
default: more than 4 requests, right bytes
no-store: 4 requests, right bytes
SEEN
