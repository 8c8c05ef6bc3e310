//! Catalog zones (RFC 9432): those that are followed, as part of a `[[secondary-zone]]`, and those that are made here.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::check::Lookup;
use super::guard::{GuardTable, HookTable, ZonePolicy};
use super::sections;
use super::values::{self, NotifyTarget, de};
use super::zones::{Origin, Primary, Zone};
use crate::access::Rule;
use crate::dns::Name;

/// A catalog that loses more of its records than this, in per cent, is held back, unless `[guard]` or the zone says otherwise.
const SHRINK_PERCENT: u8 = 50;
/// The same from this many records on.
const SHRINK_RECORDS_MIN: u64 = 20;
/// Octets of a group, which is one string of a TXT record.
const GROUP_OCTETS_MAX: usize = 255;
/// Octets of the name of a catalog that is made here: in front of it stand a label of 32 octets, "zones" and a property.
const APEX_OCTETS_MAX: usize = 255 - 33 - 6 - 6;

/// `[secondary-zone.catalog]`: the zone is a catalog, and the zones that it lists are zones here. `catalog = {}` is enough
/// where they come from the same primaries. Queries for the catalog itself are then for those of its `allow-transfer`
/// alone, unless its `allow-query` says otherwise; and without a `shrink-percent` of `[guard]` or of its own it is held
/// back when more than half of its records go (from 20 records on).
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CatalogTable {
    /// Only zones at or below these names are taken; a final dot is optional. Default `["."]`: all. Whoever makes the
    /// catalog decides what is served here (RFC 9432 §7): name what may come from him.
    pub allow: Option<Vec<Spanned<String>>>,
    /// What its members have in common.
    pub members: Option<Spanned<MembersTable>>,
    /// `[secondary-zone.catalog.group.NAME]`: the same for members of a group (RFC 9432 §4.3.2); a key that is absent
    /// means what `members` says. Default none: groups are not looked at.
    pub group: BTreeMap<String, Spanned<MembersTable>>,
}

/// `[secondary-zone.catalog.members]`: the settings of the zones that a catalog lists. What is absent is as for the catalog
/// itself, but for `allow-query`, `guard` and `hook`, which are then as for any zone.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MembersTable {
    /// As in `[[secondary-zone]]`.
    pub primaries: Option<Spanned<Vec<Spanned<String>>>>,
    /// NAME of the `[tsig-key.NAME]` for primaries given by address here. Default none.
    pub tsig_key: Option<Spanned<String>>,
    /// As in `[[secondary-zone]]`, and so are the others.
    #[serde(deserialize_with = "de::rules_option")]
    pub allow_notify: Option<Vec<Spanned<Rule>>>,
    #[serde(deserialize_with = "de::rules_option")]
    #[allow(missing_docs)]
    pub allow_transfer: Option<Vec<Spanned<Rule>>>,
    #[serde(deserialize_with = "de::rules_option")]
    #[allow(missing_docs)]
    pub allow_query: Option<Vec<Spanned<Rule>>>,
    #[allow(missing_docs)]
    pub notify: Option<Vec<Spanned<NotifyTarget>>>,
    #[allow(missing_docs)]
    pub guard: Option<Spanned<GuardTable>>,
    #[allow(missing_docs)]
    pub hook: Option<Spanned<HookTable>>,
    #[allow(missing_docs)]
    pub tenant: Option<Spanned<String>>,
}

/// What a catalog that is followed leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Members are at or below one of these.
    pub allow: Vec<Name>,
    /// What members have in common.
    pub members: Members,
    /// Members of these groups have this instead.
    pub groups: BTreeMap<String, Members>,
}

impl Catalog {
    /// Whether a zone of this name may come.
    pub fn allows(&self, zone: &Name) -> bool {
        self.allow.iter().any(|name| zone.is_at_or_below(name))
    }

    /// The settings of a member of these groups, and the first of the groups that has any.
    pub fn settings(&self, groups: &[String]) -> (Option<&str>, &Members) {
        let known = groups.iter().find_map(|group| self.groups.get_key_value(group));
        known.map_or((None, &self.members), |(group, members)| (Some(group), members))
    }
}

/// The settings of members; see [`Zone`] for what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names and meanings of the zone
pub struct Members {
    pub primaries: Arc<[Primary]>,
    pub allow_notify: Arc<[Rule]>,
    pub allow_transfer: Arc<[Rule]>,
    pub allow_query: Option<Arc<[Rule]>>,
    pub notify: Arc<[NotifyTarget]>,
    pub policy: Option<Arc<ZonePolicy>>,
    pub tenant: Arc<str>,
}

