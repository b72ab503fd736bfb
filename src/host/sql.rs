//! Sessions with servers, over their local sockets: read-only ones for looking, others for acting.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use anyhow::{Context as _, Result};
use postgres::error::SqlState;
use postgres::types::{FromSql, ToSql, Type};
use postgres::{Client, Config, NoTls};

use crate::fault;
use crate::fault::{Fault, Kind};
use crate::host::{Probe, Query, Rows, Server, exec};
use crate::pg::pgpass::Pgpass;
use crate::plan::Reach;
use crate::secret::{Secret, Text};
use crate::settings::Caller;

/// How many databases are asked at the same time.
const SIDE_BY_SIDE: usize = 4;

/// The rows of a query, with its place among the queries.
type Answer = (usize, Rows);

/// How long a server may take to read its files again.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may refuse new sessions meanwhile.
const SHUT_OUT_TIMEOUT: Duration = Duration::from_secs(2);

/// The database that exists wherever a server runs.
const MAINTENANCE: &str = "postgres";

type Key = (String, u16, String, bool);

/// Where a query is asked.
type Place<'a> = (&'a str, u16, &'a str);

fn place(query: &Query) -> Place<'_> {
    let server = &query.server;
    (
        server.socket_directory.as_str(),
        server.port,
        &query.database,
    )
}

fn key(server: &Server, database: &str, read_only: bool) -> Key {
    (
        server.socket_directory.to_string(),
        server.port,
        database.to_owned(),
        read_only,
    )
}

/// Sessions that are kept open for the time of a run.
#[derive(Default)]
pub struct Sessions(RefCell<HashMap<Key, Client>>);

/// The end of the program ends its sessions: to take leave of each would be waiting for the processor that the server's
/// process takes to go.
impl Drop for Sessions {
    fn drop(&mut self) {
        for (_, client) in self.0.get_mut().drain() {
            std::mem::forget(client);
        }
    }
}

