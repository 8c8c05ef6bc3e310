//! DNS over sockets.
mod mmsg;
