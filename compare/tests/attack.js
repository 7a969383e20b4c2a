// What a page of another site can try against a lesson at SERVER. The value is a report of
// what it got: "blocked" wherever the browser or the server said no.
(async () => {
  const blocked = () => "blocked";
  const increment = '{"type":"increment"}';
  const read = (path) => fetch(`http://SERVER${path}`).then(() => "read", blocked);
  const post = (type, mode) =>
    fetch("http://SERVER/counter", {
      method: "POST",
      mode,
      headers: { "Content-Type": type },
      body: increment,
    }).then(({ type }) => type, blocked);
  const socket = (path, greeting) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://SERVER${path}`);
      socket.onopen = () => {
        for (const text of greeting) socket.send(text);
        resolve("open");
      };
      socket.onerror = () => resolve("blocked");
    });
  const events = () =>
    new Promise((resolve) => {
      const events = new EventSource("http://SERVER/events");
      events.onopen = () => resolve("open");
      events.onerror = () => resolve("blocked");
    });
  // A form can send this as text/plain, with one "=" where a string lets it pass.
  const form = () =>
    new Promise((resolve) => {
      document.body.innerHTML = `
        <iframe name="hole"></iframe>
        <form action="http://SERVER/counter" method="post" enctype="text/plain" target="hole">
          <input name='{"type":"increment","id":"' value='"}'>
        </form>`;
      const [frame, form] = document.body.children;
      frame.onload = () => resolve("blocked");
      form.submit();
    });
  return {
    page: await read("/"),
    counter: await read("/counter"),
    polling: await read("/socket.io/?EIO=4&transport=polling"),
    events: await events(),
    blind: await post("text/plain", "no-cors"),
    json: await post("application/json", "cors"),
    form: await form(),
    socket: await socket("/ws", [increment]),
    engine: await socket("/socket.io/?EIO=4&transport=websocket", [
      "40",
      `42["command",${increment}]`,
    ]),
  };
})()
