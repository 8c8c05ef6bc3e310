//! One zone's contents, immutable: a directory of small pages whose bytes are the same in memory, on disk and almost on
//! the wire.

mod encode;
pub mod entry;
pub mod hash;
pub mod page;
pub mod spill;

pub use hash::HashKey;
pub use page::{DamagedPage, Entry, Kind, Page, PageKey, RrsetBlock};
