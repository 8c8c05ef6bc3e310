//! Records of a transferred zone.
