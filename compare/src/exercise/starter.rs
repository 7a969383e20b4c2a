//! Starters: a lesson, or its twin, copied into a student's folder less a span, where it
//! builds without the project being built again.

use std::{
    collections::BTreeMap,
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use toml::Table;

use super::{Code, Exercise, root};
use crate::{Lesson, language::sentence};

impl Exercise {
    /// Writes the starter into a folder of `my`, and returns that folder.
    ///
    /// # Errors
    /// A [`crate::language::Sentence`] when there is such a folder already and it may not be overwritten, or
    /// the exercise does not exist in this code.
    pub fn start(&self, code: Code, my: &Path, overwrite: bool) -> Result<PathBuf> {
        let folder = my.join(self.folder(code));
        let mine = match (&self.patch, code) {
            (Some(_), Code::Rust) => folder.join("src/main.rs"),
            _ => self.files(code, my)?.1,
        };
        if folder.exists() {
            let shown = folder.file_name().unwrap_or_default().to_string_lossy();
            ensure!(
                overwrite,
                sentence(
                    format!(
                        "my/{shown} existe déjà, et rien n’y est écrasé ; `--overwrite` \
                         recommence à zéro"
                    ),
                    format!(
                        "my/{shown} is there already, and nothing in it is overwritten; \
                         `--overwrite` begins anew"
                    ),
                )
            );
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        match code {
            Code::Rust => {
                let lessons = Lesson::ALL.iter().map(|lesson| lesson.name());
                let lessons = lessons.filter(|name| my.join(name).is_dir());
                workspace(my, lessons.map(str::to_owned).collect())?;
                lesson_copy(self.lesson, &folder, &format!("my-{}", self.lesson))?;
                self.add(&folder)?;
                if self
                    .rust
                    .as_ref()
                    .is_some_and(|hole| hole.file.starts_with("shared/"))
                {
                    own_shared(&folder)?;
                }
            }
            Code::Js => {
                let server = fs::read_to_string(twin(self.lesson))?;
                fs::write(&mine, imports(&server, &folder)?)?;
            }
        }
        if let Some(hole) = self.hole(code) {
            let source = fs::read_to_string(&mine)?;
            fs::write(&mine, hole.dig(&source)?)?;
        }
        fs::write(folder.join("EXERCISE"), format!("{}\n", self.name))?;
        Ok(folder)
    }
}

/// The twin of a lesson on Node.js.
#[must_use]
pub fn twin(lesson: Lesson) -> PathBuf {
    root().join("compare/peers/node").join(format!("{lesson}.mjs"))
}

/// The twin's imports as they read from this folder. Node.js looks for packages only above
/// a file, so those of the peers are named by their file.
fn imports(server: &str, folder: &Path) -> Result<String> {
    let inside = folder.strip_prefix(root()).context("not in the project")?;
    let up = "../".repeat(inside.components().count());
    let peers = format!("{up}compare/peers");
    let packages = format!("{peers}/node_modules");
    Ok(server
        .replace("from \"./", &format!("from \"{peers}/node/"))
        .replace("from \"../counter", &format!("from \"{peers}/counter"))
        .replace("from \"../http", &format!("from \"{peers}/http"))
        .replace("from \"ws\"", &format!("from \"{packages}/ws/wrapper.mjs\""))
        .replace(
            "from \"socket.io\"",
            &format!("from \"{packages}/socket.io/wrapper.mjs\""),
        ))
}

/// A file of a student's folder for Node.js, as its imports read from this folder.
///
/// # Errors
/// When the folder is not in the project.
pub fn moved(text: &str, folder: &Path) -> Result<String> {
    let inside = folder.strip_prefix(root()).context("not in the project")?;
    let up = "../".repeat(inside.components().count());
    Ok(text.replace("\"../../compare/peers/", &format!("\"{up}compare/peers/")))
}

/// A copy of a lesson's folder that builds where it stands, a program of this name.
pub(super) fn lesson_copy(lesson: Lesson, folder: &Path, program: &str) -> Result<()> {
    let from = root().join(lesson.name());
    copy_folder(&from, folder)?;
    let client = "node_modules/socket.io-client/dist/socket.io.esm.min.js";
    if let (true, Some(dist)) =
        (from.join(client).is_file(), Path::new(client).parent())
    {
        fs::create_dir_all(folder.join(dist))?;
        fs::copy(from.join(client), folder.join(client))?;
    }
    let edit = |file: &str, old: &str, new: &str| -> Result<()> {
        let text = fs::read_to_string(folder.join(file))?;
        ensure!(text.contains(old), "{file} has no {old}");
        Ok(fs::write(folder.join(file), text.replace(old, new))?)
    };
    edit("askama.toml", "../shared/templates", &slashes(&shared().join("templates"))?)?;
    edit("Cargo.toml", VERSION, &own_version(folder))?;
    // Both are built into one folder, and neither may replace the other.
    let name = |name: &str| format!("[[bin]]\nname = \"{name}\"");
    edit("Cargo.toml", &name(lesson.name()), &name(program))
}

/// A copy of `shared` for a hole in it.
fn own_shared(folder: &Path) -> Result<()> {
    copy_folder(&shared(), &folder.join("shared"))?;
    let edit = |file: PathBuf, old: &str, new: &str| -> Result<()> {
        let text = fs::read_to_string(&file)?;
        ensure!(text.contains(old), "{} has no {old}", file.display());
        Ok(fs::write(file, text.replace(old, new))?)
    };
    edit(
        folder.join("Cargo.toml"),
        "shared.workspace = true",
        "shared.path = \"shared\"",
    )?;
    // Beside it, another lesson may be built with the project's own.
    edit(folder.join("shared/Cargo.toml"), VERSION, &own_version(folder))
}

const VERSION: &str = "\nversion.workspace = true";

/// A version for each folder: Cargo takes packages of one name, version and place in their
/// workspaces for the same one, and all are built into one folder.
fn own_version(folder: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("\nversion = \"0.1.0-my{:x}\"", hasher.finish())
}

fn shared() -> PathBuf {
    root().join("shared")
}

/// A path as TOML has it, on Windows too.
fn slashes(path: &Path) -> Result<String> {
    let path = path.canonicalize()?;
    let path = path.to_str().context("a path that is not text")?;
    Ok(path.trim_start_matches(r"\\?\").replace('\\', "/"))
}

/// Copies a folder, without what npm put there.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            fs::copy(path, to.join(name))?;
        }
    }
    Ok(())
}

/// A workspace for what students write, beside the project's, with the same versions and
/// profiles, a lock file of its own, and the same folder for what is built. Its members are
/// the folders of these names.
pub(super) fn workspace(my: &Path, mut ours: Vec<String>) -> Result<()> {
    fs::create_dir_all(my.join("dependencies/src"))?;
    fs::create_dir_all(my.join(".cargo"))?;
    let root = root();
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest.lines().find(|line| line.starts_with("members"));
    let members = members.context("no members")?;
    ours.push("dependencies".to_owned());
    let kept = |line: &&str| *line != members && !line.starts_with("default-members");
    let manifest: String =
        manifest.lines().filter(kept).map(|line| format!("{line}\n")).collect();
    let manifest = manifest
        .replace("[workspace]", &format!("[workspace]\nmembers = {ours:?}"))
        .replace("path = \"shared\"", &format!("path = \"{}\"", slashes(&shared())?));
    // Enough to read where a panic was, and half of what is built and linked.
    let profile = "\n[profile.dev]\ndebug = \"line-tables-only\"\n";
    fs::write(my.join("Cargo.toml"), manifest + profile)?;
    fs::copy(root.join("Cargo.lock"), my.join("Cargo.lock"))?;
    let target = slashes(&target()?)?;
    fs::write(
        my.join(".cargo/config.toml"),
        format!("[build]\ntarget-dir = \"{target}\"\n\n[net]\noffline = true\n"),
    )?;
    fs::write(my.join("dependencies/Cargo.toml"), dependencies(&root)?)?;
    fs::write(my.join("dependencies/src/lib.rs"), "")?;
    Ok(())
}

/// Where Cargo puts what it builds: this program is in there.
fn target() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let is_profile =
        |folder: &&Path| folder.ends_with("debug") || folder.ends_with("release");
    let profile = own.ancestors().find(is_profile).context("no folder of a profile")?;
    Ok(profile.parent().context("no folder above it")?.to_owned())
}

