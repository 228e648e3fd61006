// The HTTP side of `npm run serve`: OpenAI's paths over a backend that answers requests. Only this machine is let in.

import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

/** Names by which a page of another site cannot reach this machine. */
const HOSTS = ["localhost", "127.0.0.1", "[::1]"];
const MOST_BODY = 16 * 2 ** 20;
/** Bytes that a client may leave unread before it counts as gone. */
const MOST_UNREAD = 4 * 2 ** 20;

/** An answer that is an error, in OpenAI's shape. */
class Refusal extends Error {
  constructor(status, message, { type = "invalid_request_error", code = null, param = null, headers = {} } = {}) {
    super(message);
    this.status = status;
    this.body = { error: { message, type, param, code } };
    this.headers = headers;
  }
}

/** What answers.
 * @typedef {{model: string, created: number, run(kind: "chat" | "text", body: object, how: {signal: AbortSignal, onChunk(chunk: object): void}): Promise<object | null>}} Backend
 *   run: resolves with the answer, or with null once all chunks of a stream have come; rejects with an error whose `code` is the engine's */

/** A server that is not yet listening.
 * @param {Backend} backend
 * @param {{token?: string, cors?: string}} [options] token = what clients must show; cors = the origin of pages that may ask */
export function apiServer(backend, options = {}) {
  return createServer((request, response) => {
    response.on("error", () => {}); // the client is gone; `close` has told
    handle({ request, response, backend, ...options }).catch((error) => refuse(response, error));
  });
}

function refuse(response, error) {
  const refusal = error instanceof Refusal ? error : ofEngine(error);
  if (response.headersSent) return void response.end(`data: ${JSON.stringify(refusal.body)}\n\n`);
  send(response, refusal.status, refusal.body, refusal.headers);
}

/** Errors of the caller keep their words; others do not say how the machine looks inside. */
function ofEngine({ code = null, message, caller = false }) {
  if (caller) return new Refusal(code === "disposed" ? 503 : 400, message, { code });
  return new Refusal(500, code === null ? "the engine failed" : message, { type: "server_error", code });
}

function send(response, status, body, headers = {}) {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

async function handle(call) {
  const { request, response, backend } = call;
  checkOrigin(call);
  const { pathname: path } = new URL(request.url, "http://localhost");
  if (request.method === "OPTIONS") return void response.writeHead(204).end();
  checkToken(call);
  const kind = { "/v1/chat/completions": "chat", "/v1/completions": "text" }[path];
  if (kind) {
    if (request.method !== "POST") throw new Refusal(405, `${path} takes POST`, { headers: { allow: "POST" } });
    return complete(call, kind, await bodyOf(request));
  }
  if (path !== "/v1/models" && !path.startsWith("/v1/models/")) throw new Refusal(404, `there is no ${path}`);
  if (request.method !== "GET") throw new Refusal(405, `${path} takes GET`, { headers: { allow: "GET" } });
  const model = { id: backend.model, object: "model", created: backend.created, owned_by: "longprompt" };
  if (path === "/v1/models") return send(response, 200, { object: "list", data: [model] });
  checkModel(decodeURIComponent(path.slice("/v1/models/".length)), backend);
  send(response, 200, model);
}

/** A page elsewhere can point its own name at this machine, or post here unasked: neither is answered. */
function checkOrigin({ request, response, cors }) {
  const { host = "", origin } = request.headers;
  if (!HOSTS.includes(host.replace(/:\d+$/, "").toLowerCase()))
    throw new Refusal(403, `the host is "${host}", want localhost or 127.0.0.1`);
  if (origin === undefined) return;
  if (origin !== cors)
    throw new Refusal(403, `pages of ${origin} may not ask; start with --cors ${origin} to let them`);
  response.setHeader("access-control-allow-origin", cors);
  response.setHeader("access-control-allow-headers", "authorization, content-type");
  response.setHeader("vary", "origin");
}

function checkToken({ request, token }) {
  if (token === undefined) return;
  const given = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
  const digest = (text) => createHash("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(token))) return;
  const headers = { "www-authenticate": "Bearer" };
  throw new Refusal(401, "the token is missing or wrong", { code: "invalid_api_key", headers });
}

function checkModel(name, { model }) {
  if (name === model) return;
  throw new Refusal(404, `the model is "${name}", want "${model}"`, { code: "model_not_found", param: "model" });
}

async function bodyOf(request) {
  if (!/^application\/json\b/i.test(request.headers["content-type"] ?? ""))
    throw new Refusal(415, "the body must be application/json");
  const pieces = [];
  let size = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    size += piece.length;
    if (size > MOST_BODY)
      throw new Refusal(413, `the body is larger than ${MOST_BODY} bytes`, { headers: { connection: "close" } });
    pieces.push(piece);
  }
  try {
    const body = JSON.parse(Buffer.concat(pieces).toString());
    if (typeof body === "object" && body !== null && !Array.isArray(body)) return body;
  } catch {
    // said below
  }
  throw new Refusal(400, "the body is no JSON object");
}

/** Whoever hangs up, or does not read, ends the generation. */
async function complete({ response, backend }, kind, body) {
  if (body.model !== undefined && body.model !== null) checkModel(body.model, backend);
  const stop = new AbortController();
  response.on("close", () => stop.abort());
  const answer = await backend.run(kind, body, {
    signal: stop.signal,
    onChunk: (chunk) => {
      if (!response.headersSent)
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      if (!response.destroyed) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
      if (response.writableLength > MOST_UNREAD) response.destroy();
    },
  });
  if (answer) send(response, 200, answer);
  else response.end("data: [DONE]\n\n");
}
