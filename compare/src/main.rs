//! The lessons from outside, on the command line. `just drill` and `just wire` call it.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, builder::PossibleValuesParser};
use compare::{
    Lesson, Server,
    drills::{Drill, Teller},
    relay::Relay,
    wire,
};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Does to a lesson what networks do, and tells step by step what happens
    Drill {
        /// Which drill
        #[arg(value_parser = PossibleValuesParser::new(Drill::ALL.iter().map(|d| d.name)))]
        name: String,
        /// Which lesson
        #[arg(value_parser = PossibleValuesParser::new(Lesson::ALL.map(Lesson::name)))]
        lesson: String,
    },
    /// Shows what travels between a lesson and those who use it, until Ctrl-C
    Wire {
        /// Which lesson
        #[arg(value_parser = PossibleValuesParser::new(Lesson::ALL.map(Lesson::name)))]
        lesson: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Drill { name, lesson } => drill(&name, &lesson).await,
        Command::Wire { lesson } => wire(&lesson).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn named(lesson: &str) -> Result<Lesson> {
    let lesson = Lesson::ALL.into_iter().find(|known| known.name() == lesson);
    lesson.context("the parser takes only known lessons")
}

async fn drill(name: &str, lesson: &str) -> Result<()> {
    let drill = Drill::named(name).context("the parser takes only known drills")?;
    println!("{}", drill.what.en);
    let observed = drill.run(named(lesson)?, Teller::new(true)).await?;
    println!("Observed: {}", observed.en);
    Ok(())
}

async fn wire(lesson: &str) -> Result<()> {
    let lesson = named(lesson)?;
    let server = Server::start(lesson)?;
    let out = io::stdout();
    let tap = wire::tap(lesson, out.is_terminal(), out);
    let relay = Relay::start(server.address, Some(tap)).await?;
    println!("open http://{} and click; Ctrl-C ends", relay.address);
    Ok(tokio::signal::ctrl_c().await?)
}
