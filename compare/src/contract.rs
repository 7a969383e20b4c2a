//! What the contract says, written out a second time: the messages, and the inputs that a
//! server must refuse. A change of `shared` is noticed here because nothing is shared.

use std::{
    error::Error,
    fmt::{self, Display},
};

use anyhow::Result;
use serde::Deserialize;

/// The state of the counter, as the contract has it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The number shown.
    pub value: i64,
    /// How many commands were accepted since the counter began.
    pub version: u64,
    /// Whether this is the last known state of a counter that the server has lost.
    #[serde(default)]
    pub stale: bool,
}

impl Snapshot {
    /// A state that is up to date.
    #[must_use]
    pub fn new(value: i64, version: u64) -> Self {
        Self { value, version, stale: false }
    }

    /// Reads one.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn read(text: &str) -> Result<Self> {
        let example = Self::new(0, 0);
        serde_json::from_str(text).map_err(|_| {
            Broken::new(format!("a snapshot such as {example}"), text).into()
        })
    }
}

/// As it travels.
impl Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, version, stale } = self;
        let stale = if *stale { r#","stale":true"# } else { "" };
        write!(f, r#"{{"value":{value},"version":{version}{stale}}}"#)
    }
}

/// A clause that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// What should have come.
    pub expected: String,
    /// What came.
    pub received: String,
}

impl Broken {
    /// This should have come, and that came.
    pub fn new(expected: impl Display, received: impl Display) -> Self {
        Self { expected: expected.to_string(), received: received.to_string() }
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, received {}", self.expected, self.received)
    }
}

impl Error for Broken {}

/// Checks that what came is what should have come.
///
/// # Errors
/// [`Broken`] when it is not.
pub fn expect<T: Display + PartialEq>(expected: T, received: T) -> Result<()> {
    if expected == received {
        return Ok(());
    }
    Err(Broken::new(expected, received).into())
}

/// A kind of bad input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bad {
    /// Text that is not JSON.
    NotJson,
    /// JSON that is not an object.
    WrongType,
    /// An object with a command that does not exist.
    Unknown,
    /// A command with a field too many.
    ExtraField,
    /// A command whose field stands twice.
    Twice,
    /// An id of 65 bytes.
    LongId,
    /// An id that is not text.
    NumberId,
    /// Nothing.
    Empty,
    /// Longer than 4 KiB.
    TooLong,
    /// Bytes where the transport tells text from bytes; else bytes that are not text.
    Binary,
    /// Text with a byte that is not UTF-8.
    NotUtf8,
    /// JSON nested a thousand levels deep.
    Nested,
}

impl Bad {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::NotJson,
        Self::WrongType,
        Self::Unknown,
        Self::ExtraField,
        Self::Twice,
        Self::LongId,
        Self::NumberId,
        Self::Empty,
        Self::TooLong,
        Self::Binary,
        Self::NotUtf8,
        Self::Nested,
    ];

    /// An input of this kind.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::NotJson => b"increment".to_vec(),
            Self::WrongType => br#"["increment"]"#.to_vec(),
            Self::Unknown => br#"{"type":"double"}"#.to_vec(),
            Self::ExtraField => br#"{"type":"increment","by":2}"#.to_vec(),
            Self::Twice => br#"{"type":"increment","type":"reset"}"#.to_vec(),
            Self::LongId => {
                format!(r#"{{"type":"increment","id":"{}"}}"#, "x".repeat(65))
                    .into_bytes()
            }
            Self::NumberId => br#"{"type":"increment","id":1}"#.to_vec(),
            Self::Empty => Vec::new(),
            Self::TooLong => {
                format!(r#"{{"type":"increment"{}}}"#, " ".repeat(5000)).into_bytes()
            }
            Self::Binary => vec![0, 159, 146, 150],
            Self::NotUtf8 => b"{\"type\":\"incr\xffment\"}".to_vec(),
            Self::Nested => ("[".repeat(1000) + &"]".repeat(1000)).into_bytes(),
        }
    }
}

/// The beginning of what is sent.
impl Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let shown = bytes[..bytes.len().min(48)].escape_ascii().to_string();
        let (shown, more) = (shown.replace("\\\"", "\""), bytes.len() > 48);
        let length = bytes.len();
        write!(f, "{shown}{} ({length} bytes)", if more { "…" } else { "" })
    }
}

/// What became of a bad input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server said what was wrong, in this sentence; the connection goes on.
    Refused(String),
    /// The server closed the connection, for this reason.
    Closed(String),
}
