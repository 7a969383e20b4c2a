//! What the peers on axum do over HTTP. It follows axum's documentation: `extract`
//! (Handling extractor rejections), `middleware::from_fn`, `serve::ListenerExt`.

use std::{env, io, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use tokio::net::TcpListener;

use crate::{Command, Counter, MAX_BYTES, Refusal, Snapshot};

/// `POST /counter`: applies a command and answers with the snapshot it made.
///
/// # Errors
/// 413 for a body that is too long, and 400 for any other that is no command.
pub async fn post(
    State(counter): State<Arc<Counter>>,
    command: Result<Json<Command>, JsonRejection>,
) -> Result<Json<Snapshot>, (StatusCode, Json<Refusal>)> {
    match command {
        Ok(Json(command)) => Ok(Json(counter.apply(command).snapshot)),
        Err(rejection) => {
            let status = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            Err((status, Json(Refusal::new(rejection.body_text()))))
        }
    }
}

/// Serves `app` on the port that `PORT` names, by default a free one, and prints where.
///
/// # Errors
/// When it cannot listen there.
pub async fn serve(app: Router) -> io::Result<()> {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let app = app.layer(DefaultBodyLimit::max(MAX_BYTES)).layer(from_fn(guard));
    axum::serve(listener, app).await
}

/// Refuses what another site's page sends.
async fn guard(request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// A native client sends no `Origin`.
fn is_foreign(headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    let own = [b"://", header(header::HOST).unwrap_or_default()].concat();
    header(header::ORIGIN).is_some_and(|origin| !origin.ends_with(&own))
}
