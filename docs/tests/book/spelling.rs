//! The spelling of the pages, as hunspell and its dictionaries see it.

use std::{collections::BTreeSet, fs, io::Write, sync::LazyLock};

use anyhow::{Context, Result, ensure};
use compare::{language::Language, process::installed};
use regex::Regex;
use tempfile::NamedTempFile;

use crate::{
    check::{Book, fault},
    prose::Prose,
};

/// What this machine lacks to know how words are spelt.
pub fn lack() -> Option<String> {
    if let Err(lack) = installed("hunspell") {
        return Some(lack.to_string());
    }
    let packages = [("fr", "hunspell-fr"), ("en_GB", "hunspell-en-gb")];
    let lacking = packages.iter().find(|it| unknown(it.0, &BTreeSet::new()).is_err());
    lacking.map(|(dictionary, package)| {
        format!(
            "hunspell lacks {dictionary}; on Debian and Ubuntu: sudo apt install {package}"
        )
    })
}

/// Words that neither the dictionary of their page's language has nor its list of words, and
/// words of a list that no page writes. In the glossary and in what is quoted, the other
/// language's words are right too.
pub fn faults(book: &Book) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for page in book.pages.values() {
        let prose = Prose::of(page);
        let glossary = page.path.ends_with("/glossary.md");
        for (text, both) in [(prose.own, glossary), (prose.quoted, true)] {
            let words = words(&text).into_iter();
            written.extend(words.map(|(line, word)| (page, line, word, both)));
        }
    }
    let words = written.iter().map(|(_, _, word, _)| word.clone()).collect();
    let french = Speller::of(book, Language::French, &words)?;
    let english = Speller::of(book, Language::English, &words)?;
    let mut faults = [french.faults(&words), english.faults(&words)].concat();
    for (page, line, word, both) in &written {
        let (own, other) = match Prose::language(page) {
            Language::French => (&french, &english),
            Language::English => (&english, &french),
        };
        let known = own.knows(word) || *both && other.knows(word);
        if !known {
            let Speller { dictionary, list, .. } = own;
            let wrong = format!("{word} is neither in {dictionary} nor in {list}");
            faults.push(fault(page, *line, wrong));
        }
    }
    Ok(faults)
}

/// What is right in a language.
struct Speller {
    dictionary: &'static str,
    /// The file of the words that the pages write and no dictionary has: names and terms, one
    /// a line, in the order of their characters. One in small letters may have a capital.
    list: String,
    listed: Vec<String>,
    unknown: BTreeSet<String>,
}

impl Speller {
    fn of(book: &Book, language: Language, words: &BTreeSet<String>) -> Result<Self> {
        let dictionary = language.say("fr", "en_GB");
        let list = format!("docs/words.{}.txt", language.code());
        let text = fs::read_to_string(book.root.join(&list));
        let text = text.with_context(|| list.clone())?;
        let listed = text.lines().map(str::to_owned).collect();
        let unknown = unknown(dictionary, words)?;
        Ok(Self { dictionary, list, listed, unknown })
    }

    fn knows(&self, word: &str) -> bool {
        !self.unknown.contains(word)
            || self.listed.iter().any(|it| it == word || *it == word.to_lowercase())
    }

    /// What is wrong with the list, where all pages have these words.
    fn faults(&self, words: &BTreeSet<String>) -> Vec<String> {
        let small: BTreeSet<_> = words.iter().map(|word| word.to_lowercase()).collect();
        let mut faults = Vec::new();
        for word in &self.listed {
            if !words.contains(word) && !small.contains(word) {
                faults.push(format!("{}: no page writes {word}", self.list));
            }
        }
        for pair in self.listed.windows(2).filter(|pair| pair[0] >= pair[1]) {
            faults.push(format!("{}: {} is before {}", self.list, pair[0], pair[1]));
        }
        faults
    }
}

/// The words of a text, each with its line. What has a digit, a point or the like in it is a
/// name, and what is all capitals an abbreviation.
fn words(text: &str) -> Vec<(usize, String)> {
    static JOINED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\w+(?:[-./'’]\w+)*").expect("a pattern"));
    static ELISION: LazyLock<Regex> = LazyLock::new(|| {
        let elision = "(?i)^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)['’]|['’]s$";
        Regex::new(elision).expect("a pattern")
    });
    let named = |c: char| c.is_numeric() || "_./".contains(c);
    let mut words = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let joined = JOINED.find_iter(text).map(|it| it.as_str());
        let joined = joined.filter(|it| !it.contains(named));
        for word in joined.flat_map(|it| it.split('-')) {
            let word = ELISION.replace_all(word, "");
            if word != word.to_uppercase() && word.chars().nth(1).is_some() {
                words.push((line, word.into_owned()));
            }
        }
    }
    words
}

/// Those of some words that a dictionary of hunspell does not have.
fn unknown(dictionary: &str, words: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut file = NamedTempFile::new()?;
    for word in words {
        writeln!(file, "{word}")?;
    }
    let mut hunspell = installed("hunspell")?;
    let hunspell = hunspell.args(["-i", "UTF-8", "-d", dictionary, "-l"]);
    let output = hunspell.arg(file.path()).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "hunspell: {errors}");
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}
