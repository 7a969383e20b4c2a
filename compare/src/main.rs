//! The lessons from outside, on the command line. `just drill` and `just wire` call it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, builder::PossibleValuesParser};
use compare::{
    Lesson,
    drills::{Drill, Teller},
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Drill { name, lesson } = Arguments::parse().command;
    match drill(&name, &lesson).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn drill(name: &str, lesson: &str) -> Result<()> {
    let lesson = Lesson::ALL.into_iter().find(|known| known.name() == lesson);
    let (Some(drill), Some(lesson)) = (Drill::named(name), lesson) else {
        unreachable!("the parser takes only known names")
    };
    println!("{}", drill.what.en);
    let observed = drill.run(lesson, Teller::new(true)).await?;
    println!("Observed: {}", observed.en);
    Ok(())
}
