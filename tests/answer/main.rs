//! What secondaryd answers: scenarios from `fixtures/scripts`, a reference model on random zones, and rubbish.
//!
//! Every reply is decoded by hickory-proto, which shares no code with the writer under test.

mod cookies;
mod large;
mod laws;
mod model;
mod proofs;
mod script;
mod stage;
mod subjects;
mod witness;
