//! Why the store cannot do something, by what the caller can do about it.
//!
//! [`OpenError`] refuses to start, [`StoreError`] fails one write or read, [`Failure`] decides at start between the two
//! and a rebuilding of the database.

use std::io;

use super::layout::Damage;

/// Why a write or read failed. Cheap to clone: a whole group may share one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// After [`Store::close`](super::Store::close).
    #[error("the store is closed")]
    Closed,
    /// Too many writes wait. Later ones heal the gap: see [`Write::Append`](super::Write::Append).
    #[error("too many writes wait for the disk")]
    QueueFull,
    /// [`Options::stop_after_steps`](super::Options::stop_after_steps) is used up.
    #[error("the store was stopped by a test")]
    Stopped,
    /// A value above its bound.
    #[error("{octets} octets, at most {max} can be stored")]
    TooLarge {
        /// What came.
        octets: usize,
        /// What is allowed.
        max: usize,
    },
    /// A stored value is not what was written.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// sled cannot read its files. The writer rebuilds them; then the next write succeeds.
    #[error("the database is damaged: {0}")]
    Broken(String),
    /// The system refused a file of pages; the database is not concerned. The next write tries again.
    #[error("{path}: {detail}")]
    PageFile {
        /// Below the state directory.
        path: String,
        /// In the system's words.
        detail: String,
    },
    /// The system refused. The next write tries again.
    #[error("{operation}: {detail}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// In the system's words.
        detail: String,
    },
}

impl StoreError {
    pub(super) fn failed(operation: &'static str, detail: impl ToString) -> StoreError {
        StoreError::Failed { operation, detail: detail.to_string() }
    }
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> StoreError {
        StoreError::Corrupt(damage.to_string())
    }
}

/// Why the store cannot start. Nothing has been changed on the disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the directory.
    #[error("another process uses the store")]
    Locked,
    /// Data of a later (or foreign) format: never touched.
    #[error("the store has format {found}; this version reads formats up to {expected}")]
    UnknownFormat {
        /// What stands there.
        found: u32,
        /// The latest we know.
        expected: u32,
    },
    /// Written by another version of sled.
    #[error("the store was written by another version of the database: {0}")]
    Unsupported(String),
    /// The system refused: permissions, full disk.
    #[error("opening the store: {0}")]
    Io(#[from] io::Error),
    /// The first writes or reads failed.
    #[error("opening the store: {0}")]
    Store(#[from] StoreError),
}

/// What came of opening the database.
pub(super) enum Failure {
    /// The files are beyond use as they are.
    Damaged(String),
    /// Not to be touched.
    Refuse(OpenError),
}

impl Failure {
    /// For a second attempt, after which nothing is left to try.
    pub(super) fn into_error(self) -> OpenError {
        match self {
            Failure::Refuse(error) => error,
            Failure::Damaged(why) => OpenError::Store(StoreError::Broken(why)),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Broken(why) | StoreError::Corrupt(why) => Failure::Damaged(why),
            error => Failure::Refuse(error.into()),
        }
    }
}
