// Lesson 1, polling, on Bun. It follows Bun's documentation: "Server" and "Routing".

import { isForeign, latest, MAX_BYTES } from "../counter.mjs";
import { FOREIGN, isKnown, post } from "../http.mjs";

function answer(status, text, headers) {
  const json = { "Content-Type": "application/json", ...headers };
  return new Response(text, { status, headers: json });
}

// GET /counter: the newest snapshot, or 304 when the client has it already.
function updates(request) {
  const etag = `"${latest.id}"`;
  const headers = { ETag: etag, "Cache-Control": "no-cache" };
  if (isKnown(etag, request.headers.get("if-none-match"))) {
    return new Response(null, { status: 304, headers });
  }
  return answer(200, latest.text, headers);
}

// POST /counter: applies a command and answers with the snapshot it made.
async function command(request) {
  const { status, text } = post(await request.bytes());
  return answer(status, text);
}

const guarded = (handler) => (request) => {
  const { headers } = request;
  const foreign = isForeign(headers.get("origin"), headers.get("host"));
  return foreign ? answer(403, FOREIGN) : handler(request);
};

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  // Beyond this Bun itself says 413, without a sentence.
  maxRequestBodySize: 16 * MAX_BYTES,
  routes: {
    "/counter": { GET: guarded(updates), POST: guarded(command) },
  },
});
console.log(`listening on ${server.url.origin}`);
