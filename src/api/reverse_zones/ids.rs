//! Identities: a letter, `_`, and the 16 octets of the UUID in base32 (RFC 4648 §6), lower case, without padding.

use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 128 bits in digits of five.
const DIGITS: usize = 26;
/// Bits behind the UUID in the last digit; zero.
const SPARE_BITS: u32 = 2;

/// `kind` is `d` for domains, `r` for records.
pub(super) fn text(kind: char, uuid: Uuid) -> String {
    let number = uuid.as_u128();
    let digit = |at: usize| {
        // The first digit holds the highest five bits; the last has two spare ones.
        let shift = (5 * (DIGITS - 1 - at)) as i32 - SPARE_BITS as i32;
        let value = if shift >= 0 { number >> shift } else { number << -shift };
        char::from(ALPHABET[(value & 31) as usize])
    };
    [kind, '_'].into_iter().chain((0..DIGITS).map(digit)).collect()
}

/// Back from [`text`], or from a plain UUID.
pub(super) fn read(kind: char, given: &str) -> Option<Uuid> {
    let Some(digits) = given.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_')) else {
        return (given.len() == 36).then(|| Uuid::try_parse(given).ok()).flatten();
    };
    if digits.len() != DIGITS {
        return None;
    }
    let mut number = 0u128;
    for (at, c) in digits.bytes().enumerate() {
        let value = ALPHABET.iter().position(|digit| *digit == c)? as u128;
        if at + 1 < DIGITS {
            number = number << 5 | value;
        } else if value & 3 == 0 {
            number = number << (5 - SPARE_BITS) | value >> SPARE_BITS;
        } else {
            return None;
        }
    }
    Some(Uuid::from_u128(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4648 §10 gives the digits of `foobar`; here followed by ten zero octets.
    #[test]
    fn the_digits_are_those_of_rfc_4648() {
        let uuid = Uuid::from_bytes(*b"foobar\0\0\0\0\0\0\0\0\0\0");
        assert!(text('d', uuid).starts_with("d_mzxw6ytbo"));
    }

    proptest! {
        #[test]
        fn an_identity_reads_back_and_has_one_spelling(number in any::<u128>(), spare in 1usize..4) {
            let uuid = Uuid::from_u128(number);
            let shown = text('r', uuid);
            prop_assert_eq!(shown.len(), 28);
            prop_assert_eq!(read('r', &shown), Some(uuid));
            prop_assert_eq!(read('d', &shown), None);
            prop_assert_eq!(read('r', &uuid.to_string()), Some(uuid));
            let last = ALPHABET.iter().position(|digit| *digit == shown.as_bytes()[27]).expect("a digit");
            let other = format!("{}{}", &shown[..27], char::from(ALPHABET[last | spare]));
            prop_assert_eq!(read('r', &other), None);
        }
    }
}
