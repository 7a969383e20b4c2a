//! Who may talk to a lesson.

use std::net::IpAddr;

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap},
        uri::Authority,
    },
    middleware::Next,
};

use crate::Refusal;

/// Middleware: refuses requests that another site's page makes.
///
/// The same-origin policy lets any page open a WebSocket to any server, or send it a simple
/// POST; the browser only says where the page came from, in `Origin` (RFC 6454, section 7;
/// RFC 6455, section 10.2). A lesson serves its own page alone, so any other origin gets
/// 403. A request without `Origin` does not come from another site's script: curl and native
/// clients send none.
///
/// # Errors
/// Those of the handler, unchanged.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let refused = misdirected(&request).or_else(|| foreign_origin(request.headers()));
    match refused {
        Some((status, reason)) => {
            let answer = HttpResponse::build(status).json(Refusal::new(reason));
            Ok(request.into_response(answer).map_into_right_body())
        }
        None => Ok(next.call(request).await?.map_into_left_body()),
    }
}

/// Refuses DNS rebinding: a page of evil.example whose name was made to point to 127.0.0.1
/// has the right `Origin` for its `Host`, but it is not the `Host` of a loopback server.
/// 421 is for requests that reached the wrong server (RFC 9110, section 15.5.20).
fn misdirected(request: &ServiceRequest) -> Option<(StatusCode, String)> {
    // `::ffff:127.0.0.1` is loopback too, and says so only as the IPv4 address that it is.
    if !request.app_config().local_addr().ip().to_canonical().is_loopback() {
        return None;
    }
    let host = request.headers().get(header::HOST)?.to_str().unwrap_or_default();
    let name = host.parse().map(|host: Authority| host.host().to_ascii_lowercase());
    let own = name.is_ok_and(|name| {
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse();
        name == "localhost"
            || ip.is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    });
    let reason =
        || format!("this server is not {host:?}; it serves this machine alone");
    (!own).then(|| (StatusCode::MISDIRECTED_REQUEST, reason()))
}

fn foreign_origin(headers: &HeaderMap) -> Option<(StatusCode, String)> {
    // HTTP/1.0 knows no `Host`; then no origin is the server's own.
    let host =
        headers.get(header::HOST).map_or("", |it| it.to_str().unwrap_or_default());
    let mut origins = headers.get_all(header::ORIGIN);
    let foreign = origins.find(|origin| {
        // The scheme is left out: behind a proxy that ends TLS the browser says https, and
        // this server cannot know.
        let authority = origin.to_str().ok().and_then(|it| it.split_once("://"));
        authority.is_none_or(|(_, authority)| authority.is_empty() || authority != host)
    })?;
    let reason = format!("pages from the origin {foreign:?} may not use this server");
    Some((StatusCode::FORBIDDEN, reason))
}
