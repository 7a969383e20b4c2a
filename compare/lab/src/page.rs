//! The page, its style sheet, and the codes by which phones reach the lessons.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use actix_web::{
    HttpResponse, Responder,
    error::{ErrorInternalServerError, ErrorNotFound},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web::{Data, Path},
};
use askama::Template;
use compare::{
    Lesson,
    drills::Drill,
    language::{Language, Text},
};
use qrcode::{QrCode, render::svg};
use shared::Visit;

use crate::{
    lab::Lab,
    tour::{STEPS, Step},
};

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    visit: Visit,
    lanes: Vec<Shown>,
    drills: Vec<Choice>,
    steps: &'static [Step],
    /// Whether this system has signals.
    signals: bool,
    /// Whether phones reach the lessons.
    open: bool,
}

/// A lane, as the page names it.
struct Shown {
    lesson: Lesson,
    number: usize,
    name: &'static str,
    url: String,
}

/// A drill to choose.
struct Choice {
    drill: &'static Drill,
    can: bool,
}

impl Page {
    fn text(&self, text: &Text) -> &'static str {
        text.of(if self.visit.lang == "fr" {
            Language::French
        } else {
            Language::English
        })
    }
}

/// `GET /`: the page, in French or English.
pub async fn page(visit: Visit, lab: Data<Lab>) -> impl Responder {
    let host = host(&visit, &lab);
    let lanes = lab.lanes.iter().enumerate().map(|(at, lane)| Shown {
        lesson: lane.lesson,
        number: at + 1,
        name: match lane.lesson {
            Lesson::Polling => "AJAX polling",
            Lesson::Sse => "Server-Sent Events",
            Lesson::WebSocket => "WebSocket",
            Lesson::SocketIo => "Socket.IO",
        },
        url: format!("http://{host}:{}/", lane.port),
    });
    let drills = Drill::ALL
        .iter()
        .map(|drill| Choice { drill, can: drill.place.lacks().is_none() });
    shared::html(&Page {
        lanes: lanes.collect(),
        drills: drills.collect(),
        steps: &STEPS,
        signals: cfg!(unix),
        open: lab.is_open(),
        visit,
    })
}

/// `GET /lab.css`.
pub async fn style() -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(include_str!("../assets/lab.css"))
}

/// `GET /qr/02-sse`: the address of the lesson's page, behind its relay, as a QR code.
pub async fn qr(
    name: Path<String>,
    visit: Visit,
    lab: Data<Lab>,
) -> actix_web::Result<impl Responder> {
    let lane = lab.lane(&name).ok_or_else(|| ErrorNotFound("no such lesson"))?;
    let url = format!("http://{}:{}/", host(&visit, &lab), lane.port);
    let code = QrCode::new(url).map_err(ErrorInternalServerError)?;
    let image = code.render::<svg::Color>().min_dimensions(160, 160).build();
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "image/svg+xml"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(image))
}

/// The host by which the visitor, or a phone beside them, reaches the lessons.
fn host(visit: &Visit, lab: &Lab) -> String {
    let name = visit.host.rsplit_once(':').map_or(&*visit.host, |(name, _)| name);
    let loopback =
        name.parse().map_or(name == "localhost", |ip: IpAddr| ip.is_loopback());
    match own_address() {
        Some(own) if loopback && lab.is_open() => own.to_string(),
        _ => name.to_owned(),
    }
}

/// This machine's address in its network, if it has one. Nothing is sent: to choose a
/// destination (RFC 5737) is enough to be told from which address it would go.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
