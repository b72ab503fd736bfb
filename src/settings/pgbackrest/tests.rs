use super::EntryValue;
use crate::settings::tests::{error, loaded};

/// The options that follow from a section, one a line; secrets as the files that hold them.
fn options(section: &str) -> Vec<String> {
    let settings = loaded(&format!(
        "prefix: /p\nrun_prefix: /r\npgbackrest:\n{section}"
    ));
    settings
        .pgbackrest
        .unwrap()
        .global()
        .into_iter()
        .map(|entry| match entry.value {
            EntryValue::Plain(value) => format!("{}={value}", entry.option),
            EntryValue::ContentOf { setting, file } => {
                format!("{}=< {file} ({setting})", entry.option)
            }
        })
        .collect()
}

const ALWAYS: [&str; 3] = [
    "lock-path=/r/pgbackrest/lock",
    "log-path=/p/log/pgbackrest",
    "spool-path=/p/srv/pgbackrest/spool",
];

/// Sections, and the options that follow from each.
fn all(cases: &[(&str, &[&str])]) {
    for (section, expected) in cases {
        let expected: Vec<&str> = ALWAYS.iter().chain(*expected).copied().collect();
        assert_eq!(options(section), expected, "{section}");
    }
}

#[test]
fn paths_and_hosts() {
    all(&[
        (
            "  repository: {mode: path, path: b}",
            &[
                "repo1-path=/p/srv/b",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
            ],
        ),
        (
            "  repository: {mode: path, path: /b, cipher: {pass_file: /k/pass}, retention: {full: 30, full_type: time}}",
            &[
                "repo1-path=/b",
                "repo1-cipher-type=aes-256-cbc",
                "repo1-cipher-pass=< /k/pass (pgbackrest.repository.cipher.pass_file)",
                "repo1-retention-diff=3",
                "repo1-retention-full=30",
                "repo1-retention-full-type=time",
            ],
        ),
        (
            "  repository: {mode: host-tls, host: h, cn: r, certificate: {ca_cert: /c, cert: /d, key: /e}}",
            &[
                "repo1-host=h",
                "repo1-host-type=tls",
                "repo1-host-ca-file=/c",
                "repo1-host-cert-file=/d",
                "repo1-host-key-file=/e",
            ],
        ),
        (
            "  repository: {mode: host-tls, host: h, host_port: 1, host_config: /f, cn: r, certificate: {ca_cert: /c, cert: /d, key: /e}}",
            &[
                "repo1-host=h",
                "repo1-host-type=tls",
                "repo1-host-port=1",
                "repo1-host-config=/f",
                "repo1-host-ca-file=/c",
                "repo1-host-cert-file=/d",
                "repo1-host-key-file=/e",
            ],
        ),
        ("  repository: {mode: host-ssh, host: h}", &["repo1-host=h"]),
        (
            "  repository: {mode: host-ssh, host: h, host_port: 22, host_config: /f, host_user: u, cmd_ssh: /bin/ssh}",
            &[
                "repo1-host=h",
                "repo1-host-port=22",
                "repo1-host-config=/f",
                "repo1-host-user=u",
                "cmd-ssh=/bin/ssh",
            ],
        ),
    ]);
}

