//! What extensions add to the lessons: behaviours that a lesson does not have, and that the
//! lesson with the extension's patch has. The clauses are those of the chapter "Events".

pub mod answer;
pub mod long_poll;
#[cfg(feature = "browser")]
pub mod page;
pub mod resume;
pub mod rooms;
pub mod status;
pub mod ticket;
pub mod topics;