/// `[[catalog-zone]]`: a catalog of the zones that are served here, made and kept current by this server.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CatalogZoneTable {
    /// The catalog's name; nobody has to find it by a delegation, so it may be any. Required.
    pub name: Spanned<String>,
    /// Downstreams that may transfer the catalog, *and every zone that it lists*: prefixes, `"key:NAME"`, or both in one
    /// string. Default none: everybody is refused.
    #[serde(default, deserialize_with = "de::rules")]
    pub allow_transfer: Vec<Spanned<Rule>>,
    /// Downstreams that are told of a new version of the catalog, *and of every zone that it lists*: addresses, or
    /// `"ADDRESS key:NAME"`. Default none.
    #[serde(default)]
    pub notify: Vec<Spanned<NotifyTarget>>,
    /// Who may ask questions about the catalog. Default: those of `allow-transfer`.
    #[serde(default, deserialize_with = "de::rules_option")]
    pub allow_query: Option<Vec<Spanned<Rule>>>,
    /// Whose zones it lists. Default (key absent): all but catalogs.
    pub tenants: Option<Vec<Spanned<String>>>,
    /// The group that its members are in (RFC 9432 §4.3.2), by which consumers choose their settings for them; up to 255
    /// octets. Default none.
    pub group: Option<Spanned<String>>,
    /// The tenant who sees the catalog in the API, and with it the names of all zones that it lists. Default: the tenant of
    /// the credentials, if they are all of one; else nobody.
    pub tenant: Option<Spanned<String>>,
}

/// A catalog that is made here, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogZone {
    /// Its apex.
    pub name: Name,
    /// Who may transfer it and its members.
    pub allow_transfer: Arc<[Rule]>,
    /// Who is told of new versions of it and its members.
    pub notify: Arc<[NotifyTarget]>,
    /// Who may ask about it.
    pub allow_query: Arc<[Rule]>,
    /// Whose zones it lists; `None`: everybody's.
    pub tenants: Option<Vec<String>>,
    /// The group of its members.
    pub group: Option<String>,
    /// Whose zone it is in the API; empty: nobody's.
    pub tenant: Arc<str>,
    /// Where it stands.
    pub origin: Origin,
}

impl CatalogZone {
    /// Whether it lists the zones of this tenant.
    pub fn lists_zones_of(&self, tenant: &str) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|listed| listed == tenant))
    }

    /// Whether everything but the place in the file is equal.
    pub fn same_settings(&self, other: &CatalogZone) -> bool {
        *self == CatalogZone { origin: self.origin.clone(), ..other.clone() }
    }
}

/// What stands in `[secondary-zone.catalog]` of `zone`, whose own settings are ready. Changes of the zone what is different
/// for catalogs. `guard`: what `[guard]` says. Members without a tenant have an empty one: the caller fills it in.
pub(super) fn followed(lookup: &mut Lookup<'_>, table: &CatalogTable, zone: &mut Zone, guard: &GuardTable) -> Catalog {
    let mut allow = Vec::new();
    for written in table.allow.iter().flatten() {
        let name = if written.get_ref() == "." { Ok(Name::root()) } else { values::domain_name(written.get_ref()) };
        match name {
            Ok(name) => allow.push(name),
            Err(message) => lookup.fail(written.span().start, "catalog.allow", message),
        }
    }
    if table.allow.is_none() {
        allow.push(Name::root());
    }
    let own = Members {
        primaries: zone.primaries.clone(),
        allow_notify: zone.allow_notify.clone(),
        allow_transfer: zone.allow_transfer.clone(),
        allow_query: None,
        notify: zone.notify.clone(),
        policy: None,
        tenant: Arc::from(""),
    };
    let members = match &table.members {
        Some(table) => settings(lookup, table.get_ref(), &own),
        None => own,
    };
    let mut groups = BTreeMap::new();
    for (name, table) in &table.group {
        if name.is_empty() || name.len() > GROUP_OCTETS_MAX {
            let message = format!("the name of a group has 1 to {GROUP_OCTETS_MAX} octets");
            lookup.fail(table.span().start, "catalog.group", message);
        }
        groups.insert(name.clone(), settings(lookup, table.get_ref(), &members));
    }
    zone.allow_query.get_or_insert_with(|| zone.allow_transfer.clone());
    let mut policy = zone.policy.as_deref().cloned().unwrap_or_default();
    if policy.guard.shrink_percent.or(guard.shrink_percent).is_none() {
        policy.guard.shrink_percent = Some(SHRINK_PERCENT);
        policy.guard.shrink_records_min = policy.guard.shrink_records_min.or(Some(SHRINK_RECORDS_MIN));
        zone.policy = Some(Arc::new(policy));
    }
    Catalog { allow, members, groups }
}

