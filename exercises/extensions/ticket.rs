//! Tickets: a pass for a stream, which a page that has shown who it is asks for, and which
//! expires.
//!
//! Neither `EventSource` nor `WebSocket` lets a page set a header, and an address ends up in
//! logs and histories. So what travels in the address is good for one use and a short time;
//! the token that is worth something stays in `Authorization`, over HTTP.

// No transport uses all of it.
#![allow(dead_code)]

use std::{
    collections::HashMap,
    env,
    future::pending,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, WWW_AUTHENTICATE},
    web::{Data, Query},
};
use shared::Refusal;
use tokio::time::{Instant, sleep_until};

/// How long a ticket is good for, in seconds; the client may ask for less.
const LONGEST: u64 = 60;

/// How many tickets may wait to be used: more than a class asks for in a minute.
const MOST: usize = 10_000;

/// The tickets that are good, and until when.
#[derive(Debug, Default)]
pub struct Tickets(Mutex<HashMap<String, Instant>>);

/// `POST /ticket`: a ticket for whoever has the token, as `{"ticket":"…"}`. With
/// `?seconds=5` it expires sooner than after a minute.
pub async fn ticket(
    request: HttpRequest,
    asked: Query<HashMap<String, u64>>,
    tickets: Data<Tickets>,
) -> HttpResponse {
    // A real service has accounts here. The judge knows this token.
    let token = env::var("TOKEN").unwrap_or_else(|_| "course".to_owned());
    if bearer(&request) != Some(&token) {
        return unauthorized("a ticket takes Authorization: Bearer and the token");
    }
    let seconds =
        asked.get("seconds").map_or(LONGEST, |seconds| *seconds.min(&LONGEST));
    match tickets.issue(Instant::now() + Duration::from_secs(seconds)) {
        Some(ticket) => HttpResponse::Ok().json(HashMap::from([("ticket", ticket)])),
        None => HttpResponse::ServiceUnavailable()
            .json(Refusal::new("there are too many tickets")),
    }
}

/// What stands behind `Authorization: Bearer` (RFC 6750, section 2.1); nothing good where the
/// header says something else.
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().unwrap_or_default();
    Some(header.strip_prefix("Bearer ").unwrap_or_default())
}

/// 401, with what it takes (RFC 9110, section 15.5.2).
pub fn unauthorized(reason: &str) -> HttpResponse {
    let mut answer = HttpResponse::Unauthorized();
    answer.insert_header((WWW_AUTHENTICATE, "Bearer")).json(Refusal::new(reason))
}

/// Waits until a ticket expires; for ever where there is none.
pub async fn expiry(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

impl Tickets {
    fn issue(&self, until: Instant) -> Option<String> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, until| *until > Instant::now());
        if open.len() >= MOST {
            return None;
        }
        // 128 bits that nobody can guess: what a `RandomState` makes of anything, keyed by
        // random numbers of the system.
        let draw = || RandomState::new().hash_one(Instant::now());
        let ticket = format!("{:016x}{:016x}", draw(), draw());
        open.insert(ticket.clone(), until);
        Some(ticket)
    }

    /// Uses a ticket up, and says until when it is good, if it is.
    pub fn redeem(&self, ticket: &str) -> Option<Instant> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(ticket).filter(|until| *until > Instant::now())
    }

    /// Whether a ticket is good, without using it up: for polls, which are no stream.
    pub fn is_good(&self, ticket: &str) -> bool {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(ticket).is_some_and(|until| *until > Instant::now())
    }

    /// Lets a client in, until the time that is returned; one that brings no ticket without
    /// an end, as the lesson does.
    ///
    /// # Errors
    /// Why it is not let in, for [`unauthorized`], when its ticket is not good.
    pub fn admit(
        &self,
        ticket: Option<&String>,
    ) -> Result<Option<Instant>, &'static str> {
        let Some(ticket) = ticket else { return Ok(None) };
        let until = self.redeem(ticket).map(Some);
        until.ok_or("this ticket has expired, or was used already")
    }
}
