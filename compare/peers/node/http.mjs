// What lessons 1 and 2 do with requests and answers on Node.js. It follows Node.js's guide
// "Anatomy of an HTTP Transaction".

import { MAX_BYTES } from "../counter.mjs";

export function answer(response, status, text, headers) {
  const length = Buffer.byteLength(text);
  const json = { "Content-Type": "application/json", "Content-Length": length };
  response.writeHead(status, { ...json, ...headers }).end(text);
}

// The body of a request. One that is too long is read to its end, but not kept.
export async function body(request) {
  const kept = [];
  let length = 0;
  for await (const chunk of request) {
    if (length <= MAX_BYTES) kept.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(kept);
}