impl Sessions {
    /// Rows of each query. Those of one database are asked in one round trip; different databases, side by side.
    pub fn query(&self, caller: &Caller, queries: &[Query]) -> Result<Vec<Rows>> {
        let mut places: Vec<Place> = queries.iter().map(place).collect();
        places.sort_unstable();
        places.dedup();
        if let ([_], [first, ..]) = (&*places, queries) {
            let all: Vec<&Query> = queries.iter().collect();
            return self.with(caller, &first.server, &first.database, true, |client| {
                rows(client, &all)
            });
        }
        let share = places.len().div_ceil(SIDE_BY_SIDE).max(1);
        let answers: Vec<Result<Vec<Answer>>> = std::thread::scope(|scope| {
            let workers: Vec<_> = places
                .chunks(share)
                .map(|places| scope.spawn(move || ask(caller, queries, places)))
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|_| Err(anyhow::anyhow!("a session ended unexpectedly")))
                })
                .collect()
        });
        let mut all = vec![Rows::default(); queries.len()];
        for answer in answers {
            for (index, rows) in answer? {
                all[index] = rows;
            }
        }
        Ok(all)
    }

    /// Sends statements one by one; the log of the server never shows a secret one.
    pub fn execute(
        &self,
        caller: &Caller,
        server: &Server,
        database: &str,
        statements: &[Text],
        outside_transaction: bool,
    ) -> Result<()> {
        self.with(caller, server, database, false, |client| {
            if outside_transaction {
                for statement in statements {
                    client
                        .batch_execute(&statement.expose())
                        .map_err(|error| refused(statement, &error))?;
                }
                return Ok(());
            }
            if !statements.iter().any(Text::has_secret) {
                // A simple query of several statements is one transaction (documentation, 55.2.2.1).
                let all: Vec<String> = statements.iter().map(Text::expose).collect();
                let shown = statements
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; ");
                return client
                    .batch_execute(&all.join(";\n"))
                    .map_err(|error| refused(&shown.into(), &error));
            }
            // Whether a transaction is sampled is decided when it begins (StartTransaction in xact.c).
            client
                .batch_execute("SET log_transaction_sample_rate = 0")
                .map_err(|error| refused(&"SET log_transaction_sample_rate".into(), &error))?;
            let mut transaction = client
                .transaction()
                .map_err(|error| refused(&"BEGIN".into(), &error))?;
            let quiet = Text::plain(QUIET);
            transaction
                .batch_execute(QUIET)
                .map_err(|error| refused(&quiet, &error))?;
            for statement in statements {
                // Alone: a string of several statements is logged as a whole.
                transaction
                    .batch_execute(&statement.expose())
                    .map_err(|error| refused(statement, &error))?;
            }
            transaction
                .commit()
                .map_err(|error| refused(&"COMMIT".into(), &error))
        })
    }

    /// Has the server read its files again. The postmaster does that by and by, so that a session which asks at once
    /// is often told the old state: it is asked until the load time has moved. Telling it so writes nothing: the session
    /// that has looked at the server does it, and none is opened for it. A session is told by the postmaster, which has read
    /// postgresql.conf by then and lets nobody in before it has read the rest (`process_pm_reload_request` in postmaster.c).
    pub fn reload(&self, caller: &Caller, server: &Server, reach: Reach) -> Result<()> {
        let loaded = |client: &mut Client, and: &'static str| -> Result<String> {
            let sql = format!("SELECT pg_catalog.pg_conf_load_time()::pg_catalog.text{and}");
            let rows = client
                .query_typed(&sql, &[])
                .map_err(|error| refused(&"a reload".into(), &error))?;
            Ok(rows.first().context("no load time")?.try_get(0)?)
        };
        let before = self.with(caller, server, MAINTENANCE, true, |client| {
            loaded(client, ", pg_catalog.pg_reload_conf()")
        })?;
        let start = std::time::Instant::now();
        loop {
            let after = match reach {
                Reach::Values => self.with(caller, server, MAINTENANCE, true, |client| {
                    loaded(client, "")
                }),
                // The one that is in stays until another has got in: it may have to take all back.
                Reach::Sessions => {
                    connect(caller, server, MAINTENANCE, true).and_then(|mut fresh| {
                        let after = loaded(&mut fresh, "")?;
                        if after != before {
                            self.close();
                            let place = key(server, MAINTENANCE, true);
                            self.0.borrow_mut().insert(place, fresh);
                        }
                        Ok(after)
                    })
                }
            };
            match after {
                Ok(after) if after != before => return Ok(()),
                Ok(_) if start.elapsed() < RELOAD_TIMEOUT => {}
                Ok(_) => {
                    return Err(fault!(
                        Unavailable,
                        "the server on port {} has not read its configuration within {} seconds", server.port, RELOAD_TIMEOUT.as_secs();
                        "look into its log for an error in the files"
                    ));
                }
                // What it read before kept us out, and it is about to read better.
                Err(_) if reach == Reach::Sessions && start.elapsed() < SHUT_OUT_TIMEOUT => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Closes all sessions: a server that is to stop, or has been restarted, does not wait for them.
    pub fn close(&self) {
        self.0.borrow_mut().clear();
    }

    fn with<T>(
        &self,
        caller: &Caller,
        server: &Server,
        database: &str,
        read_only: bool,
        work: impl FnOnce(&mut Client) -> Result<T>,
    ) -> Result<T> {
        let mut sessions = self.0.borrow_mut();
        let client = match sessions.entry(key(server, database, read_only)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(connect(caller, server, database, read_only)?)
            }
        };
        work(client)
    }
}

/// What keeps a statement with a secret out of the server's log, and out of `pg_stat_statements` and pgaudit.
/// Unknown parameters with a prefix are placeholders, so that the last two may be set everywhere.
const QUIET: &str = "SET LOCAL log_statement = 'none'; \
    SET LOCAL log_min_error_statement = 'panic'; \
    SET LOCAL log_min_duration_statement = -1; \
    SET LOCAL log_min_duration_sample = -1; \
    SET LOCAL log_duration = off; \
    SET LOCAL debug_print_parse = off; \
    SET LOCAL debug_print_rewritten = off; \
    SET LOCAL debug_print_plan = off; \
    SET LOCAL track_activities = off; \
    SET LOCAL pg_stat_statements.track_utility = off; \
    SET LOCAL pgaudit.log = 'none'";

