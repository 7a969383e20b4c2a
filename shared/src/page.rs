//! The page: its language, and the files that every lesson serves beside its own script.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    process,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::Payload,
    error::ErrorInternalServerError,
    http::header::{self, AcceptLanguage, ContentType, Header},
    web::{self, ServiceConfig},
};
use askama::Template;

/// What the page may do in a browser: what it is made of and nothing else, so no inline
/// script, no other host, no frame. `'self'` in `connect-src` covers WebSocket to the same
/// host and port (CSP Level 3, section 6.7.2.8).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Who asks for a page, and how they reached it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// `fr` or `en`: what `?lang=` asks for, else the browser's first choice of the two
    /// (`Accept-Language`, RFC 9110, section 12.5.4), else `en`.
    pub lang: &'static str,
    /// Host and port as the browser has them in `Host`, for commands to copy.
    pub host: String,
}

impl Visit {
    /// Whichever of the two texts is in the visitor's language.
    #[must_use]
    pub fn say<'a>(&self, fr: &'a str, en: &'a str) -> &'a str {
        if self.lang == "fr" { fr } else { en }
    }
}

impl FromRequest for Visit {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let query = request.query_string().split('&');
        let asked =
            query.filter_map(|pair| pair.strip_prefix("lang=")).map(str::to_owned);
        let accepted = AcceptLanguage::parse(request).into_iter();
        let accepted = accepted.flat_map(|accepted| accepted.ranked());
        let mut tags = asked.chain(accepted.map(|preference| preference.to_string()));
        let lang = tags.find_map(|tag| match tag.split('-').next() {
            Some("fr") => Some("fr"),
            Some("en") => Some("en"),
            _ => None,
        });
        // Not from `X-Forwarded-Host`, which anybody can send.
        let host = request.headers().get(header::HOST).and_then(|it| it.to_str().ok());
        let own = || request.app_config().local_addr().to_string();
        let host = host.map_or_else(own, str::to_owned);
        ready(Ok(Self { lang: lang.unwrap_or("en"), host }))
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
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(html))
}

/// Serves the page's files: the lesson's own script as `/client.js`, the shared ones as
/// `/page.js`, `/style.css` and `/icon.svg`.
///
/// They are compiled in, so a lesson runs from any folder.
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
        for (path, kind, text) in files {
            config.route(path, web::get().to(move || file(kind, text)));
        }
    }
}

/// Reads a script that npm installed, to be served as `path`.
///
/// When it is missing it prints one line that says what to do, and ends the process with
/// exit code 1.
pub fn npm_script(
    path: &'static str,
    file: &'static str,
) -> impl FnOnce(&mut ServiceConfig) + Clone {
    let script = fs::read_to_string(file).unwrap_or_else(|error| {
        eprintln!(
            "cannot read {file} ({error}): run `npm ci` once in the lesson's folder, with \
             npm installed and a network"
        );
        process::exit(1);
    });
    move |config| {
        let answer =
            move || self::file("text/javascript; charset=utf-8", script.clone());
        config.route(path, web::get().to(answer));
    }
}

async fn file(kind: &'static str, text: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
