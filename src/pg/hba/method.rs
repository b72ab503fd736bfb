//! Authentication methods and their options: what `parse_hba_line` and `parse_hba_auth_opt` in hba.c refuse. With one such
//! record in it the whole file is not read again, and a server that is restarted does not start.

use super::ConnectionType;

/// The newest method, and the major that has it.
pub const NEWEST_METHOD: (&str, u16) = ("oauth", 18);

const METHODS: &[&str] = &[
    "trust",
    "reject",
    "md5",
    "password",
    "scram-sha-256",
    "ident",
    "peer",
    "pam",
    "ldap",
    "radius",
    "gss",
    "cert",
    "oauth",
];

/// Options, and the methods that have them. (Those for `sspi` alone are Windows'.)
const OPTIONS: &[(&str, &[&str])] = &[
    ("map", &["ident", "peer", "gss", "cert", "oauth"]),
    ("pamservice", &["pam"]),
    ("pam_use_hostname", &["pam"]),
    ("krb_realm", &["gss"]),
    ("include_realm", &["gss"]),
    ("issuer", &["oauth"]),
    ("scope", &["oauth"]),
    ("validator", &["oauth"]),
    ("delegate_ident_mapping", &["oauth"]),
    ("ldapurl", &["ldap"]),
    ("ldaptls", &["ldap"]),
    ("ldapscheme", &["ldap"]),
    ("ldapserver", &["ldap"]),
    ("ldapport", &["ldap"]),
    ("ldapbinddn", &["ldap"]),
    ("ldapbindpasswd", &["ldap"]),
    ("ldapsearchattribute", &["ldap"]),
    ("ldapsearchfilter", &["ldap"]),
    ("ldapbasedn", &["ldap"]),
    ("ldapprefix", &["ldap"]),
    ("ldapsuffix", &["ldap"]),
    ("radiusservers", &["radius"]),
    ("radiussecrets", &["radius"]),
    ("radiusports", &["radius"]),
    ("radiusidentifiers", &["radius"]),
];

/// Options of the connection, not of the method.
const OF_CERTIFICATES: &[&str] = &["clientcert", "clientname"];

/// Why PostgreSQL would refuse a record of this type with this method and these options. Values of options are
/// neither judged (they differ between majors) nor shown.
pub fn refusal(kind: ConnectionType, method: &str, options: &[(String, String)]) -> Option<String> {
    let local = kind == ConnectionType::Local;
    let has = |names: &[&str]| {
        options
            .iter()
            .any(|(name, _)| names.contains(&name.as_str()))
    };
    let wrong = match method {
        "sspi" => "method `sspi` is for servers on Windows only",
        "bsd" => "method `bsd` is for servers on OpenBSD only",
        _ if !METHODS.contains(&method) => {
            return Some(format!("unknown authentication method `{method}`"));
        }
        "peer" if !local => "method `peer` is for `local` records only",
        "gss" if local => "method `gss` is not for `local` records",
        "cert" if kind != ConnectionType::HostSsl => "method `cert` is for `hostssl` records only",
        "ldap" if !has(&["ldapurl", "ldapbasedn", "ldapprefix", "ldapsuffix"]) => {
            "method `ldap` needs options (`ldapurl`, or `ldapprefix`, `ldapsuffix` or `ldapbasedn`)"
        }
        "ldap"
            if has(&["ldapprefix", "ldapsuffix"])
                && has(&[
                    "ldapbasedn",
                    "ldapbinddn",
                    "ldapbindpasswd",
                    "ldapsearchattribute",
                    "ldapsearchfilter",
                ]) =>
        {
            "method `ldap` either binds at once (`ldapprefix`, `ldapsuffix`) or searches first: not both"
        }
        "ldap" if has(&["ldapsearchattribute"]) && has(&["ldapsearchfilter"]) => {
            "`ldapsearchattribute` and `ldapsearchfilter` exclude each other"
        }
        "radius" if !has(&["radiusservers"]) || !has(&["radiussecrets"]) => {
            "method `radius` needs options (`radiusservers`, `radiussecrets`)"
        }
        "oauth" if !has(&["issuer"]) || !has(&["scope"]) => {
            "method `oauth` needs options (`issuer`, `scope`)"
        }
        _ => {
            return options
                .iter()
                .find_map(|(name, _)| option(kind, method, name));
        }
    };
    Some(wrong.to_owned())
}

fn option(kind: ConnectionType, method: &str, name: &str) -> Option<String> {
    if OF_CERTIFICATES.contains(&name) {
        let fits = kind == ConnectionType::HostSsl;
        return (!fits).then(|| format!("option `{name}` is for `hostssl` records only"));
    }
    // `ident` of a local connection is `peer`, which has the same.
    match OPTIONS.iter().find(|(known, _)| *known == name) {
        None => Some(format!("unknown option `{name}`")),
        Some((_, methods)) if !methods.contains(&method) => Some(format!(
            "option `{name}` is for {} only",
            methods
                .iter()
                .map(|method| format!("`{method}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
        Some(_) => None,
    }
}
