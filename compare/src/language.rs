//! The two languages of the book, always in this order: French, English.

/// A language of the book.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// French.
    French,
    /// English.
    English,
}

/// The same in both languages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Text {
    fr: &'static str,
    en: &'static str,
}

/// The same in French and in English.
#[must_use]
pub const fn text(fr: &'static str, en: &'static str) -> Text {
    Text { fr, en }
}

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

    /// A number with three digits that count.
    #[must_use]
    pub fn number(self, number: f64) -> String {
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

    /// The text with the spaces that a line may not break at: inside numbers, and before
    /// French punctuation.
    #[must_use]
    pub fn spaced(self, text: &str) -> String {
        match self {
            Self::French => text.replace(" ;", "\u{a0};").replace(" :", "\u{a0}:"),
            Self::English => text.to_owned(),
        }
    }
}
