//! The operator's command line; speaks only HTTP to a daemon.
fn main() {}
