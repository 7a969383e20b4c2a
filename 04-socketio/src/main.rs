//! Lesson 4, Socket.IO: events both ways, over WebSocket or HTTP long-polling.
//!
//! Run it with `just run 04-socketio`, then open the address it prints.

mod bridge;

use std::time::Duration;

use actix_web::{
    App, HttpServer, Responder,
    middleware::from_fn,
    rt,
    web::{self, Data},
};
use askama::Template;
use shared::{Command, Counter, MAX_BYTES, Refusal, Visit};
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef, State, TryData},
};
use tokio::sync::mpsc;

/// How often the client is pinged; one silent for two of these is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The official browser client, from npm.
const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/node_modules/socket.io-client/dist/socket.io.esm.min.js"
);

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    visit: Visit,
}

/// `GET /`: the page, in French or English.
async fn page(visit: Visit) -> impl Responder {
    shared::html(&Page { visit })
}

/// Event `counter`: the newest snapshot to each socket at once, then to all after each
/// change.
///
/// One task sends them all: two could overtake each other. *Volatile* means that an unsent
/// event gives way to a newer one, where the ordinary queue would fill up and lose the
/// newest.
async fn updates(
    counter: Data<Counter>,
    io: SocketIo,
    mut joined: mpsc::Receiver<SocketRef>,
) {
    let mut updates = counter.subscribe();
    loop {
        tokio::select! {
            Some(socket) = joined.recv() => {
                let newest = updates.latest().snapshot;
                socket.volatile().emit("counter", &newest).ok();
            }
            update = updates.next() => match update {
                Some(update) => {
                    io.volatile().emit("counter", &update.snapshot).await.ok();
                }
                None => return io.close().await,
            },
        }
    }
}

/// Event `command`: applies it and acknowledges with the snapshot it made, or a refusal.
///
/// Not `async`: each handler's future runs as a task of its own, and tasks overtake each
/// other. What is done before the future is done in the order of the events.
fn command(
    TryData(argument): TryData<(Command,)>,
    State(counter): State<Data<Counter>>,
    ack: AckSender,
) -> impl Future<Output = ()> {
    let applied = argument.map(|(command,)| counter.apply(command));
    async move {
        let answer = match applied {
            Ok(applied) => applied.await,
            Err(error) => Err(Refusal::new(format!(
                "these arguments are not one command: {error}"
            ))),
        };
        match answer {
            Ok(snapshot) => ack.send(&snapshot).ok(),
            Err(refusal) => ack.send(&refusal).ok(),
        };
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let counter = Data::new(Counter::default());
    let (service, io) = SocketIo::builder()
        .with_state(counter.clone())
        .connect_timeout(HEARTBEAT)
        .ping_interval(HEARTBEAT)
        .ping_timeout(HEARTBEAT)
        // Packets that may wait for a long-polling client; beyond, they would be lost. One
        // request of 4 KiB can carry a hundred commands, and asks for as many answers.
        .max_buffer_size(1024)
        .max_payload(MAX_BYTES as u64)
        .ws_max_message_size(MAX_BYTES)
        .ws_max_frame_size(MAX_BYTES)
        .build_svc();
    let (join, joined) = mpsc::channel(1024);
    io.ns("/", async move |socket: SocketRef| {
        socket.on("command", command);
        join.send(socket).await.ok();
    });
    rt::spawn(updates(counter.clone(), io, joined));
    let client = shared::npm_script("/socket.io.js", CLIENT);
    let server = HttpServer::new(move || {
        let service = service.clone();
        App::new()
            .wrap(from_fn(shared::guard))
            .wrap(from_fn(shared::http_rules))
            .configure(shared::files(include_str!("../client.js")))
            .configure(client.clone())
            .service(web::resource("/").get(page))
            .service(web::resource("/socket.io/").to(move |request, payload| {
                bridge::serve(request, payload, service.clone(), MAX_BYTES)
            }))
    });
    shared::run(server, env!("CARGO_BIN_NAME"), 8084, counter).await
}
