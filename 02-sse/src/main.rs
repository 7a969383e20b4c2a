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
use futures_util::stream;
use shared::{Command, Counter, Refusal, Visit, files, guard};
use tokio::time::timeout;

/// How long a stream stays silent before a comment shows that it still works.
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

/// An update as an event (WHATWG HTML, section 9.2.5); the browser comes back after
/// `retry` milliseconds when it loses the stream.
fn event(id: &str, json: &str) -> String {
    format!("retry: 1000\nid: {id}\ndata: {json}\n\n")
}

/// `GET /events`: the newest snapshot at once, then one event after each change.
async fn updates(counter: Data<Counter>) -> impl Responder {
    let events = stream::unfold(counter.subscribe(), async |mut updates| {
        let block = match timeout(HEARTBEAT, updates.next()).await {
            Ok(update) => update?.text.clone().into_bytes(),
            Err(_silence) => Bytes::from_static(b": heartbeat\n\n"),
        };
        Some((Ok::<_, Infallible>(block), updates))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        // A proxy such as nginx may hold an answer back to fill a buffer; not this one.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events)
}

/// `POST /counter`: applies a command and answers with the snapshot it made.
async fn command(
    command: Json<Command>,
    counter: Data<Counter>,
) -> Result<impl Responder, Refusal> {
    Ok(Json(counter.apply(command.into_inner()).await?))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let counter = Data::new(Counter::encoded_by(event));
    let data = counter.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(guard))
            .app_data(data.clone())
            .configure(files(include_str!("../client.js")))
            .route("/", web::get().to(page))
            .service(web::resource("/events").get(updates))
            .service(web::resource("/counter").post(command))
    });
    shared::run(server, env!("CARGO_BIN_NAME"), 8082, counter).await
}
