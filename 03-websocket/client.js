// Lesson 3, WebSocket: one connection, and messages both ways.

import { backoff, commands, failed, heard, show, status, watch, wire } from "/page.js";

let socket;
let unanswered = false;

function updates() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
  socket.onopen = () => status("live");
  socket.onmessage = ({ data }) => {
    heard();
    unanswered = false;
    wire("down", data);
    show(JSON.parse(data));
  };
  socket.onclose = lost;
  heard();
}

function lost() {
  // A dead connection does not answer close(), so the page does not wait for it.
  socket.onmessage = socket.onclose = null;
  socket.close();
  status("lost");
  // WebSocket acknowledges nothing; a change by another client looks like an answer.
  if (unanswered) failed(new DOMException("", "NetworkError"));
  unanswered = false;
  setTimeout(updates, backoff());
}

async function command(command) {
  if (socket.readyState !== WebSocket.OPEN) {
    throw new DOMException("", "InvalidStateError");
  }
  const text = JSON.stringify(command);
  wire("up", text);
  socket.send(text);
  unanswered = true;
}

commands(command);
watch(lost);
updates();
