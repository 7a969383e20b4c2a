//! Each kind of rot, in a small book: the checks see it, and see none where there is none.

use std::fs;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::{all::CHECKS, check::Book, console::Blocks, site, spelling, trial::told};

/// A file, a text in it, what this is replaced with, and a fault that must be found.
type Rot = (&'static str, &'static str, &'static str, &'static str, &'static str);

const FR: &str = "docs/fr/lesson.md";
const EN: &str = "docs/en/lesson.md";
const WORDS: &str = "docs/words.fr.txt";

const ROT: [Rot; 35] = [
    ("changed_code", "code.rs", "42", "43", "fr/lesson.md:14: shows Some(\"    42\")"),
    ("moved_code", "code.rs", "fn answer", "fn reply", "no line of code.rs contains"),
    ("shorter_code", "code.rs", "}", "", "no later line of code.rs starts with"),
    ("code_of_no_file", FR, "code: code.rs", "code: gone.rs", "lesson.md:12: gone.rs"),
    (
        "code_from_nowhere",
        FR,
        "<!-- code: code.rs \"fn answer\" .. \"}\" -->",
        "",
        "code without",
    ),
    (
        "stray_comment",
        FR,
        "## Fin",
        "<!-- code: code.rs \"42\" -->\n\n## Fin",
        "no block follows",
    ),
    ("unknown_block", FR, "```text", "```python", "\"python\""),
    ("indented_block", FR, "## Fin", "    42\n\n## Fin", "a block of \"\""),
    ("changed_output", FR, "8082\n> ```", "8083\n> ```", "prints"),
    ("no_recipe", FR, "just run 02-sse   #", "just ran 02-sse   #", "no recipe ran"),
    ("no_lesson", EN, "`just wire 02-sse`", "`just wire 05-mqtt`", "lesson 05-mqtt"),
    ("no_test", FR, "02-sse::heartbeat", "02-sse::breath", "no test 02-sse::breath"),
    ("no_proof", FR, "`just wire 02-sse`", "`contract breath`", "no test breath"),
    (
        "dead_link",
        EN,
        "../../code.rs",
        "../../gone.rs",
        "../../gone.rs leads to no file",
    ),
    ("dead_anchor", FR, "#la-leçon", "#la-lecon", "leads to no heading of"),
    (
        "link_outside",
        EN,
        "../../code.rs",
        "../../../code.rs",
        "code.rs leads to no file",
    ),
    ("dead_link_in_readme", "README.md", "docs/en", "docs/de", "README.md:3: docs/de"),
    ("one_language", EN, "", "", "there is no docs/en/lesson.md"),
    (
        "not_in_summary",
        "docs/en/SUMMARY.md",
        "lesson.md",
        "README.md",
        "does not name it",
    ),
    ("other_heading", EN, "## End", "### End", "heading of level h2"),
    (
        "other_block",
        EN,
        "just run 02-sse   #",
        "just run 03-websocket   #",
        "03-websocket",
    ),
    ("other_source", EN, "rs \"fn a", "rs \"a", "after <!-- code: code.rs \"answer\""),
    ("other_table", EN, "| 1 | 2 |", "| 1 | 2 |\n| 3 | 4 |", "2 columns and 2 rows"),
    (
        "old_figure",
        FR,
        "| 1 | 2 |",
        "| 1 | 4,5 ms |",
        "2 to 3 is said, 4.5 was measured",
    ),
    ("figure_of_no_cell", FR, "\"b\" in", "\"c\" in", "no column \"c\" among"),
    ("odd_figure", FR, "in 2..3", "of 2", "is not <!-- figure"),
    ("other_link", EN, "example.com", "example.org", "is not linked in docs/fr"),
    ("link_in_one_language", FR, "[code](../../code.rs)", "code", "is not linked in"),
    ("no_switch", FR, "*[Read in English](../en/lesson.md)*", "Bonjour.", "not *[Read"),
    ("mute_picture", EN, "[code]", "![]", "no words for ../../code.rs"),
    ("english_space", FR, "## Fin", "Fin : non.\n\n## Fin", "is not French"),
    ("parted_unit", FR, "## Fin", "Fin en 20 ms.\n\n## Fin", "\"0 ms.\" is not French"),
    ("parted_thousands", EN, "## End", "End: 1 000.\n\n## End", "is not English"),
    ("gap_in_a_plan", FR, "| 0:20 |", "| 0:25 |", "begins after 25 minutes, not 20"),
    ("other_term", FR, "*handshakes*", "handshakes", "is \"poignée de main\""),
];

/// What only a dictionary sees.
const MISSPELT: [Rot; 5] = [
    ("misspelt", FR, "## Fin", "## Fiin", "Fiin is neither in fr nor in docs/words.fr"),
    ("misspelt_in_html", EN, "## End", "<p>Eend</p>\n\n## End", "Eend is neither"),
    ("foreign_word", FR, "*handshakes*", "handshakes", "handshakes is neither in fr"),
    ("unwritten_word", WORDS, "x\n", "x\ntokio\n", "no page writes tokio"),
    ("unsorted_words", WORDS, "nginx\n", "nginx\nactix\n", "nginx is before actix"),
];

const LESSON: &str = r#"# TITLE

*[SWITCH](../OTHER/lesson.md)*

[TITLE](lesson.md#SLUG), [code](../../code.rs), <https://example.com>, nginx, *handshakes*

```sh
just run 02-sse   # TITLE
```

<!-- code: code.rs "fn answer" .. "}" -->
```rust
fn answer() -> u32 {
    42
}
```

> ```console
> $ just run 02-sse
> 02-sse listening on http://127.0.0.1:8082
> ```

```text
TITLE
```

| a | b |
|---|---|
| 1 | 2 |

| À | Minutes |
|---|---|
| 0:00 | 20 |
| 0:20 | 5 |

<!-- figure: "TITLE" "1" "b" in 2..3 -->

`just wire 02-sse`, `cargo test -p compare --test contract 02-sse::heartbeat`

## END
"#;

/// One test for each kind of rot.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("rot::none", || told(faults(None))),
        Trial::test("rot::rendered", || told(rendered())),
    ];
    trials.extend(ROT.map(|rot| seen(rot, faults)));
    let lacks = spelling::lack().is_some();
    let mut spelt = vec![Trial::test("rot::well_spelt", || told(misspelt(None)))];
    spelt.extend(MISSPELT.map(|rot| seen(rot, misspelt)));
    trials.extend(spelt.into_iter().map(|trial| trial.with_ignored_flag(lacks)));
    trials
}

