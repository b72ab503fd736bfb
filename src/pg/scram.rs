//! Stored passwords (`pg_authid.rolpassword`): made here, so that no password in clear text is sent to
//! the server or ends up in its log, and checked here, so that an unchanged password is no change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use postgres_protocol::password;
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// Length in bytes of the keys of SCRAM-SHA-256.
const KEY_LENGTH: usize = 32;

/// Whether `password` is the one behind the stored `verifier` of `role`; `None` when the verifier is in
/// no format PostgreSQL knows.
pub fn verify_stored(password: &Secret, verifier: &Secret, role: &str) -> Option<bool> {
    if is_md5(verifier.expose()) {
        return Some(md5_verifier(password, role) == *verifier);
    }
    let stored = Scram::parse(verifier.expose())?;
    Some(stored.keys_of(password.expose()) == Some((stored.stored_key, stored.server_key)))
}

/// A SCRAM-SHA-256 verifier with a salt of its own, of 4096 iterations: `SCRAM-SHA-256$…`.
pub fn scram_verifier(password: &Secret) -> Secret {
    Secret::new(password::scram_sha_256(password.expose().as_bytes()))
}

/// An md5 verifier; the role's name is its salt.
pub fn md5_verifier(password: &Secret, role: &str) -> Secret {
    Secret::new(password::md5(password.expose().as_bytes(), role))
}

/// Whether the server would store this as it stands instead of hashing it
/// (`get_password_type` in `src/backend/libpq/crypt.c`).
pub fn is_verifier(password: &Secret) -> bool {
    is_md5(password.expose()) || Scram::parse(password.expose()).is_some()
}

