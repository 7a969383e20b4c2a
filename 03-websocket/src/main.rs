//! Lesson 3, WebSocket: one connection that carries messages both ways.
//!
//! Run it with `just run 03-websocket`, then open the address it prints.

use std::{mem::take, time::Duration};

use actix_web::{
    App, HttpRequest, HttpServer, Responder,
    middleware::from_fn,
    rt,
    web::{self, Bytes, Data, Payload},
};
use actix_ws::{AggregatedMessage as Incoming, CloseCode, Message, ProtocolError};
use askama::Template;
use shared::{Counter, MAX_BYTES, Visit, close_code, files, guard, limit_frames, send};
use tokio::time::{Instant, interval_at};

/// How often the client is pinged; a client silent for two of these is gone.
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
    let payload = limit_frames(&request, payload);
    let (response, mut session, frames) = actix_ws::handle(&request, payload)?;
    let mut frames = frames.aggregate_continuations().max_continuation_size(MAX_BYTES);
    let mut updates = counter.subscribe();
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let mut alive = true;
    rt::spawn(async move {
        loop {
            let frame = tokio::select! {
                update = updates.next() => match update {
                    Some(update) => Message::Text(update.text.clone()),
                    None => Message::Close(Some(CloseCode::Away.into())),
                },
                frame = frames.recv() => {
                    alive = true;
                    let Some(answer) = command(frame?, &counter).await else { continue };
                    answer
                }
                _ = heartbeat.tick() => take(&mut alive).then(|| Message::Ping(Bytes::new()))?,
            };
            if !send(&mut session, frame).await {
                return None::<()>;
            }
        }
    });
    Ok(response)
}

/// A frame from the client: applies the command in it. Returns the frame to answer with, if
/// any; the change itself is the answer to a command.
async fn command(
    frame: Result<Incoming, ProtocolError>,
    counter: &Counter,
) -> Option<Message> {
    let code = match frame {
        Ok(Incoming::Text(text)) => {
            let applied = async { counter.apply(text.parse()?).await };
            return Some(Message::Text(applied.await.err()?.to_string().into()));
        }
        Ok(Incoming::Ping(bytes)) => return Some(Message::Pong(bytes)),
        // A page sees no pings and no pongs. A snapshot shows it that the server lives.
        Ok(Incoming::Pong(_)) => {
            return Some(Message::Text(counter.latest().text.clone()));
        }
        Ok(Incoming::Binary(_)) => CloseCode::Unsupported,
        Ok(Incoming::Close(why)) => why.map_or(CloseCode::Normal, |why| why.code),
        Err(error) => close_code(&error),
    };
    Some(Message::Close(Some(code.into())))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let counter = Data::new(Counter::default());
    let data = counter.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(guard))
            .app_data(data.clone())
            .configure(files(include_str!("../client.js")))
            .route("/", web::get().to(page))
            .service(web::resource("/ws").get(updates))
    });
    shared::run(server, env!("CARGO_BIN_NAME"), 8083, counter).await
}