/// The settings of `table`, where it says nothing those of `base`.
fn settings(lookup: &mut Lookup<'_>, table: &MembersTable, base: &Members) -> Members {
    let MembersTable { primaries, tsig_key, allow_notify, allow_transfer, allow_query, notify, guard, hook, tenant } =
        table;
    if let Some(key) = tsig_key.as_ref().filter(|_| primaries.is_none()) {
        let message = "is for the primaries beside it, of which there are none";
        lookup.fail(key.span().start, "catalog.tsig-key", message.to_owned());
    }
    let tenant = tenant.as_ref().map(|tenant| {
        if !sections::is_tenant(tenant.get_ref()) {
            let message = format!("{}, not {:?}", sections::TENANT, tenant.get_ref());
            lookup.fail(tenant.span().start, "catalog.tenant", message);
        }
        Arc::from(tenant.get_ref().as_str())
    });
    let key = tsig_key.as_ref().and_then(|key| lookup.key(key));
    Members {
        primaries: primaries
            .as_ref()
            .map_or_else(|| base.primaries.clone(), |written| lookup.zone_primaries(written, key).into()),
        allow_notify: allow_notify
            .as_ref()
            .map_or_else(|| base.allow_notify.clone(), |rules| lookup.rules("catalog.allow-notify", rules).into()),
        allow_transfer: allow_transfer
            .as_ref()
            .map_or_else(|| base.allow_transfer.clone(), |rules| lookup.rules("catalog.allow-transfer", rules).into()),
        allow_query: allow_query
            .as_ref()
            .map_or_else(|| base.allow_query.clone(), |rules| Some(lookup.rules("catalog.allow-query", rules).into())),
        notify: notify.as_ref().map_or_else(|| base.notify.clone(), |targets| lookup.targets(targets).into()),
        policy: match (guard, hook) {
            (None, None) => base.policy.clone(),
            (guard, hook) => lookup.policy(guard.as_ref(), hook.as_ref()),
        },
        tenant: tenant.unwrap_or_else(|| base.tenant.clone()),
    }
}

/// A catalog that is made here, but for tenant and origin; `None` without a usable name.
pub(super) fn made(lookup: &mut Lookup<'_>, table: &CatalogZoneTable) -> Option<CatalogZone> {
    let CatalogZoneTable { name, allow_transfer, notify, allow_query, tenants, group, tenant } = table;
    for tenant in tenants.iter().flatten().chain(tenant) {
        if !sections::is_tenant(tenant.get_ref()) {
            let message = format!("{}, not {:?}", sections::TENANT, tenant.get_ref());
            lookup.fail(tenant.span().start, "tenants", message);
        }
    }
    if let Some(group) = group
        && !(1..=GROUP_OCTETS_MAX).contains(&group.get_ref().len())
    {
        lookup.fail(group.span().start, "group", format!("a group has 1 to {GROUP_OCTETS_MAX} octets"));
    }
    let allow_transfer: Arc<[Rule]> = lookup.rules("allow-transfer", allow_transfer).into();
    let allow_query = match allow_query {
        Some(rules) => lookup.rules("allow-query", rules).into(),
        None => allow_transfer.clone(),
    };
    let notify = lookup.targets(notify).into();
    let zone = match values::domain_name(name.get_ref()) {
        Ok(zone) if zone.as_wire().len() > APEX_OCTETS_MAX => {
            let message = format!("at most {APEX_OCTETS_MAX} octets: the labels of its members stand in front of it");
            lookup.fail(name.span().start, "name", message);
            return None;
        }
        Ok(zone) => zone,
        Err(message) => {
            lookup.fail(name.span().start, "name", message);
            return None;
        }
    };
    Some(CatalogZone {
        name: zone,
        allow_transfer,
        notify,
        allow_query,
        tenants: tenants.as_ref().map(|tenants| tenants.iter().map(|tenant| tenant.get_ref().clone()).collect()),
        group: group.as_ref().map(|group| group.get_ref().clone()),
        tenant: Arc::from(tenant.as_ref().map_or("", |tenant| tenant.get_ref().as_str())),
        origin: Origin { file: Arc::from(std::path::Path::new("")), line: 0 },
    })
}
