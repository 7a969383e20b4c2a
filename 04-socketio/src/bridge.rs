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
    http::{Method, StatusCode},
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
    S: Clone + 'static,
    SocketIoService<S>: Service<
            hyper::Request<Full<Bytes>>,
            Response = hyper::Response<B>,
            Error = Infallible,
        >,
    B: BodyExt<Data = Bytes, Error: std::error::Error + 'static>,
{
    if request.query_string().split('&').any(|pair| pair == "transport=websocket") {
        let (abandon, served) = (abandon(&request)?, service.clone());
        let ended = async move {
            if let Some(abandon) = abandon {
                served.call(abandon).await.ok();
            }
        };
        return websocket(&request, payload, &service, ended);
    }
    // Only a POST has a body; that of a GET with `Upgrade` would never end.
    let body = if request.method() == Method::POST {
        payload.to_bytes_limited(max_payload).await.map_err(|_| {
            ErrorPayloadTooLarge(format!("the body is longer than {max_payload} bytes"))
        })??
    } else {
        Bytes::new()
    };
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
    ended: impl Future<Output = ()> + 'static,
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
        to_service.shutdown().await.ok();
        ended.await;
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

/// The request by which a client of long polling closes its session (packet `1`), when
/// `request` moves such a session to WebSocket.
///
/// engineioxide keeps a session for ever when its WebSocket breaks before the move is done,
/// and answers each of its polls at once. Once it is done, a session refuses this request.
fn abandon(
    request: &HttpRequest,
) -> actix_web::Result<Option<hyper::Request<Full<Bytes>>>> {
    if !request.query_string().split('&').any(|pair| pair.starts_with("sid=")) {
        return Ok(None);
    }
    let uri = request.uri().to_string().replace("=websocket", "=polling");
    let abandon = hyper::Request::post(uri).body(Full::new(Bytes::from_static(b"1")));
    abandon.map(Some).map_err(ErrorBadRequest)
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
