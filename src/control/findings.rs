//! What the engine has found out about primaries, told once: a line in the log and an event when it begins, and when it
//! is over. Called by the keeper whenever a zone is shown anew.

use super::events::Kind;
use super::keeper::Keeper;
use super::status::ZoneStatus;
use crate::refresh::Finding;

impl Keeper {
    /// Tells what is found in `new` and was not in `old`, and the other way round.
    pub(super) fn tell_findings(&self, old: &ZoneStatus, new: &ZoneStatus) {
        if old.remarks.findings.is_empty() && new.remarks.findings.is_empty() {
            return;
        }
        let is_in = |findings: &[Finding], it: &Finding| {
            findings.iter().any(|other| (other.code, other.primary) == (it.code, it.primary))
        };
        let definition = &new.definition;
        let address =
            |it: &Finding| it.primary.and_then(|ix| definition.primaries.get(ix)).map(|p| p.address.to_string());
        for begun in new.remarks.findings.iter().filter(|it| !is_in(&old.remarks.findings, it)) {
            let peer = address(begun);
            tracing::warn!(zone = %definition.name, peer, code = begun.code.as_str(), since = %begun.since, "{}", begun.evidence);
            let details = serde_json::json!({
                "code": begun.code, "primary": peer, "since": begun.since.to_string(), "evidence": begun.evidence,
            });
            self.tell(definition, Kind::Finding, details);
        }
        for over in old.remarks.findings.iter().filter(|it| !is_in(&new.remarks.findings, it)) {
            let peer = address(over);
            tracing::info!(zone = %definition.name, peer, code = over.code.as_str(), since = %over.since, "no longer so");
            let details = serde_json::json!({"code": over.code, "primary": peer, "over": true});
            self.tell(definition, Kind::Finding, details);
        }
    }
}
