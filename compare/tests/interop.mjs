// Do clients that this project did not write work with a lesson?
//
// Run `npm ci` once and start a lesson, then give its name and the address it printed:
//   node interop.mjs 02-sse http://127.0.0.1:8082
//
// Prints one line per check. The first that fails ends the run with exit code 1.

import assert from 'node:assert/strict';
import { on, once } from 'node:events';

import { EventSource } from 'eventsource';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';

const LIMIT = 5000;
const INCREMENT = { type: 'increment' };
const [lesson, base] = process.argv.slice(2);
const at = path => new URL(path, base).href;

// Starts a check; the one before it has passed. One limit holds for all it waits for,
// because a client that fails may leave its promises unsettled.
let current, timer;
function check(name) {
  passed();
  current = name;
  timer = setTimeout(() => fail(new Error(`not within ${LIMIT} ms`)), LIMIT);
}

function passed() {
  clearTimeout(timer);
  if (current) console.log(`ok - ${current}`);
}

function fail(error) {
  // `fetch` says only "fetch failed"; what happened is in the cause.
  console.error(`not ok - ${current}: ${error.cause?.message || error.message}`);
  process.exit(1);
}

// Listens from now on, so that a message is kept even when it comes before the check
// that waits for it. The function returned gives the next message that is wanted.
function follow(client, event, read) {
  const messages = on(client, event);
  return async (wanted = () => true) => {
    for (;;) {
      const message = read((await messages.next()).value[0]);
      if (wanted(message)) return message;
    }
  };
}

const isSnapshot = ({ value, version }) => [value, version].every(Number.isInteger);
const isRefusal = ({ error }) => typeof error === 'string';
const hasVersion = wanted => ({ version }) => version === wanted;

async function twoClients(client, one, two, increment) {
  check(`${client}: first message at once`);
  const start = await one();
  assert(isSnapshot(start), 'not a snapshot');
  assert.deepEqual(await two(), start);
  check(`${client}: an increment reaches two clients`);
  const answer = await increment();
  const made = await one(hasVersion(start.version + 1));
  assert.deepEqual(await two(hasVersion(start.version + 1)), made);
  return { start, made, answer };
}

async function post() {
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify(INCREMENT);
  const response = await fetch(at('/counter'), { method: 'POST', headers, body });
  assert.equal(response.status, 200);
  return response.json();
}

async function polling() {
  check('fetch: a snapshot with an ETag');
  let response = await fetch(at('/counter'));
  assert.equal(response.status, 200);
  const start = await response.json();
  assert(isSnapshot(start), 'not a snapshot');
  assert(response.headers.has('ETag'), 'no ETag');
  const ifChanged = { headers: { 'If-None-Match': response.headers.get('ETag') } };
  check('fetch: 304 without a body while nothing has changed');
  response = await fetch(at('/counter'), ifChanged);
  assert.equal(response.status, 304);
  assert.equal(await response.text(), '');
  check('fetch: an increment makes the next version');
  const made = await post();
  assert.equal(made.version, start.version + 1);
  check('fetch: the old ETag gets the new snapshot');
  response = await fetch(at('/counter'), ifChanged);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), made);
}

async function sse() {
  const read = ({ data, lastEventId }) => ({ ...JSON.parse(data), lastEventId });
  const open = () => {
    const source = new EventSource(at('/events'));
    source.onerror = fail;
    return follow(source, 'message', read);
  };
  const { start, made } = await twoClients('eventsource', open(), open(), post);
  check('eventsource: each event has an id of its own');
  assert.notEqual(start.lastEventId, '');
  assert.notEqual(made.lastEventId, start.lastEventId);
}

async function websocket() {
  // The first offers to compress, as `ws` does by default; a server may decline.
  const sockets = [{}, { perMessageDeflate: false }]
    .map(options => new WebSocket(at('/ws'), options));
  const [one, two] = sockets.map(socket => follow(socket, 'message', JSON.parse));
  const [socket] = sockets;
  const increment = () => socket.send(JSON.stringify(INCREMENT));
  const { made } = await twoClients('ws', one, two, increment);
  check('ws: a ping gets its pong');
  const pong = once(socket, 'pong');
  socket.ping('tick');
  assert.equal(String(await pong), 'tick');
  check('ws: bad JSON is refused and the connection stays');
  socket.send('{');
  await one(isRefusal);
  increment();
  await one(hasVersion(made.version + 1));
  check('ws: close 1000 is answered with 1000');
  const closed = once(socket, 'close');
  socket.close(1000);
  assert.equal((await closed)[0], 1000);
}

async function socketio() {
  const ways = [{ transports: ['polling'] }, { transports: ['websocket'] }, {}];
  for (const options of ways) {
    const way = options.transports?.[0] ?? 'upgrade';
    const client = `socket.io-client, ${way}`;
    // Without `forceNew` the two would share one connection; and one that came back by
    // itself would hide that the server had dropped it.
    const fixed = { forceNew: true, reconnection: false };
    const sockets = [1, 2].map(() => io(base, { ...fixed, ...options }));
    for (const socket of sockets) {
      socket.on('connect_error', fail);
      socket.on('disconnect', reason => fail(new Error(reason)));
    }
    const [one, two] = sockets.map(socket => follow(socket, 'counter', event => event));
    const [socket] = sockets;
    const command = (...given) => socket.emitWithAck('command', ...given);
    const increment = () => command(INCREMENT);
    const { made, answer } = await twoClients(client, one, two, increment);
    check(`${client}: the acknowledgement is the snapshot made`);
    assert.deepEqual(answer, made);
    check(`${client}: the transport is the one expected`);
    const { engine } = socket.io;
    const expected = way === 'upgrade' ? 'websocket' : way;
    if (engine.transport.name !== expected) await once(engine, 'upgrade');
    assert.equal(engine.transport.name, expected);
    check(`${client}: an unknown command, or two at once, are refused`);
    assert(isRefusal(await command({ type: 'double' })), 'not a refusal');
    assert(isRefusal(await command(INCREMENT, INCREMENT)), 'not a refusal');
    check(`${client}: no argument and no acknowledgement do no harm`);
    socket.emit('command');
    socket.emit('command', INCREMENT);
    await two(hasVersion(made.version + 1));
    let { version } = await increment();
    assert.equal(version, made.version + 2);
    check(`${client}: 300 short commands at once are all acknowledged`);
    const refused = await Promise.all(Array.from({ length: 300 }, () => command()));
    assert(refused.every(isRefusal), 'not a refusal');
    // Enough for tasks to overtake each other.
    for (let burst = 1; burst <= 10; burst += 1) {
      check(`${client}: 200 commands are acknowledged in order, burst ${burst}`);
      const answers = await Promise.all(Array.from({ length: 200 }, increment));
      for (const answer of answers) assert.equal(answer.version, (version += 1));
    }
  }
}

const lessons = {
  '01-polling': polling,
  '02-sse': sse,
  '03-websocket': websocket,
  '04-socketio': socketio,
};
if (!lessons[lesson] || !URL.canParse(base)) {
  console.error(`usage: node interop.mjs ${Object.keys(lessons).join('|')} URL`);
  process.exit(2);
}
await lessons[lesson]().catch(fail);
passed();
process.exit(0);
