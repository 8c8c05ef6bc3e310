//! Our own paths, beside the dialects: how the process is, and what the daemon knows that no foreign API asks for.
//!
//! One file per capability; each adds its lines to [`guarded`]. `health` alone answers without a credential.

pub(in crate::api) mod attempt;
mod check;
pub(in crate::api) mod events;
mod explain;
mod health;
mod held;
pub(in crate::api) mod history;
mod transfers;
mod versions;
mod zones_health;

use super::openapi::{Content, Doc, Paths};

const PAGE: [&str; 2] = ["offset", "limit"];
const DIFFERENCE: &[&str] = &["offset", "limit@difference"];

/// `/healthz`, `/readyz`, `/metrics` and `/health/zones`: no credential needed.
pub fn open() -> Paths {
    const FAIL_ON: &[&str] = &["fail-on"];
    let text = |id, summary| Doc::new(id, summary, 200, "").text().open();
    let zones = Doc::new("healthZones", "Are the zones well enough? 503: no", 200, "ZonesHealth").open_to_all();
    Paths::default()
        .get("/healthz", text("healthz", "200 as long as the process lives"), health::healthz)
        .get("/readyz", text("readyz", "200 once zones are served").also(503, Content::Text), health::readyz)
        .get("/metrics", text("metrics", "Metrics in Prometheus' text format"), health::metrics)
        .get("/health/zones", zones.params(FAIL_ON).also(503, Content::Json("ZonesHealth")), zones_health::read)
}

/// Everything that shows zones: inside [`super::auth::require`].
pub fn guarded() -> Paths {
    transfer_paths(version_paths(Paths::default()))
}

fn version_paths(paths: Paths) -> Paths {
    let command = |id, summary| Doc::new(id, summary, 202, "Empty").fails(&[409]);
    let difference = |id, summary| {
        Doc::new(id, summary, 200, "").answers(Content::JsonOrText("Difference")).params(DIFFERENCE).fails(&[409])
    };
    paths
        .get(
            "/secondaryzones/{id}/held",
            Doc::new("heldList", "Versions that wait for a person", 200, "HeldList"),
            held::list,
        )
        .get(
            "/secondaryzones/{id}/held/{held}/diff",
            difference("heldDifference", "What a held version would change"),
            held::diff,
        )
        .post("/secondaryzones/{id}/held/{held}/approve", command("heldApprove", "Serve it"), held::approve)
        .post("/secondaryzones/{id}/held/{held}/reject", command("heldReject", "Give it up"), held::reject)
        .get(
            "/secondaryzones/{id}/versions",
            Doc::new("versionsList", "Versions that are kept, newest first", 200, "VersionList"),
            versions::list,
        )
        .get(
            "/secondaryzones/{id}/versions/{serial}",
            difference("versionsDifference", "What changed between two versions"),
            versions::read,
        )
        .get(
            "/zones/{id}/versions/{serial}",
            difference("versionsDifferenceByName", "The same for a zone called by name or UUID"),
            versions::read_named,
        )
        .post(
            "/secondaryzones/{id}/versions/{serial}/rollback",
            command("versionsRollback", "Serve an older version again, and take no newer one"),
            versions::roll_back,
        )
        .post(
            "/secondaryzones/{id}/release",
            command("versionsRelease", "Take newer versions again"),
            versions::release,
        )
}

fn transfer_paths(paths: Paths) -> Paths {
    const CHECK: &[&str] = &["transfer"];
    const HISTORY: &[&str] = &[PAGE[0], PAGE[1], "code", "status", "primary", "kind", "since", "until"];
    const LINES: &[&str] = &[PAGE[0], PAGE[1], "status", "code", "primary", "zone", "after"];
    const EVENTS: &[&str] = &["type@events", "zone@events", "last-event-id", "Last-Event-ID"];
    let explained = |id, summary| Doc::new(id, summary, 200, "Explanation");
    let check = |id, summary| Doc::new(id, summary, 200, "CheckReport").params(CHECK);
    paths
        .get(
            "/secondaryzones/{id}/axfr/history",
            Doc::new("axfrHistory", "What became of every attempt, newest first", 200, "AttemptList").params(HISTORY),
            history::read,
        )
        .post(
            "/secondaryzones/{id}/axfr/check",
            check("axfrCheck", "What the primaries would give; nothing is changed"),
            check::zone,
        )
        .get(
            "/secondaryzones/{id}/explain",
            explained("explain", "Why the zone is as it is, and what to do"),
            explain::read,
        )
        .get(
            "/zones/{id}/explain",
            explained("explainByName", "The same for a zone called by name or UUID"),
            explain::read_named,
        )
        .post(
            "/transfers/check",
            check("transfersCheck", "What primaries would give for a zone that is not here")
                .body(Content::Json("SecondaryZoneRequest")),
            check::unknown,
        )
        .get(
            "/transfers",
            Doc::new("transfersList", "One line for each primary of each zone", 200, "TransferList").params(LINES),
            transfers::list,
        )
        .get(
            "/transfers/summary",
            Doc::new("transfersSummary", "How many stand how", 200, "TransferSummary"),
            transfers::summary,
        )
        .get(
            "/events",
            Doc::new("events", "What happens, as it happens; the stream does not end", 200, "")
                .answers(Content::Events)
                .params(EVENTS)
                .fails(&[429]),
            events::read,
        )
}