#[test]
fn object_stores() {
    all(&[
        (
            "  repository: {mode: s3, bucket: b, endpoint: e, region: r, key_file: /k, key_secret_file: /s, token_file: /t,
                uri_style: path, path: /pg, cipher: {type: aes-256-cbc, pass_file: /c},
                storage: {host: h, port: 9000, verify_tls: false, ca_file: /ca}}",
            &[
                "repo1-type=s3",
                "repo1-path=/pg",
                "repo1-s3-bucket=b",
                "repo1-s3-endpoint=e",
                "repo1-s3-region=r",
                "repo1-s3-uri-style=path",
                "repo1-s3-key-type=shared",
                "repo1-s3-key=< /k (pgbackrest.repository.key_file)",
                "repo1-s3-key-secret=< /s (pgbackrest.repository.key_secret_file)",
                "repo1-s3-token=< /t (pgbackrest.repository.token_file)",
                "repo1-storage-host=h",
                "repo1-storage-port=9000",
                "repo1-storage-verify-tls=n",
                "repo1-storage-ca-file=/ca",
                "repo1-cipher-type=aes-256-cbc",
                "repo1-cipher-pass=< /c (pgbackrest.repository.cipher.pass_file)",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
            ],
        ),
        (
            "  repository: {mode: s3, bucket: b, endpoint: e, region: r, key_type: auto, role: x}",
            &[
                "repo1-type=s3",
                "repo1-path=/pgbackrest",
                "repo1-s3-bucket=b",
                "repo1-s3-endpoint=e",
                "repo1-s3-region=r",
                "repo1-s3-key-type=auto",
                "repo1-s3-role=x",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
            ],
        ),
        (
            "  repository: {mode: azure, account: a, container: c, key_type: sas, key_file: /k, endpoint: e, uri_style: host}",
            &[
                "repo1-type=azure",
                "repo1-path=/pgbackrest",
                "repo1-azure-account=a",
                "repo1-azure-container=c",
                "repo1-azure-endpoint=e",
                "repo1-azure-uri-style=host",
                "repo1-azure-key-type=sas",
                "repo1-azure-key=< /k (pgbackrest.repository.key_file)",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
            ],
        ),
        // pgBackRest reads the file of a service account itself; a token it wants to be told.
        (
            "  repository: {mode: gcs, bucket: b, key_file: /k, retention: {archive: 1, diff: 1, full: 1, full_type: count}}",
            &[
                "repo1-type=gcs",
                "repo1-path=/pgbackrest",
                "repo1-gcs-bucket=b",
                "repo1-gcs-key-type=service",
                "repo1-gcs-key=/k",
                "repo1-retention-archive=1",
                "repo1-retention-diff=1",
                "repo1-retention-full=1",
                "repo1-retention-full-type=count",
            ],
        ),
        (
            "  repository: {mode: gcs, bucket: b, endpoint: e, key_type: token, key_file: /k}",
            &[
                "repo1-type=gcs",
                "repo1-path=/pgbackrest",
                "repo1-gcs-bucket=b",
                "repo1-gcs-endpoint=e",
                "repo1-gcs-key-type=token",
                "repo1-gcs-key=< /k (pgbackrest.repository.key_file)",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
            ],
        ),
    ]);
}

#[test]
fn what_newer_versions_of_pgbackrest_know_of_object_stores() {
    all(&[
        (
            "  repository: {mode: s3, bucket: b, endpoint: e, region: r, key_type: process, sse_customer_key_file: /k}
  options: {repo1-s3-process-cmd: [/p, a], repo1-s3-kms-key-id: k, repo1-storage-upload-chunk-size: 16MiB}",
            &[
                "repo1-type=s3",
                "repo1-path=/pgbackrest",
                "repo1-s3-bucket=b",
                "repo1-s3-endpoint=e",
                "repo1-s3-region=r",
                "repo1-s3-key-type=process",
                "repo1-s3-sse-customer-key=< /k (pgbackrest.repository.sse_customer_key_file)",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
                "repo1-s3-kms-key-id=k",
                "repo1-s3-process-cmd=/p",
                "repo1-s3-process-cmd=a",
                "repo1-storage-upload-chunk-size=16MiB",
            ],
        ),
        (
            "  repository: {mode: gcs, bucket: b, key_type: web-id, key_file: /k}",
            &[
                "repo1-type=gcs",
                "repo1-path=/pgbackrest",
                "repo1-gcs-bucket=b",
                "repo1-gcs-key-type=web-id",
                "repo1-gcs-key=/k",
                "repo1-retention-archive=2",
                "repo1-retention-diff=3",
                "repo1-retention-full=2",
            ],
        ),
    ]);
}

