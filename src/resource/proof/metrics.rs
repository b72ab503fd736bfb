//! The last proof, for the textfile collector of Prometheus' node exporter.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::evidence::Evidence;
use super::verdict::Verdict;

/// The file; what is not known has no line.
pub fn text(evidence: &Evidence) -> String {
    let label = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"");
    let labels = format!(
        "instance=\"{}\",stanza=\"{}\"",
        label(&evidence.instance),
        label(&evidence.stanza)
    );
    let proved = f64::from(u8::from(evidence.verdict == Verdict::Proved));
    let since_1970 = |time: Timestamp| time.as_duration().as_secs_f64().floor();
    let mut text = String::new();
    for (name, help, value) in [
        (
            "success",
            "Whether the last test of a backup was a good one.",
            Some(proved),
        ),
        (
            "timestamp_seconds",
            "When it ended.",
            Some(since_1970(evidence.ended)),
        ),
        (
            "last_success_timestamp_seconds",
            "When a test was last a good one.",
            evidence.last_proved.map(since_1970),
        ),
        (
            "restore_seconds",
            "How long it took to fetch the data.",
            evidence.restore_seconds,
        ),
        (
            "recovery_seconds",
            "How long the server took to recover.",
            evidence.recovery_seconds,
        ),
        (
            "total_seconds",
            "How long it took with all checks.",
            evidence.total_seconds,
        ),
        (
            "rpo_seconds",
            "How old the newest data were when it began.",
            evidence.rpo_seconds,
        ),
    ] {
        if let Some(value) = value {
            let name = format!("pgsocle_backup_test_{name}");
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{{labels}}} {value}"
            );
        }
    }
    text
}