fn ask(caller: &Caller, queries: &[Query], places: &[Place]) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for there in places {
        let own = |(_, query): &(usize, &Query)| place(query) == *there;
        let (indices, own): (Vec<usize>, Vec<&Query>) =
            queries.iter().enumerate().filter(own).unzip();
        if let Some(first) = own.first() {
            let mut client = connect(caller, &first.server, &first.database, true)?;
            answers.extend(indices.into_iter().zip(rows(&mut client, &own)?));
        }
    }
    Ok(answers)
}

/// Queries of one database as one statement.
fn statement(queries: &[&Query]) -> String {
    let columns = queries.iter().zip(1..).map(|(query, number)| {
        let sql = query.sql.trim().replace("$1", &format!("${number}"));
        format!("(SELECT coalesce(pg_catalog.json_agg(q), '[]')::pg_catalog.text FROM ({sql}) q)")
    });
    let columns: Vec<String> = columns.collect();
    format!("SELECT {}", columns.join(", "))
}

fn rows(client: &mut Client, queries: &[&Query]) -> Result<Vec<Rows>> {
    let sql = statement(queries);
    let parameters = queries.iter().map(|query| query.parameter.to_string());
    let parameters: Vec<String> = parameters.collect();
    // With the types of the parameters said, it is one round trip; else it would be prepared first, and closed after.
    let typed = parameters
        .iter()
        .map(|text| (text as &(dyn ToSql + Sync), Type::TEXT));
    let typed: Vec<_> = typed.collect();
    let ask = |client: &mut Client| client.query_typed(&sql, &typed);
    let is_not_utf8 =
        |error: &postgres::Error| error.code() == Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE);
    let answer = match ask(client) {
        // Where the database has no encoding (SQL_ASCII), a server that is to talk UTF-8 refuses to tell of anything else;
        // without one of the session it hands out the bytes.
        Err(error) if is_not_utf8(&error) => client
            .batch_execute("SET client_encoding = 'SQL_ASCII'")
            .and_then(|()| ask(client)),
        answer => answer,
    };
    let answer = answer.map_err(|error| refused(&"an observation".into(), &error))?;
    let row = answer.first().context("an observation without an answer")?;
    let told = |column| {
        let Told(rows) = row.try_get(column).context("rows of an observation")?;
        Ok(Rows(rows))
    };
    (0..queries.len()).map(told).collect()
}

/// JSON of the server's. Text that it takes from files, and names of a database without an encoding, may be any bytes:
/// what is no UTF-8 in them is replaced.
struct Told(String);

impl<'a> FromSql<'a> for Told {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(String::from_utf8_lossy(raw).into_owned()))
    }

    fn accepts(of: &Type) -> bool {
        [Type::JSON, Type::TEXT].contains(of)
    }
}

fn connect(caller: &Caller, server: &Server, database: &str, read_only: bool) -> Result<Client> {
    let mut config = Config::new();
    config
        .host_path(server.socket_directory.as_std_path())
        .port(server.port)
        .user(&server.user)
        .dbname(database)
        .application_name("pgsocle")
        .connect_timeout(std::time::Duration::from_secs(10));
    // Whatever the role or the database has set: our sessions read and write catalogs in a known way.
    let mut options = "-c client_min_messages=warning -c search_path=pg_catalog -c DateStyle=ISO -c IntervalStyle=postgres \
                       -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
        .to_owned();
    options.push_str(if read_only {
        " -c default_transaction_read_only=on"
    } else {
        " -c default_transaction_read_only=off"
    });
    config.options(&options);
    match config.connect(NoTls) {
        Ok(client) => Ok(client),
        Err(error) if wants_password(&error) => {
            let Some(password) = password(caller, server, database)? else {
                return Err(unreachable_server(server, &error));
            };
            config.password(password.expose());
            config
                .connect(NoTls)
                .map_err(|error| unreachable_server(server, &error))
        }
        Err(error) => Err(unreachable_server(server, &error)),
    }
}

/// The driver says so itself ("password missing"), or the server does (SQLSTATE 28P01).
fn wants_password(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "28P01")
        || error.to_string().contains("configuration")
        || Error::source(error).is_some_and(|source| source.to_string().contains("password"))
}

