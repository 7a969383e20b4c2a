//! Lesson 2, Server-Sent Events: one HTTP answer that never ends, from server to browser.
//!
//! Run it with `just run 02-sse`, then open the address it prints.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer, Responder,
    http::header::CACHE_CONTROL,
    middleware::from_fn,
    web::{self, Bytes, Data, Json},
};
use askama::Template;
use futures_util::stream::{self, StreamExt};
use shared::{Command, Counter, MAX_BYTES, Refusal, Visit};
use tokio::time::timeout;

/// How long a stream stays silent before a heartbeat shows that it still works.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    visit: Visit,
}

/// `GET /`: the page, in French or English.
async fn page(visit: Visit) -> impl Responder {
    shared::html(&Page { visit })
}

/// An update as an event (WHATWG HTML, section 9.2.5).
fn event(id: &str, json: &str) -> String {
    format!("id: {id}\ndata: {json}\n\n")
}

/// `GET /events`: the newest snapshot at once, then one event after each change.
async fn updates(counter: Data<Counter>) -> impl Responder {
    // How many ms a browser waits before it comes back: drawn for each, so that a whole
    // class that lost its streams together does not come back in the same instant.
    let retry = Bytes::from(format!("retry: {}\n\n", fastrand::u32(1000..2000)));
    let events = stream::unfold(counter.subscribe(), async |mut updates| {
        let block = match timeout(HEARTBEAT, updates.next()).await {
            Ok(Some(update)) => update.text.clone().into_bytes(),
            Ok(None) => return None,
            Err(_silence) => Bytes::from_static(b"event: heartbeat\ndata:\n\n"),
        };
        Some((block, updates))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        // A proxy such as nginx may hold an answer back to fill a buffer; not this one.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::iter([retry]).chain(events).map(Ok::<_, Infallible>))
}

/// `POST /counter`: applies a command and answers with the snapshot it made.
async fn command(
    Json(command): Json<Command>,
    counter: Data<Counter>,
) -> Result<impl Responder, Refusal> {
    Ok(Json(counter.apply(command).await?))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let counter = Data::new(Counter::encoded_by(event));
    let data = counter.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(shared::guard))
            .wrap(from_fn(shared::http_rules))
            .app_data(data.clone())
            .app_data(shared::json_body(MAX_BYTES))
            .configure(shared::files(include_str!("../client.js")))
            .service(web::resource("/").get(page))
            .service(web::resource("/events").get(updates))
            .service(web::resource("/counter").post(command))
    });
    shared::run(server, env!("CARGO_BIN_NAME"), 8082, counter).await
}
