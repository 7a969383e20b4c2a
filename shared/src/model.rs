//! The messages that travel, whatever carries them: JSON (RFC 8259) in UTF-8.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};
use serde_json::error::Category;

/// The longest command that a lesson reads, in bytes: body, frame or event.
pub const MAX_BYTES: usize = 4096;

/// The longest id of a command, in bytes.
const MAX_ID_BYTES: usize = 64;

/// Client → server: what to do to the counter, as `{"type":"increment"}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// What to do: the field `type`.
    pub action: Action,
    /// Chosen by the client, 1 to 64 bytes: a command that arrives again under the same id
    /// is not applied again. The field `id`, which may be left out.
    pub id: Option<String>,
}

/// What a command does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Adds one; stays at [`i32::MAX`].
    Increment,
    /// Takes one away; stays at [`i32::MIN`].
    Decrement,
    /// Back to zero.
    Reset,
}

#[cfg(feature = "redis")]
impl Action {
    /// The action as the field `type` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Increment => "increment",
            Self::Decrement => "decrement",
            Self::Reset => "reset",
        }
    }
}

/// Reads a command from an object that has these fields, each once, and no other.
///
/// Written by hand because the derived code also takes the array `["increment",null]` for a
/// command.
impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Command;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"an object such as {"type":"increment"}"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Command, A::Error> {
        let (mut action, mut id) = (None, None);
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "type" if action.is_some() => {
                    return Err(A::Error::duplicate_field("type"));
                }
                "type" => action = Some(fields.next_value()?),
                "id" if id.is_some() => return Err(A::Error::duplicate_field("id")),
                "id" => id = Some(fields.next_value::<String>()?),
                _ => return Err(A::Error::unknown_field(&field, &["type", "id"])),
            }
        }
        if let Some(length) = id.as_ref().map(String::len)
            && !(1..=MAX_ID_BYTES).contains(&length)
        {
            let expected = format!("an id of 1 to {MAX_ID_BYTES} bytes");
            return Err(A::Error::invalid_length(length, &expected.as_str()));
        }
        let action = action.ok_or_else(|| A::Error::missing_field("type"))?;
        Ok(Command { action, id })
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
    /// How many commands were accepted since the counter began.
    pub version: u64,
    /// Whether this is only the last known state: the server has lost the counter, which
    /// may have changed since. Left out of the JSON when false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

impl Snapshot {
    /// The snapshot that `action` makes of this one.
    #[must_use]
    pub fn after(self, action: Action) -> Self {
        let value = match action {
            Action::Increment => self.value.saturating_add(1),
            Action::Decrement => self.value.saturating_sub(1),
            Action::Reset => 0,
        };
        Self { value, version: self.version.saturating_add(1), stale: false }
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
        let what = match error.classify() {
            Category::Data => "this JSON is not a command",
            Category::Eof => "the command ends too early",
            Category::Io | Category::Syntax => "the command is not JSON",
        };
        Self::new(format!("{what}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The contract in other words: what this JSON value means, if it is a command.
    fn meaning(value: &Value) -> Option<(String, Option<String>)> {
        let fields = value.as_object()?;
        let kind = fields.get("type")?.as_str()?;
        let known = ["increment", "decrement", "reset"].contains(&kind);
        let id = fields.get("id");
        let good_id = id.is_none_or(|id| {
            id.as_str().is_some_and(|id| !id.is_empty() && id.len() <= 64)
        });
        let other = fields.keys().any(|field| field != "type" && field != "id");
        let id = id.and_then(Value::as_str).map(str::to_owned);
        (known && good_id && !other).then(|| (kind.to_owned(), id))
    }

    fn json() -> impl Strategy<Value = Value> {
        let kind = prop_oneof!["increment", "decrement", "reset", "Reset", ".{0,4}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            kind.prop_map(Value::from),
            ".{0,70}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let field = prop_oneof![6 => "type", 3 => "id", 1 => "[a-z]{0,3}"];
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                6 => prop::collection::btree_map(field, inner, 0..3)
                    .prop_map(|fields| fields.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_read_as_the_contract_says(value in json()) {
            let read = value.to_string().parse::<Command>().ok().map(|command| {
                (format!("{:?}", command.action).to_lowercase(), command.id)
            });
            prop_assert_eq!(read, meaning(&value));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = text.parse::<Command>();
        }
    }

    #[test]
    fn value_saturates_and_version_grows() {
        let top = Snapshot { value: i32::MAX, version: 1, stale: false };
        assert_eq!(top.after(Action::Increment), Snapshot { version: 2, ..top });
        let bottom = Snapshot { value: i32::MIN, version: 1, stale: false };
        assert_eq!(bottom.after(Action::Decrement), Snapshot { version: 2, ..bottom });
        let reset = Snapshot { value: 0, version: 2, stale: false };
        assert_eq!(top.after(Action::Reset), reset);
    }
}
