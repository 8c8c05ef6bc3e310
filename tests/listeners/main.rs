//! The listeners over real sockets on 127.0.0.1 and ::1: UDP, TCP, TLS, NOTIFY, TSIG, transfers out, proxies, limits,
//! shutdown.

mod clients;
mod notify;
mod proxied;
mod queries;
mod restricted;
mod setup;
mod tls;
mod transfers;
