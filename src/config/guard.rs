//! `[guard]` and `[hook]`: what stands between a transfer and its publication. The tables as written, in the main
//! section or in one zone, and what both together come to.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::values::de;

/// What happens to a version that breaks a rule which may also be only reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// The version is held; the old one stays served.
    Refuse,
    /// It is served, with a warning in the status.
    Warn,
    /// The rule is not looked at.
    Off,
}

/// What becomes of a held version when nobody has decided in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadline {
    /// It is given up; its serial is not fetched again.
    Reject,
    /// It is served.
    Approve,
}

/// What becomes of a version when the hook gives no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is held.
    Refuse,
    /// It is served, with a warning in the status.
    Accept,
}

/// `[guard]`, and `guard = { ... }` of one zone, where a key that is absent means what `[guard]` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GuardTable {
    /// Hold a version (`GUARD_SHRINK`) that removes more than this share of the records, in per cent, 1..=100.
    /// RRSIG, NSEC and NSEC3 do not count as records. Default (key absent): any share may go, since only the owner of
    /// a zone knows whether it may shrink. 50 suits zones that change by hand; 100 turns it off for one zone.
    pub shrink_percent: Option<u8>,
    /// Zones with fewer records are not judged by `shrink-percent`. Default 100.
    pub shrink_records_min: Option<u64>,
    /// Hold a version (`GUARD_SHRINK`) that removes more than this many records. Default (key absent): any number.
    pub shrink_records: Option<u64>,
    /// Hold a version (`GUARD_APEX`) that leaves the apex without NS, or without DNSKEY, where the served one has
    /// them. Default true: a delegated zone without NS, or a signed one without keys, is broken for resolvers.
    pub apex: Option<bool>,
    /// Hold a version (`GUARD_SIGNED`) that has no RRSIG left where the served one has some. Default true: a zone with
    /// a DS at its parent and no signatures is bogus. Approve the version when you stop signing on purpose.
    pub signatures: Option<bool>,
    /// How long a held version waits for a verdict. Default `"1d"`.
    #[serde(deserialize_with = "de::duration_option")]
    pub deadline: Option<Duration>,
    /// What happens then: `"reject"` or `"approve"`. Default `"reject"`: the served version is the known good one.
    pub on_deadline: Option<OnDeadline>,
    /// A zone whose ZONEMD (RFC 8976) does not match: `"refuse"` (held, `ZONEMD_MISMATCH`), `"warn"` or `"off"`.
    /// Default `"refuse"`. A zone without ZONEMD is always fine.
    pub zonemd: Option<Strictness>,
    /// Zones with more records are not digested, which a warning says: each version costs a pass over the whole zone,
    /// also after a difference of one record. Default 1,000,000.
    pub zonemd_records_max: Option<u64>,
    /// Warn when the first signature of the served version lapses within this time. Default `"3d"`.
    #[serde(deserialize_with = "de::duration_option")]
    pub lapse_warning: Option<Duration>,
    /// A version whose signatures over SOA or DNSKEY have all expired: `"refuse"` (held, `DNSSEC_EXPIRED`), `"warn"`
    /// or `"off"`. Default `"warn"`: an old version is no better, its signatures are older still.
    pub lapsed: Option<Strictness>,
}

/// The guard rails of one zone, every key filled in; see [`GuardTable`] for what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names and meanings of the table
pub struct Guard {
    pub shrink_percent: Option<u8>,
    pub shrink_records_min: u64,
    pub shrink_records: Option<u64>,
    pub apex: bool,
    pub signatures: bool,
    pub deadline: Duration,
    pub on_deadline: OnDeadline,
    pub zonemd: Strictness,
    pub zonemd_records_max: u64,
    pub lapse_warning: Duration,
    pub lapsed: Strictness,
}

impl Default for Guard {
    fn default() -> Guard {
        const DAY: Duration = Duration::from_secs(86_400);
        Guard {
            shrink_percent: None,
            shrink_records_min: 100,
            shrink_records: None,
            apex: true,
            signatures: true,
            deadline: DAY,
            on_deadline: OnDeadline::Reject,
            zonemd: Strictness::Refuse,
            zonemd_records_max: 1_000_000,
            lapse_warning: DAY.saturating_mul(3),
            lapsed: Strictness::Warn,
        }
    }
}

