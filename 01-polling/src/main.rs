//! Lesson 1, AJAX polling: the browser asks again and again, the server only answers.
//!
//! Run it with `just run 01-polling`, then open the address it prints.

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Responder,
    http::header::{CACHE_CONTROL, ETag, EntityTag, Header, IfNoneMatch},
    middleware::from_fn,
    web::{self, Data, Json},
};
use askama::Template;
use shared::{Command, Counter, MAX_BYTES, Refusal, Visit};

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    visit: Visit,
}

/// `GET /`: the page, in French or English.
async fn page(visit: Visit) -> impl Responder {
    shared::html(&Page { visit })
}

/// `GET /counter`: the newest snapshot, or 304 when the client has it already
/// (RFC 9110, section 13.1.2).
async fn updates(request: HttpRequest, counter: Data<Counter>) -> impl Responder {
    let update = counter.latest();
    let etag = EntityTag::new_strong(update.id.clone());
    let unchanged = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|tag| tag.weak_eq(&etag)),
        Err(_) => false,
    };
    let mut response =
        if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(ETag(etag)).insert_header((CACHE_CONTROL, "no-cache"));
    if unchanged {
        response.finish()
    } else {
        response.content_type("application/json").body(update.text.clone())
    }
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
    let counter = Data::new(Counter::default());
    let data = counter.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(shared::guard))
            .wrap(from_fn(shared::http_rules))
            .app_data(data.clone())
            .app_data(shared::json_body(MAX_BYTES))
            .configure(shared::files(include_str!("../client.js")))
            .service(web::resource("/").get(page))
            .service(web::resource("/counter").get(updates).post(command))
    });
    shared::run(server, env!("CARGO_BIN_NAME"), 8081, counter).await
}
