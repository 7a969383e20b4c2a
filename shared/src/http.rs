//! What HTTP asks of every server and actix-web leaves to the application.

use std::time::Duration;

use actix_web::{
    Error, HttpResponse,
    body::{self, BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
};
use tokio::time::timeout;

use crate::Refusal;

/// How long a request may take from its head to the head of its answer: a body that never
/// comes takes for ever. More than the 15 s for which lesson 4's long polling may wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// Middleware: answers `HEAD` wherever `GET` is answered, refuses what could not be
/// answered, marks every answer `nosniff`, and logs it.
///
/// # Errors
/// Those of the handler, unchanged; 400 for an `Upgrade` on another method than `GET`; 408
/// when there is no answer within 20 seconds.
pub async fn http_rules(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (method, path) = (request.method().clone(), request.path().to_owned());
    // What follows an `Upgrade` has no end for actix-web, whatever `Content-Length` says.
    if method != Method::GET && request.headers().contains_key(header::UPGRADE) {
        let reason = "a request that asks for an Upgrade must be a GET";
        return Err(refusal(StatusCode::BAD_REQUEST, reason));
    }
    // Whoever answers GET must answer HEAD (RFC 9110, section 9.1). actix-web leaves the
    // body out by itself, but routes would have to name the method.
    if method == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let Ok(answer) = timeout(PATIENCE, next.call(request)).await else {
        let reason = format!("the request was not complete within {PATIENCE:?}");
        return Err(refusal(StatusCode::REQUEST_TIMEOUT, reason));
    };
    let mut answer = answer?;
    mark(answer.headers_mut());
    tracing::debug!(%method, path, status = answer.status().as_u16());
    // An answer to HEAD ends with its head (RFC 9112, section 6.3); actix-web would go
    // through a stream to its end.
    let endless =
        method == Method::HEAD && answer.response().body().size() == BodySize::Stream;
    Ok(answer.map_body(|_head, answer| {
        if endless { body::None::new().boxed() } else { answer.boxed() }
    }))
}

fn refusal(status: StatusCode, reason: impl Into<String>) -> Error {
    let refusal = Refusal::new(reason);
    let mut response = HttpResponse::build(status).json(&refusal);
    mark(response.headers_mut());
    tracing::debug!(status = status.as_u16(), refusal.error);
    InternalError::from_response(refusal.error, response).into()
}

/// An answer is what its `Content-Type` says, and no browser guesses otherwise (WHATWG
/// Fetch, section 3.6).
fn mark(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
