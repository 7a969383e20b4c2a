// Lesson 3, WebSocket: one connection, and messages both ways.

import { backoff, commands, failed, show, status, wire } from "/page.js";

const SILENCE = 35_000; // ms; the server is heard at least every 15 s
let failures = 0;
let silence;
let socket;
let unanswered = false;

function updates() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
  socket.onopen = () => {
    failures = 0;
    status("live");
  };
  socket.onmessage = ({ data }) => {
    heard();
    unanswered = false;
    wire("down", data);
    show(JSON.parse(data));
  };
  socket.onclose = lost;
  heard();
}

// A connection can die without a word, and the browser does not look. Silence tells.
function heard() {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENCE);
}

function lost() {
  // A dead connection does not answer close(), so the page does not wait for it.
  socket.onmessage = socket.onclose = null;
  socket.close();
  clearTimeout(silence);
  status("lost");
  // WebSocket acknowledges nothing; a change by another client looks like an answer.
  if (unanswered) failed();
  unanswered = false;
  setTimeout(updates, backoff(++failures));
}

async function command(command) {
  // Not sent: the page says so in its own words.
  if (socket.readyState !== WebSocket.OPEN) throw new Error();
  const text = JSON.stringify(command);
  wire("up", text);
  socket.send(text);
  unanswered = true;
}

commands(command);
updates();
