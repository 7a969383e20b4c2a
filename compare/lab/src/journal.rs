//! What the page is told: the whole state once, then what changes, over one event stream that
//! can be resumed.
//!
//! An id is `run-number`. A page that comes back with the id of its last event gets those
//! that it missed; when they are no longer kept, it gets the whole state anew.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Mutex,
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header::CACHE_CONTROL,
    web::{Bytes, Data},
};
use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value, json};
use tokio::{sync::watch, time::timeout};

use crate::screen::{ROWS, Row, Seen, Status, lock};

/// How long a stream stays silent before a heartbeat shows that it still works.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How much is kept for pages that come back, in bytes.
const MOST: usize = 4 * 1024 * 1024;

/// What the pages are told.
pub struct Journal {
    /// Names this run of the lab: numbers start again with it.
    run: String,
    kept: Mutex<Kept>,
    /// The number of the newest event; nothing when the lab ends.
    newest: watch::Sender<Option<u64>>,
}

#[derive(Default)]
struct Kept {
    told: Told,
    /// The newest events, and their length in all.
    events: VecDeque<Bytes>,
    bytes: usize,
    newest: u64,
}

/// The state as a page has it that was told everything.
#[derive(Default)]
struct Told {
    lanes: BTreeMap<&'static str, Lane>,
    drills: Value,
    tour: Value,
}

#[derive(Default)]
struct Lane {
    status: Status,
    rows: VecDeque<Row>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            run: format!("{:08x}", fastrand::u32(..)),
            kept: Mutex::default(),
            newest: watch::Sender::new(Some(0)),
        }
    }
}

impl Journal {
    /// Tells what is new.
    pub fn update(
        &self,
        lanes: &mut BTreeMap<&'static str, Seen>,
        drills: Value,
        tour: Value,
    ) {
        let mut kept = lock(&self.kept);
        let mut news = Map::new();
        let mut changed = Map::new();
        for (name, seen) in lanes {
            let lane = kept.told.lanes.entry(*name).or_default();
            let mut change = Map::new();
            if lane.status != seen.status {
                lane.status = seen.status.clone();
                change.insert("status".to_owned(), json!(lane.status));
            }
            let last = lane.rows.back().map_or(0, |row| row.n);
            seen.rows.retain(|row| row.n > last);
            if !seen.rows.is_empty() {
                change.insert("rows".to_owned(), json!(seen.rows));
                lane.rows.extend(seen.rows.drain(..));
                let old = lane.rows.len().saturating_sub(ROWS);
                lane.rows.drain(..old);
            }
            if !change.is_empty() {
                changed.insert((*name).to_owned(), change.into());
            }
        }
        if !changed.is_empty() {
            news.insert("lanes".to_owned(), changed.into());
        }
        for (name, now) in [("drills", drills), ("tour", tour)] {
            let told = match name {
                "drills" => &mut kept.told.drills,
                _ => &mut kept.told.tour,
            };
            if *told != now {
                told.clone_from(&now);
                news.insert(name.to_owned(), now);
            }
        }
        if news.is_empty() {
            return;
        }
        kept.newest += 1;
        let event = self.event("news", kept.newest, &news.into());
        kept.bytes += event.len();
        kept.events.push_back(event);
        while kept.bytes > MOST
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.bytes -= oldest.len();
        }
        let newest = kept.newest;
        drop(kept);
        self.newest.send_if_modified(|number| match number {
            Some(number) => {
                *number = newest;
                true
            }
            None => false,
        });
    }

    /// Ends every stream.
    pub fn close(&self) {
        self.newest.send_replace(None);
    }

    /// An event (WHATWG HTML, section 9.2.5). JSON has no line break.
    fn event(&self, kind: &str, number: u64, data: &Value) -> Bytes {
        format!("id: {}-{number}\nevent: {kind}\ndata: {data}\n\n", self.run).into()
    }

    /// What comes after this event, or the whole state; and the number of its last.
    fn after(&self, number: Option<u64>) -> (Option<Bytes>, u64) {
        let kept = lock(&self.kept);
        let newest = kept.newest;
        let first = newest + 1 - kept.events.len() as u64;
        match number {
            Some(number) if number == newest => (None, newest),
            Some(number) if number < newest && number + 1 >= first => {
                let skipped = usize::try_from(number + 1 - first).unwrap_or(usize::MAX);
                let missed: Vec<u8> =
                    kept.events.iter().skip(skipped).flatten().copied().collect();
                (Some(missed.into()), newest)
            }
            // It is too old, or of another run.
            _ => {
                let lanes: Map<_, _> = kept
                    .told
                    .lanes
                    .iter()
                    .map(|(name, lane)| {
                        let lane = json!({ "status": lane.status, "rows": lane.rows });
                        ((*name).to_owned(), lane)
                    })
                    .collect();
                let (drills, tour) = (&kept.told.drills, &kept.told.tour);
                let state = json!({ "lanes": lanes, "drills": drills, "tour": tour });
                (Some(self.event("state", newest, &state)), newest)
            }
        }
    }

    /// The number in an id of this run.
    fn number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.rsplit_once('-')?;
        (run == self.run).then(|| number.parse().ok()).flatten()
    }
}

/// `GET /events`: the whole state, or what came after `Last-Event-ID`; then what changes.
///
/// A page that opened a new stream by itself says its last id in `?after=`, since no script
/// can set that header.
pub async fn events(request: HttpRequest, journal: Data<Journal>) -> impl Responder {
    let header = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok());
    let after = request.query_string().strip_prefix("after=");
    let last = header.or(after).and_then(|id| journal.number(id));
    let retry = Bytes::from(format!("retry: {}\n\n", fastrand::u32(500..1000)));
    let begin = (journal.clone(), last, journal.newest.subscribe());
    let told = stream::unfold(begin, async |(journal, last, mut newest)| {
        loop {
            if newest.borrow_and_update().is_none() {
                return None;
            }
            let (block, number) = journal.after(last);
            let block = match block {
                Some(block) => block,
                None => match timeout(HEARTBEAT, newest.changed()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return None,
                    Err(_silence) => Bytes::from_static(b"event: heartbeat\ndata:\n\n"),
                },
            };
            return Some((block, (journal, Some(number), newest)));
        }
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream::iter([retry]).chain(told).map(Ok::<_, Infallible>))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(value: i64) -> BTreeMap<&'static str, Seen> {
        let status = Status { value: Some(value), ..Status::default() };
        BTreeMap::from([("02-sse", Seen { status, rows: Vec::new() })])
    }

    fn told(journal: &Journal, number: Option<u64>) -> String {
        let (block, _) = journal.after(number);
        String::from_utf8(block.unwrap_or_default().to_vec()).expect("text")
    }

    #[test]
    fn what_was_missed_comes_once_and_what_is_too_old_comes_anew() {
        let journal = Journal::default();
        for value in 0..3 {
            journal.update(&mut seen(value), Value::Null, Value::Null);
        }
        journal.update(&mut seen(2), Value::Null, Value::Null);
        assert_eq!(told(&journal, Some(3)), "");
        assert_eq!(told(&journal, Some(1)).matches("event: news").count(), 2);
        let text = "x".repeat(MOST / 3);
        for n in 0..5 {
            journal.update(&mut seen(2), json!(format!("{n}{text}")), Value::Null);
        }
        assert!(told(&journal, Some(1)).contains("event: state"));
        assert!(told(&journal, Some(7)).contains("event: news"));
        assert!(told(&journal, None).contains("event: state"));
        assert!(told(&journal, Some(99)).contains("event: state"));
        assert_eq!(journal.number("00-1"), None);
    }
}
