//! The rules, one test each. The random runs against a simulated network are in `tests/refresh_sim`.

use super::*;

#[test]
fn a_zone_costs_less_than_a_kilobyte() {
    assert!(size_of::<Refresh>() <= 320, "{}", size_of::<Refresh>());
    assert!(size_of::<primary::Primary>() <= 224, "{}", size_of::<primary::Primary>());
}
