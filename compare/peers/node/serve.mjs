// How the four servers start and stop, as the protocol has it in "Start and stop": what
// server.rs in shared/src is for the lessons.

// Listens, and prints where. At SIGINT or SIGTERM it lets nobody in, `farewell` tells the
// clients, and the process ends once they have gone.
export function serve(server, farewell = () => {}) {
  const refuse = ({ message }) => {
    console.error(message);
    process.exit(1);
  };
  server.on("error", refuse);
  try {
    const { HOST, PORT } = process.env;
    server.listen({ host: HOST || "127.0.0.1", port: PORT || 0 });
  } catch (error) {
    refuse(error);
  }
  server.on("listening", () => {
    const { address, family, port } = server.address();
    const host = family === "IPv6" ? `[${address}]` : address;
    console.log(`listening on http://${host}:${port}`);
  });
  const stop = () => {
    server.close();
    farewell();
    // Not all take the farewell: some no longer read, some never asked for anything.
    setTimeout(process.exit, 1000).unref();
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
}