/// A package that asks for all that the project's packages ask for. Cargo builds a dependency
/// with what all members of a workspace want of it: so that it is the same one as the
/// project's, and not built again.
fn dependencies(root: &Path) -> Result<String> {
    let manifest: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let members =
        manifest["workspace"]["default-members"].as_array().context("no members")?;
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        let text = fs::read_to_string(root.join(member).join("Cargo.toml"))?;
        let member: Table = text.parse()?;
        let ours = |table: &Table| table.get("dependencies")?.as_table().cloned();
        let systems = member.get("target").and_then(toml::Value::as_table).cloned();
        let systems = systems.unwrap_or_default();
        let unix = systems.get("cfg(unix)").and_then(toml::Value::as_table);
        let unix = unix.filter(|_| cfg!(unix)).and_then(ours);
        for (name, value) in ours(&member).into_iter().chain(unix).flatten() {
            let flag =
                |key: &str| value.get(key).and_then(toml::Value::as_bool) == Some(true);
            let redis =
                cfg!(feature = "redis") && ["backon", "redis"].contains(&&*name);
            if name == "shared" || flag("optional") && !redis {
                continue;
            }
            let features = value.get("features").and_then(toml::Value::as_array);
            let features =
                features.into_iter().flatten().filter_map(toml::Value::as_str);
            wanted.entry(name).or_default().extend(features.map(str::to_owned));
        }
    }
    let mut text =
        "# What the lessons are built with, so that it is not built again.\n\
        [package]\nname = \"dependencies\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
        [dependencies]\n"
            .to_owned();
    for (name, features) in wanted {
        text.push_str(&format!(
            "{name} = {{ workspace = true, features = {features:?} }}\n"
        ));
    }
    Ok(text)
}
