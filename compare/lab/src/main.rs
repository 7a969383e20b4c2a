//! The lab: the four lessons on one screen, each behind a network that can be disturbed.
//!
//! Run it with `just lab`, then open the address it prints.
//!
//! | Module | Question that it answers |
//! |---|---|
//! | [`lane`] | What is one lesson, its process, its network and what passes? |
//! | [`network`] | What can its network do? |
//! | [`screen`] | What is there to see of it? |
//! | [`follower`] | Who follows the counter and clicks, as the lesson's page does? |
//! | [`journal`] | How does the page learn of it, without a gap and without a repeat? |
//! | [`lab`] | What is done in all of them? |
//! | [`order`] | What can be asked for? |
//! | [`tour`] | What is worth seeing first? |
//! | [`page`] | Where is that shown? |

mod follower;
mod journal;
mod lab;
mod lane;
mod network;
mod order;
mod page;
mod screen;
mod tour;

use std::process::ExitCode;

use actix_web::{
    App, HttpServer,
    middleware::from_fn,
    web::{self, Data},
};
use anyhow::{Error, Result};
use shared::MAX_BYTES;

use crate::{journal::Journal, lab::Lab};

/// Where the lab listens, unless `PORT` says otherwise.
const PORT: u16 = 8080;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let listener = shared::listen(PORT).map_err(Error::msg)?;
    let lab = tokio::select! {
        lab = Lab::open(listener.local_addr()?.ip()) => lab?,
        () = shared::terminated() => return Ok(()),
    };
    let data: Data<Lab> = lab.clone().into();
    let journal: Data<Journal> = lab.journal.clone().into();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(shared::guard))
            .wrap(from_fn(shared::http_rules))
            .app_data(data.clone())
            .app_data(journal.clone())
            .app_data(shared::json_body(MAX_BYTES))
            .configure(shared::files(include_str!("../assets/lab.js")))
            .service(web::resource("/").get(page::page))
            .service(web::resource("/lab.css").get(page::style))
            .service(web::resource("/qr/{lesson}").get(page::qr))
            .service(web::resource("/events").get(journal::events))
            .service(web::resource("/do").post(order::give))
    });
    let stopping = lab.clone();
    let stopped = async move {
        shared::terminated().await;
        stopping.stop();
    };
    let served = shared::serve(server.workers(2), "lab", listener, stopped).await;
    lab.close().await;
    Ok(served?)
}
