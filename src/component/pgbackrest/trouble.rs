//! What pgBackRest's errors mean for a backup. Codes and words are those of its `src/build/error/error.yaml`.

use crate::backup::Trouble;
use crate::host::Output;

/// What a file that is not as it was put there ends with, whatever its compression: `ChecksumError`, `FileInvalidError`,
/// `FormatError`, and `FileMissingError` of a file that the manifest names.
const DAMAGED: [&str; 7] = [
    "ERROR: [026]",
    "ERROR: [029]",
    "[ChecksumError]",
    "[FormatError]",
    "[FileMissingError]",
    "ERROR: [055]: raised",
    "unexpected eof in compressed data",
];

/// Deciphered with another key, a file is noise: its padding is wrong, or its first line is no line of such a file. Damage
/// does not do that to both copies of it.
const NOISE: [&str; 2] = ["CryptoError", "outside of section at line 1:"];

/// What the words mean; none: nothing of that kind.
pub fn of(said: &str) -> Option<Trouble> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if said.contains("unable to load info file") && has(&NOISE) {
        return Some(Trouble::Key);
    }
    has(&DAMAGED).then_some(Trouble::Damaged)
}

/// What it says of its failure: to standard error, or, as 2.60 does, to standard output.
pub fn told(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout].map(|said| String::from_utf8_lossy(said));
    let mut said = said.iter().map(|said| said.trim());
    let said = said.find(|said| !said.is_empty()).unwrap_or_default();
    let said = said.trim_start_matches("P00").trim_start();
    said.trim_start_matches("ERROR: ").to_owned()
}

/// Of what an object store refused: how, and why in its own words. pgBackRest tells the whole conversation.
pub fn brief(said: &str) -> String {
    let Some((refused, rest)) = said.split_once(":\n*** Path/Query ***:\n") else {
        return said.to_owned();
    };
    let content = rest.split_once("*** Response Content ***:\n");
    match content.and_then(|(_, content)| reason(content)) {
        Some(reason) => format!("{refused}: {reason}"),
        None => refused.to_owned(),
    }
}

/// What stands in the answer of S3 or Azure (XML), or of Google (JSON).
fn reason(content: &str) -> Option<String> {
    let element = |name: &str| {
        let (_, rest) = content.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    if let Some(code) = element("Code") {
        // Azure goes on with the number of the request.
        let message = element("Message").and_then(|message| message.lines().next());
        return Some(message.map_or_else(|| code.to_owned(), |words| format!("{code}: {words}")));
    }
    let content: serde_json::Value = serde_json::from_str(content.trim()).ok()?;
    let message = content.pointer("/error/message")?.as_str()?;
    Some(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_by_every_version() {
        for (stdout, stderr) in [
            ("", "ERROR: [032]: no\n       HINT: yes\n"),
            ("P00  ERROR: [032]: no\n       HINT: yes\n", ""),
        ] {
            let output = Output {
                status: Some(32),
                stdout: stdout.into(),
                stderr: stderr.into(),
            };
            assert_eq!(told(&output), "[032]: no\n       HINT: yes");
        }
        assert_eq!(told(&Output::default()), "");
    }

    #[test]
    fn refusals_of_object_stores() {
        let said = |content: &str| {
            format!(
                "[ProtocolError] HTTP request failed with 404 (NOT FOUND):\n*** Path/Query ***:\nGET /elsewhere/?list-type=2\n\
                 *** Request Headers ***:\nauthorization: <redacted>\nhost: localhost\n\
                 *** Response Headers ***:\ncontent-type: application/xml{content}"
            )
        };
        for (content, reason) in [
            ("", ""),
            ("\n*** Response Content ***:\nnothing known", ""),
            (
                "\n*** Response Content ***:\n<?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does \
                 not exist</Message><BucketName>elsewhere</BucketName></Error>",
                ": NoSuchBucket: The specified bucket does not exist",
            ),
            (
                "\n*** Response Content ***:\n<Error>\n  <Code>ContainerNotFound</Code>\n  <Message>The specified container does not \
                 exist.\nRequestId:5\nTime:2026-11-28T03:53:01.000Z</Message>\n</Error>",
                ": ContainerNotFound: The specified container does not exist.",
            ),
            (
                "\n*** Response Content ***:\n{\"error\":{\"code\":404,\"message\":\"no such bucket\"}}\n",
                ": no such bucket",
            ),
        ] {
            let brief = brief(&said(content));
            let wanted =
                format!("[ProtocolError] HTTP request failed with 404 (NOT FOUND){reason}");
            assert_eq!(brief, wanted, "{content}");
        }
        assert_eq!(brief("missing stanza path"), "missing stanza path");
    }

    /// As pgBackRest 2.45 says it.
    #[test]
    fn words() {
        for (said, wanted) in [
            (
                "[FormatError] unable to load info file '/r/backup/app/backup.info' or '/r/backup/app/backup.info.copy':\n\
                 FormatError: key/value found outside of section at line 1: #Bw\u{fffd}\n\
                 FormatError: key/value found outside of section at line 1: #Bw\u{fffd}\n\
                 HINT: backup.info cannot be opened and is required to perform a backup.\n\
                 HINT: has a stanza-create been performed?",
                Some(Trouble::Key),
            ),
            (
                "[CryptoError] unable to load info file '/r/backup/app/backup.info' or '/r/backup/app/backup.info.copy':\n\
                 CryptoError: unable to flush\nCryptoError: unable to flush\nHINT: is or was the repo encrypted?",
                Some(Trouble::Key),
            ),
            (
                "[ChecksumError] unable to load info file '/r/backup/app/backup.info' or '/r/backup/app/backup.info.copy':\n\
                 ChecksumError: invalid checksum, actual 'a' but expected 'b'",
                Some(Trouble::Damaged),
            ),
            (
                "`pgbackrest` failed with exit status 29: ERROR: [029]: raised from local-1 protocol: zlib threw error: [-3] data error\n       \
                 [FormatError] on retry after 0ms\n       [FormatError] on retry after 15000ms",
                Some(Trouble::Damaged),
            ),
            (
                "ERROR: [026]: raised from local-1 protocol: error restoring '/d/base/5/2655': actual checksum 'a' does not match expected checksum 'b'",
                Some(Trouble::Damaged),
            ),
            (
                "ERROR: [055]: raised from local-1 protocol: unable to open missing file '/r/backup/app/L/pg_data/base/5/2655.gz' for read",
                Some(Trouble::Damaged),
            ),
            ("ERROR: [075]: no backup set found to restore", None),
            (
                "ERROR: [055]: unable to open missing file '/etc/x' for read",
                None,
            ),
            ("FATAL:  could not locate required checkpoint record", None),
        ] {
            assert_eq!(of(said), wanted, "{said}");
        }
    }
}
