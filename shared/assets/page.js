// What every lesson's page does, whatever the transport: draws the number, the state of
// the connection and the messages that travel, and hands over the clicks.

const element = (id) => document.getElementById(id);
const MESSAGES = 50; // kept on the page
const ANNOUNCE = 2000; // ms between two announcements to screen readers
const SILENCE = 35_000; // ms; a server with a heartbeat is heard at least every 15 s
const SLEEP = 5000; // ms without a turn of the page's clock, which ticks every second

/** Draws a snapshot, or says why a command was refused. */
export function show(message) {
  if (message.error) return notice(message.error);
  element("value").textContent = message.value;
  element("version").textContent = message.version;
  announce();
  stale = message.stale;
  status(connection);
}

let connection = "connecting";
let stale = false;

/**
 * Says how the connection is: "connecting", "live" or "lost"; and that a live one shows
 * only the last known value, when the server says so.
 */
export function status(state) {
  connection = state;
  if (state === "live") failures = 0;
  // Whatever connects again is not the connection that was doubted.
  if (state === "lost") heardAt = slept = undefined;
  const shown = state === "live" && stale ? "stale" : state;
  const { dataset } = element("status");
  if (dataset.state === shown) return;
  dataset.state = shown;
  element("status").textContent = dataset[shown];
}

/**
 * Logs a message: "up" from the page, "down" from the server. `text` is what the page can
 * know of it, and its size is counted in bytes of UTF-8.
 */
export function wire(direction, text) {
  const line = element("message").content.firstElementChild.cloneNode(true);
  line.dataset.direction = direction;
  const [time, size, raw] = line.children;
  time.textContent = new Date().toLocaleTimeString(document.documentElement.lang);
  const bytes = new TextEncoder().encode(text).length;
  size.textContent = `${bytes} ${element("wire").dataset.byte}`;
  raw.textContent = text;
  element("wire").prepend(line);
  while (element("wire").children.length > MESSAGES) element("wire").lastChild.remove();
}

/**
 * Calls `send` with the command of each click, and shows how many still wait for their
 * answer. When it throws, the page says that the click failed; when it returns a refusal,
 * the page says why.
 */
export function commands(send) {
  for (const type of ["increment", "decrement", "reset"]) {
    element(type).addEventListener("click", async () => {
      notice("");
      waiting(+1);
      try {
        const answer = await send({ type });
        if (answer?.error) notice(answer.error);
      } catch (error) {
        failed(error);
      }
      waiting(-1);
    });
  }
}

/**
 * Says that a click did not arrive, or that nobody can know, and why: in the page's
 * language, by the name of the error.
 */
export function failed({ name, message }) {
  const { dataset } = element("notice");
  notice(`${dataset.failed} (${dataset[name.toLowerCase()] ?? message})`);
}

/**
 * How long to wait before the next attempt, in ms: twice as long after each failure, up to
 * 10 s, and partly at random, so that a whole class does not come back in the same instant.
 */
let failures = 0;
export function backoff() {
  failures += 1;
  return Math.min(10_000, 250 * 2 ** failures) * (0.5 + Math.random() / 2);
}

/** Notes that the server was heard; from now on its silence is noticed. */
let heardAt;
export function heard() {
  heardAt = Date.now();
}

/**
 * Calls `lost` when a connection can no longer be trusted: the server was silent for too
 * long, or the page did not run, because the browser froze it, kept it in its back/forward
 * cache, or the machine slept. A hidden page notices once it is seen again.
 */
let slept;
export function watch(lost) {
  let ran = Date.now();
  addEventListener("pageshow", ({ persisted }) => (slept ||= persisted));
  setInterval(() => {
    const now = Date.now();
    slept ||= now - ran > SLEEP;
    ran = now;
    if (document.hidden) return;
    if (now - heardAt > SILENCE || (slept && connection === "live")) lost();
    slept = undefined;
  }, 1000);
}

/** Waits until the tab can be seen. */
export async function visible() {
  while (document.hidden) {
    await new Promise((resolve) => {
      document.addEventListener("visibilitychange", resolve, { once: true });
    });
  }
}

let clicks = 0;
function waiting(change) {
  clicks += change;
  const { dataset } = element("waiting");
  element("waiting").textContent = clicks ? `${dataset.text} ${clicks}` : "";
}

function notice(text) {
  element("notice").textContent = text;
}

// A counter that changes fast would drown a screen reader, so it is told at most every two
// seconds, and always the newest value.
let announcing;
function announce() {
  announcing ??= setTimeout(() => {
    announcing = undefined;
    element("announcement").textContent = element("value").textContent;
  }, ANNOUNCE);
}
