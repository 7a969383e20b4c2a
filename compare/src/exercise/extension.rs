//! Extensions: what a lesson does not have, and its solution as a patch of the lesson.

use std::{fs, io::ErrorKind, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{
    Exercise, root,
    starter::{lesson_copy, workspace},
};
use crate::{
    Lesson,
    language::{Language, Sentence, sentence},
};

impl Exercise {
    /// The extension of this name, such as `rooms`.
    ///
    /// # Errors
    /// A [`Sentence`] when the lesson has none of this name.
    pub fn extension(lesson: Lesson, name: &str) -> Result<Self> {
        let found = Self::named(&format!("{lesson}/{name}")).ok();
        let found = found.filter(|exercise| exercise.patch.is_some());
        Ok(found.ok_or_else(|| no_extension(lesson, name))?)
    }

    /// The files that the solution changes, in the lesson's folder.
    ///
    /// # Errors
    /// When the patch cannot be read, or there is none.
    pub fn patched(&self) -> Result<Vec<String>> {
        let patch = self.patch.as_ref().context("not an extension")?;
        let text =
            fs::read_to_string(patch).with_context(|| patch.display().to_string())?;
        let files = text.lines().filter_map(|line| line.strip_prefix("+++ b/"));
        let mut files: Vec<_> = files.map(str::to_owned).collect();
        // The server before the page.
        files.sort_by_key(|file| file.ends_with(".js"));
        Ok(files)
    }

    /// How many lines of the server, and of the page, its solution writes or changes.
    ///
    /// # Errors
    /// As [`Exercise::patched`].
    pub fn price(&self) -> Result<(usize, usize)> {
        let patch = self.patch.as_ref().context("not an extension")?;
        let text = fs::read_to_string(patch)?;
        let (mut server, mut page, mut in_page) = (0, 0, false);
        for line in text.lines() {
            if let Some(file) = line.strip_prefix("+++ b/") {
                in_page = file.ends_with(".js");
            } else if line.starts_with('+') {
                *(if in_page { &mut page } else { &mut server }) += 1;
            }
        }
        Ok((server, page))
    }

    /// Writes what several extensions have in common, and this one is given.
    pub(super) fn add(&self, folder: &Path) -> Result<()> {
        for name in &self.adds {
            let file = format!("{name}.rs");
            let from = root().join("exercises/extensions").join(&file);
            fs::copy(&from, folder.join("src").join(file))
                .with_context(|| from.display().to_string())?;
        }
        Ok(())
    }

    /// Writes the lesson with the patch into a folder of `my`, as a package of its own.
    fn patch(&self, my: &Path) -> Result<()> {
        let patch = self.patch.as_ref().context("not an extension")?;
        let program = self.program();
        let folder = my.join(&program);
        lesson_copy(self.lesson, &folder, &program)?;
        self.add(&folder)?;
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let (extension, package) = (self.short_name(), "name = \"lesson-");
        ensure!(text.contains(package), "no {package}");
        let own = format!("name = \"{extension}-lesson-");
        fs::write(manifest, text.replace(package, &own))?;
        let mut git = Command::new("git");
        git.args(["apply", "--whitespace=nowarn"]).arg(patch.canonicalize()?);
        // Inside a repository, Git would take the patch's paths for those of the whole.
        git.env("GIT_CEILING_DIRECTORIES", my.canonicalize()?).current_dir(&folder);
        let applied = git.output().context("cannot run git")?;
        let said = String::from_utf8_lossy(&applied.stderr).into_owned();
        ensure!(
            applied.status.success(),
            "{} no longer applies: {said}",
            patch.display()
        );
        Ok(())
    }

    /// What the program is called that its solution is built as.
    #[must_use]
    pub fn program(&self) -> String {
        self.name.replace('/', "-")
    }

    /// Its name in its lesson: `rooms` of `03-websocket/rooms`.
    pub(super) fn short_name(&self) -> &str {
        self.name.split('/').next_back().unwrap_or_default()
    }
}

/// All extensions, with what each costs in lines, as a table of the book.
///
/// # Errors
/// When they cannot be read.
pub fn prices(language: Language) -> Result<String> {
    let mut text = language
        .say(
            "| Extension | Lignes du serveur | Lignes de la page | Donné | Étape |\n",
            "| Extension | Lines of the server | Lines of the page | Given | Stage |\n",
        )
        .to_owned();
    text.push_str("|---|---:|---:|---|---|\n");
    for extension in Exercise::all()?.iter().filter(|it| it.patch.is_some()) {
        let (server, page) = extension.price()?;
        let given = extension.adds.iter().map(|name| format!("`{name}.rs`"));
        let given = given.reduce(|all, next| all + ", " + &next);
        let mut own: Vec<_> = extension.stages.iter().map(|stage| stage.name).collect();
        if own.is_empty() {
            own.extend(extension.browser.iter().map(String::as_str));
        }
        let own = own.into_iter().map(|name| format!("`{name}`"));
        let (name, given) = (&extension.name, given.unwrap_or_else(|| "–".to_owned()));
        let stages = own.collect::<Vec<_>>().join(", ");
        text.push_str(&format!(
            "| `{name}` | {server} | {page} | {given} | {stages} |\n"
        ));
    }
    Ok(text)
}

/// Writes the solutions of extensions into a workspace of its own, each named after its
/// program. Returns why those are left out whose patch no longer applies.
///
/// # Errors
/// When the workspace cannot be written.
pub fn solve(extensions: &[Exercise], my: &Path) -> Result<Vec<(String, String)>> {
    fs::remove_dir_all(my).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    fs::create_dir_all(my)?;
    let (mut members, mut left_out) = (Vec::new(), Vec::new());
    for extension in extensions {
        match extension.patch(my) {
            Ok(()) => members.push(extension.program()),
            Err(error) => left_out.push((extension.program(), format!("{error:#}"))),
        }
    }
    workspace(my, members)?;
    Ok(left_out)
}

fn no_extension(lesson: Lesson, name: &str) -> Sentence {
    sentence(
        format!(
            "{lesson} n’a pas d’extension « {name} » ; `just exercise` les énumère"
        ),
        format!("{lesson} has no extension “{name}”; `just exercise` lists them"),
    )
}
