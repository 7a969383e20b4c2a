// The counter that the Node.js and Bun peers serve, as compare's contract has it: what
// model.rs, counter.rs and guard.rs in shared/src are for the lessons.

import { randomBytes } from "node:crypto";

export const MAX_BYTES = 4096;
const REMEMBERED_IDS = 10_000;
const ACTIONS = new Map([
  ["increment", (value) => Math.min(value + 1, 2 ** 31 - 1)],
  ["decrement", (value) => Math.max(value - 1, -(2 ** 31))],
  ["reset", () => 0],
]);

const run = randomBytes(8).toString("hex");
const applied = new Set(); // keeps the order of insertion: the oldest id comes first
export let latest = update({ value: 0, version: 0 });

function update(snapshot) {
  const text = JSON.stringify(snapshot);
  return { snapshot, id: `${run}-${snapshot.version}`, text };
}

// Applies a command. Returns whether the counter changed: a repeated id does not.
export function apply({ type, id }) {
  if (id !== undefined) {
    if (applied.has(id)) return false;
    applied.add(id);
    if (applied.size > REMEMBERED_IDS) applied.delete(applied.values().next().value);
  }
  const { value, version } = latest.snapshot;
  latest = update({ value: ACTIONS.get(type)(value), version: version + 1 });
  return true;
}

// Reads a command from JSON text, or throws.
export function parse(text) {
  const command = check(JSON.parse(text));
  // Of two fields with one name JSON.parse keeps the last. A command's names and values
  // are strings, so a text that holds more strings than these has a field twice.
  const strings = text.match(/"(?:[^"\\]|\\.)*"/g).length;
  if (strings > 2 * Object.keys(command).length) throw new Error("a field twice");
  return command;
}

// Returns what is already parsed, if it is a command, or throws.
export function check(command) {
  const { type, id, ...others } = Object(command);
  if (!ACTIONS.has(type)) throw new Error("no known type");
  const bytes = typeof id === "string" ? Buffer.byteLength(id) : 0;
  if (id !== undefined && (bytes < 1 || bytes > 64)) {
    throw new Error("an id that is not text of 1 to 64 bytes");
  }
  if (Object.keys(others).length > 0) throw new Error("a field that is not known");
  return command;
}

export const refusal = ({ message }) => ({ error: `this is no command: ${message}` });

// Whether another site's page sent this. A native client sends no Origin.
export const isForeign = (origin, host) => origin?.endsWith(`://${host}`) === false;