/// From the site's password file, else from its password command.
fn password(caller: &Caller, server: &Server, database: &str) -> Result<Option<Secret>> {
    if let Some(path) = &server.passfile
        && let Ok(content) = fs_err::read(path)
        && let Some(found) =
            Pgpass::parse(&content)?.lookup("localhost", server.port, database, &server.user)
    {
        return Ok(Some(found));
    }
    let Some(probe) = Probe::password(&server.password_command) else {
        return Ok(None);
    };
    let output = exec::output(caller, probe.command())?;
    Ok(output
        .success()
        .then(|| Secret::new(output.text().trim_end_matches('\n'))))
}

fn unreachable_server(server: &Server, error: &postgres::Error) -> anyhow::Error {
    let said = error.as_db_error().map_or_else(
        || Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
        |said| said.message().to_owned(),
    );
    let mut fault = Fault::new(
        Kind::Unavailable,
        format!(
            "no session as role `{}` through {}/.s.PGSQL.{}: {said}",
            server.user, server.socket_directory, server.port
        ),
    );
    if let Some(code) = error.code() {
        fault = fault.sqlstate(code.code());
    }
    let io = Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if io.is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound) {
        // As `tmpwatch` and the like do with sockets in /tmp.
        fault = fault.hint(
            "the server runs without its socket: it has only begun to start, or somebody has removed it, or it has none; where it stays so, \
             `pgsocle instance stop --mode immediate` stops it unasked, and it recovers when it is started",
        );
    }
    if error
        .code()
        .is_some_and(|code| code.code().starts_with("28"))
    {
        fault = fault.hint(
            "the first line of pg_hba.conf should let the system user in by peer; else put the password into the site's password file",
        );
    }
    fault.into()
}

/// A statement that the server refused, with the server's own words and what can be done.
fn refused(statement: &Text, error: &postgres::Error) -> anyhow::Error {
    let Some(said) = error.as_db_error() else {
        return Fault::new(Kind::Unavailable, format!("the session was lost: {error}")).into();
    };
    let code = said.code().code();
    let mut msg = format!("{}: {}", said.severity(), said.message());
    if let Some(detail) = said.detail() {
        msg = format!("{msg} ({})", detail.replace('\n', "; "));
    }
    // The statement of a masked text shows its secrets as stars; the server's message is about names.
    log::debug!("refused: {statement}");
    let (kind, hint) = match code {
        "2BP01" => (
            Kind::Conflict,
            Some(
                "something depends on it; for a role set `drop_owned` or `reassign_owned`, for a schema or an extension `cascade`",
            ),
        ),
        "25006" => (
            Kind::Conflict,
            Some("the instance is a standby, or read-only"),
        ),
        "55006" => (
            Kind::Conflict,
            Some(
                "sessions use it: end them first (a database can be dropped all the same, with `force_drop: true`)",
            ),
        ),
        "42704" | "3D000" | "3F000" => (Kind::NotFound, None),
        "58P01" | "0A000" => (Kind::Unsupported, None),
        "22P02" | "22007" | "22008" | "22023" | "42601" | "42602" => (Kind::Input, None),
        "42501" => (Kind::Denied, None),
        "53300" => (
            Kind::Unavailable,
            Some("all sessions are taken: end some, or raise max_connections"),
        ),
        _ => (Kind::Sql, None),
    };
    let mut fault = Fault::new(kind, msg).sqlstate(code);
    if let Some(hint) = said.hint().or(hint) {
        fault = fault.hint(hint);
    }
    fault.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;
    use serde_json::json;

    #[test]
    fn one_statement_for_one_database() {
        let query = |sql| Query {
            server: Server {
                socket_directory: Utf8PathBuf::from("/run"),
                port: 5432,
                user: "postgres".into(),
                passfile: None,
                password_command: Vec::new(),
            },
            database: "postgres".into(),
            sql,
            parameter: json!(null),
        };
        let queries = [query("SELECT $1 AS a\n"), query("SELECT f($1), $1")];
        assert_eq!(
            statement(&queries.each_ref()),
            "SELECT (SELECT coalesce(pg_catalog.json_agg(q), '[]')::pg_catalog.text FROM (SELECT $1 AS a) q), \
             (SELECT coalesce(pg_catalog.json_agg(q), '[]')::pg_catalog.text FROM (SELECT f($2), $2) q)"
        );
    }
}