impl Guard {
    /// With what `table` says in the place of what stands here.
    pub fn with(&self, table: &GuardTable) -> Guard {
        Guard {
            shrink_percent: table.shrink_percent.or(self.shrink_percent),
            shrink_records_min: table.shrink_records_min.unwrap_or(self.shrink_records_min),
            shrink_records: table.shrink_records.or(self.shrink_records),
            apex: table.apex.unwrap_or(self.apex),
            signatures: table.signatures.unwrap_or(self.signatures),
            deadline: table.deadline.unwrap_or(self.deadline),
            on_deadline: table.on_deadline.unwrap_or(self.on_deadline),
            zonemd: table.zonemd.unwrap_or(self.zonemd),
            zonemd_records_max: table.zonemd_records_max.unwrap_or(self.zonemd_records_max),
            lapse_warning: table.lapse_warning.unwrap_or(self.lapse_warning),
            lapsed: table.lapsed.unwrap_or(self.lapsed),
        }
    }
}

/// `[hook]`, and `hook = { ... }` of one zone, where a key that is absent means what `[hook]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HookTable {
    /// Program and arguments of a check of your own, run for every new version before it is served; no shell. In the
    /// arguments `{zone}`, `{serial}`, `{old-serial}`, `{zone-file}` and `{diff-file}` are filled in (another single word
    /// in braces is a mistake); the same stand in the environment as `SECONDARYD_ZONE` and so on. Exit status 0 accepts,
    /// 1 refuses (`HOOK_REFUSED`, with the first line of its standard error). Default `[]`: no check. The program must
    /// be an absolute path.
    pub command: Option<Vec<String>>,
    /// Time for a verdict; then the program and what it has started are killed (`HOOK_TIMEOUT`). Default `"30s"`.
    #[serde(deserialize_with = "de::duration_option")]
    pub timeout: Option<Duration>,
    /// Without a verdict (time is up, it does not start, it is killed, any other exit status): `"refuse"` holds the
    /// version, `"accept"` serves it with a warning. Default `"refuse"`.
    pub on_failure: Option<OnFailure>,
    /// Whether the whole zone is written to a file for the program. Default true. Turn it off where the difference is
    /// enough and zones are large.
    pub zone_file: Option<bool>,
}

/// The check of one zone; see [`HookTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names and meanings of the table
pub struct Hook {
    pub command: Vec<String>,
    pub timeout: Duration,
    pub on_failure: OnFailure,
    pub zone_file: bool,
}

impl Default for Hook {
    fn default() -> Hook {
        Hook { command: Vec::new(), timeout: Duration::from_secs(30), on_failure: OnFailure::Refuse, zone_file: true }
    }
}

impl Hook {
    /// With what `table` says in the place of what stands here.
    pub fn with(&self, table: &HookTable) -> Hook {
        Hook {
            command: table.command.clone().unwrap_or_else(|| self.command.clone()),
            timeout: table.timeout.unwrap_or(self.timeout),
            on_failure: table.on_failure.unwrap_or(self.on_failure),
            zone_file: table.zone_file.unwrap_or(self.zone_file),
        }
    }
}

/// What one zone says differently; shared, because most zones of a list say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZonePolicy {
    /// `guard = { ... }`.
    pub guard: GuardTable,
    /// `hook = { ... }`.
    pub hook: HookTable,
}

impl ZonePolicy {
    /// `None` where nothing is said.
    pub(super) fn of(guard: GuardTable, hook: HookTable) -> Option<Arc<ZonePolicy>> {
        let policy = ZonePolicy { guard, hook };
        (policy != ZonePolicy::default()).then(|| Arc::new(policy))
    }
}

/// What no type can hold: the key and what would be right.
pub(super) fn mistakes(guard: &GuardTable, hook: &HookTable) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, key, message: &str| {
        if !holds {
            wrong.push((key, message.to_owned()));
        }
    };
    let percent = guard.shrink_percent.is_none_or(|percent| (1..=100).contains(&percent));
    demand(percent, "guard.shrink-percent", "must lie between 1 and 100; leave it out to let any share go");
    let deadline = guard.deadline.is_none_or(|deadline| deadline >= Duration::from_secs(1));
    demand(deadline, "guard.deadline", "must be at least \"1s\"");
    let timeout = hook.timeout.is_none_or(|timeout| timeout >= Duration::from_millis(100));
    demand(timeout, "hook.timeout", "must be at least \"100ms\"");
    let program = hook.command.as_ref().and_then(|command| command.first());
    let absolute = program.is_none_or(|program| program.starts_with('/'));
    demand(absolute, "hook.command", "the program must be an absolute path, e.g. [\"/usr/local/bin/check-zone\"]");
    let arguments = hook.command.iter().flatten().skip(1);
    if let Some(word) = arguments.flat_map(|argument| placeholders(argument)).find(|word| !PLACEHOLDERS.contains(word))
    {
        let known = PLACEHOLDERS.map(|word| format!("{{{word}}}")).join(", ");
        wrong.push(("hook.command", format!("{{{word}}} stands for nothing; what is filled in: {known}")));
    }
    wrong
}

