//! Start-up and stop: what every lesson does before the first and after the last request.

use std::{
    any::Any,
    env,
    fmt::Debug,
    io::{self, IsTerminal, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    process,
};

use actix_http::{Request, Response};
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Extensions, Service, ServiceFactory},
    web,
};
use socket2::{Domain, Socket, Type};
use tokio::signal;
use tracing_subscriber::EnvFilter;

use crate::Counter;
#[cfg(feature = "redis")]
use crate::counter::share;

/// Connections that may wait to be accepted: enough for a whole class that reconnects in
/// the same second.
const BACKLOG: i32 = 1024;

/// How long a client may leave sent bytes unacknowledged before its connection is dropped.
#[cfg(target_os = "linux")]
const STALLED_AFTER: std::time::Duration = std::time::Duration::from_secs(20);

/// Runs a lesson until Ctrl-C or SIGTERM.
///
/// It listens on `HOST` (default 127.0.0.1) and `PORT` (default `port`; 0 picks a free
/// one), and prints the address as the first line of the output. Logs go to the standard
/// error; `RUST_LOG=debug` shows each request.
///
/// With `REDIS_URL` set, such as `redis://127.0.0.1:6379`, the counter's value lives in
/// Redis (version 6 or later), and all servers that name the same database share it. This
/// takes the feature `redis`.
///
/// At the stop it closes `counter`: every stream that follows it ends and tells its
/// client. Without that, a stop would wait for streams that never end.
///
/// When it cannot listen, or cannot reach Redis, it prints one line that says why, and ends
/// the process with exit code 1.
///
/// # Errors
/// What the server meets once it listens.
pub async fn run<F, I, S, B>(
    server: HttpServer<F, I, S, B>,
    lesson: &str,
    port: u16,
    counter: web::Data<Counter>,
) -> io::Result<()>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: actix_service::IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    // A log that nobody reads any more must not make the server wait: lines are lost then.
    let (log, _flush_at_the_end) = tracing_appender::non_blocking(io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_ansi(io::stderr().is_terminal())
        .with_writer(log)
        .init();
    let refuse = |reason| -> ! {
        eprintln!("{lesson}: {reason}");
        process::exit(1);
    };
    if let Some(url) = set("REDIS_URL") {
        share(&counter, &url).await.unwrap_or_else(|reason| refuse(reason));
    }
    let listener = listen(port).unwrap_or_else(|reason| refuse(reason));
    let stopped = async move {
        terminated().await;
        counter.close();
    };
    serve(server, lesson, listener, stopped).await
}

/// Serves what has a page at `listener`, whose address it prints as the first line of the
/// output, until `stopped`; by then, streams that would never end must be told to.
///
/// # Errors
/// What the server meets.
pub async fn serve<F, I, S, B>(
    server: HttpServer<F, I, S, B>,
    name: &str,
    listener: TcpListener,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: actix_service::IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: Debug,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    // On a full disk or a closed pipe the line is lost, and the server goes on.
    writeln!(io::stdout(), "{name} listening on http://{address}").ok();
    server
        // Two small messages in a row: the second must not wait until the first is
        // acknowledged (Nagle's algorithm, RFC 896).
        .tcp_nodelay(true)
        .on_connect(drop_stalled)
        // A client that has gone is noticed at once, not at the second write to it.
        .h1_allow_half_closed(false)
        .shutdown_signal(stopped)
        .shutdown_timeout(1)
        .listen(listener)?
        .run()
        .await
}

/// Listens on `HOST` and `PORT`, as [`run`] does.
///
/// # Errors
/// One line that says why not, and how to choose another port.
pub fn listen(port: u16) -> Result<TcpListener, String> {
    let address = settings(port)?;
    bind(address).map_err(|error| explain(address, &error))
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn settings(port: u16) -> Result<SocketAddr, String> {
    let host = set("HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
    let ip: IpAddr = host.parse().map_err(|_| {
        format!("HOST={host} is not an IP address such as 127.0.0.1 or 0.0.0.0")
    })?;
    let port = set("PORT").map_or(Ok(port), |port| {
        port.parse().map_err(|_| format!("PORT={port} is not a number from 0 to 65535"))
    })?;
    Ok(SocketAddr::new(ip, port))
}

#[cfg(not(feature = "redis"))]
async fn share(_counter: &web::Data<Counter>, _url: &str) -> Result<(), String> {
    Err("REDIS_URL is set, but this build keeps the counter in memory; build it with \
         --features shared/redis"
        .to_owned())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Unix it lets a lesson take its port again right after a stop. On Windows it would
    // let two lessons share one.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {} on {} is taken; choose another with PORT=9000, or a free one with \
             PORT=0",
            address.port(),
            address.ip(),
        ),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// Waits for Ctrl-C or SIGTERM.
#[cfg(unix)]
pub async fn terminated() {
    let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate())
    else {
        return ctrl_c().await;
    };
    tokio::select! {
        () = ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn terminated() {
    ctrl_c().await;
}

async fn ctrl_c() {
    // Where the handler cannot be installed, Ctrl-C keeps its default: it ends the process.
    if signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Has the kernel drop a client that stops reading.
///
/// actix-web has no write timeout: the socket and the buffers of such a client would live
/// as long as it likes. `TCP_USER_TIMEOUT` (RFC 5482) closes a connection whose bytes stay
/// unacknowledged for too long. Linux only; elsewhere this does nothing.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
fn drop_stalled(connection: &dyn Any, _data: &mut Extensions) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>()
        && let Err(error) =
            socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALLED_AFTER))
    {
        tracing::warn!(%error, "a client that stops reading will not be dropped");
    }
}

#[cfg(all(test, not(feature = "redis")))]
mod tests {
    use super::*;

    /// A server that forgot its neighbours without a word would be two counters.
    #[actix_web::test]
    async fn build_without_redis_says_so() {
        let counter = web::Data::new(Counter::default());
        let refused = share(&counter, "redis://127.0.0.1").await.expect_err("no Redis");
        assert!(refused.contains("--features shared/redis"), "{refused}");
    }
}
