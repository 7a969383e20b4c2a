//! Lesson 4, Socket.IO, with socketioxide on axum: no bridge. It follows socketioxide's
//! documentation, `layer` and `extract`; settings and handlers are lesson 4's.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use axum::Router;
use counter::{Command, Counter, MAX_BYTES, Refusal};
use socketioxide::{
    SocketIo,
    extract::{AckSender, SocketRef, State, TryData},
    handler::ConnectHandler,
};
use tokio::sync::mpsc;

const HEARTBEAT: Duration = Duration::from_secs(15);

/// Event `counter`: the newest snapshot to each socket at once, then to all after each
/// change.
async fn updates(
    counter: Arc<Counter>,
    io: SocketIo,
    mut joined: mpsc::Receiver<SocketRef>,
) {
    let mut updates = counter.subscribe();
    loop {
        tokio::select! {
            Some(socket) = joined.recv() => {
                socket.volatile().emit("counter", &updates.borrow().snapshot).ok();
            }
            Ok(()) = updates.changed() => {
                let snapshot = updates.borrow_and_update().snapshot;
                io.volatile().emit("counter", &snapshot).await.ok();
            }
        }
    }
}

/// Event `command`: applies it and acknowledges with the snapshot it made, or a refusal.
/// Not `async`: futures run as tasks, which overtake each other.
fn command(
    TryData(argument): TryData<(Command,)>,
    State(counter): State<Arc<Counter>>,
    ack: AckSender,
) -> impl Future<Output = ()> {
    match argument {
        Ok((command,)) => ack.send(&counter.apply(command).snapshot).ok(),
        Err(error) => ack.send(&Refusal::new(error)).ok(),
    };
    ready(())
}

/// A middleware, for it runs before the connection is confirmed: a client may send a command
/// as soon as it is, and one for which there is no handler yet would be lost.
async fn listen(socket: SocketRef) -> Result<(), Infallible> {
    socket.on("command", command);
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let counter = Arc::new(Counter::default());
    let (layer, io) = SocketIo::builder()
        .with_state(counter.clone())
        .connect_timeout(HEARTBEAT)
        .ping_interval(HEARTBEAT)
        .ping_timeout(HEARTBEAT)
        .max_buffer_size(1024)
        .max_payload(MAX_BYTES as u64)
        .ws_max_message_size(MAX_BYTES)
        .ws_max_frame_size(MAX_BYTES)
        .build_layer();
    let (join, joined) = mpsc::channel(1024);
    let greet = async move |socket: SocketRef| {
        join.send(socket).await.ok();
    };
    io.ns("/", greet.with(listen));
    tokio::spawn(updates(counter, io, joined));
    counter::serve(Router::new().layer(layer)).await
}
