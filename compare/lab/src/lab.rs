//! Four lanes, and what is done in all of them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use compare::{
    Lesson, chromium,
    drills::{Drill, Teller},
    language::Text,
};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinSet, block_in_place},
    time::{MissedTickBehavior, interval},
};

use crate::{
    journal::Journal,
    lane::Lane,
    screen::lock,
    tour::{self, Step},
};

/// How often the page is told what has changed.
const TICK: Duration = Duration::from_millis(50);

/// The lab.
pub struct Lab {
    /// One lane for each lesson, in the order of the course.
    pub lanes: Vec<Arc<Lane>>,
    /// Where the lab and its lanes listen.
    ip: IpAddr,
    /// What the page is told.
    pub journal: Arc<Journal>,
    played: Mutex<Played>,
    /// Where things are done that go on when their request has been answered, or that may
    /// block: the web server's threads know neither.
    pub runtime: Handle,
    /// What goes on beside the lanes.
    tasks: Mutex<JoinSet<()>>,
}

/// What is played from the page, one at a time each.
#[derive(Default)]
struct Played {
    drills: BTreeMap<&'static str, Drilled>,
    drilling: Option<AbortHandle>,
    tour: Option<tour::Seen>,
}

/// A drill, as far as it has gone.
#[derive(Clone, Default, Serialize)]
struct Drilled {
    name: &'static str,
    /// What was done, and how many seconds after the beginning.
    steps: Vec<(f32, String)>,
    /// What was observed: the cell of the table of drills.
    verdict: Option<Text>,
    /// Why it could not be observed.
    failed: Option<String>,
}

impl Lab {
    /// Starts the four lessons, each behind a relay, reachable at this address.
    ///
    /// # Errors
    /// When a lesson does not build or start, or no port can be opened.
    pub async fn open(ip: IpAddr) -> Result<Arc<Self>> {
        block_in_place(|| Lesson::build(&Lesson::ALL))?;
        let mut lanes = Vec::new();
        for lesson in Lesson::ALL {
            lanes.push(Lane::open(lesson, ip).await?);
        }
        let lab = Arc::new(Self {
            lanes,
            ip,
            journal: Arc::default(),
            played: Mutex::default(),
            runtime: Handle::current(),
            tasks: Mutex::default(),
        });
        let telling = lab.clone();
        lock(&lab.tasks).spawn(async move { telling.tell().await });
        Ok(lab)
    }

    /// Whether others on the network reach the lessons.
    pub fn is_open(&self) -> bool {
        !self.ip.to_canonical().is_loopback()
    }

    /// The lane of this lesson.
    pub fn lane(&self, name: &str) -> Option<&Arc<Lane>> {
        self.lanes.iter().find(|lane| lane.lesson.name() == name)
    }

    /// Tells what has changed, again and again.
    async fn tell(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for lane in &self.lanes {
                lane.watch().await;
            }
            let lanes = self.lanes.iter().map(|lane| (lane.lesson.name(), lane.seen()));
            let mut now: BTreeMap<_, _> = lanes.collect();
            let played = lock(&self.played);
            let (drills, tour) = (json!(played.drills), json!(played.tour));
            drop(played);
            self.journal.update(&mut now, drills, tour);
        }
    }

    /// Plays a drill on these lessons, one after the other. The drill starts a lesson of its
    /// own and leaves the lanes alone.
    ///
    /// # Errors
    /// When one is being played.
    pub fn drill(
        self: &Arc<Self>,
        drill: &'static Drill,
        lessons: Vec<Lesson>,
    ) -> Result<(), Busy> {
        let mut played = lock(&self.played);
        if played.drilling.as_ref().is_some_and(|task| !task.is_finished()) {
            return Err(Busy);
        }
        played.drills.clear();
        let lab = self.clone();
        let task = lock(&self.tasks).spawn(async move {
            for lesson in lessons {
                lab.play(drill, lesson).await;
            }
        });
        played.drilling = Some(task);
        Ok(())
    }

    async fn play(self: &Arc<Self>, drill: &'static Drill, lesson: Lesson) {
        let begun = Drilled { name: drill.name, ..Drilled::default() };
        lock(&self.played).drills.insert(lesson.name(), begun);
        let lab = self.clone();
        let write = move |what: &dyn Fn(&mut Drilled)| {
            lock(&lab.played).drills.entry(lesson.name()).and_modify(|it| what(it));
        };
        let said = write.clone();
        let tell = Teller::to(move |at, step| {
            said(&|it| it.steps.push((at.as_secs_f32(), step.to_owned())));
        });
        let run = async {
            block_in_place(chromium::install)?;
            drill.run(lesson, tell).await
        };
        match run.await {
            Ok(verdict) => write(&|it| it.verdict = Some(verdict.text())),
            Err(error) => write(&|it| it.failed = Some(format!("{error:#}"))),
        }
    }

    /// Ends the drill that is being played, and what it started.
    pub fn end_drill(&self) {
        let mut played = lock(&self.played);
        if let Some(task) = played.drilling.take() {
            task.abort();
        }
        for drilled in played.drills.values_mut() {
            if drilled.verdict.is_none() && drilled.failed.is_none() {
                drilled.failed = Some("–".to_owned());
            }
        }
    }

    /// Takes a step of the tour.
    ///
    /// # Errors
    /// When one is being taken.
    pub fn step(self: &Arc<Self>, step: &'static Step) -> Result<(), Busy> {
        let mut played = lock(&self.played);
        if played.tour.as_ref().is_some_and(|seen| !seen.over) {
            return Err(Busy);
        }
        played.tour = Some(tour::Seen { step: step.name, ..tour::Seen::default() });
        let lab = self.clone();
        lock(&self.tasks).spawn(async move {
            let seen = tour::take(step, &lab.lanes).await;
            lock(&lab.played).tour = Some(seen);
        });
        Ok(())
    }

    /// Tells the pages that the lab ends.
    pub fn stop(&self) {
        self.journal.close();
    }

    /// Ends all that was started.
    pub async fn close(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
        join_all(self.lanes.iter().map(|lane| lane.kill())).await;
    }
}

/// There is one going on already.
pub struct Busy;
