//! keys
use crate::peer::Key;

/// One key of each algorithm every server has.
pub(crate) const KEYS: [Key; 3] = [
    Key { name: "first", algorithm: "hmac-sha256", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgb25lIQ==" },
    Key { name: "second", algorithm: "hmac-sha384", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgdHdvIQ==" },
    Key { name: "third.key", algorithm: "hmac-sha512", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgdGhyZWUh" },
];