fn is_md5(text: &str) -> bool {
    text.strip_prefix("md5").is_some_and(|digest| {
        digest.len() == 32
            && digest
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

type Key = [u8; KEY_LENGTH];

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>` (docs 53.8, `pg_authid`; RFC 5803).
struct Scram {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Scram {
    fn parse(text: &str) -> Option<Self> {
        let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text| Key::try_from(STANDARD.decode(text).ok()?).ok();
        Some(Self {
            iterations: iterations.parse().ok().filter(|count| *count > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// Stored key and server key (RFC 5802, section 3) of a password, with this salt and iterations.
    fn keys_of(&self, password: &str) -> Option<(Key, Key)> {
        // As server and libpq do: a password that cannot be normalized is taken as it stands.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let salted = self.salted(prepared.as_bytes())?;
        let client_key = hmac(&salted, b"Client Key")?;
        Some((
            Sha256::digest(client_key).into(),
            hmac(&salted, b"Server Key")?,
        ))
    }

    /// `Hi(password, salt, iterations)` of RFC 5802.
    fn salted(&self, password: &[u8]) -> Option<Key> {
        let keyed = Hmac::<Sha256>::new_from_slice(password).ok()?;
        let round = |input: &[&[u8]]| {
            let mut mac = keyed.clone();
            for part in input {
                mac.update(part);
            }
            Key::from(mac.finalize().into_bytes())
        };
        let mut last = round(&[&self.salt, &1u32.to_be_bytes()]);
        let mut salted = last;
        for _ in 1..self.iterations {
            last = round(&[&last]);
            salted
                .iter_mut()
                .zip(last)
                .for_each(|(sum, byte)| *sum ^= byte);
        }
        Some(salted)
    }
}

fn hmac(key: &[u8], input: &[u8]) -> Option<Key> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(input);
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    /// RFC 7677, section 3: the example exchange of user `user`, password `pencil`; keys derived from it.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn stored_passwords() {
        for (password, verifier, role, expected) in [
            ("pencil", PENCIL, "user", Some(true)),
            ("pencil", PENCIL, "other", Some(true)),
            ("Pencil", PENCIL, "user", Some(false)),
            ("", PENCIL, "user", Some(false)),
            (
                "secret",
                "md5b8a0d2ed0b0bb4a4b6a3ee5b8a1ae0ef",
                "bob",
                Some(false),
            ),
            ("secret", "secret", "bob", None),
            ("secret", "", "bob", None),
            ("secret", "SCRAM-SHA-256$", "bob", None),
            (
                "secret",
                "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==",
                "bob",
                None,
            ),
            (
                "secret",
                "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==",
                "bob",
                None,
            ),
            ("secret", "md5B8A0D2ED0B0BB4A4B6A3EE5B8A1AE0EF", "bob", None),
            ("secret", "md5short", "bob", None),
        ] {
            assert_eq!(
                verify_stored(&secret(password), &secret(verifier), role),
                expected,
                "{password} {verifier}"
            );
            assert_eq!(
                is_verifier(&secret(verifier)),
                expected.is_some(),
                "{verifier}"
            );
        }
    }

    #[test]
    fn made_by_the_server() {
        for (password, verifier, role) in [
            (
                "pencil",
                "SCRAM-SHA-256$4096:cdjX5orWjUyuzq1OV12JzA==$sJ0jkevgY1vL0E2QPmu/cF4fOGcANEo1FZFGTuH6r/s=:KgfwV4QbPT1FbQ8E7MJV1kAIBm9Ys1eniFZFWoRSckk=",
                "a",
            ),
            // CREATE ROLE b PASSWORD E'I\u00adX\u00a0y'
            (
                "I\u{ad}X\u{a0}y",
                "SCRAM-SHA-256$4096:bZxOmdiejPpm0IIRVgbSuw==$aYGwkOBvavZ7OqSV6Uuz/axV5prSU9Ot59+WPUc7nBM=:mZGBOw8Bb1QFAYDrpx1gY9Vr2yHqd6XhUnhiOnn3Yqg=",
                "b",
            ),
            (
                "IX y",
                "SCRAM-SHA-256$4096:bZxOmdiejPpm0IIRVgbSuw==$aYGwkOBvavZ7OqSV6Uuz/axV5prSU9Ot59+WPUc7nBM=:mZGBOw8Bb1QFAYDrpx1gY9Vr2yHqd6XhUnhiOnn3Yqg=",
                "b",
            ),
            ("pencil", "md5a2286e2058e8275f4419293789626063", "c"),
        ] {
            let verified = verify_stored(&secret(password), &secret(verifier), role);
            assert_eq!(verified, Some(true), "{role}");
        }
    }

    #[test]
    fn md5() {
        // SELECT 'md5' || md5('secret' || 'bob');
        let verifier = md5_verifier(&secret("secret"), "bob");
        assert_eq!(verifier.expose(), "md521f3163f8f86fa10bdefbfbd502a8f06");
        let verify = |password, role| verify_stored(&secret(password), &verifier, role);
        assert_eq!(verify("secret", "bob"), Some(true));
        assert_eq!(verify("secret", "eve"), Some(false));
        assert_eq!(verify("Secret", "bob"), Some(false));
    }

    #[test]
    fn passwords_are_normalized() {
        // RFC 4013: soft hyphen to nothing, no-break space to space, compatibility forms; a password
        // with prohibited characters (here a control character) is taken as it stands.
        for (one, other) in [
            ("I\u{ad}X", "IX"),
            ("a\u{a0}b", "a b"),
            ("\u{2168}", "IX"),
            ("a\u{7}b", "a\u{7}b"),
        ] {
            let verifier = scram_verifier(&secret(one));
            assert_eq!(
                verify_stored(&secret(other), &verifier, "bob"),
                Some(true),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn every_verifier_has_its_own_salt() {
        let password = secret("secret");
        assert_ne!(
            scram_verifier(&password).expose(),
            scram_verifier(&password).expose()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn what_is_made_verifies(password in "[^\0]{1,16}", role in "[a-z]{1,8}") {
            let password = secret(&password);
            let wrong = secret(&format!("{}x", password.expose()));
            for verifier in [scram_verifier(&password), md5_verifier(&password, &role)] {
                prop_assert!(is_verifier(&verifier));
                prop_assert_eq!(verify_stored(&password, &verifier, &role), Some(true));
                prop_assert_eq!(verify_stored(&wrong, &verifier, &role), Some(false));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn nothing_panics(text in any::<String>(), tail in any::<String>()) {
            is_verifier(&secret(&text));
            verify_stored(&secret(&text), &secret(&format!("SCRAM-SHA-256$1:{tail}")), &text);
        }
    }
}