/// A kind of rot is among the faults that are found.
fn seen(rot: Rot, faults: fn(Option<Rot>) -> Result<Vec<String>>) -> Trial {
    let (name, .., expected) = rot;
    Trial::test(format!("rot::{name}"), move || {
        let faults = faults(Some(rot)).map_err(|error| format!("{error:#}"))?;
        if faults.iter().any(|fault| fault.contains(expected)) {
            return Ok(());
        }
        Err(format!("{expected:?} is not in {faults:#?}").into())
    })
}

/// The faults of the small book after one change, but for its spelling.
fn faults(rot: Option<Rot>) -> Result<Vec<String>> {
    let (_root, book) = small(rot)?;
    let mut faults = Vec::new();
    for (_, check) in CHECKS {
        faults.extend(book.faults(check)?);
    }
    for blocks in Blocks::of(&book)? {
        faults.extend(blocks.run()?.1);
    }
    Ok(faults)
}

/// The words of the small book that are misspelt after one change.
fn misspelt(rot: Option<Rot>) -> Result<Vec<String>> {
    let (_root, book) = small(rot)?;
    spelling::faults(&book)
}

/// The small book after one change, and the folder that it is in.
fn small(rot: Option<Rot>) -> Result<(TempDir, Book)> {
    let root = tempfile::tempdir()?;
    let page = |switch, other, title, slug, end| {
        let words = [("SWITCH", switch), ("OTHER", other), ("TITLE", title)];
        let words = words.into_iter().chain([("SLUG", slug), ("END", end)]);
        words.fold(LESSON.to_owned(), |text, (word, with)| text.replace(word, with))
    };
    let french = page("Read in English", "en", "La leçon", "la-leçon", "Fin");
    let english = page("Lire en français", "fr", "The lesson", "the-lesson", "End");
    let mut files = vec![
        (FR, french),
        (EN, english),
        ("docs/fr/SUMMARY.md", "# Livre\n\n- [La leçon](lesson.md)\n- [Glossaire](glossary.md)\n".to_owned()),
        ("docs/en/SUMMARY.md", "# Book\n\n- [The lesson](lesson.md)\n- [Glossary](glossary.md)\n".to_owned()),
        (
            "docs/fr/glossary.md",
            "# Glossaire\n\n*[Read in English](../en/glossary.md)*\n\n| Écrire | et non |\n\
             |---|---|\n| poignée de main | handshake |\n"
                .to_owned(),
        ),
        (
            "docs/en/glossary.md",
            "# Glossary\n\n*[Lire en français](../fr/glossary.md)*\n\n| Write | not |\n\
             |---|---|\n| handshake | – |\n"
                .to_owned(),
        ),
        (WORDS, "nginx\n".to_owned()),
        ("docs/words.en.txt", "nginx\n".to_owned()),
        ("README.md", "# Start\n\n[Book](docs/en/lesson.md)\n".to_owned()),
        ("README.fr.md", "# Début\n\n[Livre](docs/fr/lesson.md)\n".to_owned()),
        ("CONTRIBUTING.md", "# Help\n\n`just run 02-sse`\n".to_owned()),
        ("code.rs", "/// The answer.\nfn answer() -> u32 {\n    42\n}\n".to_owned()),
        (
            "justfile",
            "x := \"\"\n\nrun LESSON:\nwire LESSON: (run LESSON)\n".to_owned(),
        ),
    ];
    if let Some((_, file, from, to, _)) = rot {
        let at = files.iter().position(|(name, _)| *name == file).context("no file")?;
        ensure!(files[at].1.contains(from), "{from:?} is not in {file}");
        files[at].1 = files[at].1.replacen(from, to, 1);
        if from.is_empty() {
            files.remove(at);
        }
    }
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(path, text)?;
    }
    let book = Book::load(root.path())?;
    Ok((root, book))
}

/// What is wrong in a rendered page is seen.
fn rendered() -> Result<Vec<String>> {
    let page = r##"<script src="https://example.com/x.js"></script>
        <a href="https://example.com">away</a> <h1 id="top"><a href="#top">here</a></h1>
        <a href="gone.html">gone</a> <a href="page.html#gone">gone</a>"##;
    let site = tempfile::tempdir()?;
    fs::write(site.path().join("page.html"), page)?;
    fs::write(site.path().join("page.css"), "a { background: url(//example.com/x) }")?;
    let found = site::links(site.path())?;
    let expected = [
        "page.css: url(//example.com/x is foreign",
        "page.html: https://example.com/x.js is foreign",
        "page.html: gone.html leads to nothing",
        "page.html: page.html#gone leads to nothing",
    ];
    ensure!(found == expected, "{found:#?}");
    Ok(Vec::new())
}
