//! Who may talk to a lesson, and what a browser may do with its answers.

use std::net::IpAddr;

use actix_web::{
    Error, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::JsonPayloadError,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
        uri::Authority,
    },
    middleware::Next,
    web,
};

use crate::{MAX_BYTES, Refusal};

/// The security headers of every answer that a lesson makes; actix-web itself answers a
/// request that it cannot read, without them.
///
/// The policy allows what the page is made of and nothing else: no inline script, no other
/// host, no frame. `'self'` in `connect-src` covers WebSocket to the same host and port
/// (CSP Level 3, section 6.7.2.8).
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Middleware: refuses requests that another site's page makes, sets the security headers,
/// and answers HEAD wherever GET is answered.
///
/// A browser lets any page open a WebSocket to any server, or send it a simple POST; it
/// only says where the page came from, in `Origin` (RFC 6454, section 7; RFC 6455, section
/// 10.2). A lesson serves its own page alone, so any other origin gets 403. A request
/// without `Origin` does not come from another site's script: curl and native clients send
/// none.
///
/// # Errors
/// Those of the handler, unchanged.
pub async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // Whoever answers GET must answer HEAD (RFC 9110, section 9.1). actix-web leaves the
    // body out by itself, but routes would have to name the method.
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let refused = misdirected(&request).or_else(|| foreign_origin(request.headers()));
    let mut response = if let Some((status, reason)) = refused {
        let answer = HttpResponse::build(status).json(Refusal::new(reason));
        request.into_response(answer).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    tracing::debug!(
        method = %response.request().method(),
        path = response.request().path(),
        status = response.status().as_u16(),
    );
    Ok(response)
}

/// Refuses DNS rebinding: a page of evil.example whose name was made to point to 127.0.0.1
/// has the right `Origin` for its `Host`, but it is not the `Host` of a loopback server.
/// 421 is for requests that reached the wrong server (RFC 9110, section 15.5.20).
fn misdirected(request: &ServiceRequest) -> Option<(StatusCode, String)> {
    if !request.app_config().local_addr().ip().is_loopback() {
        return None;
    }
    let host = request.headers().get(header::HOST)?.to_str().unwrap_or_default();
    let name = host.parse().map(|host: Authority| host.host().to_ascii_lowercase());
    let own = name.is_ok_and(|name| {
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse();
        name == "localhost" || ip.is_ok_and(|ip: IpAddr| ip.is_loopback())
    });
    let reason =
        || format!("this server is not {host:?}; it serves this machine alone");
    (!own).then(|| (StatusCode::MISDIRECTED_REQUEST, reason()))
}

fn foreign_origin(headers: &HeaderMap) -> Option<(StatusCode, String)> {
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or_default();
    let host = headers.get(header::HOST)?.to_str().unwrap_or_default();
    // The scheme is left out: behind a proxy that ends TLS the browser says https, and
    // this server cannot know.
    let own = origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    let reason = || format!("pages from the origin {origin:?} may not use this server");
    (!own).then(|| (StatusCode::FORBIDDEN, reason()))
}

/// How a lesson reads a JSON body: at most [`MAX_BYTES`], only as `application/json`, and
/// with a [`Refusal`] for whatever is wrong.
///
/// The media type is a guard too: an HTML form of another site cannot send it.
#[must_use]
pub fn json_body() -> web::JsonConfig {
    web::JsonConfig::default().limit(MAX_BYTES).error_handler(refuse)
}

fn refuse(error: JsonPayloadError, _request: &HttpRequest) -> Error {
    let status = error.status_code();
    let refusal = match error {
        JsonPayloadError::Deserialize(error) => error.into(),
        JsonPayloadError::ContentType => {
            let reason = "a command must be sent with Content-Type: application/json";
            return refusal_error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                &Refusal::new(reason),
            );
        }
        JsonPayloadError::OverflowKnownLength { .. }
        | JsonPayloadError::Overflow { .. } => {
            Refusal::new(format!("the command is longer than {MAX_BYTES} bytes"))
        }
        error => Refusal::new(error.to_string()),
    };
    refusal_error(status, &refusal)
}

fn refusal_error(status: StatusCode, refusal: &Refusal) -> Error {
    let response = HttpResponse::build(status).json(refusal);
    actix_web::error::InternalError::from_response(refusal.error.clone(), response)
        .into()
}
