//! The two languages of the book, always in this order: French, English.

use std::{env, error::Error, fmt};

use clap::ValueEnum;
use serde::Serialize;

/// A language of the book.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Language {
    /// French.
    #[value(name = "fr")]
    French,
    /// English.
    #[value(name = "en")]
    English,
}

/// Units that a line may not part from their number, as both languages write them.
pub const UNITS: [&str; 19] = [
    "%", "B", "Gio", "GiB", "Go", "GB", "h", "kB", "KiB", "Kio", "ko", "MB", "min",
    "Mio", "Mo", "ms", "o", "px", "s",
];

/// The same in both languages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Text {
    fr: &'static str,
    en: &'static str,
}

/// The same in French and in English.
#[must_use]
pub const fn text(fr: &'static str, en: &'static str) -> Text {
    Text { fr, en }
}

/// A sentence in both languages, made while the program runs. As an error it is all that
/// there is to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sentence {
    fr: String,
    en: String,
}

/// The same in French and in English.
#[must_use]
pub fn sentence(fr: impl Into<String>, en: impl Into<String>) -> Sentence {
    Sentence { fr: fr.into(), en: en.into() }
}

impl Sentence {
    /// What it says in this language.
    #[must_use]
    pub fn of(&self, language: Language) -> &str {
        language.say(&self.fr, &self.en)
    }
}

impl From<Text> for Sentence {
    fn from(text: Text) -> Self {
        sentence(text.fr, text.en)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

impl Error for Sentence {}

impl Text {
    /// What it says in this language.
    #[must_use]
    pub fn of(self, language: Language) -> &'static str {
        language.say(self.fr, self.en)
    }
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::French, Self::English];

    /// The one that the system is set to: French, or else English.
    #[must_use]
    pub fn of_the_system() -> Self {
        // Unix has these; Windows has neither, and is asked.
        let asked = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let set = asked.iter().filter_map(|name| env::var(name).ok());
        let locale = set.into_iter().find(|value| !value.is_empty());
        let locale = locale.or_else(sys_locale::get_locale).unwrap_or_default();
        if locale.to_lowercase().starts_with("fr") {
            Self::French
        } else {
            Self::English
        }
    }

    /// The one that is in this language.
    #[must_use]
    pub fn say<'a>(self, fr: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::French => fr,
            Self::English => en,
        }
    }

    /// The name of its folder in the book (ISO 639-1).
    #[must_use]
    pub fn code(self) -> &'static str {
        self.say("fr", "en")
    }

    /// A number with three digits that count, or all of a larger one.
    #[must_use]
    pub fn number(self, number: f64) -> String {
        if number.abs() >= 1000.0 {
            return self.thousands(number);
        }
        let decimals = match number.abs() {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        let text = format!("{number:.decimals$}");
        match self {
            Self::French => text.replace('.', ","),
            Self::English => text,
        }
    }

    /// A whole number with its thousands set apart.
    #[must_use]
    pub fn thousands(self, number: f64) -> String {
        let digits = format!("{number:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(self.say("\u{a0}", ","));
            }
            text.push(digit);
        }
        text
    }

    /// A share from 0 to 1.
    #[must_use]
    pub fn percent(self, share: f64) -> String {
        format!("{:.0}{}", share * 100.0, self.say("\u{a0}%", "%"))
    }

    /// The text with the spaces that a line may not break at: before a unit, and before
    /// French punctuation.
    #[must_use]
    pub fn spaced(self, text: &str) -> String {
        let mut spaced = String::new();
        for (at, character) in text.char_indices() {
            let number = spaced.ends_with(|c: char| c.is_ascii_digit());
            let part = |c: char| !(c.is_alphanumeric() || c == '%' || c == '’');
            let next = text[at..].trim_start_matches(' ').split(part).next();
            let unit = next.is_some_and(|next| UNITS.contains(&next));
            let bound = character == ' ' && number && unit;
            spaced.push(if bound { '\u{a0}' } else { character });
        }
        match self {
            Self::French => spaced.replace(" ;", "\u{a0};").replace(" :", "\u{a0}:"),
            Self::English => spaced,
        }
    }
}
