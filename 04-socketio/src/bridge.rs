//! Serves socketioxide from actix-web.
//!
//! socketioxide is a hyper service, and actix-web is not built on hyper: the two speak
//! different versions of the crate `http`, and an actix handler cannot give its socket
//! away. So this module stands between them:
//!
//! - an HTTP long-polling request is translated, answered by the service, and translated
//!   back;
//! - for a WebSocket, actix-web answers the handshake; from then on the request's payload
//!   and the response's body *are* the connection. The service gets one end of an in-memory
//!   pipe, and the bytes are carried between its other end and those two.
//!
//! It knows nothing of the lesson: it can be copied into any actix-web application.

use std::convert::Infallible;

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodyStream, MessageBody},
    error::{ErrorBadRequest, ErrorInternalServerError, ErrorPayloadTooLarge},
    http::StatusCode,
    rt,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use socketioxide::service::SocketIoService;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};

/// How many bytes may wait in the pipe, each way, before its writer has to wait.
const PIPE: usize = 1024;

/// Answers one Socket.IO request, of either transport, for a route that takes every method.
///
/// # Errors
/// 400 when the request asks for a WebSocket and is not its handshake (RFC 6455, section
/// 4.2.1) or not one of Engine.IO version 4; 413 when its body is longer than
/// `max_payload` bytes.
pub async fn serve<S, B>(
    request: HttpRequest,
    payload: Payload,
    service: SocketIoService<S>,
    max_payload: usize,
) -> actix_web::Result<HttpResponse>
where
    S: Clone,
    SocketIoService<S>: Service<
            hyper::Request<Full<Bytes>>,
            Response = hyper::Response<B>,
            Error = Infallible,
        >,
    B: BodyExt<Data = Bytes, Error: std::error::Error + 'static>,
{
    if request.query_string().split('&').any(|pair| pair == "transport=websocket") {
        return websocket(&request, payload, &service);
    }
    let body = payload.to_bytes_limited(max_payload).await.map_err(|_| {
        ErrorPayloadTooLarge(format!("the body is longer than {max_payload} bytes"))
    })??;
    let asked = translate(&request)?.map(|()| Full::new(body));
    let (head, body) = match service.call(asked).await {
        Ok(answer) => answer.into_parts(),
        Err(impossible) => match impossible {},
    };
    let body = body.collect().await.map_err(ErrorInternalServerError)?.to_bytes();
    let status = StatusCode::from_u16(head.status.as_u16());
    let mut response = HttpResponse::build(status.map_err(ErrorInternalServerError)?);
    for (name, value) in &head.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    Ok(response.body(body))
}

fn websocket<S: Clone>(
    request: &HttpRequest,
    mut payload: Payload,
    service: &SocketIoService<S>,
) -> actix_web::Result<HttpResponse> {
    let mut response = actix_http::ws::handshake(request.head())?;
    let (near, far) = io::duplex(PIPE);
    service.call((far, translate(request)?)).into_inner().map_err(ErrorBadRequest)?;
    let (from_service, mut to_service) = io::split(near);
    rt::spawn(async move {
        while let Some(Ok(bytes)) = payload.next().await {
            if to_service.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // The service reads the end of the stream: the client has gone.
        to_service.shutdown().await
    });
    let body = stream::unfold(
        (from_service, BytesMut::new()),
        async |(mut from, mut bytes)| {
            // The same memory again, once what was read before has been sent.
            bytes.reserve(PIPE);
            let read = from.read_buf(&mut bytes).await;
            matches!(read, Ok(1..))
                .then(|| (Ok::<_, Infallible>(bytes.split().freeze()), (from, bytes)))
        },
    );
    Ok(response.message_body(BodyStream::new(Box::pin(body)).boxed())?.into())
}

/// The head of an actix-web request as one of hyper.
fn translate(request: &HttpRequest) -> actix_web::Result<hyper::Request<()>> {
    let mut translated = hyper::Request::builder()
        .method(request.method().as_str())
        .uri(request.uri().to_string());
    for (name, value) in request.headers() {
        translated = translated.header(name.as_str(), value.as_bytes());
    }
    translated.body(()).map_err(ErrorBadRequest)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn translation_loses_nothing(
            method in "GET|POST|PUT|OPTIONS|[A-Z]{1,9}",
            path in "/[a-z0-9._~/-]{0,20}",
            query in "[a-zA-Z0-9=&%_.-]{0,40}",
            headers in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", "[ -~]{0,30}"), 0..6),
        ) {
            let uri = format!("{path}?{query}");
            let method = method.parse().expect("a method");
            let mut request = TestRequest::with_uri(&uri).method(method);
            for (name, value) in &headers {
                request = request.append_header((name.as_str(), value.trim()));
            }
            let request = request.to_http_request();
            let translated = translate(&request).expect("a request");
            prop_assert_eq!(translated.method().as_str(), request.method().as_str());
            prop_assert_eq!(translated.uri().query(), Some(query.as_str()));
            prop_assert_eq!(translated.uri().path(), path);
            let mut expected: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.trim().as_bytes()))
                .collect();
            let mut found: Vec<_> = translated
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
