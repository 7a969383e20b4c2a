//! What can be asked for: `POST /do` with one order, for some lanes or for all.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse, Responder,
    http::StatusCode,
    web::{Data, Json},
};
use anyhow::Result;
use compare::{Lesson, drills::Drill};
use futures_util::future::join_all;
use serde::Deserialize;
use shared::Refusal;
use tokio::task::JoinError;

use crate::{lab::Lab, lane::Lane, network::Change, tour::Step};

/// An order, such as `{"lanes":["02-sse"],"do":{"network":{"slow":200}}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where; nothing means everywhere.
    #[serde(default)]
    lanes: Vec<String>,
    #[serde(rename = "do")]
    what: What,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// A click on the button of this command.
    Click(Kind),
    /// Clicks by itself every so many ms, or no more.
    Every(Option<u64>),
    Network(Change),
    Server(Server),
    /// Counts from here on.
    Clear,
    /// Plays the drill of this name.
    Drill(String),
    EndDrill,
    /// Takes the step of the tour of this name.
    Step(String),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Increment,
    Decrement,
    Reset,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Server {
    Start,
    Kill,
    Stop,
    Pause,
    GoOn,
}

/// The shortest time between two clicks that the lab makes by itself, in ms.
const SHORTEST: u64 = 20;

/// `POST /do`: does what is asked, and answers when it is done, or when it goes on.
pub async fn give(Json(order): Json<Order>, lab: Data<Lab>) -> impl Responder {
    let lab = lab.into_inner();
    let obeying = lab.clone();
    let obeyed = lab.runtime.spawn(async move { order.obey(&obeying).await }).await;
    let failed =
        |error: JoinError| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    match obeyed.map_err(failed).flatten() {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err((status, reason)) => HttpResponse::build(status).json(Refusal::new(reason)),
    }
}

type Refused = (StatusCode, String);

fn unknown(what: &str, name: &str) -> Refused {
    (StatusCode::BAD_REQUEST, format!("there is no {what} {name:?}"))
}

fn busy(what: &str) -> Refused {
    (StatusCode::CONFLICT, format!("a {what} is going on"))
}

impl Order {
    async fn obey(self, lab: &Arc<Lab>) -> Result<(), Refused> {
        let named = |name: &String| {
            lab.lane(name).cloned().ok_or_else(|| unknown("lane", name))
        };
        let lanes: Vec<Arc<Lane>> = match &*self.lanes {
            [] => lab.lanes.clone(),
            names => names.iter().map(named).collect::<Result<_, _>>()?,
        };
        match self.what {
            What::Click(kind) => {
                let kind = match kind {
                    Kind::Increment => "increment",
                    Kind::Decrement => "decrement",
                    Kind::Reset => "reset",
                };
                lanes.iter().for_each(|lane| lane.click(kind));
            }
            What::Every(ms) => {
                let every = ms.map(|ms| Duration::from_millis(ms.max(SHORTEST)));
                lanes.iter().for_each(|lane| lane.click_every(every));
            }
            What::Network(change) => lanes.iter().for_each(|lane| lane.network(change)),
            What::Clear => lanes.iter().for_each(|lane| lane.clear()),
            What::Server(what) => {
                let done = join_all(lanes.iter().map(|lane| server(lane, what))).await;
                let failed = done.into_iter().find_map(Result::err);
                if let Some(error) = failed {
                    return Err((StatusCode::CONFLICT, format!("{error:#}")));
                }
            }
            What::Drill(name) => {
                let drill =
                    Drill::named(&name).ok_or_else(|| unknown("drill", &name))?;
                if let Some(lacks) = drill.place.lacks() {
                    return Err((StatusCode::CONFLICT, lacks));
                }
                let lessons: Vec<Lesson> =
                    lanes.iter().map(|lane| lane.lesson).collect();
                lab.drill(drill, lessons).map_err(|_| busy("drill"))?;
            }
            What::EndDrill => lab.end_drill(),
            What::Step(name) => {
                let step = Step::named(&name).ok_or_else(|| unknown("step", &name))?;
                lab.step(step).map_err(|_| busy("step"))?;
            }
        }
        Ok(())
    }
}

async fn server(lane: &Lane, what: Server) -> Result<()> {
    match what {
        Server::Start => lane.start().await,
        Server::Kill => {
            lane.kill().await;
            Ok(())
        }
        Server::Stop => lane.stop().await,
        Server::Pause => lane.pause(true).await,
        Server::GoOn => lane.pause(false).await,
    }
}
