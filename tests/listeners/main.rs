//! The listeners over real sockets on 127.0.0.1 and ::1: UDP, TCP, NOTIFY, TSIG, transfers out, limits, shutdown.

mod notify;
mod queries;
mod setup;
mod transfers;
