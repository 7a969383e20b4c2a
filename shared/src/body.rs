//! How a lesson reads a JSON body over HTTP, and how a [`Refusal`] answers it.

use actix_web::{
    Error, HttpResponse, ResponseError,
    error::{InternalError, JsonPayloadError},
    http::StatusCode,
    web,
};

use crate::Refusal;

/// Reads JSON bodies of up to `limit` bytes, and answers with a [`Refusal`] whatever is
/// wrong with one.
///
/// The media type is a guard too: an HTML form of another site can send no type of JSON.
#[must_use]
pub fn json_body(limit: usize) -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(limit)
        .error_handler(move |error, _request| refuse(error, limit))
}

fn refuse(error: JsonPayloadError, limit: usize) -> Error {
    let status = error.status_code();
    match error {
        JsonPayloadError::Deserialize(error) => refusal(status, error.into()),
        JsonPayloadError::ContentType => refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::new("a command must be sent with Content-Type: application/json"),
        ),
        JsonPayloadError::OverflowKnownLength { .. }
        | JsonPayloadError::Overflow { .. } => {
            let reason = format!("the command is longer than {limit} bytes");
            refusal(status, Refusal::new(reason))
        }
        error => refusal(status, Refusal::new(error.to_string())),
    }
}

/// The refusal as an answer with this status.
fn refusal(status: StatusCode, refusal: Refusal) -> Error {
    let response = HttpResponse::build(status).json(&refusal);
    InternalError::from_response(refusal.error, response).into()
}

/// As a handler's answer: 503 (RFC 9110, section 15.6.4), for the command was good and the
/// counter could not take it. Bad commands are refused before, by [`json_body`].
impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(self)
    }
}
