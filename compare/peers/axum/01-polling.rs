//! Lesson 1, polling, on axum. It follows axum's documentation: `response`, `routing`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use counter::Counter;

/// `GET /counter`: the newest snapshot, or 304 when the client has it already.
async fn updates(State(counter): State<Arc<Counter>>, asked: HeaderMap) -> Response {
    let update = counter.latest();
    let etag = format!("\"{}\"", update.id);
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == etag);
    let headers =
        [(header::ETAG, etag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (headers, json, update.text.to_string()).into_response()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/counter", get(updates).post(counter::post));
    counter::serve(app.with_state(Arc::new(Counter::default()))).await
}
