//! Lesson 3, WebSocket: one connection that carries messages both ways.
//!
//! Run it with `just run 03-websocket`, then open the address it prints.

mod frames;

use std::time::Duration;

use actix_web::{
    App, HttpRequest, HttpServer, Responder,
    middleware::from_fn,
    rt,
    web::{self, Bytes, Data, Payload},
};
use actix_ws::{AggregatedMessage as Incoming, CloseCode, Message, ProtocolError};
use askama::Template;
use shared::{Counter, MAX_BYTES, Visit};

/// How often the client is pinged; one silent for two of these is gone.
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

/// `GET /ws`: the newest snapshot at once, then one text frame after each change; and
/// commands the other way.
async fn updates(
    request: HttpRequest,
    payload: Payload,
    counter: Data<Counter>,
) -> actix_web::Result<impl Responder> {
    let payload = frames::limit(&request, payload);
    let (response, mut session, inbox) = actix_ws::handle(&request, payload)?;
    let mut inbox = inbox.aggregate_continuations().max_continuation_size(MAX_BYTES);
    let mut updates = counter.subscribe();
    let mut heartbeat = frames::heartbeat(HEARTBEAT);
    let mut alive = true;
    rt::spawn(async move {
        loop {
            let frame = tokio::select! {
                update = updates.next() => match update {
                    Some(update) => Message::Text(update.text.clone()),
                    None => Message::Close(Some(CloseCode::Away.into())),
                },
                frame = inbox.recv() => {
                    alive = true;
                    let Some(frame) = frame else { break };
                    let Some(answer) = command(frame, &counter).await else { continue };
                    answer
                }
                _ = heartbeat.tick() => {
                    if !alive { break }
                    alive = false;
                    Message::Ping(Bytes::new())
                }
            };
            if !frames::send(&mut session, frame).await {
                break;
            }
        }
    });
    Ok(response)
}

/// Applies the command in a frame from the client; returns the frame to answer with, if any.
async fn command(
    frame: Result<Incoming, ProtocolError>,
    counter: &Counter,
) -> Option<Message> {
    let close = |code: CloseCode| Some(Message::Close(Some(code.into())));
    match frame {
        Ok(Incoming::Text(text)) => match counter.apply_text(&text).await {
            Ok(_snapshot) => None,
            Err(refusal) => Some(Message::Text(refusal.to_string().into())),
        },
        Ok(Incoming::Ping(bytes)) => Some(Message::Pong(bytes)),
        // A page sees no pings and no pongs. A snapshot shows it that the server lives.
        Ok(Incoming::Pong(_)) => Some(Message::Text(counter.latest().text.clone())),
        Ok(Incoming::Binary(_)) => close(CloseCode::Unsupported),
        Ok(Incoming::Close(None)) => close(CloseCode::Normal),
        Ok(Incoming::Close(Some(why))) => close(why.code),
        Err(error) => close(frames::close_code(&error)),
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let counter = Data::new(Counter::default());
    let data = counter.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(shared::guard))
            .wrap(from_fn(shared::http_rules))
            .app_data(data.clone())
            .configure(shared::files(include_str!("../client.js")))
            .service(web::resource("/").get(page))
            .service(web::resource("/ws").get(updates))
    });
    // After its close frame a connection ends at once: no body is left to read.
    let server = server.client_disconnect_timeout(Duration::ZERO);
    shared::run(server, env!("CARGO_BIN_NAME"), 8083, counter).await
}
