//! Lesson 2, Server-Sent Events, on axum. It follows axum's documentation: `response::sse`.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use counter::Counter;
use futures_util::stream::{self, StreamExt};

/// `GET /events`: the newest snapshot at once, then one event after each change.
async fn updates(State(counter): State<Arc<Counter>>) -> impl IntoResponse {
    // How long a client waits before it comes back: drawn for each.
    let pause = Duration::from_millis(fastrand::u64(1000..2000));
    let retry = stream::once(ready(Event::default().retry(pause)));
    let events = stream::unfold(counter.subscribe(), async |mut updates| {
        updates.changed().await.ok()?;
        let update = updates.borrow_and_update().clone();
        Some((Event::default().id(&update.id).data(update.text.as_str()), updates))
    });
    // A browser ignores an event without data, and axum writes no empty data.
    let heartbeat = Event::default().event("heartbeat").data(" ");
    let sse = Sse::new(retry.chain(events).map(Ok::<_, Infallible>))
        .keep_alive(KeepAlive::new().event(heartbeat));
    ([("X-Accel-Buffering", "no")], sse)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/events", get(updates))
        .route("/counter", post(counter::post));
    counter::serve(app.with_state(Arc::new(Counter::default()))).await
}
