//! The page: its language, and the files that every lesson serves beside its own script.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    error::ErrorInternalServerError,
    http::header::{self, AcceptLanguage, ContentType, Header, Preference},
    web::{self, ServiceConfig},
};
use askama::Template;

use crate::guard::json_body;

/// The language of a page: `?lang=fr` or `?lang=en`, else the browser's first choice of the
/// two (`Accept-Language`, RFC 9110, section 12.5.4), else English.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lang {
    /// French.
    Fr,
    /// English.
    En,
}

impl Lang {
    /// Whichever of the two texts is in this language.
    #[must_use]
    pub fn say<'a>(&self, fr: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Fr => fr,
            Self::En => en,
        }
    }

    fn from_tag(tag: &str) -> Option<Self> {
        match tag.split('-').next()?.to_ascii_lowercase().as_str() {
            "fr" => Some(Self::Fr),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    fn of(request: &HttpRequest) -> Option<Self> {
        let query = request.query_string().split('&');
        let asked = query.filter_map(|pair| pair.strip_prefix("lang="));
        let accepted = AcceptLanguage::parse(request).ok()?.ranked();
        let accepted = accepted.iter().filter_map(|preference| match preference {
            Preference::Specific(tag) => Self::from_tag(tag.as_str()),
            Preference::Any => None,
        });
        asked.filter_map(Self::from_tag).chain(accepted).next()
    }
}

impl FromRequest for Lang {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request).unwrap_or(Self::En)))
    }
}

/// Answers with the page.
///
/// # Errors
/// 500 when the template cannot be rendered.
pub fn html(page: &impl Template) -> actix_web::Result<HttpResponse> {
    let html = page.render().map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Language"))
        .body(html))
}

/// Serves the page's files: the lesson's own script as `/client.js`, the shared ones as
/// `/page.js`, `/style.css` and `/icon.svg`.
///
/// They are compiled in, so a lesson runs from any folder. JSON bodies are read under
/// [`json_body`]'s limits.
pub fn files(client: &'static str) -> impl FnOnce(&mut ServiceConfig) {
    let files = [
        ("/client.js", "text/javascript; charset=utf-8", client),
        (
            "/page.js",
            "text/javascript; charset=utf-8",
            include_str!("../assets/page.js"),
        ),
        ("/style.css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
        ("/icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ];
    move |config| {
        config.app_data(json_body());
        for (path, kind, text) in files {
            config.route(path, web::get().to(move || file(kind, text)));
        }
    }
}

async fn file(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
