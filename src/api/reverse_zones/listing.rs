//! GET `/domains/{domain}/records`: the records of any zone, page by page.
//!
//! SOA and NS of the apex are left out unless asked for. They stand in front of all others, so a page is found by rank; for a
//! part of a name, or a type in a transferred zone, the zone is looked through once for each version of it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::refused::{Refused, bad};
use super::shapes::Record;
use super::{Domain, Paging, ids, ok};
use crate::api::Api;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::ionos::records::text;
use crate::api::query::Params;
use crate::api::selection::{self, Searched};
use crate::dns::{Name, RecordRef, RecordType};
use crate::local::{Entry, LocalZone};
use crate::zone::Snapshot;

/// Records of one page, which is all of them where the client does not ask for pages.
const LIST_MAX: usize = 10_000;

/// Which records a list holds.
#[derive(Clone, Debug)]
struct Filter {
    rtype: Option<RecordType>,
    /// In lower case.
    part: String,
    with_system: bool,
}

/// A page of records, and how many fit in all.
type Selected = (Vec<Record>, usize);

/// GET `/domains/{domain}/records`.
pub(super) async fn list(State(api): State<Arc<Api>>, domain: Domain, params: Params) -> Result<Response, Refused> {
    let rtype = params.single("type")?.map(|text| text.to_ascii_uppercase().parse());
    let filter = Filter {
        rtype: rtype.transpose().map_err(|_| bad("type must be a record type such as AAAA"))?,
        part: params.single("name")?.unwrap_or_default().to_lowercase(),
        with_system: params.flag("include_system")?.unwrap_or(false),
    };
    let paging = Paging::bounded(&params, LIST_MAX, LIST_MAX)?;
    let (data, total) = match (&domain.local, domain.view.snapshot()) {
        (Some(zone), _) => filter.of_local(&api, &domain, zone, paging).await?,
        (None, Some(snapshot)) => filter.of_transferred(&api, &domain, &snapshot, paging).await?,
        (None, None) => (Vec::new(), 0),
    };
    Ok(ok(&json!({
        "data": data,
        "total": total,
        "domain_id": ids::text('d', domain.view.uuid),
        "domain_name": domain.view.name.without_dot(),
    })))
}

impl Filter {
    fn holds(&self, owner: &[u8], rtype: RecordType, apex: &Name) -> bool {
        let is_system =
            rtype == RecordType::SOA || rtype == RecordType::NS && owner.eq_ignore_ascii_case(apex.as_wire());
        let has_part = || text(owner).to_ascii_lowercase().contains(&self.part);
        (self.with_system || !is_system)
            && self.rtype.is_none_or(|wanted| wanted == rtype)
            && (self.part.is_empty() || has_part())
    }

    /// The SOA, which is no entry, comes first where it is wanted.
    async fn of_local(
        &self,
        api: &Arc<Api>,
        domain: &Domain,
        zone: &Arc<LocalZone>,
        paging: Paging,
    ) -> Result<Selected, Fault> {
        let soa = zone.soa();
        let with_soa = self.holds(soa.owner.as_wire(), RecordType::SOA, zone.apex());
        let before = usize::from(with_soa);
        let mut data = Vec::new();
        if with_soa && paging.skipped() == 0 {
            data.push(Record::transferred(soa.borrow(), domain));
        }
        let skipped = paging.skipped().saturating_sub(before);
        let left = paging.size - data.len();
        let mut show = |entries: &mut dyn Iterator<Item = &Arc<Entry>>| {
            data.extend(entries.take(left).map(|entry| Record::of(entry, domain)));
        };
        let apex_ns = if self.with_system { 0 } else { zone.rrset(zone.apex(), RecordType::NS).count() };
        let total = match self.rtype {
            _ if !self.part.is_empty() => {
                let (filter, looked_at) = (self.clone(), zone.clone());
                let searched = Searched::Local(Arc::downgrade(zone));
                let found = selection::find(api, searched, format!("records {self:?}"), move || {
                    let fits = |entry: &Entry| filter.holds(entry.owner.as_wire(), entry.rtype, looked_at.apex());
                    let entries = looked_at.entries_from(0).enumerate();
                    entries.filter(|(_, entry)| fits(entry)).map(|(rank, _)| rank as u32).collect()
                });
                let found = found.await?;
                let ranks = found.iter().skip(skipped);
                show(&mut ranks.filter_map(|rank| zone.entries_from(*rank as usize).next()));
                found.len()
            }
            // Those of the apex come first.
            Some(RecordType::NS) => {
                show(&mut zone.of_type_from(RecordType::NS, skipped + apex_ns));
                zone.count_of(RecordType::NS) - apex_ns
            }
            Some(rtype) => {
                show(&mut zone.of_type_from(rtype, skipped));
                zone.count_of(rtype)
            }
            None => {
                let first_ns = zone.at(zone.apex()).filter(|entry| entry.rtype < RecordType::NS).count();
                let in_front = first_ns.saturating_sub(skipped);
                let behind = first_ns + apex_ns + skipped.saturating_sub(first_ns);
                show(&mut zone.entries_from(skipped).take(in_front).chain(zone.entries_from(behind)));
                zone.len() - apex_ns
            }
        };
        Ok((data, total + before))
    }

    async fn of_transferred(
        &self,
        api: &Arc<Api>,
        domain: &Domain,
        snapshot: &Arc<Snapshot>,
        paging: Paging,
    ) -> Result<Selected, Fault> {
        let ranks: Vec<u32>;
        let total;
        if self.part.is_empty() && self.rtype.is_none() {
            // What may be left out stands in the apex, whose records are the first.
            let apex = snapshot.apex();
            let (mut own, mut shown) = (0, Vec::new());
            let mut records = snapshot.records_at(apex);
            while let Some(record) = records.advance() {
                if self.holds(record.owner, record.rtype, apex) {
                    shown.push(own);
                }
                own += 1;
            }
            let left_out = own as usize - shown.len();
            total = snapshot.record_count() as usize - left_out;
            let on_page = paging.skipped()..paging.skipped().saturating_add(paging.size).min(total);
            ranks = on_page.map(|at| shown.get(at).copied().unwrap_or((at + left_out) as u32)).collect();
        } else {
            let (filter, looked_at) = (self.clone(), snapshot.clone());
            let searched = Searched::Transferred(Arc::downgrade(snapshot));
            let found = selection::find(api, searched, format!("records {self:?}"), move || {
                let fits = |record: RecordRef<'_>| filter.holds(record.owner, record.rtype, looked_at.apex());
                selection::ranks(&looked_at, fits)
            });
            let found = found.await?;
            total = found.len();
            ranks = paging.cut(&found).to_vec();
        }
        // Sorting a zone for its first listing is too long for a thread that serves others.
        let (shown, snapshot) = (domain.clone(), snapshot.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut data = Vec::with_capacity(ranks.len());
            selection::records(&snapshot, &ranks, |record| data.push(Record::transferred(record, &shown)));
            data
        });
        let data = reading.await.map_err(|_| Fault::new(ErrorCode::Internal, "The records could not be listed"))?;
        Ok((data, total))
    }
}
