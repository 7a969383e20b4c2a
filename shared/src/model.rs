//! The messages that travel, whatever carries them: JSON (RFC 8259) in UTF-8.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest command that a lesson reads, in bytes: body, frame or event.
pub const MAX_BYTES: usize = 4096;

/// Client → server: what to do to the counter, as `{"type":"increment"}`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", try_from = "Map<String, Value>")]
pub enum Command {
    /// Adds one; stays at [`i32::MAX`].
    Increment,
    /// Takes one away; stays at [`i32::MIN`].
    Decrement,
    /// Back to zero.
    Reset,
}

/// Reads a command from a JSON object.
///
/// Written by hand because the derived code also takes the array `["increment"]`, and lets
/// fields pass that mean nothing: `{"type":"increment","by":5}` would add one.
///
/// # Errors
/// What is wrong with the object.
impl TryFrom<Map<String, Value>> for Command {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let kind = fields.remove("type").ok_or("the field \"type\" is missing")?;
        let command = match kind.as_str() {
            Some("increment") => Self::Increment,
            Some("decrement") => Self::Decrement,
            Some("reset") => Self::Reset,
            _ => {
                let known = r#""increment", "decrement" or "reset""#;
                return Err(format!("\"type\" is {kind}, not {known}"));
            }
        };
        match fields.keys().next() {
            Some(field) => Err(format!("a command has no field {field:?}")),
            None => Ok(command),
        }
    }
}

/// Reads a command from JSON text.
///
/// # Errors
/// A [`Refusal`] that says what is wrong with the text.
impl FromStr for Command {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(Refusal::from)
    }
}

/// Server → client: the whole state of the counter, as `{"value":42,"version":17}`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Snapshot {
    /// The number shown. 32 bits, so that JavaScript's numbers hold it exactly.
    pub value: i32,
    /// How many commands were accepted since the server started.
    pub version: u64,
}

impl Snapshot {
    /// The snapshot that `command` makes of this one.
    #[must_use]
    pub fn after(self, command: Command) -> Self {
        let value = match command {
            Command::Increment => self.value.saturating_add(1),
            Command::Decrement => self.value.saturating_sub(1),
            Command::Reset => 0,
        };
        Self { value, version: self.version.saturating_add(1) }
    }
}

/// Server → client: the command was not applied, as `{"error":"…"}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// One sentence that says what was wrong.
    pub error: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { error: reason.into() }
    }
}

/// The refusal as JSON text.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serde_json::json!(self).fmt(f)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        let what = if error.is_eof() {
            "the command ends too early"
        } else if error.is_syntax() {
            "the command is not JSON"
        } else {
            "this JSON is not a command"
        };
        Self::new(format!("{what}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_saturates_and_version_grows() {
        let top = Snapshot { value: i32::MAX, version: 1 };
        assert_eq!(top.after(Command::Increment), Snapshot { version: 2, ..top });
        let bottom = Snapshot { value: i32::MIN, version: 1 };
        assert_eq!(bottom.after(Command::Decrement), Snapshot { version: 2, ..bottom });
        let reset = Snapshot { value: 0, version: 2 };
        assert_eq!(top.after(Command::Reset), reset);
    }
}