/// What is filled in where it stands in braces; see [`HookTable::command`].
const PLACEHOLDERS: [&str; 5] = ["zone", "serial", "old-serial", "zone-file", "diff-file"];

/// Words in braces that look as if something were to be filled in. `${...}` is a shell's affair, and so is what begins
/// with no letter or holds more than one word.
fn placeholders(argument: &str) -> impl Iterator<Item = &str> {
    argument.match_indices('{').filter_map(|(at, _)| {
        let (word, _) = argument[at + 1..].split_once('}')?;
        let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        (is_word && !argument[..at].ends_with('$')).then_some(word)
    })
}

/// Why a program cannot be started; `None` if it can, as far as its file tells.
pub(super) fn unusable(program: &str) -> Option<String> {
    match std::fs::metadata(program) {
        Err(error) => Some(format!("{program} cannot be found: {error}")),
        Ok(file) if !file.is_file() => Some(format!("{program} is no program")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => Some(format!("{program} is not executable")),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ConfigErrors};

    fn with_hook(command: &str) -> Result<Config, ConfigErrors> {
        Config::from_text(Path::new("test.toml"), &format!("[hook]\ncommand = {command}\n"))
    }

    #[test]
    fn what_nothing_is_filled_in_for_is_a_mistake_of_the_command() {
        let wrong = with_hook(r#"["/bin/true", "{zone}", "--file={zonefile}"]"#).expect_err("wrong").to_string();
        assert!(wrong.contains("test.toml:2: hook.command: {zonefile} stands for nothing"), "{wrong}");
        assert!(wrong.contains("{zone}, {serial}, {old-serial}, {zone-file}, {diff-file}"), "{wrong}");
        let of_zone = "[[secondary-zone]]\nname = \"a.example\"\nprimaries = [\"192.0.2.1\"]\n\
                       hook = { command = [\"/bin/true\", \"{ZONE}\"] }\n";
        let wrong = Config::from_text(Path::new("test.toml"), of_zone).expect_err("wrong").to_string();
        assert!(wrong.contains("test.toml:4: ") && wrong.contains("{ZONE} stands for nothing"), "{wrong}");
        for right in [
            r#"["/bin/true", "{zone}{serial}", "{old-serial}", "a{zone-file}b", "{diff-file}"]"#,
            r#"["/bin/sh", "-c", "{ x ${SECONDARYD_ZONE_FILE}; } | awk '{ print }' | grep -E '^a{3}$' | xargs {}"]"#,
        ] {
            with_hook(right).unwrap_or_else(|errors| panic!("{right}: {errors}"));
        }
    }

    /// The rest of the configuration is good, and without a verdict `on-failure` says what happens.
    #[test]
    fn a_check_that_cannot_be_started_is_a_warning() {
        let directory = tempfile::tempdir().expect("a directory");
        let plain = directory.path().join("plain");
        std::fs::write(&plain, "no program").expect("written");
        let warned = |program: &Path, part: &str| {
            let config = with_hook(&format!("[{program:?}]")).unwrap_or_else(|errors| panic!("{errors}"));
            let told = config.warnings.iter().any(|warning| warning.contains("[hook]") && warning.contains(part));
            (told, config.warnings)
        };
        for (program, part) in [
            (directory.path().join("absent").as_path(), "cannot be found"),
            (directory.path(), "is no program"),
            (&plain, "is not executable"),
        ] {
            let (told, warnings) = warned(program, part);
            assert!(told, "{part}: {warnings:?}");
        }
        let (told, warnings) = warned(Path::new("/bin/sh"), "");
        assert!(!told, "{warnings:?}");
    }
}
