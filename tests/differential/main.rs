//! secondaryd beside NSD, Knot DNS and BIND: the same zones, the same questions, and no answer that is ours alone.
//!
//! Every peer is started by the test on a loopback address of its own with a temporary directory; one that is not
//! installed says so and is left out, and without two of them there is nothing to compare. The validator (`delv`) asks
//! our listener with the trust anchor of the fixture as the only thing it believes.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../interop/peer/mod.rs"]
mod peer;
#[path = "../answer/proofs.rs"]
#[allow(dead_code, reason = "shared with tests/answer")]
mod proofs;
#[path = "../answer/witness.rs"]
#[allow(dead_code, reason = "shared with tests/answer")]
mod witness;
#[path = "../interop/zones.rs"]
#[allow(dead_code, reason = "shared with tests/interop")]
mod zones;

mod alone;
mod odd;
mod random;
mod serve;
mod validated;

use harness::{Key, address, certificates, client, process, wait};
