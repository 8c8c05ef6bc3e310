//! secondaryd, a secondary DNS server that tells its admins what every primary is doing and why.
//!
//! # The map
//!
//! ```text
//!                    primaries                                            resolvers, downstreams
//!                        |  NOTIFY, SOA, AXFR, IXFR                            |  queries, AXFR, IXFR
//!          +-------------v-------------+                         +-------------v-------------+
//!          | net::upstream (exchanges) |                         | net (UDP workers, TCP)    |
//!          +-------------+-------------+                         +------+-------------+------+
//!            messages    |                                              | bytes       | NOTIFY
//!          +-------------v-------------+                         +------v------+      |
//!          | transfer (Diffs | Full)   |                         | answer      |      |
//!          +-------------+-------------+                         +------^------+      |
//!            contents    |                                              | snapshot    |
//!          +-------------v-------------+   publish   +-----------+      |             |
//!          | control: keeper, commit   +------------>| served    +------+             |
//!          |   refresh decides when,   |             +-----------+                    |
//!          |   whom and what for       |<-------------- inbox ------------------------+
//!          +---+-------------------+---+
//!      durable |                   | status
//!          +---v---+           +---v---+
//!          | store |           |  api  |  REST, dashboard, /metrics
//!          +-------+           +-------+
//! ```
//!
//! # The rooms and who may use whom
//!
//! | layer | rooms | may use |
//! | --- | --- | --- |
//! | words | [`dns`], [`reason`], [`time`], `threads` (large work is done by all processors) | nothing |
//! | vocabulary | [`zone`]; [`served`] | the words; `zone` |
//! | rules, without clock, socket, task or disk | [`answer`]; [`transfer`], [`refresh`], [`reverse`], [`access`], [`catalog`]; [`local`] | vocabulary, not each other; `local` uses `reverse` |
//! | configuration | [`config`] | the words, [`access`] rules as values |
//! | effects | [`store`], [`net`] | all of the above, not each other; `system` (system calls, the one place of `unsafe`) |
//! | | [`control`] | effects and below |
//! | | [`api`] | `control` and below |
//! | | [`daemon`], [`demo`] | everything; called by `bin` |
//!
//! [`telemetry`] sets up logs and metrics, `scrape` feeds what is counted elsewhere; [`manual`] is the text for people. `tests/layers.rs` holds this table.
//!
//! # Invariants
//!
//! 1. Only `control::commit` and the loading of stored zones call `Publisher::publish`; `Publisher` is not `Clone`.
//! 2. A published snapshot has passed `zone::check`.
//! 3. Within one run the served serial of a transferred zone never moves backwards (RFC 1982), except by a forced
//!    transfer, a roll-back, after expiry, or when the zone gets a primary list with no address in common with the old one.
//! 4. A query worker never blocks, allocates, or frees a snapshot (the reaper drops the last reference).
//! 5. The store holds for each zone one generation of pages and the unbroken chain of diffs after it, or nothing; before
//!    the base a bounded history of diffs.
//! 6. `apply(old, diff)` equals `build(new)` byte for byte; the stored chain over the stored pages gives the stored
//!    serial's contents.
//! 7. Rules never read a clock; `now` comes in as an argument, randomness as a seed.
//! 8. Every queue, buffer, retry and history has a bound, and the bound is in the config or a named constant.
//! 9. Nothing from the network may panic, and nothing a client sends is echoed into a log unescaped.

pub mod access;
pub mod answer;
pub mod api;
pub mod catalog;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod dns;
pub mod local;
pub mod manual;
pub mod net;
pub mod reason;
pub mod refresh;
pub mod reverse;
mod scrape;
pub mod served;
pub mod store;
mod system;
pub mod telemetry;
mod threads;
pub mod time;
pub mod transfer;
pub mod zone;
