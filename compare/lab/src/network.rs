//! What a lane's network can do, by the names that an order and the page have for it.

use std::time::Duration;

use compare::relay::Network;
use serde::{Deserialize, Serialize};

/// What the network shall do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing.
    Good,
    /// Delays each piece, each way, by so many ms.
    Slow(u16),
    /// Moves so many bytes a second.
    Narrow(u32),
    /// Breaks every connection.
    Cut,
    /// Keeps every connection and moves nothing.
    Frozen,
    /// Keeps answers back until they are complete.
    Buffered,
    /// Ends what is silent for so many seconds.
    Impatient(u16),
    /// Does not pass `Upgrade` on.
    NoUpgrade,
}

impl From<Change> for Network {
    fn from(change: Change) -> Self {
        match change {
            Change::Good => Self::Good,
            Change::Slow(ms) => Self::Slow(Duration::from_millis(ms.into())),
            Change::Narrow(rate) => Self::Narrow(rate.max(1)),
            Change::Cut => Self::Down,
            Change::Frozen => Self::Frozen,
            Change::Buffered => Self::Buffered,
            Change::Impatient(limit) => {
                Self::Impatient(Duration::from_secs(limit.max(1).into()))
            }
            Change::NoUpgrade => Self::NoUpgrade,
        }
    }
}
