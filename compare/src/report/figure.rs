//! Figures over all rounds, and where they were measured.

use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::language::Language;

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Figure {
    /// The figure of these samples; nothing when there are none.
    #[must_use]
    pub fn new(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let (min, max) = (*samples.first()?, *samples.last()?);
        let (low, high) =
            (samples[(samples.len() - 1) / 2], samples[samples.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    /// The median, and the smallest and the largest when there are several.
    #[must_use]
    pub fn text(figure: Option<Self>, language: Language) -> String {
        match figure {
            None => "–".to_owned(),
            Some(Self { median, min, max }) if min == max => language.number(median),
            Some(Self { median, min, max }) => format!(
                "{} ({}–{})",
                language.number(median),
                language.number(min),
                language.number(max)
            ),
        }
    }
}

/// The smallest of these sorted values that at least this share of them does not exceed;
/// nothing when there are none.
#[must_use]
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.max(1) - 1).copied()
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Machine {
    /// The processor's name; empty where the system does not tell.
    pub processor: String,
    /// How many cores it has.
    pub cores: usize,
    /// Its memory in gigabytes (10⁹ bytes); 0 where the system does not tell.
    pub memory: f64,
    /// The operating system and the architecture.
    pub system: String,
}

impl Machine {
    /// The machine in one line.
    #[must_use]
    pub fn line(&self, language: Language) -> String {
        let Self { processor, cores, memory, system } = self;
        let (cores_word, gigabytes) =
            (language.say("cœurs", "cores"), language.say("Go", "GB"));
        format!("{processor}, {cores} {cores_word}, {memory:.0} {gigabytes}, {system}")
    }

    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let line = |file: &str, name: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = line("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
        Self {
            processor: line("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory.map_or(0.0, |kib| kib * 1024.0 / 1e9),
            system: format!("{} {}", env::consts::OS, env::consts::ARCH),
        }
    }
}