#[test]
fn several_repositories_and_more_options() {
    let expected: Vec<&str> = ALWAYS
        .into_iter()
        .chain([
            "repo1-path=/a",
            "repo1-retention-archive=2",
            "repo1-retention-diff=3",
            "repo1-retention-full=2",
            "repo2-host=h",
            "repo3-path=/c",
            "repo3-cipher-type=aes-256-cbc",
            "repo3-cipher-pass=< /k (pgbackrest.more_repositories[1].cipher.pass_file)",
            "repo3-retention-archive=2",
            "repo3-retention-diff=3",
            "repo3-retention-full=2",
            "archive-async=y",
            "db-include=a",
            "db-include=b",
            "delta=n",
            "process-max=4",
            "repo3-bundle=y",
        ])
        .collect();
    assert_eq!(
        options(
            "  repository: {mode: path, path: /a}
  more_repositories:
    - {mode: host-ssh, host: h}
    - {mode: path, path: /c, cipher: {pass_file: /k}}
  options: {process-max: 4, archive-async: y, delta: false, repo3-bundle: true, db-include: [a, b]}"
        ),
        expected
    );
}

#[test]
fn what_cannot_be() {
    let tls = |port: &str| {
        format!(
            "{{mode: host-tls, host: h, cn: r, certificate: {{ca_cert: /c, cert: /d, key: /e}}{port}}}"
        )
    };
    let path = "repository: {mode: path, path: /a}";
    let found: Vec<(String, String)> = [
        "repository: {mode: path, path: /a, retention: {full: 0}}".to_owned(),
        "repository: {mode: host-ssh, host: \"a\\nb\"}".to_owned(),
        "repository: {mode: host-ssh, host: ' '}".to_owned(),
        "repository: {mode: host-ssh, host: h, cipher: {pass_file: /k}}".to_owned(),
        "repository: {mode: path, path: /a, cipher: {type: des, pass_file: /k}}".to_owned(),
        "repository: {mode: path, path: /a, cipher: {pass: secret}}".to_owned(),
        "repository: {mode: s3, bucket: b, endpoint: e, region: r}".to_owned(),
        "repository: {mode: s3, bucket: b, endpoint: e, region: r, key_file: /k}".to_owned(),
        "repository: {mode: s3, bucket: b, endpoint: e, region: r, key_type: web-id, key_file: /k}".to_owned(),
        "repository: {mode: s3, bucket: b, endpoint: e, region: r, key_type: auto, token_file: /k}".to_owned(),
        "repository: {mode: s3, bucket: b, endpoint: e, region: r, key_file: /k, key_secret_file: /s, role: r}".to_owned(),
        "repository: {mode: s3, bucket: b, endpoint: e, region: r, key_type: auto, path: pg}".to_owned(),
        "repository: {mode: azure, account: a, container: c}".to_owned(),
        "repository: {mode: gcs, bucket: b, key_type: auto, key_file: /k}".to_owned(),
        "repository: {mode: gcs, bucket: b, key_type: web-id}".to_owned(),
        "repository: {mode: gcs, bucket: b, key_type: auto, storage: {port: 4443}}".to_owned(),
        format!("{path}, more_repositories: [{}, {}]", tls(""), tls(", port: 1")),
        format!("{path}, more_repositories: [{{mode: host-ssh, host: h}}, {{mode: host-ssh, host: i, cmd_ssh: /s}}]"),
        format!("{path}, options: {{Process-Max: 4}}"),
        format!("{path}, options: {{process_max: 4}}"),
        format!("{path}, options: {{process-max: 1.5}}"),
        format!("{path}, options: {{process-max: \"4\\n[x]\"}}"),
        format!("{path}, options: {{pg1-path: /x}}"),
        format!("{path}, options: {{config-path: /x}}"),
        format!("{path}, options: {{tls-server-port: 1}}"),
        format!("{path}, options: {{repo1-path: /x}}"),
        format!("{path}, options: {{repo2-bundle: true}}"),
        format!("{path}, options: {{repo-bundle: true}}"),
        format!("{path}, options: {{repo1-cipher-pass: secret}}"),
        format!("{path}, options: {{repo1-s3-sse-customer-key: secret}}"),
    ]
    .into_iter()
    .map(|section| error(&format!("pgbackrest: {{{section}}}"), &[]))
    .collect();
    insta::assert_json_snapshot!(found);
}
