// What lessons 1 and 2 send over HTTP, on Node.js and on Bun.

import { apply, latest, MAX_BYTES, parse, refusal } from "./counter.mjs";

export const FOREIGN = '{"error":"pages of another site may not use this server"}';
const TOO_LONG = `{"error":"the command is longer than ${MAX_BYTES} bytes"}`;
const utf8 = new TextDecoder("utf-8", { fatal: true });

// Applies the command in the body of a POST. Returns what to answer, and whether the
// counter changed.
export function post(body) {
  if (body.length > MAX_BYTES) return { status: 413, text: TOO_LONG, changed: false };
  try {
    const changed = apply(parse(utf8.decode(body)));
    return { status: 200, text: latest.text, changed };
  } catch (error) {
    return { status: 400, text: JSON.stringify(refusal(error)), changed: false };
  }
}

// Whether If-None-Match names this entity tag (RFC 9110, section 13.1.2).
export function isKnown(etag, ifNoneMatch) {
  if (!ifNoneMatch) return false;
  const tags = ifNoneMatch.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}

// The headers of an event stream.
export const STREAM = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-cache",
  "X-Accel-Buffering": "no",
};
export const HEARTBEAT = "event: heartbeat\ndata:\n\n";

// How many ms a client waits before it comes back: drawn for each.
export const retry = () => `retry: ${1000 + Math.floor(1000 * Math.random())}\n\n`;

// The newest snapshot as an event (WHATWG HTML, section 9.2.5).
export const event = () => `id: ${latest.id}\ndata: ${latest.text}\n\n`;
