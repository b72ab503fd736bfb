//! `pg_replslot/NAME/state`: a replication slot on the disk (`ReplicationSlotOnDisk` in slot.c).

/// Whether it is a physical one, which standbys use; none where the file is cut short.
pub fn is_physical(state: &[u8]) -> Option<bool> {
    // Magic number, checksum, version and length, 4 bytes each; then the name (`NAMEDATALEN`), and the database: 0 for none.
    let database = state.get(16 + 64..)?.get(..4)?;
    Some(database.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_database_or_not() {
        let slot = |database: u32| {
            let mut state = vec![1; 80];
            state.extend(database.to_ne_bytes());
            state.extend([7; 100]);
            state
        };
        assert_eq!(is_physical(&slot(0)), Some(true));
        assert_eq!(is_physical(&slot(5)), Some(false));
        assert_eq!(is_physical(&slot(0)[..83]), None);
        assert_eq!(is_physical(&[]), None);
    }

    proptest! {
        #[test]
        fn no_panic(bytes in any::<Vec<u8>>()) {
            let _ = is_physical(&bytes);
        }
    }
}
